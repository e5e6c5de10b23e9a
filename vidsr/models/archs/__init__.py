"""One network per file. Adding one: write the file with its class, `matches` and `recover`, and list it in recover.py."""
