"""The page in a process of its own, with short stand-ins for models, started and killed at will.

The process is `python -m tests.served`, so the bench runs from the project's root. What goes on
inside it is asked at its endpoint /watch; its memory is read from outside.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from imgrag.errors import ImgragError
from imgrag.models.checkpoints import PROJECT

START_SECONDS = 120
MEGABYTE = 2**20
CANARY = "imgrag-canary"
"""Part of the names of files that no server should ever open."""


class Server:
    """A served page. `folder` holds its results, libraries, uploads and log, also over restarts.

    `environment` are variables that its process gets besides this one's.

    Raises:
        ImgragError: the process does not come up.
    """

    def __init__(self, folder: Path, *flags: str, **environment: str) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.uploads = folder / "uploads"
        self._flags = flags
        self._variables = environment
        self._log = folder / "server.log"
        self._http = httpx.Client(timeout=60, verify=False, trust_env=False)
        self.url = ""
        folder.mkdir(parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start the process and wait until the page answers."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "tests.served", "--folder", str(self.folder), "--port", str(port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--watch", CANARY, *self._flags],
                cwd=PROJECT, env=self._environment(), stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = self.log().strip().splitlines() or ["it said nothing"]
                raise ImgragError(f"The page to measure does not come up: {said[-1]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the process at once, as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def page_seconds(self) -> float:
        """How long the page takes to answer."""
        begun = time.monotonic()
        self._http.get(self.url).raise_for_status()
        return time.monotonic() - begun

    def watch(self) -> dict[str, Any]:
        """What the process says of itself: see `tests.served.Watch`."""
        answer = self._http.post(f"{self.url}/gradio_api/run/watch", json={"data": []})
        found: dict[str, Any] = answer.raise_for_status().json()["data"][0]
        return found

    def log(self) -> str:
        """What it wrote on its standard output and error so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def memory(self) -> int:
        """Bytes of RAM it holds."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def settled_memory(self) -> int:
        """The same after a collection of garbage, the least of three looks."""
        sizes = []
        for _ in range(3):
            self.watch()
            sizes.append(self.memory())
            time.sleep(0.1)
        return min(sizes)

    @contextmanager
    def peak_memory(self) -> Iterator[list[int]]:
        """Watch its memory during the block; the list holds the peak in bytes at the end."""
        process, peak, done = psutil.Process(self._process.pid), [self.memory()], threading.Event()

        def look() -> None:
            while not done.wait(0.002):
                peak[0] = max(peak[0], process.memory_info().rss)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield peak
        finally:
            done.set()
            thread.join()

    def _environment(self) -> dict[str, str]:
        offline = {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
        own = {"GRADIO_TEMP_DIR": str(self.uploads), "OMP_NUM_THREADS": "1"}
        return {**os.environ, **offline, **own, **self._variables}

    def _answers(self) -> bool:
        try:
            return self._http.get(self.url).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def serving(folder: Path, *flags: str, **environment: str) -> Iterator[Server]:
    """A server that is gone after the block."""
    server = Server(folder, *flags, **environment)
    try:
        yield server
    finally:
        server.kill()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
