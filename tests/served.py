"""The page on the real pipeline with fakes for models, in this process or served by another one.

In the fakes' world "a dog and a toolbox" lacks the toolbox until it is fetched, "a car" matches at
once, a "slow" prompt takes five seconds a step, and a "broken" one raises what nobody foresaw.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from imgrag.models import OnStep
from imgrag.pipeline import ImageRAGPipeline
from tests.fakes import COLOURS, Cast, FakeGenerator, make_pipeline

ROOT = Path(__file__).parent.parent


class PageGenerator(FakeGenerator):
    """Slow enough for a page to show its steps. Fails on a "broken" prompt with a path in the message."""

    def draw(self, prompt: str, *, on_step: OnStep | None = None, **settings: Any) -> Image.Image:
        if "broken" in prompt:
            raise FileNotFoundError(2, "No such file", "/secret/place/model.bin")

        def slowly(step: int, steps: int, preview: Callable[[], Image.Image]) -> None:
            time.sleep(5.0 if "slow" in prompt else 0.06)
            if on_step:
                on_step(step, steps, preview)

        return super().draw(prompt, on_step=slowly, **settings)


def page_pipeline(folder: Path) -> ImageRAGPipeline:
    """The pipeline, with a library that names its source."""
    cast = Cast()
    cast.generator = PageGenerator(cast.crowd)
    pipeline = make_pipeline(folder, cast)
    rows = [f"{name}.png,{name},Noto Color Emoji,OFL-1.1" for name in COLOURS]
    text = "\n".join(["file_name,name,source,licence", *rows])
    (folder / "libraries" / "pocket" / "metadata.csv").write_text(text, encoding="utf-8")
    return pipeline


@contextmanager
def served(*command: str) -> Iterator[str]:
    """A page's address while its process, `python COMMAND --port N`, is alive."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/"
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)], cwd=ROOT)
    try:
        while not _answers(url):
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended with {process.returncode}")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    """Serve the page: `python -m tests.served --folder DIR [--port N] [--folders DIR]`."""
    from imgrag.ui import build_demo, launch

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--folders", type=Path)
    flags = parser.parse_args()
    demo = build_demo(page_pipeline(flags.folder), folders=flags.folders)
    launch(demo, warm_up=False, server_port=flags.port)


if __name__ == "__main__":
    main()
