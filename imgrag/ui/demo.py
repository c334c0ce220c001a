"""The page put together: a tab to create images, a tab for the library, events within and between them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.routes import App
from gradio.utils import get_upload_folder
from PIL import Image
from starlette.middleware import Middleware

from imgrag.captions import CaptionPipeline
from imgrag.engine.librarian import Librarian
from imgrag.errors import LibraryError
from imgrag.library import typed_folder
from imgrag.library.intake.pictures import MAX_PIXELS
from imgrag.texts import clean_line
from imgrag.ui import scripts
from imgrag.ui.captions.events import Captions
from imgrag.ui.captions.layout import build_captions, wire_caption_api, wire_captions
from imgrag.ui.create import markup
from imgrag.ui.create.batches import Batches, wire_batch_api
from imgrag.ui.create.events.changes import Changes, wire_changes
from imgrag.ui.create.events.inside import Looks, wire_inside
from imgrag.ui.create.events.prompts import Typing, wire_typing
from imgrag.ui.create.events.runs import Runs
from imgrag.ui.create.events.structures import wire_enlarging_api, wire_structure, wire_structure_api
from imgrag.ui.create.events.takings import Takings, wire_takings
from imgrag.ui.create.fields import Fields
from imgrag.ui.create.layout.forms import choices
from imgrag.ui.create.layout.many import (
    QUIET,
    build_many,
    build_many_panel,
    many_choices,
    speaking_many,
    wire_many,
)
from imgrag.ui.create.layout.panels import Panels, build_panels
from imgrag.ui.create.layout.settings import Controls, build_controls, knowing, offering
from imgrag.ui.create.layout.structure import speaking
from imgrag.ui.create.many import Many
from imgrag.ui.history.events import Past, wire_history
from imgrag.ui.history.layout import build_history
from imgrag.ui.history.owners import ARRIVAL, browser_key
from imgrag.ui.history.sharing import Sharing, wire_sharing
from imgrag.ui.language import both, label, words
from imgrag.ui.library.events import Shelves
from imgrag.ui.library.knowledge_events import Knowledge
from imgrag.ui.library.knowledge_layout import wire_knowledge
from imgrag.ui.library.layout import build_library, wire_library, wire_library_api
from imgrag.ui.server import connections, health, imports, shared
from imgrag.ui.server.door import stood_before
from imgrag.ui.server.guard import Guard, file_arguments
from imgrag.ui.server.hosts import Hosts, bracketed, served
from imgrag.ui.server.inputs import take_inputs
from imgrag.ui.server.skips import spare_skipped
from imgrag.ui.server.streams import Streams
from imgrag.ui.server.unforeseen import tell_unforeseen
from imgrag.ui.server.visitors import remembered
from imgrag.ui.theme import build_theme

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline
    from imgrag.models.profile import Profile

HERE = Path(__file__).parent
CACHE_SECONDS = (3600, 86400)  # look every hour, keep a day
MAX_UPLOAD = "100 MB"  # of a file; a zip holds many pictures
MAX_WAITING = 8  # in the queue, besides those that are served; whoever comes then is told to come back
PRIVATE = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"  # where a Space's router asks from
PROXIES = (
    "FORWARDED_ALLOW_IPS"  # uvicorn's variable for the addresses of proxies whose X-Forwarded-For counts
)
GPU: dict[str, Any] = {"concurrency_id": "gpu", "concurrency_limit": 1}


class Offered(Mapping[str, str]):
    """The libraries a run can take, as they are at each look: name in the browser -> what a request takes.

    A folder goes by its name: no path leaves the server.
    """

    def __init__(self, pipeline: ImageRAGPipeline, folder: Path | None = None) -> None:
        self._pipeline = pipeline
        self._folder = folder

    def __getitem__(self, name: str) -> str:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def _now(self) -> dict[str, str]:
        names = (self._pipeline.profile.retrieval.library, *self._pipeline.library_names())
        extra = {} if self._folder is None else {clean_line(self._folder.resolve().name): str(self._folder)}
        return {**{name: name for name in names}, **extra}


def build_demo(
    pipeline: ImageRAGPipeline, library: str | None = None, folders: Path | None = None, links: bool = False
) -> gr.Blocks:
    """The page for this pipeline.

    Args:
        library: a name or a folder on this machine, chosen first.
        folders: a folder of this machine; those below it can be added to libraries by name. Only for a
            page that nobody but this machine's people can open.
        links: people may make links to runs that anybody can look at; `launch` serves them.

    Raises:
        LibraryError: there is no such library, or `folders` is no folder.
    """
    if folders is not None and not folders.is_dir():
        raise LibraryError(f"There is no folder {str(folders)!r} to add pictures from.")
    offered, chosen = choose_library(pipeline, library)
    librarian = Librarian(pipeline)
    runs, shelves = Runs(pipeline, offered), Shelves(librarian, offered, folders)
    along, by_part = pipeline.profile.control, bool(pipeline.profile.adapter.style_layers)
    with gr.Blocks(
        title="ImageRAG", analytics_enabled=False, fill_width=True, delete_cache=CACHE_SECONDS
    ) as demo:
        gr.HTML(both(markup.elsewhere), elem_id="ir-elsewhere")
        gr.HTML(markup.languages(), elem_id="ir-languages")
        gr.HTML(both(partial(scripts.words_said, links)), elem_id="ir-words")
        with gr.Tabs(elem_id="ir-tabs") as tabs:
            with gr.Tab(label("Create"), id="create"), gr.Row(elem_id="ir-page", elem_classes="ir-two"):
                with gr.Column(scale=3, min_width=300, elem_id="ir-left"):
                    controls = build_controls(
                        _defaults(pipeline.profile), list(offered), chosen, pipeline.knowledge.names(),
                        pipeline.styles, pipeline.profile.reading.draws, pipeline.vocabulary, along, by_part,
                    )  # fmt: skip
                    fold = build_many()
                with gr.Column(scale=8, min_width=300, elem_id="ir-right"):
                    drawn = build_many_panel()
                    panels = build_panels(by_part, along is not None)
            neighbours = pipeline.profile.captions.k
            caption_tab = build_captions(list(offered), chosen, neighbours)
            past_tab = build_history()
            tab = build_library(
                librarian.names(), pipeline.knowledge.names(), folders is not None, MAX_UPLOAD
            )
        key = browser_key()
        drawing = controls.inputs["library"]
        fields = Fields({**controls.inputs, "locked": controls.locked, "pause": controls.pause}, offered)
        past = Past(runs, pipeline, fields)
        outputs = [*panels.outputs, controls.run]
        changes, structure = Changes(runs, pipeline), controls.structure
        ending = wire_changes(changes, panels, controls.pause, [*structure.inputs.values()], outputs, GPU)
        wire_structure(structure, pipeline, controls.field.prompt)
        ending += wire_history(past_tab, past, key, tabs, panels.replay, outputs, fields.outputs, GPU)
        _wire(runs, controls, panels, key, ending)
        many = Many(pipeline, offered)
        wire_many(many, fold, drawn, controls, key, GPU)
        demo.load(many_choices, None, speaking_many(fold), **QUIET)
        demo.unload(many.leave)
        looks = Looks(runs, pipeline)
        wire_inside(looks, panels.looks, panels.inside, GPU)
        demo.unload(looks.stop)
        takings = Takings(runs, pipeline, offered, panels.forms.fields, outputs)
        wire_takings(
            takings, [panels.picture, past_tab.grid], tab.gallery.grid, tab.shelf.name, key, tabs, controls.inputs,
            controls.locked, outputs,
        )  # fmt: skip
        wire_sharing(Sharing(runs, pipeline, links), [panels.picture, past_tab.grid], key)
        wire_typing(Typing(pipeline, offered), controls.field, drawing, controls.surprise)
        wire_library(tab, shelves, drawing, GPU)
        knowledge = Knowledge(pipeline.knowledge, librarian.embedder)
        wire_knowledge(tab.knowledge, knowledge, tab.tab)
        _wire_api(runs, controls, chosen)
        batches = Batches(pipeline, offered)
        strength = (along.scale, along.share) if along is not None else (1.0, 1.0)
        wire_batch_api(batches, chosen, strength, GPU)
        wire_structure_api(pipeline)
        wire_enlarging_api(pipeline)
        captions = Captions(CaptionPipeline(pipeline), pipeline, offered, runs.run_of)
        wire_captions(caption_tab, captions, tabs, controls.field.prompt, panels.caption, GPU)
        wire_caption_api(captions, chosen, neighbours)
        demo.unload(captions.leave)
        demo.unload(batches.leave)
        wire_library_api(shelves, chosen)
        quiet = QUIET
        left, draft = gr.JSON(visible=False), gr.JSON(visible=False)
        arriving = demo.load(None, key, [key, left, draft], js=ARRIVAL, **quiet)
        arriving.then(past.arrive, [key, left, draft], [*outputs, *fields.outputs], **quiet)
        gr.on(
            [part.change for part in fields.outputs], None, fields.outputs, None, js=fields.keeping(), **quiet
        )
        forms = panels.forms.fields
        demo.load(choices, None, [forms["matches"], forms["region"], forms["use"]], **quiet)
        bases = [controls.inputs["knowledge"], controls.inputs["knowledge_base"]]
        demo.load(lambda: knowing(pipeline.knowledge.names()), None, bases, **quiet)
        wearing = [controls.inputs["styles"], controls.gallery]
        demo.load(lambda: offering(pipeline.styles), None, wearing, **quiet)
        taken = [structure.inputs[name] for name in ("control_kind", "control_similar")]
        demo.load(lambda: speaking(along, by_part), None, taken, **quiet)
        demo.load(shelves.arrive, [tab.shelf.name, drawing], [tab.shelf.name, drawing], **quiet)
        demo.load(knowledge.arrive, tab.knowledge.name, tab.knowledge.name, **quiet)
        demo.unload(runs.leave)
        demo.unload(shelves.leave)
        demo.unload(knowledge.leave)
    take_inputs(demo)
    spare_skipped(demo)
    tell_unforeseen(demo)
    demo.queue(api_open=False, max_size=MAX_WAITING)
    return demo


def launch(
    demo: gr.Blocks, *, warm_up: bool = True, hosts: frozenset[str] = frozenset(),
    linked: Path | None = None, **options: Any,
) -> None:  # fmt: skip
    """Serve the page until the process is ended.

    Args:
        warm_up: import what the models need while the person still types.
        hosts: names that the page is served under besides those of this machine, as `read_hosts` gives them.
        linked: the folder of the runs that links may open; without it there are no links.
        options: `gr.Blocks.launch`'s own.
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # of what Gradio may decode; nothing that comes in is left to it
    sweep(Path(get_upload_folder()))
    known = served(hosts, options.get("server_name"), lambda: demo.share_url)
    options["server_name"] = bracketed(options.get("server_name"))
    # uvicorn believes these when they say for whom they ask; its own default is whoever asks from this machine.
    os.environ.setdefault(PROXIES, PRIVATE if known.routed else "")
    most = connections.most_connections()
    if warm_up:
        imports.announce()
    demo.launch(
        theme=build_theme(),
        css_paths=[HERE / name for name in scripts.STYLES],
        head=scripts.head(),
        footer_links=["api"],  # the language is chosen above; "Settings" are the page's own
        i18n=words(),
        max_file_size=MAX_UPLOAD.replace(" ", "").lower(),
        # An optional package. Gradio asks nobody who talks to its MCP server to log in.
        mcp_server=find_spec("mcp") is not None and not options.get("auth"),
        run_history=False,  # Gradio's own, which would speak to the hub
        enable_monitoring=False,
        app_kwargs=app_settings(demo, known, most, linked),
        prevent_thread_lock=True,
        ssr_mode=False,
        _frontend=False,  # no second look at localhost: it gives up after 3 s, which a busy machine may take
        **options,
    )
    connections.bound(demo.server, most)
    if warm_up:
        imports.begin()
    demo.block_thread()


def app_settings(demo: gr.Blocks, hosts: Hosts, most: int, linked: Path | None = None) -> dict[str, Any]:
    """What the page's web application gets besides Gradio's own: what stands before it, and the health routes.

    Args:
        most: connections that the process holds; one address has half of them for its requests.
        linked: the folder of the runs that links may open, if any.
    """

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(remembered(app))
            await stack.enter_async_context(
                stood_before(app, hosts, hosts.routed, most // 2, linked is not None)
            )
            yield

    guard = Middleware(
        Guard, pictures=file_arguments(demo), handlers=frozenset(demo.fns), framed=hosts.routed
    )
    return {
        "middleware": [guard, Middleware(Streams, demo=demo)],
        "routes": [*health.routes(), *([] if linked is None else shared.routes(linked))],
        "lifespan": lifespan,
    }


def sweep(folder: Path) -> None:
    """Remove served files that are too old: Gradio forgets those of a process that was killed."""
    for file in folder.rglob("*"):
        if file.is_file() and time.time() - file.stat().st_mtime > CACHE_SECONDS[1]:
            file.unlink(missing_ok=True)


def choose_library(pipeline: ImageRAGPipeline, extra: str | None) -> tuple[Offered, str]:
    """The libraries a run can take, and the name of the one that is chosen first.

    Raises:
        LibraryError: `extra` is neither a known library nor a folder.
    """
    offered = Offered(pipeline)
    if extra is None or extra in offered:
        return offered, extra or pipeline.profile.retrieval.library
    folder = typed_folder(extra)
    if folder is None:
        raise LibraryError(
            f"There is no library {extra!r}. Choose one of {', '.join(offered)}, or a folder of images."
        )
    return Offered(pipeline, folder), clean_line(folder.resolve().name)


def _defaults(profile: Profile) -> dict[str, Any]:
    """The profile's own values under the names a request has for them."""
    return {
        "negative_prompt": profile.generator.negative_prompt,
        "steps": profile.generator.steps,
        "guidance_scale": profile.generator.guidance_scale,
        "adapter_scale": profile.adapter.scale,
        "guided_share": profile.adapter.guided_share,
        "similarity_floor": profile.retrieval.similarity_floor,
        "max_concepts": profile.retrieval.max_concepts,
        "knowledge": profile.knowledge.when,
        "knowledge_base": profile.knowledge.base,
        "look_twice": profile.ranking.look_twice,
        "larger": None if profile.upscaler is None else profile.upscaler.usual,
    }


def _wire(runs: Runs, controls: Controls, panels: Panels, key: gr.BrowserState, ending: list[Any]) -> None:
    """Run by button or Enter, go on, and Stop, which ends the events of `ending` too.

    `cancels` takes a waiting run out of the queue as well.
    """
    outputs: list[Any] = [*panels.outputs, controls.run]
    heavy: dict[str, Any] = {
        "trigger_mode": "once", "show_progress": "minimal", "show_progress_on": outputs[0],
        "api_visibility": "private", **GPU,
    }  # fmt: skip
    running = gr.on(
        [controls.run.click, controls.field.prompt.submit],
        runs.stream,
        None,
        outputs,
        inputs_kwargs={**controls.inputs, "pause": controls.pause, "key": key, "locked": controls.locked},
        **heavy,
    )
    going_on = panels.go_on.click(runs.go_on, controls.pause, outputs, **heavy)
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    controls.stop.click(
        runs.stop, None, [outputs[0], outputs[-1]], cancels=[running, going_on, *ending], **quiet
    ).then(runs.settle, None, outputs, **quiet)


def _wire_api(runs: Runs, controls: Controls, library: str) -> None:
    """The named endpoints, for `gradio_client`; the hidden components only describe what they return.

    Libraries made later are no choices of a dropdown that was built before, so the name is a text.
    """
    inputs = {**controls.inputs, "library": gr.Textbox(library, visible=False, label="Library")}
    image = gr.Image(type="filepath", format="png", visible=False, label="image")
    record = gr.JSON(visible=False, label="record")
    gr.Button(visible=False).click(
        runs.call, None, [image, record], inputs_kwargs=inputs, api_name="run", **GPU
    )
    names = gr.JSON(visible=False, label="libraries")
    gr.Button(visible=False).click(runs.library_names, None, names, api_name="libraries", queue=False)
