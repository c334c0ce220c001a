"""What the stages of one run share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from imgrag.engine.reading.reader import Reader
from imgrag.engine.reading.vocabulary import Vocabulary
from imgrag.library import Library
from imgrag.models import Embedder
from imgrag.models.controlling import ControlProfile
from imgrag.models.ranking import RankingProfile
from imgrag.runs.events import Preview
from imgrag.runs.knowledge import Fact
from imgrag.styles import StyleShelf


class Lender(Protocol):
    """What lends models, as `imgrag.models.residency.Residency` does."""

    def use(self, name: str, beside: int | None = None) -> AbstractContextManager[Any]:
        """Borrow a role's model, which carries so many bytes beside its own. Raises what `Residency.use` raises."""
        ...


class Lending:
    """`Lender` that hands on what another lends, as `around(role, model)` makes it."""

    def __init__(self, lender: Lender, around: Callable[[str, Any], Any]) -> None:
        self._lender = lender
        self._around = around

    @contextmanager
    def use(self, name: str, beside: int | None = None) -> Iterator[Any]:
        """See `Lender.use`."""
        with self._lender.use(name, beside) as model:
            yield self._around(name, model)


class Texts(Protocol):
    """A knowledge base."""

    def search(
        self, text: str, k: int, embedder: Embedder | None = None, check: Callable[[], None] = ...
    ) -> Sequence[Fact]:
        """The best `k` for a text, by words alone, or by words and vectors as one ranking.

        Raises:
            LibraryError: it was closed or deleted, or cannot be read.
        """
        ...


@dataclass(frozen=True)
class Context:
    """What the stages of one run share.

    Attributes:
        residency: lends the models.
        reader: reads the prompt, for this profile and library.
        enhancing_prompt: the profile's wording of the second generation.
        layout: where the generator puts the things of a prompt.
        query: the profile's wording of a search, with {caption} and {name}.
        candidates: pictures kept for each concept.
        close: similarity from which on a picture counts as showing its concept.
        sure_yes: likelihood from which on the judge is sure that a thing is there.
        sure_no: likelihood up to which it is sure that it is not.
        ranking: how candidates are looked at again.
        ranker: the role that looks.
        knowledge: opens a knowledge base by its name; raises LibraryError.
        texts: of a knowledge base that are kept for each phrase, at most.
        alike: similarity from which on a text counts that no words found.
        styles: those of the profile.
        control: what the profile can draw along, `None` if it cannot.
        emit: takes the previews.
        note: takes what the person should know.
        check: raises `Cancelled` once the person has stopped the run.
    """

    residency: Lender
    library: Library
    reader: Reader
    enhancing_prompt: str
    layout: str
    query: str
    candidates: int
    close: float
    sure_yes: float
    sure_no: float
    ranking: RankingProfile
    ranker: str
    knowledge: Callable[[str], Texts]
    texts: int
    alike: float
    styles: StyleShelf
    control: ControlProfile | None
    emit: Callable[[Preview], None]
    note: Callable[[str], None]
    check: Callable[[], None]

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The names that the models know; `None` where there is no end to them."""
        return self.reader.vocabulary
