"""`python -m imgrag`."""

from imgrag.commands.cli import app

if __name__ == "__main__":
    app(prog_name="python -m imgrag")
