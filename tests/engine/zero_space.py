"""A ZeroGPU Space on this machine: the real `spaces` package, and what stands in for Hugging Face's side.

`DeviceApi` answers what a Space asks for a GPU. `python -m tests.engine.zero_space` plays scenes on a pipeline
of fakes and prints what came of them, `page` serves the page on it, `app` starts the app itself with the
pocket models. Of `spaces` only what a machine without a GPU cannot do is left out, by `without_gpu`: the
first touch of CUDA in the forked process, and the weights' way onto it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from imgrag.errors import MemoryBudgetError

GRANTED = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
HEAVY = "The generator does not fit. Choose a smaller profile."
OVER_QUOTA = {"left": 0, "wait": 12_130}  # seconds


class DeviceApi:
    """Notes what it is asked: (path, parameters). While `refusing`, the visitor's quota is used up."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refusing = False
        self.url = ""

    def of(self, path: str) -> list[dict[str, str]]:
        return [parameters for asked, parameters in self.asked if asked == path]

    def answer(self, path: str, parameters: dict[str, str]) -> tuple[int, Any]:
        self.asked.append((path, parameters))
        if path != "/schedule":
            return 200, {}
        return (429, OVER_QUOTA) if self.refusing else (200, GRANTED)


@contextmanager
def device_api() -> Iterator[DeviceApi]:
    """A device API on a port of this machine."""
    api = DeviceApi()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = urlsplit(self.path)
            values = {name: value[0] for name, value in parse_qs(asked.query).items()}
            status, body = api.answer(asked.path, values)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()


def space_environment(api: DeviceApi, folder: Path) -> dict[str, str]:
    """What a ZeroGPU Space has in its environment."""
    return {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": api.url,
        "ZEROGPU_OFFLOAD_DIR": str(folder / "packed"),
    }


def without_gpu() -> None:
    """Import `spaces` and leave out what needs a GPU, or a torch that was built for one."""
    import torch

    torch.version.cuda = torch.version.cuda or "13.0"
    import spaces.zero.torch

    spaces.zero.torch.init = lambda uuid: None
    spaces.zero.torch.move = lambda callback=None: None


def fake_pipeline(folder: Path) -> tuple[Any, Any]:
    """A leased pipeline of fakes, and their cast.

    A "broken" prompt raises what nobody foresaw, a "heavy" one runs out of memory, a "slow" one takes
    its time, and on a "doomed" one the process that has the GPU dies.
    """
    from imgrag.engine.zerogpu import LeasedPipeline
    from imgrag.models.profile import load_profile
    from tests.fakes import COLOURS, Cast, FakeGenerator, make_library

    class Generator(FakeGenerator):
        def draw(self, prompt: str, **settings: Any) -> list[Image.Image]:
            if "doomed" in prompt:
                os.kill(os.getpid(), signal.SIGKILL)
            if "heavy" in prompt:
                raise MemoryBudgetError(HEAVY)
            if "broken" in prompt:
                raise FileNotFoundError(2, "No such file", "/secret/place/model.bin")
            self._at_step = lambda step: time.sleep(0.5 if "slow" in prompt else 0.0)
            return super().draw(prompt, **settings)

    cast = Cast()
    cast.generator = Generator(cast.crowd)
    make_library(folder / "libraries" / "pocket", *COLOURS)
    pocket = load_profile("pocket")
    words = replace(
        pocket.reading, vocabulary="", backgrounds=()
    )  # prompts stay as they are, with their marks
    pipeline = LeasedPipeline(
        replace(pocket, reading=words), device="cpu", results=folder / "results", libraries=folder / "libraries",
        cache=folder / "cache", roles=cast.specs(),
    )  # fmt: skip
    return pipeline, cast


def fake_page(folder: Path, port: int) -> None:
    """The page on the fakes."""
    from imgrag.ui import build_demo, launch

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # an exit that ends the forked processes too
    launch(build_demo(fake_pipeline(folder)[0]), warm_up=False, server_port=port)


def scenes(folder: Path, api: DeviceApi) -> dict[str, Any]:
    """What comes of runs of all kinds, each with what the device API was asked meanwhile."""
    import spaces.zero

    from imgrag.runs.events import Paused, Preview
    from imgrag.runs.values import Request

    pipeline, cast = fake_pipeline(folder)
    spaces.zero.startup()
    told: dict[str, Any] = {"start": {"loads": dict(cast.loads), "asked": list(api.asked)}}

    def scene(name: str, play: Callable[[], Any]) -> Any:
        api.asked.clear()
        came = None
        try:
            came = play()
            told[name] = {"said": came if isinstance(came, (str, list)) else None}
        except Exception as error:  # noqa: BLE001  the test looks at it
            told[name] = {"error": type(error).__name__, "text": str(error)}
        told[name] |= {"scheduled": len(api.of("/schedule")), "released": api.of("/release")}
        told[name]["seconds"] = [asked["durationSeconds"] for asked in api.of("/schedule")]
        return came

    def streamed(prompt: str, stop: threading.Event | None = None, **options: Any) -> list[Any]:
        events = []
        for event in pipeline.stream(Request(prompt), stop, **options):
            events.append(event)
            if stop is not None and isinstance(event, Preview):
                stop.set()
        return events

    def left() -> str:
        stream = pipeline.stream(Request("a slow dog"))
        while not isinstance(next(stream), Preview):
            pass
        stream.close()
        return "closed"

    def stepwise() -> list[str]:
        run, stages = streamed("a dog and a toolbox", pause=True)[-1].run, []
        while True:
            last = list(pipeline.resume(run, pause=True))[-1]
            run = last.run
            stages.append(f"{type(last).__name__} {len(run.stages)}")
            if not isinstance(last, Paused):
                return stages

    def locked() -> str:
        with pipeline._lock, pipeline._opened._opening:  # as by another visitor, at the moment of the fork
            return streamed("a dog")[-1].run.state

    def lent() -> list[Any]:
        with pipeline.borrow("clip") as clip:
            return [clip.model_id, *clip.embed_texts(["a dog"]).tolist()]

    pipeline.library("pocket").stats()  # the page has opened it: a database that no fork may use
    scene("run", lambda: [type(event).__name__ for event in streamed("a dog and a toolbox")])
    run = pipeline(Request("a dog and a toolbox"))
    told["record"] = {"loads": run.loads, "kept": run.kept, "drawn_here": len(cast.generator.calls)}
    told["record"]["on_disk"] = (pipeline.results / run.id / "result.png").is_file()
    scene("stopped", lambda: streamed("a slow dog", threading.Event()))
    scene("left", left)
    scene("stepwise", stepwise)
    scene("locked", locked)
    scene("lent", lent)
    scene("heavy", lambda: streamed("a heavy dog"))
    scene("broken", lambda: streamed("a broken dog"))
    scene("doomed", lambda: streamed("a doomed dog"))
    api.refusing = True
    scene("refused", lambda: streamed("a dog"))
    api.refusing = False
    scene("after", lambda: streamed("a dog")[-1].run.state)
    told["loads"] = dict(cast.loads)
    return told


def app_page(port: int) -> None:
    """The app itself; once it is up, it says on a line of standard output what it has loaded, and ends."""
    import gradio as gr
    import spaces.zero.torch.patching as patching
    import torch

    import app

    made: list[Any] = []
    build = app.build_demo

    def noted(pipeline: Any, **options: Any) -> gr.Blocks:
        made.append(pipeline)
        return build(pipeline, **options)

    def tell(demo: gr.Blocks) -> None:
        tensors = [t for pack in patching.tensor_packs for fakes in pack.fakes.values() for t in fakes]
        known = {id(tensor) for tensor in tensors}
        parts = [part for entry in made[0].residency.resident for part in _modules(made[0], entry.name)]
        weights = [t for part in parts for t in (*part.parameters(), *part.buffers())]
        told = {
            "class": type(made[0]).__name__,
            "policy": made[0].residency.policy,
            "resident": sorted(entry.name for entry in made[0].residency.resident),
            "loads": made[0].residency.loads,
            "weights": len(weights),
            "packed": sum(id(weight) in known for weight in weights),
            "on": sorted({weight.device.type for weight in weights}),
        }
        print("TOLD " + json.dumps(told), flush=True)

    def _modules(pipeline: Any, role: str) -> list[torch.nn.Module]:
        with pipeline.residency.use(role) as model:
            held = vars(model).get("_pipe")
            parts = held.components.values() if held is not None else [model._model]
            return [part for part in parts if isinstance(part, torch.nn.Module)]

    app.build_demo = noted
    gr.Blocks.block_thread = tell
    sys.argv = ["app.py", *(["--port", str(port)] if port else [])]
    app.main()


def main() -> None:
    """`python -m tests.engine.zero_space [scenes|page|app] --folder DIR [--port N]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", default="scenes")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int)
    flags = parser.parse_args()
    if flags.what == "scenes":
        with device_api() as api:
            os.environ.update(space_environment(api, flags.folder))
            without_gpu()
            print("TOLD " + json.dumps(scenes(flags.folder, api)), flush=True)
        return
    without_gpu()
    if flags.what == "app":
        app_page(flags.port)
    else:
        fake_page(flags.folder, flags.port)


if __name__ == "__main__":
    main()
