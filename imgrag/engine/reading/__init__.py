"""Stage 0: what people type, read into the things that the rest of a run works on. No model is opened for it,
except where a prompt is in another language than the generator's."""

from imgrag.engine.reading.reader import Names, Reader

__all__ = ["Names", "Reader"]
