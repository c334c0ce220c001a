"""Rows about the queue: who gets into the models, how many may wait, whose pictures are whose."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image

from imgrag.bench import Figure
from imgrag.bench.fire.server import Server
from imgrag.bench.fire.visitor import API, Answer, Visitor

STEP = 0.06  # seconds of a stand-in's denoising step
LINGERING = "a dog and a toolbox [initial: lingers]"
STEPS = 60  # of a run that is to be left before it ends
FULL_SECONDS = 60

Figures = dict[str, Figure]


def cancels(server: Server, count: int) -> Figures:
    """Stop a run in mid-drawing and ask for the next one in the same breath, `count` times.

    The session of each next run is another one: that is what could put two runs into the models.
    """
    late, before = [], server.watch()["drawings"]
    with Visitor(server.url) as first, Visitor(server.url) as second:
        for number in range(count):
            here, next_one = (first, second) if number % 2 == 0 else (second, first)
            stopped = _started(here, f"a dog {number} of the cancelled")
            run = next_one.pressed("ir-run")
            asked = next_one.join(run, _prompted(next_one, f"a car {number}", 1))
            asked.raise_for_status()
            _ended(next_one)
            late.append((f"a dog {number} of the cancelled", stopped))
    watch = server.watch()
    ends = {prompt: end for prompt, _, end in watch["drawings"][len(before) :]}
    seconds = [ends[prompt] - stopped for prompt, stopped in late]
    return {
        "cancel_inside": Figure(watch["most_inside"], count),
        "cancel_exit": Figure(max(seconds) - STEP, count),
    }


def direct_posts(server: Server, count: int) -> Figures:
    """Ask for what touches the models without the queue; how many were let in."""
    with Visitor(server.url) as visitor:
        queued = [event for event in visitor.events if event["queue"] and event["inputs"]]
        asked = [(event, way) for event in queued for way in ("run", "api")]
        passed = 0
        for number in range(count):
            event, way = asked[number % len(asked)]
            path = f"{API}/{way}/{event['api_name'] if number % 3 else 'predict'}"
            passed += visitor.http.post(path, json=visitor.body(event, {})).is_success
    return {"direct": Figure(passed, count)}


def joins(server: Server, count: int) -> Figures:
    """More runs asked for at once than may wait, while one is at work: who is let in, who is told what."""
    visitors = [Visitor(server.url) for _ in range(count)]
    slowest = 0.0

    def join(visitor: Visitor) -> httpx.Response:
        event = visitor.pressed("ir-run")
        return visitor.join(event, _prompted(visitor, LINGERING, STEPS))

    config = visitors[0].config
    for visitor in visitors:
        visitor.__dict__["config"] = config  # one look at the page is enough for all
    with ThreadPoolExecutor(32) as pool:
        waiting = [pool.submit(join, visitor) for visitor in visitors]
        while not all(job.done() for job in waiting):
            slowest = max(slowest, server.page_seconds())
        answers = [job.result() for job in waiting]
        slowest = max(slowest, server.page_seconds())
    accepted = [v for v, answer in zip(visitors, answers, strict=True) if answer.is_success]
    untold = sum(not _told(answer) for answer in answers if not answer.is_success)
    for visitor, answer in zip(visitors, answers, strict=True):
        if answer.is_success:
            visitor.fire(visitor.pressed("ir-stop"))  # as the page does: Gradio alone waits for a step to end
            _cancel(visitor, answer.json()["event_id"])
        visitor.http.close()
    _idle(server)
    return {
        "joins": Figure(len(accepted), count),
        "joins_untold": Figure(untold, count - len(accepted)),
        "joins_page": Figure(slowest, count),
    }


def sessions(server: Server, count: int, runs: int = 5) -> Figures:
    """`count` sessions at once, each with `runs` runs; how often one received something of another."""
    with ThreadPoolExecutor(count) as pool:
        seen = list(pool.map(lambda number: _session(server, number, runs), range(count)))
    mixed = sum(owner != number for number, one in enumerate(seen) for owner in one.owners)
    pictures = [one.pixels for one in seen]
    mixed += sum(bool(a & b) for n, a in enumerate(pictures) for b in pictures[n + 1 :])
    mixed += sum(one.forbidden for one in seen)
    return {"sessions": Figure(mixed, sum(len(one.owners) for one in seen))}


@dataclass
class _Seen:
    """What one session received."""

    owners: list[int] = field(default_factory=list)  # whose marks it found, in texts and pictures
    pixels: set[str] = field(default_factory=set)
    forbidden: int = 0


def _session(server: Server, number: int, runs: int) -> _Seen:
    seen = _Seen()
    with Visitor(server.url, timeout=600) as visitor:
        for _ in range(runs):
            answer = _run_at_last(visitor, f"a dog quick and a toolbox session{number}x", number)
            seen.owners += [int(found) for found in re.findall(r"session(\d+)x", answer.text)]
            for url in set(re.findall(r'"url": "[^"]*(/gradio_api/file=[^"]+)"', answer.text)):
                _look(visitor, url, seen)
    return seen


def _look(visitor: Visitor, url: str, seen: _Seen) -> None:
    """Whose prompt a picture carries, and its pixels; the record too tells a prompt."""
    content = visitor.http.get(url).content
    try:
        with Image.open(io.BytesIO(content)) as image:
            told = image.info.get("imgrag", "")
            if told:
                seen.pixels.add(hashlib.sha256(image.convert("RGB").tobytes()).hexdigest())
    except OSError:
        told = content.decode("utf-8", "replace")
    seen.owners += [int(found) for found in re.findall(r"session(\d+)x", told)]


def _run_at_last(visitor: Visitor, prompt: str, seed: int) -> Answer:
    """A run of the page; whoever is told that the queue is full asks again."""
    event = visitor.pressed("ir-run")
    changes = {
        **_prompted(visitor, prompt, 2),
        visitor.named(event, "Seed"): seed,
        visitor.named(event, "Keep this seed"): True,
    }
    deadline = time.monotonic() + FULL_SECONDS * 5
    while True:
        answer = visitor.fire(event, changes)
        if answer.ok or answer.status != 503 or time.monotonic() > deadline:
            return answer
        time.sleep(0.2)


def _prompted(visitor: Visitor, prompt: str, steps: int) -> dict[int, Any]:
    event = visitor.pressed("ir-run")
    return {visitor.prompt(event): prompt, visitor.steps(event): steps}


def _started(visitor: Visitor, prompt: str) -> float:
    """Start a run, stop it the way the page's Stop button does once it draws; when it was stopped."""
    run, stop = visitor.pressed("ir-run"), visitor.pressed("ir-stop")
    event_id = visitor.join(run, _prompted(visitor, prompt, STEPS)).raise_for_status().json()["event_id"]
    with visitor.messages() as messages:
        for message in messages:
            if message["msg"] == "process_generating" and "Step " in json.dumps(message):
                break
        stopped = time.time()
        visitor.fire(stop)
        _cancel(visitor, event_id)
    return stopped


def _cancel(visitor: Visitor, event_id: str) -> None:
    body = {
        "session_hash": visitor.session,
        "fn_index": visitor.pressed("ir-run")["id"],
        "event_id": event_id,
    }
    visitor.http.post(f"{API}/cancel", json=body)


def _ended(visitor: Visitor) -> None:
    with visitor.messages() as messages:
        for message in messages:
            if message["msg"] in ("process_completed", "unexpected_error"):
                return


def _told(answer: httpx.Response) -> bool:
    """Whether a refusal is a sentence for a person: words, and an end."""
    text = answer.text
    return answer.status_code in (429, 503) and len(text.split()) >= 4 and "." in text


def _idle(server: Server, seconds: float = FULL_SECONDS) -> None:
    """Wait until nothing is in the models."""
    deadline = time.monotonic() + seconds
    while server.watch()["inside"] and time.monotonic() < deadline:
        time.sleep(0.1)
