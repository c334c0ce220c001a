"""What the stages of one run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imgrag.engine.reading.reader import Reader
from imgrag.engine.reading.vocabulary import Vocabulary
from imgrag.library import Library
from imgrag.models.residency import Residency
from imgrag.runs.events import Preview


@dataclass(frozen=True)
class Context:
    """What the stages of one run share.

    Attributes:
        reader: reads the prompt, for this profile and library.
        enhancing_prompt: the profile's wording of the second generation.
        layout: where the generator puts the things of a prompt.
        query: the profile's wording of a search, with {caption} and {name}.
        candidates: pictures kept for each concept.
        close: similarity from which on a picture counts as showing its concept.
        sure_yes: likelihood from which on the judge is sure that a thing is there.
        sure_no: likelihood up to which it is sure that it is not.
        emit: takes the previews.
        note: takes what the person should know.
        check: raises `Cancelled` once the person has stopped the run.
    """

    residency: Residency
    library: Library
    reader: Reader
    enhancing_prompt: str
    layout: str
    query: str
    candidates: int
    close: float
    sure_yes: float
    sure_no: float
    emit: Callable[[Preview], None]
    note: Callable[[str], None]
    check: Callable[[], None]

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The names that the models know; `None` where there is no end to them."""
        return self.reader.vocabulary
