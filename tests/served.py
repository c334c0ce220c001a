"""The page on the real pipeline with fakes for models, in this process or served by another one.

In the fakes' world "a dog and a toolbox" lacks the toolbox until it is fetched, "a car" matches at
once, a "slow" prompt takes five seconds a step, and a "broken" one raises what nobody foresaw.
`Faults` lists what a prompt can ask to go wrong in one stage.
"""

from __future__ import annotations

import argparse
import gc
import ipaddress
import re
import socket
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from PIL import Image

from imgrag import logs
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.reading import Reader
from imgrag.engine.reading.reader import Translate
from imgrag.library import ImageLibrary
from imgrag.models import OnStep
from imgrag.runs.reading import Reading
from tests.fakes import (
    COLOURS,
    SURE_YES,
    Cast,
    FakeEmbedder,
    FakeGenerator,
    FakeJudge,
    FakeListener,
    make_pipeline,
    thing_in,
)

if TYPE_CHECKING:
    import gradio as gr

ROOT = Path(__file__).parent.parent
LINGER = 1.0  # seconds; of a step, or of a stage that has none
STAY = 5.0  # of a stage in which something is pressed, which takes its time on a busy machine
PACE = re.compile(r"\b(?:quick|slow|broken)\b")  # words for the fakes alone
STARVED_BYTES = 32 * 2**20  # what a stage holds while the memory runs out


def _torch_error() -> RuntimeError:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


FAULTS: Mapping[str, Callable[[], BaseException]] = {
    "fails": lambda: FileNotFoundError(2, "No such file", "/secret/place/model.bin"),
    "starves": MemoryError,
    "chokes": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory"
    ),
    "drowns": _torch_error,
}


class Faults:
    """What the prompt of the run at work asks of its stages, as in "a dog and a toolbox [verdict: fails]".

    "lingers" makes a stage take its time, "stays" more of it. The others raise while they hold memory: "fails" what nobody
    foresaw, with a path in it; "starves", "chokes" and "drowns" what running out of memory looks like.
    """

    MARKS = re.compile(r"\[(\w+): (\w+)\]")

    def __init__(self) -> None:
        self.prompt = ""
        self._wanted: dict[str, str] = {}
        self._held: list[weakref.ref[np.ndarray]] = []

    def read(self, prompt: str) -> None:
        self.prompt = prompt
        self._wanted = dict(self.MARKS.findall(prompt))

    def lingering(self, stage: str) -> float:
        """Seconds of a step of this stage, or of all of it; 0 if nothing is asked of it."""
        return {"lingers": LINGER, "stays": STAY}.get(self._wanted.get(stage, ""), 0.0)

    def meet(self, stage: str) -> None:
        kind = self._wanted.get(stage, "")
        if kind in FAULTS:
            held = np.ones(STARVED_BYTES, np.uint8)
            self._held.append(weakref.ref(held))
            raise FAULTS[kind]()

    def held_bytes(self) -> int:
        return sum(array.nbytes for ref in self._held if (array := ref()) is not None)


class PageGenerator(FakeGenerator):
    """Slow enough for a page to show its steps. Remembers when each drawing began and ended."""

    def __init__(self, cast: Cast, faults: Faults) -> None:
        super().__init__(cast.crowd)
        self.drawings: deque[tuple[str, float, float]] = deque(maxlen=400)  # prompt, time.time() twice
        self._faults = faults

    def draw(self, prompt: str, *, on_step: OnStep | None = None, **settings: Any) -> list[Image.Image]:
        asked = self._faults.prompt or prompt
        if "broken" in asked:
            raise FAULTS["fails"]()
        stage = "enhanced" if settings.get("guides") or settings.get("references") else "initial"
        self._faults.meet(stage)
        pause = 5.0 if "slow" in asked else self._faults.lingering(stage) or 0.06
        pause = 0.001 if "quick" in asked else pause

        def slowly(step: int, steps: int, preview: Callable[[], Image.Image]) -> None:
            time.sleep(pause)
            if on_step:
                on_step(step, steps, preview)

        begun = time.time()
        try:
            return super().draw(prompt, on_step=slowly, **settings)
        finally:
            self.drawings.append((asked, begun, time.time()))


class PageJudge(FakeJudge):
    """A VLM that meets the faults of its stage."""

    faults: Faults

    def reply(self, question: str, images: Sequence[Image.Image] = (), **settings: Any) -> str:
        _meet(self.faults, "verdict" if len(images) == 1 else "second_verdict", self._crowd)
        return super().reply(question, images, **settings)

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        """What the fakes have no colour for counts as there, as in its replies."""
        sure = super().sureness(questions, images)
        strange = [thing_in(question) not in (*COLOURS, "") for question in questions]
        return [SURE_YES if is_strange else value for value, is_strange in zip(sure, strange, strict=True)]


class PageListener(FakeListener):
    """An LLM that does."""

    faults: Faults

    def reply(self, question: str, images: Sequence[Image.Image] = (), **settings: Any) -> str:
        _meet(self.faults, "concepts", self._crowd)
        return super().reply(question, images, **settings)


class PageEmbedder(FakeEmbedder):
    """A CLIP that does."""

    faults: Faults

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        _meet(self.faults, "references", self._crowd)
        return super().embed_texts(texts)


def _meet(faults: Faults, stage: str, crowd: Any) -> None:
    if seconds := faults.lingering(stage):
        with crowd:
            time.sleep(seconds)
    faults.meet(stage)


class PageCast(Cast):
    """The fakes of a page, which share their faults."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.generator = PageGenerator(self, self.faults)
        self.vlm, self.llm = PageJudge("", crowd=self.crowd), PageListener("", crowd=self.crowd)
        self.clip = PageEmbedder(crowd=self.crowd)
        self.vlm.faults = self.llm.faults = self.clip.faults = self.faults


def page_pipeline(folder: Path, cast: Cast | None = None, **options: Any) -> PagePipeline:
    """The pipeline, with a library that names its source."""
    cast = cast or PageCast()
    pipeline = make_pipeline(folder, cast, kind=PagePipeline, **options)
    pipeline.faults = cast.faults if isinstance(cast, PageCast) else Faults()
    rows = [f"{name}.png,{name},Noto Color Emoji,OFL-1.1" for name in COLOURS]
    text = "\n".join(["file_name,name,source,licence", *rows])
    (folder / "libraries" / "pocket" / "metadata.csv").write_text(text, encoding="utf-8")
    return pipeline


@dataclass(frozen=True)
class PageReader(Reader):
    """It keeps from the models what a prompt asks of the fakes, and tells them when a run begins."""

    faults: Faults = field(default_factory=Faults)

    def read(self, prompt: str, translate: Translate | None = None) -> Reading:
        if translate is not None:
            self.faults.read(prompt)
            _meet(self.faults, "reading", nullcontext())  # no model is at work
        return super().read(PACE.sub("", Faults.MARKS.sub("", prompt)), translate)


class PagePipeline(ImageRAGPipeline):
    """The real one with that reader."""

    faults: Faults

    def reader(self, library: ImageLibrary, seconds: float = 0) -> Reader:
        read = super().reader(library, seconds)
        return PageReader(read.profile, read.vocabulary, read.library, read.styles, self.faults)


@contextmanager
def process(port: int, *command: str) -> Iterator[subprocess.Popen]:
    """A page's process, `python COMMAND --port PORT`, from its first answer until the end or until it is killed."""
    started = subprocess.Popen([sys.executable, *command, "--port", str(port)], cwd=ROOT)
    try:
        while not answers(f"http://127.0.0.1:{port}/"):
            if started.poll() is not None:
                raise RuntimeError(f"{command} ended with {started.returncode}")
            time.sleep(0.2)  # it needs the processor more than whoever waits for it
        yield started
    finally:
        started.terminate()
        started.wait()


@contextmanager
def served(*command: str) -> Iterator[str]:
    """A page's address while its process is alive."""
    port = free_port()
    with process(port, *command):
        yield f"http://127.0.0.1:{port}/"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).is_success
    except httpx.HTTPError:
        return False


class Watch:
    """What a bench wants to know of this process: who is in the models, what they hold, whom it called.

    Args:
        canary: part of a path; a file whose path holds it should never be opened.
    """

    def __init__(self, pipeline: ImageRAGPipeline, cast: PageCast, canary: str) -> None:
        self._pipeline, self._cast, self._canary = pipeline, cast, canary
        self._reached: list[str] = []
        sys.addaudithook(self._hear)

    def attach(self, demo: gr.Blocks) -> None:
        """Give the page an endpoint /watch, outside of the queue."""
        import gradio as gr

        with demo:
            shown = gr.JSON(visible=False)
            gr.Button(visible=False).click(self.report, None, shown, api_name="watch", queue=False)

    def report(self) -> dict[str, Any]:
        gc.collect()
        crowd = self._cast.crowd
        return {
            "inside": crowd.now,
            "most_inside": crowd.most,
            "drawings": list(self._cast.generator.drawings),
            "resident": sorted([model.name, model.bytes] for model in self._pipeline.residency.resident),
            "held_bytes": self._cast.faults.held_bytes(),
            "reached": list(self._reached),
        }

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self._canary in str(arguments[0]):
            self._reached.append(f"opened {arguments[0]}")
        elif event == "socket.getaddrinfo" and not _local(arguments[0]):
            self._reached.append(f"looked up {arguments[0]}")
        elif event == "socket.connect" and isinstance(arguments[1], tuple) and not _local(arguments[1][0]):
            self._reached.append(f"connected to {arguments[1][0]}")


def _local(host: Any) -> bool:
    try:
        return host in (None, "", "localhost", b"localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main() -> None:
    """Serve the page: `python -m tests.served --folder DIR [--port N]`, and what a test may want of it."""
    from imgrag.ui import build_demo, launch

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--folders", type=Path)
    parser.add_argument("--bundled", type=Path, help="the folder of a library that comes with the app")
    parser.add_argument("--results-cap", type=int, help="bytes that kept runs may take")
    parser.add_argument("--watch", metavar="PART", help="report on this process, and on files opened by PART")
    parser.add_argument("--auth", metavar="NAME:WORD", help="ask for this login")
    parser.add_argument("--descriptors", type=int, help="files and sockets that the process may have open")
    parser.add_argument("--shared-links", action="store_true", help="let people share runs by a link")
    flags = parser.parse_args()
    if flags.descriptors:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (flags.descriptors, flags.descriptors))
    cast = PageCast()
    options: dict[str, Any] = {} if flags.results_cap is None else {"results_cap": flags.results_cap}
    if flags.bundled is not None:
        options["bundled"] = [flags.bundled]
    pipeline = page_pipeline(flags.folder, cast, control=True, **options)
    pipeline.tidy()
    demo = build_demo(pipeline, folders=flags.folders, links=flags.shared_links)
    if flags.watch:
        logs.configure()
        Watch(pipeline, cast, flags.watch).attach(demo)
    auth = [tuple(flags.auth.split(":"))] if flags.auth else None
    linked = pipeline.results if flags.shared_links else None
    launch(demo, warm_up=False, linked=linked, server_port=flags.port, auth=auth)


if __name__ == "__main__":
    main()
