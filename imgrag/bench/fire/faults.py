"""Rows about what goes wrong inside: memory that runs out, exceptions, kills, a full disk, leaks."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.archive.history import History, Room
from imgrag.archive.records import ID, is_id, prepare
from imgrag.bench import Figure
from imgrag.bench.fire.hostile import UNFORESEEN, told_paths
from imgrag.bench.fire.memory import growth_each
from imgrag.bench.fire.server import Server, serving
from imgrag.bench.fire.visitor import Answer, Visitor
from imgrag.runs.values import STAGES, new_id

Figures = dict[str, Figure]
PROMPT = "a dog and a toolbox"
MEMORY_FAULTS = ("starves", "chokes", "drowns")
CAP_BYTES = 60_000  # a few runs of the stand-ins


def memory_runs_out(server: Server, count: int) -> Figures:
    """Out of memory in every stage, `count` times each; what stays behind, whether the next run goes."""
    changed, failed, sentences = 0, 0, 0
    with Visitor(server.url) as visitor:
        visitor.run(PROMPT)
        before = server.watch()
        for stage in STAGES:
            for number in range(count):
                kind = MEMORY_FAULTS[number % len(MEMORY_FAULTS)]
                answer = visitor.run(f"{PROMPT} [{stage}: {kind}]")
                after = server.watch()
                changed += after["resident"] != before["resident"] or bool(after["held_bytes"])
                sentences += not _advises(answer)
                failed += not _finished(visitor.run(f"{PROMPT} quick"))
    n = len(STAGES) * count
    return {
        "memory_left": Figure(changed, n),
        "memory_next": Figure(failed, n),
        "memory_sentence": Figure(sentences, n),
    }


def exceptions(server: Server, count: int) -> Figures:
    """What nobody foresaw, in every stage, `count` times each."""
    locked, told, unlogged = 0, 0, 0
    with Visitor(server.url) as visitor:
        for stage in STAGES:
            for _ in range(count):
                logged = len(server.log())
                answer = visitor.run(f"{PROMPT} [{stage}: fails]")
                locked += bool(server.watch()["inside"])
                locked += not _finished(visitor.run(f"{PROMPT} quick", 1))
                told += "secret" in answer.text or "Traceback" in answer.text
                told += bool(told_paths(answer.text, server.uploads))
                unlogged += not _logged(answer, server.log()[logged:])
    n = len(STAGES) * count
    return {
        "exception_lock": Figure(locked, n),
        "exception_told": Figure(told, n),
        "exception_log": Figure(unlogged, n),
    }


def growth(server: Server, count: int) -> Figures:
    """Memory of the whole process for each of `count` runs."""
    with Visitor(server.url) as visitor:
        each = growth_each(server, lambda: visitor.run(f"{PROMPT} quick", 1), count)
    return {"growth": Figure(each, count)}


def kills(folder: Path, count: int) -> Figures:
    """`kill -9` at a random moment of a run, then the next start, `count` times."""
    dice, wrong = random.Random(0), []
    with serving(folder) as server:
        for number in range(count):
            with Visitor(server.url) as visitor:
                run = visitor.pressed("ir-run")
                visitor.join(run, {visitor.prompt(run): f"{PROMPT} {number}", visitor.steps(run): 5})
                time.sleep(dice.uniform(0, 1.5))
            server.kill()
            wrong += inconsistent(server.results)
            _age(server.results)
            server.start()
            with Visitor(server.url) as visitor:
                wrong += [] if _finished(visitor.run(f"{PROMPT} quick", 1)) else ["the next run failed"]
            wrong += [*inconsistent(server.results), *_left_over(server.results)]
    explain("kills", wrong)
    return {"kills": Figure(len(wrong), count)}


def disk_cap(folder: Path, count: int) -> Figures:
    """`count` runs under a cap of the disk, then `kill -9` in mid-run and the next start."""
    over, wrong = 0, []
    with serving(folder, "--results-cap", str(CAP_BYTES)) as server:
        with Visitor(server.url) as visitor:
            for _ in range(count):
                wrong += [] if _finished(visitor.run(f"{PROMPT} quick", 1)) else ["a run failed"]
                over += _bytes(server.results) > CAP_BYTES
            run = visitor.pressed("ir-run")
            visitor.join(run, {visitor.prompt(run): PROMPT, visitor.steps(run): 5})
            time.sleep(0.5)
        server.kill()
        (server.results / ".partial-left").mkdir()
        _age(server.results)
        server.start()
        wrong += [*inconsistent(server.results), *_left_over(server.results)]
        over += _bytes(server.results) > CAP_BYTES
    explain("cap", wrong)
    return {"cap_over": Figure(over, count + 1), "cap_left": Figure(len(wrong), count)}


def aged(folder: Path, count: int) -> Figures:
    """What `count` runs of other people cost a further run and a look back, from the second time on."""
    with serving(folder) as server:
        with Visitor(server.url) as visitor:
            visitor.run(f"{PROMPT} quick", 1)
        results = server.results
    _multiply(results, count)
    room, history = Room(results, cap=2**50), History(results)

    def keep_below_the_cap() -> None:
        prepare(results)
        room.make()

    return {
        "aged_run": Figure(_second_time(keep_below_the_cap), count),
        "aged_history": Figure(_second_time(lambda: history.entries("nobody")), count),
    }


def _multiply(results: Path, count: int) -> None:
    """Copy the one run that is there until there are so many, none of them new."""
    one = next(results.iterdir())
    now = datetime.now(timezone.utc)
    for number in range(1, count):
        copy = shutil.copytree(one, results / new_id(now - timedelta(minutes=number)))
        os.utime(copy, (0, 0))


def _second_time(act: Callable[[], object]) -> float:
    """Seconds, the least of three after a first time."""
    act()
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def inconsistent(results: Path) -> list[str]:
    """What is not whole among the runs that can be seen: records that cannot be read, pictures that are missing."""
    wrong = []
    for folder in results.iterdir() if results.is_dir() else ():
        if not is_id(folder.name):
            continue
        try:
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            for name in _pictures(record):
                with Image.open(folder / name) as image:
                    image.load()
        except (OSError, ValueError) as error:
            wrong.append(f"{folder.name}: {type(error).__name__}")
    return wrong


def _pictures(value: Any) -> set[str]:
    """The names of the run's own pictures anywhere in its record; a library's files have no such names."""
    if isinstance(value, dict):
        named = {value[key] for key in ("initial", "enhanced", "result", "image") if _is_png(value.get(key))}
        return named.union(*map(_pictures, value.values()))
    return set().union(*map(_pictures, value)) if isinstance(value, list) else set()


def _is_png(value: Any) -> bool:
    return isinstance(value, str) and value.endswith(".png")


def _age(results: Path) -> None:
    """Make what is hidden two hours older: what is young may be another process at work."""
    for path in results.glob(".*"):
        os.utime(path, (time.time() - 7200,) * 2)


def _left_over(results: Path) -> list[str]:
    """What a killed process left that a start should have swept."""
    return [f"left over: {path.name}" for path in results.iterdir() if not is_id(path.name)]


def _bytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:  # dropped as we look
            continue
    return total


def _finished(answer: Answer) -> bool:
    return answer.ok and 'data-phase="finished"' in str(answer.data)


def _advises(answer: Answer) -> bool:
    """One sentence that says what happened and what to change."""
    said = _banners(answer)
    if len(said) != 1 or any(word in said[0] for word in UNFORESEEN):
        return False
    return "memory" in said[0] and bool(
        re.search(r"\b(choose|close|free|fewer|smaller|lower)\b", said[0], re.I)
    )


def _banners(answer: Answer) -> list[str]:
    """The sentences of the page's banners."""
    return re.findall(r"ir-banner.*?<p>(.*?)</p>", str(answer.data))


def _logged(answer: Answer, log: str) -> bool:
    """Whether the number that the page shows is a run's id, and stands in the log with the cause."""
    shown = ID.findall("".join(_banners(answer)))
    return any(number in line and "model.bin" in line for number in shown for line in log.splitlines())


def explain(row: str, findings: list[str]) -> None:
    """Say on stderr what was counted, so that it can be mended."""
    for line in list(dict.fromkeys(findings))[:20]:
        print(f"{row}: {line}", file=sys.stderr)
