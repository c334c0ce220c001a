"""Captions as a stream of events, one picture at a time, or many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from PIL import Image

from imgrag.captions import records
from imgrag.captions.adapters import AdapterShelf
from imgrag.captions.events import (
    CaptionEvent,
    CaptionFinished,
    CaptionStageDone,
    CaptionStageStarted,
    CaptionWords,
)
from imgrag.captions.neighbours import Search, embed_views, neighbours
from imgrag.engine.borrowing import BorrowedEmbedder
from imgrag.engine.handover import handed_over
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import Cancelled, LibraryError, RequestError
from imgrag.models import CaptionAdapter
from imgrag.runs.captions import (
    MAX_CAPTION_PROMPT,
    Captioned,
    CaptionReport,
    CaptionStage,
    Neighbour,
    caption_prompt,
    check_neighbours,
    told_of,
)
from imgrag.runs.values import new_id
from imgrag.texts import clean, clean_line

BATCH = 64  # pictures at a time, where there are many
BY_SIGHT = "Write one caption for this picture, in one sentence. These are captions of similar pictures, which may be wrong:\n{prompt}"
Put = Callable[[CaptionEvent], None]


@dataclass(frozen=True)
class CaptionRequest:
    """How a picture is captioned; `None` is the profile's own value.

    Attributes:
        library: whose captions are read.
        k: neighbours of the whole picture, 1 to 50.
        file: what the picture is called.
        plain: without the adapter that the library or the profile uses.
        alone: without neighbours, to see what they bring.
    """

    library: str | None = None
    k: int | None = None
    file: str = ""
    plain: bool = False
    alone: bool = False

    def __post_init__(self) -> None:
        check_neighbours(self.k)


class CaptionPipeline:
    """Finds neighbours, makes a prompt of their captions, and has the profile's captioner write.

    It shares models, libraries and results with the pipeline that draws; one at a time has a model.
    """

    def __init__(self, pipeline: ImageRAGPipeline, adapters: AdapterShelf | None = None) -> None:
        self._pipeline = pipeline
        self.adapters = adapters or AdapterShelf()

    def stream(
        self, picture: Image.Image, request: CaptionRequest, stop: threading.Event | None = None
    ) -> Generator[CaptionEvent, None, None]:
        """Caption a picture; the last event is `CaptionFinished`.

        Raises:
            Cancelled: it was stopped.
            ImgragError: it could not be done; its text says why and what to do.
        """
        begun = Captioned(new_id(datetime.now(timezone.utc)), clean_line(request.file))
        yield from self.resume(picture, begun, request, stop)

    def resume(
        self,
        picture: Image.Image,
        known: Captioned,
        request: CaptionRequest,
        stop: threading.Event | None = None,
    ) -> Generator[CaptionEvent, None, None]:
        """Go on with a caption that a person changed: what is known is not found again.

        Raises: what `stream` raises.
        """
        stop = stop or threading.Event()

        def work(put: Put) -> None:
            done = self._worked(picture, known, request, stop, put)
            records.save(done, picture, self._pipeline.results)
            put(CaptionFinished(done))

        yield from handed_over(work, stop)

    def __call__(self, picture: Image.Image, request: CaptionRequest = CaptionRequest()) -> Captioned:
        """Caption a picture. Raises what `stream` raises."""
        finished = [e for e in self.stream(picture, request) if isinstance(e, CaptionFinished)]
        return finished[-1].captioned

    def many(
        self,
        pictures: Iterable[tuple[str, Image.Image]],
        request: CaptionRequest,
        check: Callable[[], None] = lambda: None,
    ) -> Iterator[Captioned]:
        """Caption many pictures, `BATCH` at a time, in their order; nothing of them is kept.

        Raises: what `stream` raises, and whatever `check` raises.
        """
        waiting = iter(pictures)
        search = self.search(request)
        while batch := list(islice(waiting, BATCH)):
            check()
            yield from self._batch(batch, search, request)

    def search(self, request: CaptionRequest) -> Search:
        """Where neighbours come from. Raises LibraryError: there is no library with captions."""
        profile = self._pipeline.profile.captions
        name = request.library or profile.library or self._pipeline.profile.retrieval.library
        library = self._pipeline.library(name)
        column = library.index(BorrowedEmbedder(self._pipeline))
        if not any(entry.caption.strip() for entry in library.entries(0, 1000)):
            raise LibraryError(
                f"The library {library.name!r} has no captions to read. Choose one whose pictures have some, such as COCO's."
            )
        return Search(column, profile, request.k or profile.k)

    def found(
        self, pictures: Sequence[Image.Image], search: Search, itself: Sequence[str] | None = None
    ) -> list[tuple[Neighbour, ...]]:
        """The neighbours of each picture.

        Args:
            itself: the pictures' digests, where they are the library's own.
        """
        views = embed_views(pictures, search.profile, BorrowedEmbedder(self._pipeline))
        return [
            neighbours(view, search, None if itself is None else itself[place])
            for place, view in enumerate(views)
        ]

    def write(
        self,
        prompts: Sequence[str],
        pictures: Sequence[Image.Image],
        adapter: CaptionAdapter | None,
        say: Callable[[str], None] | None = None,
    ) -> list[str]:
        """What the captioner, or without one the VLM, writes for each prompt."""
        if self._pipeline.profile.captioner is None:
            with self._pipeline.borrow("vlm") as vlm:
                asked = zip(prompts, pictures, strict=True)
                return [
                    clean_line(vlm.reply(BY_SIGHT.format(prompt=prompt), [picture]))
                    for prompt, picture in asked
                ]
        with self._pipeline.borrow("captioner") as captioner:
            captioner.wear(adapter)
            return [clean_line(text) for text in captioner.write(prompts, say)]

    def adapter(self, library: str, plain: bool = False) -> CaptionAdapter | None:
        """The adapter that is worn for a library. Raises RequestError: it is gone."""
        return None if plain else self.adapters.used(library, self._pipeline.profile.name)

    def _batch(
        self, batch: Sequence[tuple[str, Image.Image]], search: Search, request: CaptionRequest
    ) -> Iterator[Captioned]:
        pictures = [picture for _, picture in batch]
        near = [()] * len(batch) if request.alone else self.found(pictures, search)
        prompts = [caption_prompt(told_of(search.parts, found)) for found in near]
        adapter = self.adapter(self._name(request), request.plain)
        texts = self.write(prompts, pictures, adapter)
        worn = adapter.name if adapter else ""
        for (file, _), found, prompt, text in zip(batch, near, prompts, texts, strict=True):
            yield Captioned(
                file=clean_line(file), library=self._name(request), parts=search.parts, neighbours=found, prompt=prompt,
                caption=text, model=self.model, adapter=worn,
            )  # fmt: skip

    @property
    def model(self) -> str:
        """What writes, as a record calls it."""
        profile = self._pipeline.profile
        return (profile.captioner or profile.vlm).checkpoint.label

    def _name(self, request: CaptionRequest) -> str:
        profile = self._pipeline.profile
        name = request.library or profile.captions.library or profile.retrieval.library
        return clean_line(self._pipeline.library(name).name)

    def _worked(
        self,
        picture: Image.Image,
        known: Captioned,
        request: CaptionRequest,
        stop: threading.Event,
        put: Put,
    ) -> Captioned:
        done = replace(known, library=self._name(request), model=self.model)
        stages: tuple[tuple[CaptionStage, bool, str, Callable[[Captioned], Captioned]], ...] = (
            ("neighbours", not known.parts, self._pipeline.profile.clip.checkpoint,
             lambda now: self._with_neighbours(picture, now, request)),
            ("prompt", not known.prompt, "", _with_prompt),
            ("caption", True, self.model, lambda now: self._with_caption(picture, now, request, stop, put)),
        )  # fmt: skip
        for stage, wanted, model, function in stages:
            if stop.is_set():
                raise Cancelled("The caption was stopped.")
            if not wanted:
                continue
            put(CaptionStageStarted(stage, model))
            begun = time.perf_counter()
            done = function(done)
            report = CaptionReport(stage, round(time.perf_counter() - begun, 3), model)
            done = replace(done, stages=(*(r for r in done.stages if r.name != stage), report))
            put(CaptionStageDone(stage, done))
        return done

    def _with_neighbours(self, picture: Image.Image, now: Captioned, request: CaptionRequest) -> Captioned:
        search = self.search(request)
        (found,) = self.found([picture], search)
        return replace(now, parts=search.parts, neighbours=found)

    def _with_caption(
        self,
        picture: Image.Image,
        now: Captioned,
        request: CaptionRequest,
        stop: threading.Event,
        put: Put,
    ) -> Captioned:
        def say(text: str) -> None:
            if stop.is_set():
                raise Cancelled("The caption was stopped.")
            put(CaptionWords(text))

        adapter = self.adapter(now.library, request.plain)
        (text,) = self.write([now.prompt], [picture], adapter, say)
        return replace(now, caption=text, adapter=adapter.name if adapter else "")


def _with_prompt(now: Captioned) -> Captioned:
    return replace(now, prompt=caption_prompt(told_of(now.parts, now.neighbours)))


def without(known: Captioned, taken_out: Iterable[tuple[str, str]]) -> Captioned:
    """What is known of a caption without some neighbours, (part, file) each; the prompt is made anew."""
    gone = set(taken_out)
    left = tuple(n for n in known.neighbours if (n.part, n.candidate.file) not in gone)
    return replace(known, neighbours=left, prompt="", caption="", edited=False)


def with_prompt(known: Captioned, prompt: Any) -> Captioned:
    """Likewise with a person's own prompt. Raises RequestError: it is empty or too long."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise RequestError(
            "The prompt is empty. Write what similar pictures show, or caption the picture again."
        )
    if len(prompt) > MAX_CAPTION_PROMPT:
        raise RequestError(
            f"The prompt has {len(prompt)} characters; at most {MAX_CAPTION_PROMPT} are allowed. Shorten it."
        )
    text = clean(prompt)
    return replace(known, prompt=text, caption="", edited=text != known.prompt or known.edited)
