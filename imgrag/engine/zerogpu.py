"""ZeroGPU: Spaces that have a GPU only while a decorated function runs, in a process of its own.

There the main process can neither run nor move a model once it is up. So all are loaded before the
page is, stay for good, and each run is one call of one decorated generator: Spaces forks the
process, moves the weights to a GPU and hands the run's events back, pickled. Knows the `spaces`
package and the pipeline; knows no model and no page. Elsewhere nothing of `spaces` is imported.
"""

from __future__ import annotations

import contextvars
import importlib
import math
import os
import re
import tempfile
import threading
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from imgrag.engine.handover import WAIT, handed_over
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.settings import settings
from imgrag.engine.stages import FIRST, LATER
from imgrag.errors import Cancelled, ImgragError, LeaseError, RequestError
from imgrag.knowledge import KnowledgeShelf
from imgrag.library.opened import OpenLibraries
from imgrag.models.profile import Profile, load_profile
from imgrag.runs.events import Event
from imgrag.runs.values import Request, Run, StageName

# Estimates for images of 1024 px on half an H200, from above: a run that takes longer is aborted.
START = 15.0  # seconds until the weights are on the GPU
STEP = 0.25  # seconds of a denoising step, with its preview
CONCEPT = 2.0  # seconds for each concept that is examined
KNOWING = 6.0  # seconds until a prompt is written again with what was looked up
BESIDE: dict[StageName, float] = {
    "reading": 3.0, "initial": 0.0, "verdict": 8.0, "concepts": 6.0, "references": 4.0, "enhanced": 10.0, "second_verdict": 8.0,
}  # fmt: skip
"""Seconds of a stage beside its denoising steps; the adapter is read from the disk anew."""
FLOOR, CAP = 20, 120
"""Seconds. A visitor without an account has 120 a day, and is refused whatever asks for more."""
LENT = 30  # seconds for one batch of the library's pictures, or one answer

SENTENCES = (
    ("No GPU was available", "No GPU was free for this run. Please try again in a few minutes."),
    ("larger than the maximum",
     "This run asks for more GPU time than one run may have. Take fewer steps or fewer rounds."),
    ("credits allocated", "Your GPU time is reserved by runs that have not ended. Try again when they have."),
    ("reached its GPU limit",
     "This Space has no GPU time left for visitors without an account. Log in to Hugging Face, or try again later."),
    ("You have exceeded", "Your GPU time at Hugging Face is used up for now.{again}"),
    ("GPU task aborted",
     "The GPU was taken back before the run was through. Take fewer steps or fewer rounds, and run it again."),
    ("proxy token", "This page was open for too long to ask for a GPU. Load it again."),
)  # fmt: skip
"""What `spaces` says, and how it is said here: its own text holds HTML and advertises subscriptions."""


LARGER = 3.0  # seconds to open the upscaler and to make a picture larger


@dataclass(frozen=True)
class Failure:
    """An error as a value: of a raised one, Spaces hands on no more than the name of its class."""

    error: ImgragError


def on_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU hardware."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def seconds(
    request: Request, profile: Profile, done: Collection[tuple[StageName, int]] = (), pause: bool = False
) -> int:
    """How long a run may take, from above.

    Args:
        done: stages that are not computed again, each with its round.
        pause: the run ends with the next stage, whichever that is.
    """
    values = settings(request, profile)
    share = (values["size"] / 1024) ** 2

    def cost(stage: StageName) -> float:
        images = {"initial": values["images"], "enhanced": 1}.get(stage, 0)
        steps = values["steps"] * images
        concepts = values["max_concepts"] if stage == "concepts" else 0
        knowing = KNOWING if stage == "reading" and values["knowledge"] != "off" else 0.0
        looked = CONCEPT if stage == "references" and values["look_twice"] else 0.0
        judged = BESIDE[stage] * (values["images"] if stage == "verdict" else 1)
        return steps * STEP + judged + concepts * CONCEPT + knowing + looked * values["max_concepts"]

    rounds = range(1, values["rounds"] + 1)
    left = [cost(s) for n in rounds for s in ([*FIRST, *LATER] if n == 1 else LATER) if (s, n) not in done]
    total = START + LARGER * values["larger"] + (max(left, default=0.0) if pause else sum(left))
    return min(CAP, max(FLOOR, math.ceil(share * total)))


class LeasedPipeline(ImageRAGPipeline):
    """The pipeline of a ZeroGPU Space; to be made in the main thread, before the page is up.

    Making one loads every model. Runs and borrowed models are served by processes that have a GPU
    for that long; libraries, records and everything else are the main process's as before.

    Args:
        profile: as for `ImageRAGPipeline`. Offloading is turned off: it would move what is packed.
        options: those of `ImageRAGPipeline`. The policy is "resident" whatever they say.

    Raises:
        CheckpointError: a checkpoint is missing.
    """

    def __init__(self, profile: Profile | str = "pocket", **options: Any) -> None:
        spaces = importlib.import_module("spaces")  # before anything asks for CUDA
        # It follows the main thread only: weights that other threads load would ask for a real GPU.
        os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"
        profile = load_profile(profile) if isinstance(profile, str) else profile
        profile = replace(profile, generator=replace(profile.generator, offload=False))
        super().__init__(profile, **{**options, "policy": "resident"})
        self.warm_up()
        self._models = {entry.name: self._model(entry.name) for entry in self.residency.resident}
        self._on_gpu = spaces.GPU(duration=self._duration)(self._serve)
        self._ask_on_gpu = spaces.GPU(duration=LENT)(self._answer)

    def stream(
        self, request: Request, stop: threading.Event | None = None, **options: Any
    ) -> Generator[Event, None, None]:
        """See `ImageRAGPipeline`. While the run waits for a GPU, a stop counts once it has one or is refused.

        Raises: what the pipeline raises, and
            LeaseError: no GPU could be had, or it was taken back.
        """
        return self._leased("stream", request, stop, options)

    def resume(
        self, run: Run, stop: threading.Event | None = None, **options: Any
    ) -> Generator[Event, None, None]:
        """See `ImageRAGPipeline`. Raises what `stream` raises."""
        return self._leased("resume", run, stop, options)

    def inspect(
        self, run: Run, stop: threading.Event | None = None, *, stage: StageName, number: int = 1
    ) -> Generator[Any, None, None]:
        """See `ImageRAGPipeline`. Raises what `stream` raises."""
        return self._leased("inspect", run, stop, {"stage": stage, "number": number})

    @contextmanager
    def borrow(self, role: str) -> Iterator[Any]:
        """A stand-in for a model. Each call of a method asks for a GPU; runs do not wait meanwhile."""
        if role not in self._models:
            raise RequestError("This Space lends no model for that. Run the app on a machine of your own.")
        yield Lent(self._models[role], partial(self._ask, role))

    def _leased(
        self, method: str, subject: Request | Run, stop: threading.Event | None, options: dict[str, Any]
    ) -> Generator[Event, None, None]:
        self._stop = stop = stop or threading.Event()
        context = contextvars.copy_context()  # Gradio's request is in it, and with that the visitor's quota

        def work(put: Callable[[Event], None]) -> None:
            with sign_of_life(stop) as sign:
                context.run(self._relay, (method, subject, str(sign), options), put, stop)

        yield from handed_over(work, stop)

    def _relay(self, call: tuple[Any, ...], put: Callable[[Event], None], stop: threading.Event) -> None:
        failure: Failure | None = None
        with plainly(stop):
            for event in self._on_gpu(*call):
                if isinstance(event, Failure):
                    failure = event  # it is the last one, and Spaces gives the GPU back behind it
                else:
                    put(event)
        if failure is not None:
            raise failure.error

    def _serve(
        self, method: str, subject: Request | Run, sign: str, options: dict[str, Any]
    ) -> Generator[Event | Failure, None, None]:
        """A run in the process that has the GPU."""
        self._take_over()
        with followed(Path(sign)) as stop:
            try:
                yield from getattr(super(), method)(subject, stop, **options)
            except ImgragError as error:
                yield Failure(error)

    def _ask(self, role: str, method: str, *arguments: Any, **named: Any) -> Any:
        with plainly(threading.Event()):
            answer = self._ask_on_gpu(role, method, arguments, named)
        if isinstance(answer, Failure):
            raise answer.error
        return answer

    def _answer(self, role: str, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A model's method in the process that has the GPU."""
        try:
            return getattr(self._models[role], method)(*arguments, **named)
        except ImgragError as error:
            return Failure(error)

    def _take_over(self) -> None:
        """Leave the main process its own: a fork copies locks as they are held, and no database survives one."""
        self._lock = threading.Lock()
        self._left_alone = self._opened, self.knowledge  # letting go would close the main process's databases
        self._opened, self.knowledge = OpenLibraries(self._open_library), KnowledgeShelf(self._texts)

    def _duration(self, method: str, subject: Request | Run, sign: str, options: dict[str, Any]) -> int:
        pause = bool(options.get("pause"))
        if isinstance(subject, Request):
            return seconds(subject, self.profile, pause=pause)
        done = {(report.name, report.round) for report in subject.stages}
        if method == "inspect":
            done -= {(options["stage"], options["number"])}
        return seconds(subject.request, self.profile, done, pause)

    def _model(self, role: str) -> Any:
        with self.residency.use(role) as model:
            return model


class Lent:
    """A model's stand-in where there is no GPU: its values are read here, its methods run there."""

    def __init__(self, model: Any, ask: Callable[..., Any]) -> None:
        self._model = model
        self._ask = ask

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._model, name)
        return partial(self._ask, name) if callable(value) else value


@contextmanager
def sign_of_life(stop: threading.Event) -> Iterator[Path]:
    """A file that is there as long as the run may go on: an event does not reach another process."""
    handle, name = tempfile.mkstemp(prefix="imgrag-run-")
    os.close(handle)
    ended = threading.Event()

    def watch() -> None:
        while not (stop.wait(WAIT) or ended.is_set()):
            pass
        Path(name).unlink(missing_ok=True)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield Path(name)
    finally:
        ended.set()


@contextmanager
def followed(sign: Path) -> Iterator[threading.Event]:
    """The other end: an event that is set once the file is gone."""
    stop, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while sign.exists() and not ended.wait(WAIT):
            pass
        stop.set()

    if not sign.exists():
        stop.set()
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield stop
    finally:
        ended.set()


@contextmanager
def plainly(stop: threading.Event) -> Iterator[None]:
    """What `spaces` raises within is told in a sentence; after a stop it is no news."""
    try:
        yield
    except Exception as error:
        if stop.is_set():
            raise Cancelled("The run was stopped.") from error
        sentence = in_a_sentence(str(getattr(error, "message", "")))
        if not sentence:
            raise
        raise LeaseError(sentence) from error


def in_a_sentence(message: str) -> str:
    """What `spaces` says, for a person; "" if it is nothing of that kind."""
    again = re.search(r"Try again in ((?:\d+ days?, )?[\d:]+)", message)
    when = f" Try again in {again[1]} (h:mm:ss)." if again else ""
    return next((sentence.format(again=when) for part, sentence in SENTENCES if part in message), "")
