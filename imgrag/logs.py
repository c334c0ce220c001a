"""What the server writes down: one JSON object a line on stderr, with the run's id in it.

It knows neither runs nor stages: who logs says what happened. Importing it changes nothing; without
`configure`, events go wherever Python's own logging sends them.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, TextIO

SELDOM = 60.0  # seconds between two lines of one kind that others write
KINDS = 1000  # that are remembered
_VARYING = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)


def log_event(
    logger: logging.Logger,
    event: str,
    /,
    *,
    run: str = "",
    level: int = logging.INFO,
    error: BaseException | None = None,
    **fields: Any,
) -> None:
    """Log that something happened, such as `log_event(log, "stage_done", run=run.id, stage="verdict")`.

    Args:
        event: a name in snake case, the same each time.
        run: the run's id; empty where there is none.
        error: its traceback goes into the field "trace", for the server's people only.
        fields: anything JSON can hold; whatever it cannot is written as its `str`. The formatter's own
            names (time, level, logger, event, run, trace) win over fields of the same name.
    """
    logger.log(level, event, exc_info=error, extra={"event": event, "run": run, "fields": fields})


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, event, run, the fields, and a trace.

    A record that did not come by `log_event` is the event "message", with its text in "message", and with how many
    of its kind were left out before it in "left_out" (see `Seldom`).
    """

    def format(self, record: logging.LogRecord) -> str:
        event = getattr(record, "event", None)
        fields = getattr(record, "fields", {}) if event else {"message": record.getMessage()}
        own = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event or "message",
        }
        if run := getattr(record, "run", ""):
            own["run"] = run
        if left_out := getattr(record, "left_out", 0):
            own["left_out"] = left_out
        if record.exc_info and record.exc_info[0]:
            own["trace"] = self.formatException(record.exc_info)
        return _line({**own, **fields, **own})  # the first sets the order, the last the values


def configure(level: int | str = logging.INFO) -> None:
    """Write this package's events from `level` on, and everybody's warnings, as JSON lines on stderr.

    For a program that serves, called once by its entry point. What others print to stderr, such as
    Gradio its tracebacks, becomes JSON as well: a line of text is an event "stderr".
    """
    under = sys.stderr.under if isinstance(sys.stderr, _Stderr) else sys.stderr
    handler = _Handler(under)
    handler.setFormatter(JsonLines())
    handler.addFilter(Seldom())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("imgrag").setLevel(level)
    logging.captureWarnings(True)
    _let_uvicorn_propagate()
    sys.stderr = _Stderr(under)


class Seldom(logging.Filter):
    """Lets one line a minute through of each kind that others write, such as a server without descriptors.

    A kind is who writes, the first line of what is written without its numbers, and what was raised. Events of
    `log_event` are written each: whoever logs them bounds them. `clock` gives seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, str, object], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written; then `left_out` of the record says how many were not before it."""
        if hasattr(record, "event"):
            return True
        kind, now = _kind(record), self._clock()
        last, left_out = self._kinds.get(kind, (now - SELDOM, 0))
        written = now - last >= SELDOM
        record.left_out = left_out
        self._kinds[kind] = (now, 0) if written else (last, left_out + 1)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > KINDS:
            self._kinds.popitem(last=False)
        return written


def _kind(record: logging.LogRecord) -> tuple[str, str, object]:
    said = _VARYING.sub("#", record.getMessage().partition("\n")[0])
    return record.name, said, record.exc_info[0] if record.exc_info else None


class _Handler(logging.StreamHandler[TextIO]):
    """Where stderr takes nothing more, such as on a full disk, lines are lost and the program goes on.

    Python's own complains of that on stderr, which is where the lines come from.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""


def _let_uvicorn_propagate() -> None:
    """Keep uvicorn from handlers of its own. Gradio lets it log warnings and errors only."""
    from uvicorn.config import LOGGING_CONFIG

    for logger in LOGGING_CONFIG["loggers"].values():
        logger.update(handlers=[], propagate=True)


def _line(values: dict[str, Any]) -> str:
    """ASCII, so that no terminal's encoding loses a line."""
    try:
        return json.dumps(values, default=str, allow_nan=False)
    # Keys that are no text, not-a-number, a structure that holds itself or goes too deep.
    except (TypeError, ValueError, RecursionError):
        return json.dumps({name: str(value) for name, value in values.items()})


class _Stderr(io.TextIOBase):
    """In the place of `sys.stderr`: each line that is printed becomes an event; threads do not mix."""

    def __init__(self, under: TextIO) -> None:
        self.under = under
        self._begun = threading.local()

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._begun, "text", "") + text).split("\n")
        self._begun.text = rest
        for line in filter(str.strip, lines):
            log_event(logging.getLogger("stderr"), "stderr", level=logging.WARNING, message=line.rstrip())
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.under.fileno()
