"""One JSON object a line, whatever is logged or printed."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from imgrag.logs import KINDS, SELDOM, JsonLines, Seldom, log_event
from tests.served import ROOT


@pytest.fixture
def logger() -> tuple[logging.Logger, io.StringIO]:
    """A logger of its own, and what it wrote."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    made = logging.Logger("imgrag.test", logging.INFO)
    made.addHandler(handler)
    return made, written


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in written.getvalue().splitlines()]


def test_an_event_has_time_level_name_run_and_its_fields(logger):
    log, written = logger
    log_event(log, "stage_done", run="abc", stage="verdict", seconds=1.5)
    [line] = lines(written)
    assert list(line) == ["time", "level", "logger", "event", "run", "stage", "seconds"]
    assert (line["level"], line["logger"], line["event"]) == ("info", "imgrag.test", "stage_done")
    assert (line["run"], line["stage"], line["seconds"]) == ("abc", "verdict", 1.5)
    at = datetime.fromisoformat(line["time"])
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - at) < timedelta(minutes=1)


def test_an_event_below_the_level_is_not_written(logger):
    log, written = logger
    log_event(log, "detail", level=logging.DEBUG)
    assert written.getvalue() == ""


def test_an_error_leaves_its_trace_in_its_own_line(logger):
    log, written = logger
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        log_event(log, "run_failed", run="abc", level=logging.ERROR, error=error)
    [line] = lines(written)
    assert line["level"] == "error"
    assert "Traceback" in line["trace"] and "two\nlines" in line["trace"]


def test_a_plain_record_is_a_message(logger):
    log, written = logger
    log.error("%d of %s\nfailed", 3, "them")
    [line] = lines(written)
    assert (line["event"], line["message"]) == ("message", "3 of them\nfailed")
    assert "run" not in line


@pytest.mark.parametrize(
    "value",
    [
        'quotes " and \\',
        "a line\nand\r\nanother\u2028one",
        "\x00\ud800",
        "猫 🐈",
        ROOT,
        {1, 2},
        b"bytes",
        float("nan"),
        [float("inf")],
        {(1, 2): "a key that is no text"},
        None,
    ],
    ids=repr,
)
def test_whatever_a_field_holds_it_stays_one_line_of_json(logger, value):
    log, written = logger
    log_event(log, "odd", field=value, other=1)
    assert written.getvalue().count("\n") == 1
    assert written.getvalue().isascii()
    [line] = lines(written)
    assert line["event"] == "odd" and "field" in line


def test_a_field_does_not_take_the_place_of_the_event(logger):
    log, written = logger
    log_event(log, "real", time="then", logger="x", trace="mine")
    [line] = lines(written)
    assert (line["event"], line["logger"]) == ("real", "imgrag.test")
    assert line["time"] != "then"


def run_configured(code: str) -> list[dict[str, Any]]:
    """What a process that calls `configure` twice and then does `code` writes to stderr."""
    start = "import logging, sys, warnings; from imgrag import logs; logs.configure(); logs.configure(); "
    done = subprocess.run(
        [sys.executable, "-c", start + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return lines(io.StringIO(done.stderr))


@pytest.mark.parametrize(
    ("code", "event", "words"),
    [
        ("logs.log_event(logging.getLogger('imgrag.x'), 'started')", "started", ""),
        ("logging.getLogger('other').warning('careful')", "message", "careful"),
        ("warnings.warn('old')", "message", "old"),
        ("print('plain', file=sys.stderr)", "stderr", "plain"),
        (
            "import uvicorn; uvicorn.Config(None, log_level='warning'); logging.getLogger('uvicorn.error').error('bad')",
            "message",
            "bad",
        ),
    ],
)
def test_all_that_reaches_stderr_is_json_once(code, event, words):
    [line] = run_configured(code)
    assert line["event"] == event
    assert words in line.get("message", "")


@pytest.mark.parametrize(
    "code",
    [
        "logging.getLogger('httpx').info('GET')",
        "logs.log_event(logging.getLogger('imgrag.x'), 'detail', level=logging.DEBUG)",
        "import uvicorn; uvicorn.Config(None, log_level='warning'); logging.getLogger('uvicorn.access').info('GET /')",
    ],
)
def test_the_noise_of_others_is_left_out(code):
    assert run_configured(code) == []


def test_a_printed_traceback_keeps_the_format():
    code = "import traceback\ntry:\n  1/0\nexcept ZeroDivisionError:\n  traceback.print_exc()"
    start = "from imgrag import logs; logs.configure()\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    texts = [line["message"] for line in lines(io.StringIO(done.stderr))]
    assert texts[0].startswith("Traceback") and texts[-1] == "ZeroDivisionError: division by zero"


def test_threads_do_not_mix_their_lines():
    code = (
        "import threading\n"
        "def say(word):\n"
        "    for _ in range(200): sys.stderr.write(word); sys.stderr.write(word + '\\n')\n"
        "each = [threading.Thread(target=say, args=(w,)) for w in 'ab']\n"
        "[t.start() for t in each]; [t.join() for t in each]"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from imgrag import logs; logs.configure()\n{code}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    messages = [line["message"] for line in lines(io.StringIO(done.stderr))]
    assert sorted(messages) == ["aa"] * 200 + ["bb"] * 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is full")
def test_where_stderr_takes_nothing_more_the_program_goes_on():
    code = (
        "import logging, sys; from imgrag import logs; logs.configure()\n"
        "for _ in range(3): logs.log_event(logging.getLogger('imgrag.x'), 'started')\n"
        "print('printed', file=sys.stderr); print('done', flush=True)"
    )
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert done.stdout == "done\n"


def test_what_others_write_again_and_again_is_one_line_a_minute(logger):
    log, written = logger
    now = [100.0]
    seldom = Seldom(lambda: now[0])
    log.handlers[0].addFilter(seldom)
    for number in range(1100):
        log.error("no descriptor\nsocket %d", number)
        log.error("Task 0x%x was lost", number)
    log.error("another thing")
    log_event(log, "run_done")
    log_event(log, "run_done")
    now[0] += SELDOM
    log.error("no descriptor\nsocket 7")
    said = [line.get("message", line["event"]).partition("\n")[0] for line in lines(written)]
    assert said == [
        "no descriptor",
        "Task 0x0 was lost",
        "another thing",
        "run_done",
        "run_done",
        "no descriptor",
    ]
    assert [line.get("left_out") for line in lines(written)] == [None] * 5 + [1099]
    for number in range(KINDS):
        log.error("kind %s", "x" * number)
    assert len(seldom._kinds) == KINDS
