"""`python -m monitoring` is the command `monitoring`."""

from monitoring.cli import main

if __name__ == "__main__":
    main(prog_name="monitoring")
