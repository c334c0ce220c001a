"""Which rows speak of which picture, and which find none: counted, not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from imgrag.library.engines.store import Value
from imgrag.library.intake.described import Described, Row, bounded_text, describe_row
from imgrag.library.intake.places import Place, Places

NAMED = 3  # of the rows without a picture
MAX_ROWS = 5_000_000  # of all files of a source; what goes on so is no description of pictures
_NAME = 100  # characters shown of a name


class Findings:
    """What is said about pictures, from one file after the other; what one leaves open the next one fills.

    Attributes:
        described: by the picture's path.
        unmatched: rows that found no picture.
        names: what three of those call it.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._rows = 0
        self.described: dict[str, Described] = {}
        self.unmatched = 0
        self.names: list[str] = []

    def read(
        self,
        file: str,
        rows: Iterable[tuple[object, Row]],
        scalar: Callable[[Any], Value | None] | None = None,
        anywhere: bool = False,
    ) -> None:
        """Take in what one file says.

        Where two different names may both mean a picture, and neither is spelled as it is, none is taken.

        Raises:
            ValueError, OSError: what `rows` raises; what came before that counts.
        """
        claims = _Claims(self._lose)
        try:
            for name, row in rows:
                self._count()
                if place := self._places.find(file, name, anywhere):
                    claims.add(place, str(name), describe_row(row, scalar))
                elif name or any(map(bounded_text, row.values())):
                    self._lose(name)
        finally:
            for picture, described in claims.settled().items():
                known = self.described.get(picture)
                self.described[picture] = known.filled_from(described) if known else described

    def _count(self) -> None:
        self._rows += 1
        if self._rows > MAX_ROWS:
            raise ValueError(f"the tables here have more than {MAX_ROWS:,} rows")

    def _lose(self, name: object) -> None:
        self.unmatched += 1
        if len(self.names) < NAMED and (text := bounded_text(name)[:_NAME]) and text not in self.names:
            self.names.append(text)


class _Claims:
    """Which names of one file mean which picture."""

    def __init__(self, lose: Callable[[object], None]) -> None:
        self._lose = lose
        self._exact: dict[str, Described] = {}
        self._guessed: dict[str, tuple[str, Described]] = {}
        self._unclear: set[str] = set()

    def add(self, place: Place, name: str, described: Described) -> None:
        picture = place.picture
        if place.exact:
            known = self._exact.get(picture)
            self._exact[picture] = known.filled_from(described) if known else described
        elif picture in self._unclear:
            self._lose(name)
        else:
            self._guess(picture, name, described)

    def _guess(self, picture: str, name: str, described: Described) -> None:
        other, known = self._guessed.get(picture, (name, Described()))
        if other == name:
            self._guessed[picture] = (name, known.filled_from(described))
            return
        self._unclear.add(picture)
        del self._guessed[picture]
        self._lose(other)
        self._lose(name)

    def settled(self) -> Mapping[str, Described]:
        """What is clear: whoever is called exactly so, and else who is meant by one name alone."""
        for picture, (name, described) in self._guessed.items():
            if picture in self._exact:
                self._lose(name)
            else:
                self._exact[picture] = described
        return self._exact
