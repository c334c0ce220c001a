"""The stages in their order: a request becomes a stream of events and a run on disk.

One run at a time touches the models, whoever asks. A worker thread holds the lock and runs the
stages; the stream only takes events from a queue, so that it can be left at any time.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil

from imgrag import records
from imgrag.checkpoints import PROJECT
from imgrag.decisions import end_reason
from imgrag.errors import Cancelled
from imgrag.events import Event, Finished, Preview, StageDone, StageSkipped, StageStarted
from imgrag.library import ImageLibrary, libraries_folder, open_library
from imgrag.models.roles import ROLES, choose_device, load_roles
from imgrag.profile import Profile, load_profile
from imgrag.residency import ModelSpec, Policy, Residency
from imgrag.run import Request, Run, StageName, StageReport
from imgrag.stages import FIRST, LATER, Context, Stage, next_round

RESULTS = PROJECT / "datasets" / "results"
CACHE = PROJECT / ".cache" / "embeddings"
WAIT = 0.2  # seconds between looks at the stop event; Windows cannot interrupt a longer wait

Put = Callable[[Event], None]


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
        cache: where embeddings of libraries are kept.
        roles: how to get each role's model; `None` is the profile's checkpoints.

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
        cache: Path = CACHE,
        roles: Mapping[str, ModelSpec] | None = None,
    ) -> None:
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.policy = policy
        self.results = results
        self.libraries = libraries or libraries_folder()
        self._cache = cache
        self._budget_bytes = budget_bytes
        self._device = device
        self._roles = roles
        self._lock = threading.Lock()
        self._residency: Residency | None = None
        self._opened: dict[str, ImageLibrary] = {}
        self._opening = threading.Lock()
        self._stop: threading.Event | None = None

    def stream(self, request: Request, stop: threading.Event | None = None) -> Generator[Event, None, None]:
        """Run a request and yield what happens; the last event is `Finished`.

        Set `stop`, call `cancel()` or close the generator to end the run within one denoising step.

        Raises:
            Cancelled: the run was stopped. The pipeline can be used again at once.
            ImgragError: the run could not be done; its text says why and what to do.
        """
        stop = stop or threading.Event()
        events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        worker = threading.Thread(target=self._work, args=(request, stop, events.put), daemon=True)
        worker.start()
        event: Event | BaseException | None = None
        try:
            while not isinstance(event, Finished):
                try:
                    event = events.get(timeout=WAIT)
                except queue.Empty:
                    continue
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            if not isinstance(event, Finished):
                stop.set()
            worker.join()

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
                residency.preload()

    @contextmanager
    def borrow(self, role: str) -> Iterator[Any]:
        """One model between runs, for as short as possible: runs wait meanwhile.

        Raises:
            CheckpointError: its checkpoint is missing.
        """
        with self._lock, self.residency.use(role) as model:
            yield model

    def library(self, name: str) -> ImageLibrary:
        """The library of that name, or that folder of images; opened once.

        Raises:
            LibraryError: there is neither.
        """
        with self._opening:
            if name not in self._opened:
                self._opened[name] = open_library(name, self.libraries, self._cache)
            return self._opened[name]

    def close_library(self, name: str) -> None:
        """Let go of a library's files, so that it can be renamed or deleted. Waits for the run at work."""
        with self._lock, self._opening:
            if name in self._opened:
                self._opened.pop(name).close()

    @property
    def residency(self) -> Residency:
        """The models in turn. The first use decides on the device, which imports torch."""
        if self._residency is None:
            self._residency = self._make_residency()
        return self._residency

    def _make_residency(self) -> Residency:
        device = choose_device(self._device)
        roles = load_roles(self.profile, device) if self._roles is None else self._roles
        return Residency(list(roles.values()), self.policy, self._budget_bytes, device)

    def _work(
        self, request: Request, stop: threading.Event, put: Callable[[Event | BaseException], None]
    ) -> None:
        """What the worker thread does: wait for its turn, run, and hand over whatever goes wrong."""
        try:
            while not self._lock.acquire(timeout=WAIT):
                _check(stop)
            try:
                self._stop = stop
                finished = self._run(request, stop, put)
            finally:
                self._stop = None
                self._lock.release()
            put(Finished(finished))
        except BaseException as error:  # noqa: BLE001  the consumer raises it again
            _forget_frames(error)
            put(error)

    def _run(self, request: Request, stop: threading.Event, put: Put) -> Run:
        _check(stop)
        records.prepare(self.results)
        run = self._begin(request)
        residency = self.residency
        loads = residency.loads
        context = self._context(run, stop, put)
        for number in range(1, request.rounds + 1):
            run = self._round(run, number, context, put)
            verdict = run.round.second_verdict
            if verdict is None or verdict.matches:
                break
        _check(stop)
        run = replace(run, loads=residency.loads - loads)
        records.write_run(run, self.results)
        return run

    def _round(self, run: Run, number: int, context: Context, put: Put) -> Run:
        run = next_round(run)
        for stage, (role, function) in ({**FIRST, **LATER} if number == 1 else LATER).items():
            reason = end_reason(run)
            if reason:
                run = self._skip(run, stage, reason, put)
            else:
                run = self._stage(run, stage, role, function, context, put)
        reason = end_reason(run)
        if not reason:
            return run
        return replace(run, why=reason if number == 1 else f"{run.why} Round {number} ended early. {reason}")

    def _stage(
        self, run: Run, stage: StageName, role: str, function: Stage, context: Context, put: Put
    ) -> Run:
        context.check()
        model, number = self.residency.spec(role).label or role, len(run.rounds)
        put(StageStarted(stage, model, number))
        peak = PeakMemory(self.residency.device)
        begun = time.perf_counter()

        def emit(preview: Preview) -> None:
            peak.look()
            put(preview)

        run = function(run, replace(context, emit=emit))
        seconds = round(time.perf_counter() - begun, 3)
        report = StageReport(stage, "done", seconds, peak.look(), "", model, number)
        run = replace(run, stages=(*run.stages, report))
        put(StageDone(stage, report, run))
        return run

    def _skip(self, run: Run, stage: StageName, reason: str, put: Put) -> Run:
        report = StageReport(stage, "skipped", reason=reason, round=len(run.rounds))
        run = replace(run, stages=(*run.stages, report))
        put(StageSkipped(stage, report, run))
        return run

    def _begin(self, request: Request) -> Run:
        now = datetime.now(timezone.utc)
        library = self._library(request)
        library.require_pictures()
        return Run(
            id=records.new_id(now),
            request=request,
            profile=self.profile.name,
            library=library.name,
            started=now.isoformat(timespec="seconds"),
            settings=settings(request, self.profile),
        )

    def _context(self, run: Run, stop: threading.Event, put: Put) -> Context:
        return Context(
            residency=self.residency,
            library=self._library(run.request),
            enhancing_prompt=self.profile.generator.enhancing_prompt,
            query=self.profile.retrieval.query,
            candidates=self.profile.retrieval.candidates,
            emit=put,
            check=lambda: _check(stop),
        )

    def _library(self, request: Request) -> ImageLibrary:
        return self.library(request.library or self.profile.retrieval.library)


def settings(request: Request, profile: Profile) -> dict[str, Any]:
    """The request's values, and the profile's where the request leaves them open."""
    return {
        "seed": int(request.seed),
        "negative_prompt": request.negative_prompt or profile.generator.negative_prompt,
        "steps": int(_or(request.steps, profile.generator.steps)),
        "guidance_scale": float(_or(request.guidance_scale, profile.generator.guidance_scale)),
        "adapter_scale": float(_or(request.adapter_scale, profile.adapter.scale)),
        "similarity_floor": float(_or(request.similarity_floor, profile.retrieval.similarity_floor)),
        "max_concepts": int(_or(request.max_concepts, profile.retrieval.max_concepts)),
        "weights": [float(weight) for weight in request.weights],
        "rounds": int(request.rounds),
        "size": profile.generator.size,
    }


class PeakMemory:
    """The most memory seen since it was made: the GPU's allocation, else this process's size in RAM."""

    def __init__(self, device: str) -> None:
        self._gpu = device if device.startswith("cuda") else ""
        self._process = psutil.Process()
        self._peak = 0
        if self._gpu:
            import torch

            torch.cuda.reset_peak_memory_stats(self._gpu)
        self.look()

    def look(self) -> int:
        """Take a sample; returns the peak in bytes."""
        if self._gpu:
            import torch

            seen = torch.cuda.max_memory_allocated(self._gpu)
        else:
            seen = self._process.memory_info().rss
        self._peak = max(self._peak, int(seen))
        return self._peak


def _forget_frames(error: BaseException | None) -> None:
    """The frames of a failed stage hold its model; without this it would stay in memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled("The run was stopped.")
