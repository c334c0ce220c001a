"""A page without a browser: Gradio's queue protocol, and the values that a page's components hold.

It reads the page's own configuration, so it finds what there is to press and to upload to; a new
input on the page is fired at without a change here. Read in gradio 6.31's routes.py and client.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

Json = Any
API = "/gradio_api"
FILES = {"image", "file", "uploadbutton", "imageeditor", "gallery", "multimodaltextbox"}
"""Types of components that take files."""
TEXTS = {"textbox", "textarea"}


@dataclass
class Answer:
    """How one event went: its data, the sentence of its error, and all that was received for it."""

    ok: bool = False
    status: int = 200
    error: str = ""
    data: list[Json] = field(default_factory=list)
    text: str = ""


class Visitor:
    """One session.

    Args:
        url: of the page, without a slash at the end.
    """

    def __init__(self, url: str, timeout: float = 120.0) -> None:
        self.session = secrets.token_hex(6)
        self.http = httpx.Client(base_url=url, timeout=timeout, verify=False, trust_env=False)
        self._values: dict[int, Json] = {}

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    @cached_property
    def config(self) -> dict[str, Json]:
        """The page's own description."""
        found: dict[str, Json] = self.http.get("/config").raise_for_status().json()
        return found

    @cached_property
    def components(self) -> dict[int, dict[str, Json]]:
        """The components by id."""
        return {component["id"]: component for component in self.config["components"]}

    @property
    def events(self) -> list[dict[str, Json]]:
        """The page's events that reach the server."""
        return [event for event in self.config["dependencies"] if event["backend_fn"]]

    def endpoint(self, name: str) -> dict[str, Json]:
        """The event of that API name."""
        return next(event for event in self.events if event["api_name"] == name)

    def pressed(self, elem_id: str, what: str = "click") -> dict[str, Json]:
        """The event that starts when that component is pressed (or `what` else)."""
        found = next(c["id"] for c in self.config["components"] if c["props"].get("elem_id") == elem_id)
        return next(event for event in self.events if [found, what] in event["targets"] and event["outputs"])

    def after(self, event: Mapping[str, Json]) -> list[dict[str, Json]]:
        """The events that follow this one."""
        return [later for later in self.events if later["trigger_after"] == event["id"]]

    def inputs(self, event: Mapping[str, Json], kinds: set[str]) -> list[int]:
        """The components among an event's inputs that are of these types."""
        return [number for number in event["inputs"] if self.components[number]["type"] in kinds]

    def named(self, event: Mapping[str, Json], label: str) -> int:
        """The input of an event whose label holds that word, in any language's catalogue."""
        return next(n for n in event["inputs"] if label in str(self.components[n]["props"].get("label")))

    def prompt(self, event: Mapping[str, Json]) -> int:
        """The input that takes the prompt."""
        return next(n for n in event["inputs"] if self.components[n]["props"].get("elem_id") == "ir-prompt")

    def steps(self, event: Mapping[str, Json]) -> int:
        """The input that takes the number of steps."""
        return self.named(event, "Steps")

    def body(self, event: Mapping[str, Json], changes: Mapping[int, Json]) -> dict[str, Json]:
        """What a page sends for an event; `changes` are values by component."""
        data = [changes[number] if number in changes else self.value(number) for number in event["inputs"]]
        return {"data": data, "fn_index": event["id"], "session_hash": self.session, "event_data": None}

    def value(self, number: int) -> Json:
        """What a component holds by now; a field that was never touched holds an empty text."""
        held = self._values.get(number, self.components[number]["props"].get("value"))
        return "" if held is None and self.components[number]["type"] in TEXTS else held

    def fire(self, event: Mapping[str, Json], changes: Mapping[int, Json] | None = None) -> Answer:
        """Do one event and wait for its end; a page's outputs keep what it updates."""
        body = self.body(event, changes or {})
        answer = self._queued(body) if event["queue"] else self._direct(body)
        for number, value in zip(event["outputs"], answer.data, strict=False):
            updated = isinstance(value, dict) and value.get("__type__") == "update"
            if not updated:
                self._values[number] = value
            elif "value" in value:
                self._values[number] = value["value"]
        return answer

    def press(self, event: Mapping[str, Json], changes: Mapping[int, Json] | None = None) -> list[Answer]:
        """Do an event and what follows it, as the page would."""
        answers = [self.fire(event, changes)]
        for later in self.after(event):
            if answers[0].ok or not later["trigger_only_on_success"]:
                answers += self.press(later, changes)
        return answers

    def run(self, prompt: str, steps: int = 2) -> Answer:
        """A run through the page's Run button."""
        event = self.pressed("ir-run")
        return self.fire(event, {self.prompt(event): prompt, self.steps(event): steps})

    def join(self, event: Mapping[str, Json], changes: Mapping[int, Json] | None = None) -> httpx.Response:
        """Ask for a place in the queue and do not wait for anything."""
        return self._post(f"{API}/queue/join", self.body(event, changes or {}))

    @contextmanager
    def messages(self) -> Iterator[Iterator[dict[str, Json]]]:
        """The session's messages as they come. Leaving the block is what closing the tab does to the stream."""
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            yield (json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:"))

    def upload(self, file: Path | bytes, name: str = "") -> httpx.Response:
        """Send a file as the page does."""
        content = file if isinstance(file, bytes) else file.read_bytes()
        name = name or (file.name if isinstance(file, Path) else "file")
        return self.http.post(f"{API}/upload", files={"files": (name, content)})

    def _post(self, path: str, body: Mapping[str, Json]) -> httpx.Response:
        """In ASCII: httpx has no way to write half of a character pair, which a program may well send."""
        content = json.dumps(body).encode()
        return self.http.post(path, content=content, headers={"content-type": "application/json"})

    def _direct(self, body: Mapping[str, Json]) -> Answer:
        response = self._post(f"{API}/run/predict", body)
        answer = Answer(response.is_success, response.status_code, text=response.text)
        if response.is_success:
            answer.data = response.json().get("data") or []
        else:
            answer.error = sentence(response)
        return answer

    def _queued(self, body: Mapping[str, Json]) -> Answer:
        response = self._post(f"{API}/queue/join", body)
        answer = Answer(status=response.status_code, text=response.text)
        if not response.is_success:
            answer.error = sentence(response)
            return answer
        with self.messages() as messages:
            for message in messages:
                _take(answer, message)
                if message["msg"] in ("process_completed", "unexpected_error", "server_stopped"):
                    break
        return answer


def _take(answer: Answer, message: Mapping[str, Json]) -> None:
    """Add a message of the queue to the answer; later updates of a generator come as differences."""
    from gradio_client.utils import apply_diff

    answer.text += json.dumps(message, ensure_ascii=False)
    data = (message.get("output") or {}).get("data") or []
    if message["msg"] == "process_generating" and answer.data:
        answer.data = [apply_diff(old, new) for old, new in zip(answer.data, data, strict=False)]
    elif message["msg"] in ("process_generating", "process_completed") and data:
        answer.data = data
    if message["msg"] == "process_completed":
        answer.ok = bool(message["success"])
    if not message.get("success", True):
        answer.error = str((message.get("output") or {}).get("error") or message.get("message") or "")


def sentence(response: httpx.Response) -> str:
    """The words of a refusal: FastAPI's `detail` or Gradio's `error`."""
    try:
        found = response.json()
    except ValueError:
        return response.text
    return str((found.get("detail") or found.get("error") or "") if isinstance(found, dict) else found)


def file_data(path: str, name: str = "x.png", url: str | None = None) -> dict[str, Json]:
    """A file as Gradio's pages name it to the server."""
    return {"path": path, "url": url, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
