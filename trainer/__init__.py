"""Training and fine-tuning of the networks that vidsr runs. Not built yet: this package holds nothing but its name."""
