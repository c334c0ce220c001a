"""How fast and how exact the library is: what is measured (`rows`), on vectors (`searching`), on files (`adding`)."""

from imgrag.bench.library.rows import main

__all__ = ["main"]
