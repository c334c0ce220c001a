"""How faithful the loop is: what is measured (`rows`), how (`workbench`) and on what (`cases`)."""

from imgrag.bench.fidelity.rows import main

__all__ = ["main"]
