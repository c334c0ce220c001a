"""What people do with libraries: add, search, browse, remove, each with the models it needs.

The page, the command line and the endpoints all come here. Models are borrowed for one batch or
one question at a time, so that a run need not wait until ten thousand pictures are embedded.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.engine.borrowing import BorrowedEmbedder
from imgrag.engine.handover import handed_over
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.ranking import SIDE, Asked, likelihoods, order, reason, sureness
from imgrag.errors import Cancelled, LibraryError
from imgrag.library import (
    ImageLibrary,
    copy_library,
    create_library,
    delete_library,
    rename_library,
)
from imgrag.library.base import ReadOnly, is_literal
from imgrag.library.engines.store import Entry, Value
from imgrag.library.intake.adding import Progress, Report
from imgrag.library.removal import Removal
from imgrag.library.search.cache import Cache, key_of, open_cache, picture_hash
from imgrag.library.search.column import Column, as_candidate
from imgrag.library.search.explaining import Explanation, Item, explain
from imgrag.library.search.filters import COLUMNS, Filter, fields_of, parse_filter
from imgrag.library.search.queries import Embedded, Query, embed
from imgrag.library.search.rerank import MAX_RANKED, rank
from imgrag.library.shelf import check_rename, require_own
from imgrag.library.stamp import Stamp
from imgrag.models.ranking import RankingProfile
from imgrag.runs.values import Candidate, in_brief

ASKED_BY_PICTURE = "one that looks like this"
SAME = 0.99999  # cosine similarity from which a picture of the library is the query itself
MAX_RESULTS = 1000
NUMBER = (int, float)
KINDS: dict[str, Any] = {
    "score": NUMBER, "worded": NUMBER, "sure": (*NUMBER, type(None)), "id": int, "fields": dict
}  # fmt: skip
"""Of the fields of a result that are no text."""
SHOWN_COLUMNS = 20  # by name, where a filter names one that is not there


@dataclass(frozen=True)
class Result(Candidate):
    """A candidate with everything else that the library knows of it, such as category or price.

    `look` is one sentence on what a model that looked again sees in it, "" where none was asked.
    """

    fields: Mapping[str, Value] = field(default_factory=dict, hash=False)
    look: str = ""

    @property
    def item(self) -> Item:
        """What a reason may say of it."""
        return Item(self.id, self.name, self.caption, self.fields)


@dataclass(frozen=True)
class Found:
    """Candidates, best first. `reason` is the VLM's for the first, `note` what the person should know."""

    candidates: tuple[Result, ...]
    reason: str = ""
    note: str = ""


class Librarian:
    """Everything about libraries that a page or a command line offers.

    Args:
        cache: where the answers of searches are kept; see `open_cache`, which raises LibraryError.
    """

    def __init__(self, pipeline: ImageRAGPipeline, cache: Cache | None = None) -> None:
        self._pipeline = pipeline
        self._cache = open_cache() if cache is None else cache

    def names(self) -> list[str]:
        """The named libraries."""
        return self._pipeline.library_names()

    def create(self, name: str, uri: str = "") -> None:
        """Make an empty library, in Milvus if there is a URI. Raises LibraryError."""
        create_library(name, self._pipeline.libraries, uri, self._pipeline.bundled)

    def copy(self, name: str, new: str) -> None:
        """Make a library with the pictures of another one; nothing is embedded again. Raises LibraryError."""
        copy_library(self.library(name), new, self._pipeline.libraries, self._pipeline.bundled)

    def delete(self, name: str) -> None:
        """Delete a library with what is in its folder. Raises LibraryError."""
        self.require_own(name)
        self._pipeline.close_library(name, f"The library {name!r} was deleted meanwhile.")
        delete_library(name, self._pipeline.libraries, self._pipeline.bundled)

    def rename(self, old: str, new: str) -> None:
        """Give a library another name. Raises LibraryError."""
        self.require_own(old)
        places = self._pipeline.libraries, self._pipeline.bundled
        new = check_rename(old, new, *places)
        self._pipeline.close_library(
            old, f"The library {old!r} is called {new!r} now. What was done until then is kept; go on there."
        )
        rename_library(old, new, *places)

    def require_own(self, name: str) -> None:
        """See that a library may be renamed and deleted. Raises LibraryError: it comes with the app, or is not there."""
        require_own(name, self._pipeline.libraries, self._pipeline.bundled)
        if name == self._pipeline.profile.retrieval.library:
            raise ReadOnly(name)

    def add(
        self,
        name: str,
        paths: Sequence[Path],
        stop: threading.Event | None = None,
        reach: Path | None = None,
    ) -> Generator[Progress | Report, None, None]:
        """Add folders, pictures, zips and shards, or only look what has changed; at last a `Report`.

        Set `stop` or close the generator to end it after the batch at work; nothing done is lost.
        `reach` is where links within the folders may lead; within each folder itself unless told.

        Raises:
            LibraryError: something cannot be added.
            Cancelled: it was stopped.
        """
        stop = stop or threading.Event()

        def check() -> None:
            if stop.is_set():
                raise Cancelled("Adding was stopped. What was added until then is kept.")

        def work(put: Callable[[Progress | Report], None]) -> None:
            for event in self.library(name).add(paths, self.embedder(), check, reach):
                put(event)

        yield from handed_over(work, stop)

    def remove(self, name: str, files: Sequence[str]) -> int:
        """Take pictures out of a library for good; returns how many there were. Raises LibraryError."""
        return self.library(name).remove(files)

    def take_out(self, name: str, files: Sequence[str]) -> Removal:
        """Take pictures out of a library so that `put_back` can undo it, until `forget`. Raises LibraryError."""
        return self.library(name).take_out(files)

    def put_back(self, name: str, taken: Removal) -> int:
        """Undo a `take_out`; returns how many pictures are there again. Raises LibraryError."""
        return self.library(name).put_back(taken)

    def forget(self, name: str, taken: Removal) -> None:
        """From now on what was taken out cannot be put back. Raises LibraryError."""
        self.library(name).forget(taken)

    def stats(self, name: str) -> dict[str, Any]:
        """See `ImageLibrary.stats`."""
        return self.library(name).stats()

    def export(self, name: str, folder: Path) -> list[Path]:
        """Write a library as Parquet shards; returns the files. Raises LibraryError."""
        library, embedder = self.library(name), self.embedder()
        library.index(embedder)
        return library.export(folder, embedder.model_id)

    def page(self, name: str, offset: int, limit: int, where: str = "") -> tuple[list[Entry], int]:
        """Some entries in the order they came, and how many pass the filter. Raises LibraryError."""
        library, condition = self.library(name), parse_filter(where)
        count = library.count(condition)
        if not count:
            _require_columns(library, condition)
        return library.entries(offset, limit, condition), count

    def require_pictures(self, name: str, where: str = "") -> None:
        """See, without a model, whether a search can begin. Raises LibraryError: nothing to search, a bad filter."""
        parse_filter(where)
        self.library(name).require_pictures()

    def thumbnail(self, name: str, file: str, side: int = 160) -> Image.Image:
        """A small copy of a picture. Raises LibraryError."""
        return self.library(name).thumbnail(file, side)

    def picture(self, name: str, file: str) -> Image.Image:
        """A picture of a library, also where nobody has looked into it since it was made. Raises LibraryError."""
        library = self.library(name)
        try:
            return library.open(file)
        except LibraryError:
            library.index(self.embedder())
            return library.open(file)

    def search(
        self, name: str, query: Query, k: int = 12, rerank: bool = False, reasons: bool | None = False
    ) -> Found:
        """The best `k` for words, a picture or both; the query picture itself is left out.

        Args:
            rerank: whether the best of them are looked at again, see `RankingProfile`.
            reasons: whether each of these gets its sentence, not just the first; `None` leaves that out too.

        Raises:
            LibraryError: the library is empty, or filter or number are not understood.
        """
        if not 1 <= k <= MAX_RESULTS:
            raise LibraryError(f"The number of results is {in_brief(k)}; it must be from 1 to {MAX_RESULTS}.")
        library, where = self.library(name), parse_filter(query.where)
        found = self._remembered(library, query, k)
        if found is None:
            found = self._found(library, query, k)
        if not found:
            _require_columns(library, where)
        if not rerank or not found:
            return Found(tuple(found))
        collage = self.ranking.way == "collage"
        return self._collage(library, query, found) if collage else self._ranked(name, query, found, reasons)

    def explained(self, query: str, results: Iterable[Result]) -> Iterator[Explanation]:
        """Why each was found, as the LLM says it, which is borrowed for one at a time; runs may come between.

        Args:
            query: the words that were asked; "" where a picture was.
        """
        for result in results:
            yield self._explained(query, result.item)

    def _explained(self, query: str, item: Item) -> Explanation:
        with self._pipeline.borrow("llm") as llm:
            return explain(llm, query.strip() or ASKED_BY_PICTURE, item)

    def library(self, name: str) -> ImageLibrary:
        """The library of that name, or that folder. Raises LibraryError."""
        return self._pipeline.library(name)

    def embedder(self) -> BorrowedEmbedder:
        """CLIP, borrowed for each batch."""
        return BorrowedEmbedder(self._pipeline)

    def _remembered(self, library: ImageLibrary, query: Query, k: int) -> list[Result] | None:
        """What was found for this when the library was as it is now, if that is kept; asks no model and no index."""
        kept = self._cache.get(self._key(library.stamp(), query, k))
        return None if kept is None else results_of(kept)

    def _found(self, library: ImageLibrary, query: Query, k: int) -> list[Result]:
        """What a search finds, which is kept if the library stayed as it is meanwhile, followed to the end."""
        embedder = BorrowedEmbedder(self._pipeline, self._role(query))
        column = library.index(embedder)  # it may decode pictures, and nobody waits for that
        stamp = library.stamp()
        embedded = embed(query, embedder)
        without = self._itself(column, embedded)
        called = query.text if query.image is None else ""
        ranked = column.ranked(embedded.vector, called, k, parse_filter(query.where), without)
        found = [_as_result(entry, score) for entry, score in ranked]
        if stamp.kept and library.is_settled(stamp, embedder.model_id):
            self._cache.put(self._key(stamp, query, k), json.dumps([asdict(one) for one in found]))
        return found

    def _key(self, stamp: Stamp, query: Query, k: int) -> str:
        role = self._role(query)
        by = (role, self._pipeline.model_id(role), repr(self._pipeline.profile.composer))
        asked = (query.text, picture_hash(query.image), query.weight, query.where, k)
        return key_of(astuple(stamp), by, asked)

    def _role(self, query: Query) -> str:
        """Who embeds a query: the profile's composer, if it has one, where words and picture meet."""
        both = query.image is not None and query.text.strip()
        return "composer" if both and self._pipeline.profile.composer is not None else "clip"

    def _itself(self, column: Column, embedded: Embedded) -> str:
        """The digest of the query picture, if the library holds it."""
        if embedded.image is None:
            return ""
        nearest = column.nearest(embedded.image)
        return nearest[0].digest if nearest and nearest[1] >= SAME else ""

    def _collage(self, library: ImageLibrary, query: Query, found: list[Result]) -> Found:
        shown = _shown(library, found[:MAX_RANKED])
        if not shown:
            return Found(tuple(found))
        with self._pipeline.borrow("vlm") as vlm:
            ranking = rank(vlm, query.text, list(shown.values()), query.image)
        places = list(shown)
        order = [places[place] for place in ranking.order]
        others = [place for place in range(len(found)) if place not in shown]
        return Found(tuple(found[place] for place in (*order, *others)), ranking.reason, ranking.note)

    def _ranked(self, name: str, query: Query, found: list[Result], reasons: bool | None) -> Found:
        """The best looked at again one by one, in the order that this gives them; the others follow as they were.

        What is literally called as the words say stays first, as it was: no look says more than its owner.
        """
        found = self._looked_at(name, query, found)
        told = 0 if reasons is None else self.ranking.best if reasons else 1
        found[:told] = [self.reason(name, query, one) for one in found[:told]]
        return Found(tuple(found), found[0].look)

    def _looked_at(self, name: str, query: Query, found: list[Result]) -> list[Result]:
        asked, profile = Asked(query.text, query.image), self._pipeline.profile
        shown = _shown(self.library(name), found[: profile.ranking.best])
        pictures, best = list(shown.values()), [found[place] for place in shown]
        odds = pictures and likelihoods(
            self._pipeline.borrow, profile.ranker, profile.ranking, asked, pictures
        )
        if not odds:
            return found
        places = order([one.score for one in best], odds, profile.ranking.weight(asked.kind))
        called = [
            place for place, one in enumerate(best) if asked.kind == "words" and is_literal(one, asked.text)
        ]
        places = [*called, *(place for place in places if place not in called)]
        best = [replace(best[place], sure=sureness(odds[place])) for place in places]
        return [*best, *(one for place, one in enumerate(found) if place not in shown)]

    def reason(self, name: str, query: Query, result: Result) -> Result:
        """A result with one sentence on what the VLM sees in it; the VLM is borrowed for just this one.

        A picture that vanished since it was found stays without.
        """
        asked, shown = Asked(query.text, query.image), _shown(self.library(name), [result])
        if not shown:
            return result
        with self._pipeline.borrow("vlm") as vlm:
            look = reason(vlm, self.ranking, asked, shown[0], result.sure)
        return replace(result, look=look)

    @property
    def ranking(self) -> RankingProfile:
        """How the best of a search are looked at again."""
        return self._pipeline.profile.ranking


def as_rows(results: Sequence[Result], told: Sequence[Explanation] = ()) -> list[dict[str, Any]]:
    """Results as JSON has them, with why each was found where that was asked."""
    rows = [asdict(result) for result in results]
    for row, one in zip(rows, told, strict=False):
        row.update(reason=one.reason, plain=one.plain)
    return rows


def results_of(kept: str) -> list[Result] | None:
    """Results as a cache kept them; `None` if it is no such list, for others may write to a server too."""
    try:
        rows = json.loads(kept)
        return [Result(**row) for row in rows] if all(map(_is_result, rows)) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _is_result(row: Mapping[str, Any]) -> bool:
    """Whether each field is of the kind that `Result` has there."""
    return isinstance(row, dict) and all(isinstance(row[key], KINDS.get(key, str)) for key in row)


def _shown(library: ImageLibrary, found: Sequence[Result]) -> dict[int, Image.Image]:
    """The pictures by their places; those that vanished since they were indexed are left out."""
    shown = {}
    for place, one in enumerate(found):
        with suppress(LibraryError):
            shown[place] = library.thumbnail(one.file, SIDE)
    return shown


def _as_result(entry: Entry, score: float) -> Result:
    return Result(**vars(as_candidate(entry, score)), fields=entry.fields)


def _require_columns(library: ImageLibrary, where: Filter | None) -> None:
    """See, where nothing passes a filter, whether it compares what no picture has.

    Raises:
        LibraryError: it does; the message names the columns that there are.
    """
    unknown = sorted(fields_of(where) - set(COLUMNS))
    known = library.columns() if unknown and library.count() else unknown
    for name in unknown:
        if name not in known:
            raise LibraryError(
                f"The library {library.name!r} has no column {name[:40]!r}. It has: {_listed(known)}."
            )


def _listed(columns: Sequence[str]) -> str:
    names = [*COLUMNS, *(name[:40] for name in columns)]
    more = len(names) - SHOWN_COLUMNS
    return ", ".join(names[:SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")
