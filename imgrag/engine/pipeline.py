"""The one object behind every page and command: a request becomes a stream of events and a run on disk.

One run at a time touches the models, whoever asks. A worker thread holds the lock and runs the
stages; the stream only takes events from a queue, so that it can be left at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.archive import records
from imgrag.archive.history import Room
from imgrag.engine.context import Context
from imgrag.engine.execution import Execution, Put, advised
from imgrag.engine.handover import WAIT, handed_over
from imgrag.engine.inspecting import inspected
from imgrag.engine.reading import Reader
from imgrag.engine.reading.vocabulary import Vocabulary, load_vocabulary
from imgrag.engine.resuming import refuse_stranger, resumed
from imgrag.engine.settings import settings
from imgrag.engine.structuring import refuse_structure, seen, structured
from imgrag.errors import Cancelled, RequestError
from imgrag.knowledge import KnowledgeShelf
from imgrag.library import BUNDLED, ImageLibrary, libraries_folder, library_names, open_library
from imgrag.library.engines.store import CLOSED
from imgrag.library.opened import OpenLibraries
from imgrag.models.checkpoints import PROJECT
from imgrag.models.conditions import condition_of
from imgrag.models.profile import Profile, load_profile
from imgrag.models.residency import ModelSpec, Policy, Residency
from imgrag.models.roles import EYES, ROLES, choose_device, embedder_id, load_roles
from imgrag.runs.events import Event, Finished, Paused, Preview
from imgrag.runs.inside import Inside
from imgrag.runs.structure import Kind, Structure, Structured
from imgrag.runs.values import Request, Run, StageName, new_id
from imgrag.styles import StyleShelf
from imgrag.texts import clean_line

RESULTS = PROJECT / "datasets" / "results"
CACHE = PROJECT / ".cache" / "embeddings"


class ImageRAGPipeline:
    """Draws, judges, looks up what is missing, draws again, and keeps the better image.

    Making one opens no model: that happens in the first run.

    Args:
        profile: a profile's name, the path of a TOML file, or a profile.
        policy: "sequential" lets models go when the next needs room, "resident" never does.
        budget_bytes: what the models may take together; `None` is measured.
        device: "cpu", "cuda", "mps", or "auto".
        results: where each run gets a folder.
        libraries: where named libraries lie; `None` is `IMGRAG_LIBRARIES` or the project's own.
        bundled: the folders of libraries that come with the app, which are there besides and stay as they are.
        knowledge: where a person's own knowledge bases lie; `None` is `IMGRAG_KNOWLEDGE` or the project's own.
        styles: where a person's own styles lie; `None` is `IMGRAG_STYLES` or the project's own.
        cache: where embeddings of libraries are kept.
        roles: how to get each role's model; `None` is the profile's checkpoints.
        results_cap: bytes that all runs may take on disk; the oldest that nobody pinned make room
            at the end of each run, and the run itself stays in any case.

    Raises:
        ProfileError: there is no such profile.
    """

    def __init__(
        self,
        profile: Profile | str = "pocket",
        *,
        policy: Policy = "sequential",
        budget_bytes: int | None = None,
        device: str = "auto",
        results: Path = RESULTS,
        libraries: Path | None = None,
        bundled: Sequence[Path] = BUNDLED,
        knowledge: Path | None = None,
        styles: Path | None = None,
        cache: Path = CACHE,
        roles: Mapping[str, ModelSpec] | None = None,
        results_cap: int | None = None,
    ) -> None:
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.policy = policy
        self.results = results
        self.libraries = libraries or libraries_folder()
        self.bundled = tuple(bundled)
        self._cache = cache
        self._texts = knowledge
        self.knowledge = KnowledgeShelf(knowledge)
        self.styles = StyleShelf(self.profile.name, styles)
        self._budget_bytes = budget_bytes
        self._device = device
        self._roles = roles
        self._model_ids: dict[str, str] = {}
        self._room = None if results_cap is None else Room(results, results_cap)
        self._swept = False
        self._lock = threading.Lock()
        self._residency: Residency | None = None
        self._opened = OpenLibraries(self._open_library)
        self._stop: threading.Event | None = None

    def stream(
        self,
        request: Request,
        stop: threading.Event | None = None,
        *,
        pause: bool = False,
        owner: str = "",
    ) -> Generator[Event, None, None]:
        """Run a request and yield what happens; the last event is `Finished`.

        Set `stop`, call `cancel()` or close the generator to end the run within one denoising step.
        What its stages have found by then is on disk, and `resume` goes on from there.

        Args:
            pause: end with `Paused` after each stage, for a person to look at; `resume` goes on.
            owner: whose history the run is in.

        Raises:
            Cancelled: the run was stopped. The pipeline can be used again at once.
            ImgragError: the run could not be done; its text says why and what to do.
        """
        return self._streamed(lambda: self._begin(request, owner), stop, pause)

    def resume(
        self, run: Run, stop: threading.Event | None = None, *, pause: bool = False
    ) -> Generator[Event, None, None]:
        """Go on with a run that was paused, stopped or corrected: what has a report is not computed again.

        Raises: what `stream` raises, and
            RequestError: the run was made by another profile, asks for more than that one draws, or is finished.
        """
        return self._streamed(lambda: resumed(run, self.profile), stop, pause)

    def inspect(
        self, run: Run, stop: threading.Event | None = None, *, stage: StageName, number: int = 1
    ) -> Generator[Preview | Inside, None, None]:
        """Draw an image of a run again to look inside; the last piece is the `Inside`. Raises what `inspected` and `stream` raise."""
        refuse_stranger(run, self.profile)
        stop = stop or threading.Event()

        def work(put: Callable[[Preview | Inside], None]) -> None:
            with self._turn(stop), advised(stage):
                context = self.context(self.library_of(run.request), put, lambda: _check(stop))
                put(inspected(run, stage, number, context))

        yield from handed_over(work, stop)

    def __call__(self, request: Request) -> Run:
        """Run a request to its end. Raises what `stream` raises."""
        finished = [event for event in self.stream(request) if isinstance(event, Finished)]
        return finished[-1].run

    def cancel(self) -> None:
        """Stop the run that is at work, if there is one."""
        if self._stop is not None:
            self._stop.set()

    def warm_up(self) -> None:
        """Do before the first request what it would wait for: import, and load what fits together.

        Raises:
            CheckpointError: a checkpoint is missing.
        """
        with self._lock:
            residency = self.residency
            needed = sum(residency.spec(role).bytes for role in ROLES)
            if residency.budget_bytes is None or needed <= residency.budget_bytes:
                residency.preload(ROLES)

    def tidy(self) -> None:
        """Do at a start what a crash left to do: sweep half-written files, and keep to the cap of the disk.

        Raises:
            RecordError: the folder of results cannot be made or written.
        """
        self._prepare_results()
        if self._room is not None:
            self._room.make()

    @contextmanager
    def borrow(self, role: str) -> Iterator[Any]:
        """One model between runs, for as short as possible: runs wait meanwhile.

        Raises:
            CheckpointError: its checkpoint is missing.
        """
        with self._lock, self.residency.use(role) as model:
            yield model

    def model_id(self, role: str) -> str:
        """Which model a role embeds with, from the profile's checkpoint, which is not opened.

        Raises:
            CheckpointError: it is missing.
        """
        if role not in self._model_ids:
            self._model_ids[role] = self._find_model_id(role)
        return self._model_ids[role]

    def condition(self, picture: Image.Image, kind: Kind) -> Image.Image:
        """What a picture is to the ControlNet, RGB of the profile's size; runs wait if a model has to see it.

        Raises:
            RequestError: the profile has none of this kind, or the picture gives none.
            CheckpointError: the model that sees it is missing.
        """
        refuse_structure(Structured(picture, kind), self.profile.control)
        size = self.profile.generator.size
        if kind not in EYES:
            return condition_of(picture, kind, size)
        with self._lock:
            return seen(picture, kind, size, self.residency)

    def enlarge(self, picture: Image.Image) -> Image.Image:
        """A picture larger and cleaner, RGB; runs wait meanwhile.

        Raises:
            RequestError: the profile has no upscaler, or the picture is too large already.
            CheckpointError: its checkpoint is missing.
        """
        if not self.residency.has("upscaler"):
            raise RequestError(
                f"The profile {self.profile.name!r} has nothing to make pictures larger with. "
                "Give its file an [upscaler]."
            )
        with self.borrow("upscaler") as upscaler:
            larger: Image.Image = upscaler.enlarge(picture)
        return larger

    def structure(self, wanted: Structured) -> Structure:
        """What a run would be drawn along. Raises what `condition` raises."""
        refuse_structure(wanted, self.profile.control)
        assert self.profile.control is not None
        return structured(wanted, self.profile.control, self.condition)

    def library(self, name: str) -> ImageLibrary:
        """The library of that name, or that folder of images; opened once as long as somebody uses it.

        Raises:
            LibraryError: there is neither.
        """
        return self._opened.get(name)

    def library_names(self) -> list[str]:
        """The named libraries, those that come with the app among them."""
        return library_names(self.libraries, self.bundled)

    def library_of(self, request: Request) -> ImageLibrary:
        """The library that a request takes its references from. Raises LibraryError: there is none."""
        return self.library(request.library or self.profile.retrieval.library)

    def close_library(self, name: str, why: str = CLOSED) -> None:
        """Let go of a library's files, so that it can be renamed or deleted.

        Whoever adds to it, searches it or draws with it meanwhile gets a LibraryError that says `why`.
        """
        self._opened.close(name, why)

    @property
    def residency(self) -> Residency:
        """The models in turn. The first use decides on the device, which imports torch."""
        if self._residency is None:
            self._residency = self._make_residency()
        return self._residency

    def _find_model_id(self, role: str) -> str:
        if self._roles is None:
            return embedder_id(self.profile, role)
        with self.borrow(role) as model:  # nobody told of a checkpoint
            return str(model.model_id)

    def _open_library(self, name: str) -> ImageLibrary:
        return open_library(name, self.libraries, self._cache, self.bundled)

    def _make_residency(self) -> Residency:
        device = choose_device(self._device)
        roles = load_roles(self.profile, device) if self._roles is None else self._roles
        return Residency(list(roles.values()), self.policy, self._budget_bytes, device)

    def _streamed(
        self, begin: Callable[[], Run], stop: threading.Event | None, pause: bool
    ) -> Generator[Event, None, None]:
        stop = stop or threading.Event()

        def work(put: Put) -> None:
            self._work(begin, stop, pause, put)

        yield from handed_over(work, stop)

    def _work(self, begin: Callable[[], Run], stop: threading.Event, pause: bool, put: Put) -> None:
        """What the worker thread does: wait for its turn, then run."""
        with self._turn(stop):
            ended = self._run(begin, stop, pause, put)
        put(Paused(ended) if ended.state == "paused" else Finished(ended))

    @contextmanager
    def _turn(self, stop: threading.Event) -> Iterator[None]:
        """The models for oneself, as soon as nobody else has them. Raises Cancelled: it was stopped before."""
        while not self._lock.acquire(timeout=WAIT):
            _check(stop)
        try:
            self._stop = stop
            yield
        finally:
            self._stop = None
            self._lock.release()

    def _run(self, begin: Callable[[], Run], stop: threading.Event, pause: bool, put: Put) -> Run:
        _check(stop)
        self._prepare_results()
        run = replace(begin(), state="running")
        context = self.context(self.library_of(run.request), put, lambda: _check(stop))
        try:
            return Execution(run, context, self.residency, self.results, pause, put)()
        finally:
            if self._room is not None:  # stopped and failed runs take room too
                self._room.make(spare=run.id)

    def _prepare_results(self) -> None:
        """See that runs can be written. What a crash left is looked for once: there may be thousands of runs."""
        records.prepare(self.results)
        if not self._swept:
            records.sweep(self.results)
            self._swept = True

    def _begin(self, request: Request, owner: str) -> Run:
        now = datetime.now(timezone.utc)
        library = self.library_of(request)
        library.require_pictures()
        if request.knowledge_base and request.knowledge_base not in self.knowledge.names():
            self.knowledge.open(request.knowledge_base)  # it says which there are
        for style in request.styles:
            self.styles.get(style.name)  # likewise
        refuse_structure(request.structure, self.profile.control)
        return Run(
            id=new_id(now),
            request=request,
            profile=self.profile.name,
            library=clean_line(library.name),
            started=now.isoformat(timespec="seconds"),
            settings=settings(request, self.profile),
            owner=owner,
        )

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The names that the profile's models know; `None` where there is no end to them."""
        file = self.profile.reading.vocabulary
        return load_vocabulary(PROJECT / file) if file else None

    def reader(self, library: ImageLibrary, seconds: float = 0) -> Reader:
        """What reads one prompt for this profile; see `ImageLibrary.moment` for `seconds`."""
        return Reader(self.profile.reading, self.vocabulary, library.moment(seconds), self.styles)

    def context(
        self, library: ImageLibrary, emit: Callable[[Preview], None], check: Callable[[], None]
    ) -> Context:
        """What the stages of a run with this library share."""
        profile = self.profile
        return Context(
            residency=self.residency,
            library=library,
            reader=self.reader(library),
            enhancing_prompt=profile.generator.enhancing_prompt,
            layout=profile.generator.layout,
            query=profile.retrieval.query,
            candidates=profile.retrieval.candidates,
            close=profile.retrieval.close,
            sure_yes=profile.vlm.sure_yes,
            sure_no=profile.vlm.sure_no,
            ranking=profile.ranking,
            ranker=profile.ranker,
            knowledge=self.knowledge.open,
            texts=profile.knowledge.k,
            alike=profile.knowledge.alike,
            styles=self.styles,
            control=profile.control,
            emit=emit,
            note=lambda note: None,
            check=check,
        )


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled("The run was stopped.")
