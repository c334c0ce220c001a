"""A list of requests, one run after the other, and a line of JSON for each: `batch.jsonl` in their folder.

What has a line in that file is not run again, so that a batch which was stopped goes on where it was.
Knows the pipeline; knows neither pages nor terminals.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from io import FileIO
from pathlib import Path
from threading import Event as Stop
from typing import TYPE_CHECKING, Any, Literal, Protocol

from PIL import Image
from pydantic import TypeAdapter, ValidationError

from imgrag.archive import records
from imgrag.errors import Cancelled, CheckpointError, ImgragError, RecordError
from imgrag.logs import log_event
from imgrag.runs.events import Event
from imgrag.runs.values import Request, Run

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

JOURNAL = "batch.jsonl"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """How one request went.

    Attributes:
        number: its place in the batch, from 1.
        id: of the run; "" if it failed before it began.
        kept: 0 for the initial image, n for the nth round's.
        matches: what the judge says of the kept image, `None` if it says nothing.
        result: the kept image's file, relative to the folder that the runs lie in.
        error: what was wrong, in a sentence.
        request: a hash of the request and the profile; what was done is known again by it.
        reused: an earlier run of the same request, which was not run again.
    """

    number: int
    prompt: str
    seed: int
    id: str
    state: Literal["finished", "failed"]
    kept: int | None
    matches: bool | None
    why: str
    result: str | None
    seconds: float
    error: str | None
    request: str
    reused: bool = False

    def json(self) -> str:
        """The line as it is written, in ASCII: no terminal's encoding loses a letter."""
        return json.dumps(asdict(self))


_LINE = TypeAdapter(Line)


class Kept(Protocol):
    """The lines of what was run before: `Journal` in a file, or any other place."""

    def finished(self) -> dict[str, Line]:
        """By request, the last line of a run whose image is still there."""
        ...

    def add(self, line: Line) -> None:
        """Keep a line."""
        ...


class Journal:
    """`Kept`: the lines of a folder's batches, oldest first, in a file that only grows by whole lines.

    Opening one removes what a killed process left of its last line.

    Raises:
        RecordError: the folder cannot be written, from any method.
    """

    def __init__(self, folder: Path) -> None:
        records.prepare(folder)
        records.sweep(folder)
        self._folder = folder
        with self._opened() as file:
            file.seek(0)
            self._lines = file.read()
            file.truncate(self._lines.rfind(b"\n") + 1)

    def finished(self) -> dict[str, Line]:
        """By request, the last line that tells of a run whose image was still there at opening."""
        lines = filter(None, map(_parsed, self._lines.splitlines()))
        return {line.request: line for line in lines if self._is_there(line)}

    def add(self, line: Line) -> None:
        """Write a line, at once and as a whole."""
        whole = f"{line.json()}\n".encode()
        with self._opened() as file:
            end = file.seek(0, os.SEEK_END)
            if file.write(whole) < len(whole):  # the disk is full; half a line is none
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())

    def _is_there(self, line: Line) -> bool:
        """Whether the image is. The file may have been edited, so that it names anything."""
        own = records.is_id(line.id) and line.result == f"{line.id}/result.png"
        return own and (self._folder / line.id / "result.png").is_file()

    @contextmanager
    def _opened(self) -> Iterator[FileIO]:
        try:
            with FileIO(self._folder / JOURNAL, "a+") as file:
                yield file
        except OSError as error:
            raise RecordError(
                f"{JOURNAL} cannot be written ({error.strerror or error}). Choose another folder."
            ) from error


def run_batch(
    pipeline: ImageRAGPipeline,
    requests: Sequence[Request],
    stop: Stop | None = None,
    journal: Kept | None = None,
    owner: str = "",
) -> Generator[Event | Line, None, None]:
    """Run the requests in turn; yields each run's events and then its line.

    A request that fails has a line with a sentence, and the next one runs. Equal requests run once.
    Set `stop` or close the generator to end within one denoising step.

    Args:
        journal: where lines are kept, and looked up: what is finished there is not run again.
        owner: whose history the runs belong to, see `imgrag.ui.history.owners`.

    Raises:
        Cancelled: `stop` was set.
        CheckpointError: a model is missing, so that no request can be run.
        RecordError: results cannot be written.
    """
    stop = stop or Stop()
    done = journal.finished() if journal else {}
    for number, request in enumerate(requests, start=1):
        key = request_key(request, pipeline.profile.name)
        if key in done:
            yield replace(done[key], number=number, reused=True)
            continue
        line = yield from _run(pipeline, number, request, stop, owner)
        if journal:
            journal.add(line)
        if line.state == "finished":
            done[key] = line
        yield line


def request_key(request: Request, profile: str) -> str:
    """A hash of the values that were asked for. What is left open has no part in it."""
    values = ((field.name, getattr(request, field.name), field.default) for field in fields(request))
    asked = {name: value for name, value, default in values if value != default}
    told = json.dumps([profile, asked], sort_keys=True, default=_plain)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A value of a request as JSON has it; a picture by what it shows."""
    if isinstance(value, Image.Image):
        return records.pixel_hash(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _run(
    pipeline: ImageRAGPipeline, number: int, request: Request, stop: Stop, owner: str
) -> Generator[Event, None, Line]:
    run, error, begun = None, None, time.perf_counter()
    key = request_key(request, pipeline.profile.name)
    try:
        with closing(pipeline.stream(request, stop, owner=owner)) as events:
            for event in events:
                run = getattr(event, "run", run)
                yield event
    except (Cancelled, CheckpointError, RecordError):
        raise
    except Exception as failure:  # noqa: BLE001  one request must not end the batch
        error = _sentence(failure, run, key)
    seconds = round(time.perf_counter() - begun, 3)
    return _line(number, request, key, run, error, seconds)


def _line(
    number: int, request: Request, key: str, run: Run | None, error: str | None, seconds: float
) -> Line:
    finished = run is not None and error is None
    return Line(
        number=number,
        prompt=request.prompt,
        seed=int(request.seed),
        id=run.id if run is not None else "",
        state="finished" if finished else "failed",
        kept=run.kept if run is not None and finished else None,
        matches=_matches(run) if run is not None and finished else None,
        why=run.why if run is not None and finished else "",
        result=f"{run.id}/result.png" if run is not None and finished else None,
        seconds=seconds,
        error=error,
        request=key,
    )


def _matches(run: Run) -> bool | None:
    verdict = run.verdict
    return verdict.matches if verdict is not None and verdict.readable else None


def _sentence(failure: Exception, run: Run | None, key: str) -> str:
    """A run that fails in its first stage has told no id yet, so the log is searched by the request."""
    if isinstance(failure, ImgragError):
        return str(failure)
    name = run.id if run is not None else ""
    log_event(log, "batch_failed", run=name, level=logging.ERROR, error=failure, request=key)
    return f"Something went wrong on our side. Try again; the server's log tells more of the request {key}."


def _parsed(raw: bytes) -> Line | None:
    """`None` for what is no line: half of one, or somebody else's."""
    try:
        return _LINE.validate_json(raw)
    except ValidationError:
        return None
