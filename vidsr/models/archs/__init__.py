"""One network per file. To add one, write its class, `matches` and `recover`, and list the file in recover.py."""
