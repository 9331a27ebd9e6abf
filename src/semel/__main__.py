"""``python -m semel``: the command, where it is not on the path."""

from semel.cli import main

if __name__ == "__main__":
    main()
