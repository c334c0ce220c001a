"""What a command line says where its streams, flags and files are what nobody wishes for: one sentence, exit code 2."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgrag.commands import terminal
from imgrag.commands.terminal import plain_errors, say, typed
from imgrag.errors import Cancelled, CheckpointError, ImgragError, MemoryBudgetError
from tests.served import ROOT

posix = pytest.mark.skipif(os.name != "posix", reason="asks a POSIX shell")
FULL = OSError(errno.ENOSPC, "No space left on device")
LONG = OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "Stopped."),
        (Cancelled("Adding was stopped."), 130, "Stopped."),
        (CheckpointError("The VLM is missing."), 1, "The VLM is missing."),
        (MemoryBudgetError("Too much."), 1, "Too much."),
        (ImgragError("Two\nlines\x1b[2J."), 2, "Two lines[2J."),
        (FULL, 2, "The output or a file could not be written or read (No space left on device)."),
        (LONG, 2, f"'{'x' * 60}…' cannot be used (File name too long)."),
        (OSError("nothing to listen at"), 2, "could not be written or read (nothing to listen at)."),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, plain_errors():
        raise error
    told = capsys.readouterr().err
    assert ended.value.code == code and told.endswith(f"{says}\n") and told.count("\n") == 1


@posix
def test_where_nobody_can_be_told_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is full")
    with open("/dev/full", "w", buffering=1, encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", full)
        say("a sentence")
        assert isinstance(terminal._let_go(full), OSError) and terminal._let_go(full) is None


def test_an_argument_is_read_as_it_was_typed_whatever_the_locale() -> None:
    assert typed("a dog") == "a dog" and typed("z\u00f6rblax") == "z\u00f6rblax"
    if os.name == "posix":
        assert typed("z\udcc3\udcb6rblax") == "z\u00f6rblax", "two bytes that a C locale could not read"
    assert typed("a\udcff").startswith("a\ufffd")


@posix
@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("library list > /dev/full", 2, "could not be written or read (No space left on device)"),
        ("library list 2> /dev/full > /dev/full", 2, ""),
        ("--help > /dev/full", 2, "No space left on device"),
        ("library list >&- 2>&-", 0, ""),
        ("batch --file - <&-", 2, "There is no prompt of standard input"),
        ("library remove birds <&-", 2, "Add --yes"),
        ("run z\u00f6rblax --library \u72ac", 2, "There is no library"),
    ],
)
def test_whatever_its_streams_are_a_program_ends_in_a_sentence(
    command: str, code: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "birds").mkdir()
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("this system has no device that is full")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    ascii_only["PYTHONUNBUFFERED"] = ""  # what is left to write fails at the end alone
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -m imgrag {command}"],
        cwd=ROOT, capture_output=True, check=False, env={**os.environ, **ascii_only, "IMGRAG_LIBRARIES": str(tmp_path)},
    )  # fmt: skip
    told = done.stderr.decode("ascii")
    assert done.returncode == code, told
    assert says in told and "Traceback" not in told and "Exception ignored" not in told
    assert len(told.splitlines()) == bool(says)


@posix
def test_a_pipe_that_nobody_reads_ends_it_too() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "imgrag", "library", "list"],
        cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.returncode == 2 and "Broken pipe" in done.stderr and done.stderr.count("\n") == 1
