"""The page put together: controls on the left, panels on the right, events between them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library import library_names
from imgrag.ui import imports
from imgrag.ui.panels import build_panels
from imgrag.ui.runs import Runs
from imgrag.ui.settings import Controls, build_controls
from imgrag.ui.theme import build_theme

if TYPE_CHECKING:
    from imgrag.pipeline import ImageRAGPipeline
    from imgrag.profile import Profile

HERE = Path(__file__).parent
CACHE_SECONDS = (3600, 86400)  # look every hour, keep a day
MAX_PIXELS = 40_000_000  # of any image that is decoded; a bomb is refused
GPU: dict[str, Any] = {"concurrency_id": "gpu", "concurrency_limit": 1}


def build_demo(pipeline: ImageRAGPipeline, library: str | None = None) -> gr.Blocks:
    """The page for this pipeline. `library`, a name or a folder on this machine, is chosen first."""
    libraries, chosen = choose_library(pipeline, library)
    runs = Runs(pipeline, libraries)
    with gr.Blocks(
        title="ImageRAG", analytics_enabled=False, fill_width=True, delete_cache=CACHE_SECONDS
    ) as demo:
        with gr.Row(elem_id="ir-page"):
            with gr.Column(scale=3, min_width=300, elem_id="ir-left"):
                controls = build_controls(_defaults(pipeline.profile), list(libraries), chosen)
            with gr.Column(scale=8, min_width=300, elem_id="ir-right"):
                panels = build_panels()
        _wire(runs, controls, [*panels.outputs, controls.run])
        _wire_api(runs, controls)
        demo.unload(runs.leave)
    demo.queue(api_open=False, max_size=20)
    return demo


def launch(demo: gr.Blocks, *, warm_up: bool = True, **options: Any) -> None:
    """Serve the page until the process is ended.

    Args:
        warm_up: import what the models need while the person still types.
        options: `gr.Blocks.launch`'s own.
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    sweep(Path(get_upload_folder()))
    if warm_up:
        imports.announce()
    demo.launch(
        theme=build_theme(),
        css_paths=HERE / "page.css",
        head=f"<script>{(HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        footer_links=["api", "settings"],
        max_file_size="20mb",
        prevent_thread_lock=True,
        ssr_mode=False,
        _frontend=False,  # no second look at localhost: it gives up after 3 s, which a busy machine may take
        **options,
    )
    if warm_up:
        imports.begin()
    demo.block_thread()


def sweep(folder: Path) -> None:
    """Remove served files that are too old: Gradio forgets those of a process that was killed."""
    for file in folder.glob("*/*"):
        if file.is_file() and time.time() - file.stat().st_mtime > CACHE_SECONDS[1]:
            file.unlink(missing_ok=True)


def choose_library(pipeline: ImageRAGPipeline, extra: str | None) -> tuple[dict[str, str], str]:
    """Name in the browser -> what a request takes, and the name that is chosen first.

    A folder goes by its name: no path leaves the server.

    Raises:
        LibraryError: `extra` is neither a known library nor a folder.
    """
    own = pipeline.profile.retrieval.library
    names = {name: name for name in (own, *library_names(pipeline.libraries))}
    if extra is None or extra in names:
        return names, extra or own
    folder = Path(extra).expanduser()
    if not folder.is_dir():
        raise LibraryError(
            f"There is no library {extra!r}. Choose one of {', '.join(names)}, or a folder of images."
        )
    name = folder.resolve().name
    return {**names, name: str(folder)}, name


def _defaults(profile: Profile) -> dict[str, Any]:
    """The profile's own values under the names a request has for them."""
    return {
        "negative_prompt": profile.generator.negative_prompt,
        "steps": profile.generator.steps,
        "guidance_scale": profile.generator.guidance_scale,
        "adapter_scale": profile.adapter.scale,
        "similarity_floor": profile.retrieval.similarity_floor,
        "max_concepts": profile.retrieval.max_concepts,
    }


def _wire(runs: Runs, controls: Controls, outputs: list[Any]) -> None:
    """Run by button or Enter, and Stop. `cancels` takes a waiting run out of the queue as well."""
    running = gr.on(
        [controls.run.click, controls.prompt.submit],
        runs.stream,
        None,
        outputs,
        inputs_kwargs=dict(controls.inputs),
        trigger_mode="once",
        show_progress="minimal",
        show_progress_on=outputs[0],
        api_visibility="private",
        **GPU,
    )
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    controls.stop.click(runs.stop, None, [outputs[0], outputs[-1]], cancels=[running], **quiet).then(
        runs.settle, None, outputs, **quiet
    )


def _wire_api(runs: Runs, controls: Controls) -> None:
    """The named endpoints, for `gradio_client`; the hidden components only describe what they return."""
    image = gr.Image(type="filepath", format="png", visible=False, label="image")
    record = gr.JSON(visible=False, label="record")
    gr.Button(visible=False).click(
        runs.call, None, [image, record], inputs_kwargs=dict(controls.inputs), api_name="run", **GPU
    )
    names = gr.JSON(visible=False, label="libraries")
    gr.Button(visible=False).click(runs.library_names, None, names, api_name="libraries", queue=False)
