"""`python -m imgrag`."""

from imgrag.commands.cli import app
from imgrag.commands.terminal import whole_streams

if __name__ == "__main__":
    with whole_streams():
        app(prog_name="python -m imgrag")
