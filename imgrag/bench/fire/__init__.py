"""The page under fire: what is measured (`rows`), against which server (`server`), by which visitor."""

from imgrag.bench.fire.rows import main

__all__ = ["main"]
