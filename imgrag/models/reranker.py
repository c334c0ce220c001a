"""A trained reranker: Qwen3-VL-Reranker and its like, by transformers' own classes.

It reads an instruction, the query and one picture as "document", and says yes or no; what it was trained for is how
likely each is (arXiv 2601.04720).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.models.chat import open_model, open_words, without_markers
from imgrag.models.ranking import RerankerProfile
from imgrag.models.scoring import log_odds
from imgrag.models.soundness import refuse_vocabulary
from imgrag.models.weights import tensor_bytes
from imgrag.pictures import bounded

SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)


def load_reranker(profile: RerankerProfile, folder: Path, device: str) -> Reranker:
    """Open a transformers folder; the profile's pixel bounds go to its processor.

    Raises:
        UnsoundFile: the folder does not hold such a model, or not all of it.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    areas = {"shortest_edge": profile.min_pixels, "longest_edge": profile.max_pixels}
    processor = open_words(AutoProcessor, folder, greeting=[{"type": "text", "text": "hello"}], size=areas)
    model = open_model(AutoModelForImageTextToText, profile, folder, device)
    refuse_vocabulary(folder / "tokenizer.json", processor.tokenizer, model)
    return Reranker(model, processor, profile)


class Reranker:
    """See `imgrag.models.Ranker`."""

    def __init__(self, model: Any, processor: Any, profile: RerankerProfile) -> None:
        self._model = model
        self._processor = processor
        self._profile = profile

    @property
    def nbytes(self) -> int:
        return tensor_bytes(self._model)

    def fits(self, text: str, picture: Image.Image | None, candidates: Sequence[Image.Image]) -> list[float]:
        """See `imgrag.models.Ranker`."""
        shown = [picture] if picture is not None else []
        rows = [self._row(text, [*shown, candidate]) for candidate in candidates]
        return log_odds(self._model, self._processor.tokenizer, rows, alike=len(shown))

    def _row(self, text: str, pictures: Sequence[Image.Image]) -> Any:
        side = int(self._profile.max_pixels**0.5)
        said = self._processor.apply_chat_template(
            self._turns(text, len(pictures) > 1), tokenize=False, add_generation_prompt=True
        )
        images = [bounded(picture, side) for picture in pictures]
        return self._processor(text=[said], images=images, return_tensors="pt")

    def _turns(self, text: str, pictured: bool) -> list[dict[str, Any]]:
        """What is asked for comes first, so that it is read once for all candidates."""
        plain = without_markers(text, self._processor.tokenizer)
        query = [{"type": "image"}] if pictured else []
        query += [{"type": "text", "text": plain}] if plain.strip() else []
        content = [
            {"type": "text", "text": f"<Instruct>: {self._profile.instruction}"},
            {"type": "text", "text": "<Query>:"}, *query,
            {"type": "text", "text": "\n<Document>:"}, {"type": "image"},
        ]  # fmt: skip
        return [
            {"role": "system", "content": [{"type": "text", "text": SYSTEM}]},
            {"role": "user", "content": content},
        ]
