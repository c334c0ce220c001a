"""Rows about what strangers send: pictures, addresses, paths, prompts, and weights that would run code."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from imgrag.bench import Figure
from imgrag.bench.fire import busy, payloads
from imgrag.bench.fire.server import CANARY, Server
from imgrag.bench.fire.visitor import API, FILES, TEXTS, Answer, Visitor, file_data, sentence
from imgrag.errors import ImgragError
from imgrag.models.profile import FOLDER, load_profile

Figures = dict[str, Figure]
T = TypeVar("T")
MEGABYTE = 2**20
PATH = re.compile(
    r"(?<![\w/.:=])(?:/(?:tmp|root|home|Users|private|var|usr|etc|work|opt|secret|proc)/|[A-Z]:\\{1,2}(?=\w))[^\s\"'<>\\)]*"
)
"""An absolute path of a server, where nothing before it makes it part of a link."""
REFUSED = re.compile("ir-banner|too large|megapixels")
NOT_TAKEN = re.compile("(This picture|The picture of the structure) cannot be used: [^.]+; save it")
HEAD_START = 0.1  # seconds until a picture has surely reached who decodes it
UNFORESEEN = ("on our side", "Traceback", "object has no attribute", "Errno", "Error(")


def told_paths(text: str, allowed: Path) -> list[str]:
    """The absolute paths in a response that lie outside of `allowed`."""
    return [path for path in PATH.findall(text) if not path.startswith(allowed.as_posix())]


def images(server: Server, count: int) -> Figures:
    """Malformed pictures through every input of the page and its endpoints that takes a file."""
    made, sent, unfriendly, told, crashed = payloads.malformed(count), 0, [], [], 0
    with Visitor(server.url) as visitor:
        events = [event for event in visitor.events if visitor.inputs(event, FILES)]
        for number, (name, content) in enumerate(made):
            upload = visitor.upload(content, name)
            told += told_paths(upload.text, server.uploads)
            if not upload.is_success:
                unfriendly += [] if sentence(upload) else [name]
                continue
            for event in events:
                with Visitor(server.url) as other:
                    other.__dict__["config"] = visitor.config
                    answers = _sent(other, event, upload.json()[0], name)
                sent += 1
                said = "".join(answer.text for answer in answers)
                told += told_paths(said, server.uploads)
                if (not answers[0].ok and not answers[0].error) or any(w in said for w in UNFORESEEN):
                    unfriendly.append(f"{name} at {event['api_name']}")
            crashed += not server.alive()
            if number % 20 == 0:
                crashed += not visitor.http.get("/").is_success
    _explain("images", unfriendly, told)
    return {
        "images_crash": Figure(crashed, len(made)),
        "images_sentence": Figure(len(unfriendly), sent),
        "images_path": Figure(len(told), sent),
    }


def bomb(server: Server, count: int) -> Figures:
    """A picture of 169 megapixels in 20 KB, through every input that takes pictures."""
    seconds, grown, sent = 0.0, 0, 0
    drawn: list[str] = []
    with Visitor(server.url) as visitor:
        events = _taking_pictures(visitor)
        for _ in range(count):
            path = visitor.upload(payloads.bomb(), "bomb.png").raise_for_status().json()[0]
            for event in events:
                before = server.memory()
                with server.peak_memory() as peak:
                    begun = time.monotonic()
                    answers = _sent(visitor, event, path, "bomb.png")
                    seconds = max(seconds, time.monotonic() - begun)
                grown, sent = max(grown, peak[0] - before), sent + 1
                if not any(answer.error or REFUSED.search(answer.text) for answer in answers):
                    drawn.append(f"{event['api_name']}: {[answer.text[-300:] for answer in answers]}")
    _explain("bomb", drawn)
    return {
        "bomb_taken": Figure(len(drawn), sent),
        "bomb_seconds": Figure(seconds, sent),
        "bomb_memory": Figure(grown / MEGABYTE, sent),
    }


def busy_pictures(server: Server, count: int) -> Figures:
    """Small pictures that take long to read, through every input, and what another visitor's run waits meanwhile.

    The first one is taken, since it takes as long as a picture may; the others are not.
    """
    untold, slowest, waited, sent = [], 0.0, 0.0, 0
    with Visitor(server.url) as visitor, Visitor(server.url) as other:
        events = _taking_pictures(visitor)
        usual = max(_timed(lambda: other.run("a car"))[1] for _ in range(3))
        for place, (name, content) in enumerate((busy.slowest(), *busy.refused(count))):
            path = visitor.upload(content, name).raise_for_status().json()[0]
            for event in events:
                answers, seconds, beside = _sent_beside(visitor, other, event, path, name)
                waited, sent = max(waited, beside - usual), sent + 1
                if place:
                    slowest = max(slowest, seconds)
                    told = any(NOT_TAKEN.search(answer.error + answer.text) for answer in answers)
                    untold += [] if told else [f"{name} at {event['api_name']}"]
    _explain("busy", untold)
    return {
        "busy_untold": Figure(len(untold), sent),
        "busy_seconds": Figure(slowest, sent),
        "busy_wait": Figure(max(0.0, waited), sent),
    }


def urls(server: Server, count: int) -> Figures:
    """Addresses and `file://` in every text and file field of every event, and as MCP's image strings."""
    canary = _canary(server.folder)
    with _trap() as trap, Visitor(server.url) as visitor:
        fired, before = 0, len(server.watch()["reached"])
        for address in payloads.addresses(trap.address, canary)[:count]:
            for event in visitor.events:
                fired += _fire_address(visitor, event, address)
            fired += _fire_mcp(visitor, address)
        time.sleep(0.3)
        reached = [*trap.came, *server.watch()["reached"][before:]]
    _explain("urls", reached)
    return {"urls": Figure(len(reached), fired)}


def paths(server: Server, count: int) -> Figures:
    """Paths that lead out, as file names, served files, inputs' files, run ids, libraries, deep links."""
    canary = _canary(server.folder)
    secret, outside = canary.read_text(encoding="utf-8"), _outside(server)
    got, fired, before = [], 0, len(server.watch()["reached"])
    with Visitor(server.url) as visitor:
        for path in payloads.paths(canary, server.uploads)[:count]:
            for what, text, landed in _asked_paths(visitor, path):
                fired += 1
                strayed = landed and not Path(landed).resolve().is_relative_to(server.uploads.resolve())
                if secret in text or strayed or told_paths(_without(text, path), server.uploads):
                    got.append(f"{what} {path!r}")
        got += server.watch()["reached"][before:]
    got += [str(file) for file in _outside(server) - outside]
    _explain("paths", got)
    return {"paths": Figure(len(got), fired)}


def prompts(server: Server, count: int) -> Figures:
    """Prompts of every kind, from the page and from a program."""
    made = payloads.prompts()[:count]
    wrong = []
    with Visitor(server.url) as visitor:
        for what, text, fine in made:
            for name in ("page", "program"):
                answer = _prompted(visitor, name, text)
                if not _well_met(answer, text, fine):
                    wrong.append(f"{what} from a {name}: {answer.status} {answer.error[:80]}")
    wrong += [] if server.alive() else ["the server is gone"]
    _explain("prompts", wrong)
    return {"prompts": Figure(len(wrong), len(made) * 2)}


def _without(text: str, path: str) -> str:
    """An answer without what was sent, which may come back in it: as it is, or as JSON writes it."""
    plain = path.split("\0")[0]
    for form in (json.dumps(plain)[1:-1], plain):
        text = text.replace(form, "")
    return text


def weights(folder: Path, count: int) -> Figures:
    """Profiles whose checkpoints would run code if they were trusted; how many did, or were not refused."""
    from imgrag.models.roles import load_roles

    text = (FOLDER / "pocket.toml").read_text(encoding="utf-8")
    kinds = [(role, "pickle") for role in ("generator", "vlm", "llm", "clip")]
    kinds += [(role, "code") for role in ("generator", "vlm", "llm")]
    wrong = []
    for role, how in kinds[:count]:
        canary = folder / f"{CANARY}-{role}-{how}"
        profile = load_profile(payloads.evil_profile(folder, role, how, canary, text))
        try:
            load_roles(profile, "cpu")[role].load()
            wrong.append(f"{role} {how}: opened")
        except ImgragError:
            pass
        except Exception as error:  # noqa: BLE001  refused, but not with a sentence: that is what is counted
            wrong.append(f"{role} {how}: {type(error).__name__}")
        wrong += [f"{role} {how}: ran"] if canary.exists() else []
    _explain("weights", wrong)
    return {"weights": Figure(len(wrong), len(kinds[:count]))}


def _taking_pictures(visitor: Visitor) -> list[dict[str, Any]]:
    """The events that take pictures and that a page begins with."""
    taking = [event for event in visitor.events if visitor.inputs(event, {"image", "imageeditor"})]
    return [event for event in taking if event["trigger_after"] is None]


def _sent_beside(
    visitor: Visitor, other: Visitor, event: dict[str, Any], path: str, name: str
) -> tuple[list[Answer], float, float]:
    """Like `_sent` while the other one runs: the answers, and the seconds that each of the two took."""
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_timed, lambda: _sent(visitor, event, path, name))
        time.sleep(HEAD_START)
        _, beside = _timed(lambda: other.run("a car"))
        answers, seconds = sending.result()
    return answers, seconds, beside


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.monotonic()
    return work(), time.monotonic() - begun


def _sent(visitor: Visitor, event: dict[str, Any], path: str, name: str) -> list[Answer]:
    """An event with that uploaded file in each of its inputs that take files, and what follows it."""
    changes: dict[int, Any] = {}
    for number in visitor.inputs(event, FILES):
        many = visitor.components[number]["props"].get("file_count") == "multiple"
        data: Any = file_data(path, name)
        changes[number] = [data] if many else data
    return visitor.press(event, changes)


def _fire_address(visitor: Visitor, event: dict[str, Any], address: str) -> int:
    """One event with the address in each of its fields that can hold it; how many there were."""
    texts, files = visitor.inputs(event, TEXTS), visitor.inputs(event, FILES)
    for number in texts:
        visitor.fire(event, {number: f"a car {address}" if number in _prompt_of(visitor, event) else address})
    for number in files:
        forms = (file_data(address, url=address), file_data("x.png", url=address), address)
        for form in forms:
            for value in (form, [form]):
                visitor.fire(event, {number: value})
    return len(texts) + len(files) * 6


def _prompt_of(visitor: Visitor, event: dict[str, Any]) -> set[int]:
    return {n for n in event["inputs"] if visitor.components[n]["props"].get("elem_id") == "ir-prompt"}


def _fire_mcp(visitor: Visitor, address: str) -> int:
    """MCP tools take an image as a string; 0 where the page serves no tools."""
    headers = {"Accept": "application/json, text/event-stream"}
    call = {"name": "library_search", "arguments": {"library": "pocket", "image": address}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    answer = visitor.http.post(f"{API}/mcp/", json=message, headers=headers)
    return int(answer.status_code not in (404, 405))


def _asked_paths(visitor: Visitor, path: str) -> Iterator[tuple[str, str, str]]:
    """Each way to send a path: what it is, the answer's text, and where a file landed, if one did."""
    escaped = quote(path, safe="")
    for way in (f"{API}/file={escaped}", f"{API}/file={quote(path)}", f"{API}/file/{escaped}",
                f"/static/{escaped}", f"/assets/{escaped}", f"{API}/proxy=file://{escaped}",
                f"/?deep_link={escaped}", f"{API}/deep_link?session_hash={escaped}",
                f"{API}/custom_component/{escaped}/client/component/{escaped}",
                f"{API}/stream/{escaped}/1/1/playlist.m3u8", f"/?run={escaped}"):  # fmt: skip
        yield way, visitor.http.get(way).text, ""
    upload = visitor.upload(payloads.png((4, 4)), path)
    landed = upload.json()[0] if upload.is_success else ""
    yield "a file's name", upload.text, landed
    for event in visitor.events:
        for number in visitor.inputs(event, FILES):
            for form in (file_data(path), [file_data(path)]):
                yield f"a file of {event['api_name']}", visitor.fire(event, {number: form}).text, ""
        # All fields at once: with one of them only, "delete" would have a library to delete.
        fields = {*visitor.inputs(event, {"dropdown", *TEXTS})} - _prompt_of(visitor, event)
        if fields:
            yield f"fields of {event['api_name']}", visitor.fire(event, dict.fromkeys(fields, path)).text, ""


def _prompted(visitor: Visitor, who: str, text: str) -> Answer:
    event = visitor.pressed("ir-run") if who == "page" else visitor.endpoint("run")
    try:
        return visitor.fire(event, {visitor.prompt(event): text, visitor.steps(event): 1})
    except httpx.TransportError as error:  # the server hung up: too large to be read to its end
        return Answer(status=413, error=str(error))


def _well_met(answer: Answer, text: str, fine: bool) -> bool:
    """A drawable prompt was drawn, another refused in a sentence; none comes back as part of our markup.

    A record or an alternative text holds a prompt as it is: they are values, which no page takes for markup.
    """
    shown = [value for value in _texts(answer.data) if 'class="ir-' in value]
    safe = not any("<script" in value or "<img src=x" in value for value in shown)
    bounded = len(answer.text) < 5 * MEGABYTE
    told = "ir-banner" in str(answer.data)
    refused = answer.status in (413, 422) or bool(answer.error) or told
    right = answer.ok and not told if fine else refused
    return safe and bounded and right and not any(word in answer.text for word in UNFORESEEN)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _canary(folder: Path) -> Path:
    """A file beside the server's own folders, with a text that is nowhere else."""
    file = folder.resolve() / f"{CANARY}.txt"
    file.write_text("the canary sang at half past nine", encoding="utf-8")
    return file


def _outside(server: Server) -> set[Path]:
    """Files of the server's folder that are neither uploads nor what runs and libraries write."""
    owned = (server.uploads, server.results, server.folder / "libraries", server.folder / "cache")
    files = (file for file in server.folder.rglob("*") if file.is_file() and file.suffix != ".log")
    return {file for file in files if not any(file.is_relative_to(folder) for folder in owned)}


@dataclass
class _Trap:
    """A port of this machine; `came` lists who connected."""

    address: str
    came: list[str] = field(default_factory=list)


@contextmanager
def _trap() -> Iterator[_Trap]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        trap = _Trap(f"127.0.0.1:{door.getsockname()[1]}")

        def listen() -> None:
            while True:
                try:
                    caller, _ = door.accept()
                except OSError:  # closed: the row is done
                    return
                with caller:
                    caller.settimeout(1)
                    trap.came.append(f"came for {caller.recv(80)!r}")

        threading.Thread(target=listen, daemon=True).start()
        yield trap


def _explain(row: str, *findings: list[str]) -> None:
    """Say on stderr what was counted, so that it can be mended."""
    for finding in findings:
        for line in list(dict.fromkeys(finding))[:20]:
            print(f"{row}: {json.dumps(line)}", file=sys.stderr)
