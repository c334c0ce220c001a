"""What the Caption tab's events do: take a picture, caption it, go on after a change, stop, hand over to Create.

A picture is decoded in the line of pictures, before models are waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import LRUCache
from PIL import Image

from imgrag.captions import CaptionRequest
from imgrag.captions.events import CaptionEvent, CaptionFinished, CaptionStageDone, CaptionWords
from imgrag.captions.pipeline import with_prompt, without
from imgrag.captions.records import record
from imgrag.errors import LibraryError, RequestError
from imgrag.runs.captions import Captioned
from imgrag.runs.values import Run
from imgrag.ui.captions import cards
from imgrag.ui.create import markup
from imgrag.ui.create.events.runs import cached, chosen, explain
from imgrag.ui.language import say
from imgrag.ui.library.uploads import read_upload
from imgrag.ui.server import imports

if TYPE_CHECKING:
    from imgrag.captions import CaptionPipeline
    from imgrag.engine.pipeline import ImageRAGPipeline

MOST_PAGES = 100  # whose last caption is at hand
Updates = list[Any]
OUTPUTS = 9  # of `CaptionTab.outputs`


@dataclass
class _Page:
    """What one page has captioned; `fresh` until that has begun, `at_work` while something of it is under way."""

    picture: Image.Image
    request: CaptionRequest
    known: Captioned = field(default_factory=Captioned)
    stop: threading.Event = field(default_factory=threading.Event)
    fresh: bool = True
    at_work: bool = False


class Captions:
    """The handlers of one page.

    Args:
        offered: name in the browser -> what a request takes; nothing else can be opened from a browser.
        run_of: the run that a page shows in Create.
        results: where Create's images lie, as files that Gradio may serve.
    """

    def __init__(
        self,
        captions: CaptionPipeline,
        pipeline: ImageRAGPipeline,
        offered: Mapping[str, str],
        run_of: Callable[[gr.Request], Run | None],
    ) -> None:
        self._captions, self._pipeline, self._offered, self._run_of = captions, pipeline, offered, run_of
        self._pages: dict[str, _Page] = LRUCache(MOST_PAGES)  # by session hash

    def arrive(self, library: str | None) -> Any:
        """The tab was opened: which libraries there are by now."""
        names = list(self._offered)
        return gr.update(choices=names, value=library if library in names else next(iter(names), None))

    def take(self, request: gr.Request, picture: str | None, library: str | None, k: float | None) -> str:
        """Read the picture: the banner. Where it is refused, what was captioned before stays."""
        try:
            page = self._taken(picture, library, k)
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            return markup.sentence(explain(error))
        self.leave(request)
        self._pages[request.session_hash or ""] = page
        return ""

    def write(self, request: gr.Request) -> Iterator[Updates]:
        """Caption the picture that was taken, unless it was refused: one list of updates a step."""
        page = self._pages.get(request.session_hash or "")
        if page is None or not page.fresh:
            yield [gr.skip()] * OUTPUTS
            return
        page.fresh = False
        yield from self._followed(
            page, lambda: self._captions.stream(page.picture, page.request, page.stop), fresh=True
        )

    def keep(self, request: gr.Request, kept: Sequence[str] | None) -> Iterator[Updates]:
        """Go on with the ticked neighbours alone."""

        def change(known: Captioned) -> Captioned:
            gone = [one for one in known.neighbours if cards.key(one) not in (kept or ())]
            return without(known, ((one.part, one.candidate.file) for one in gone))

        yield from self._changed(request, change)

    def rewrite(self, request: gr.Request, prompt: str) -> Iterator[Updates]:
        """Go on with the prompt as a person wrote it."""
        yield from self._changed(request, lambda known: with_prompt(known, prompt))

    def bring(self, request: gr.Request) -> Updates:
        """Create's result comes here to be captioned: which tab, the picture, the banner."""
        run = self._run_of(request)
        file = self._pipeline.results / (run.id if run else "") / "result.png"
        if run is None or run.state != "finished" or not file.is_file():
            raise gr.Error(say("There is no result to caption yet."), print_exception=False)
        return [gr.Tabs(selected="caption"), cached(file), ""]

    def use(self, text: str) -> Updates:
        """The caption goes to Create: which tab, and the prompt there."""
        return [gr.Tabs(selected="create"), text]

    def stop(self, request: gr.Request) -> Any:
        """Stop what is at work or waits for its turn: the banner, which says nothing new where nothing is."""
        page = self._pages.get(request.session_hash or "")
        if page is None or not (page.fresh or page.at_work):
            return gr.skip()
        page.stop.set()
        page.fresh = page.at_work = False
        return markup.sentence("The caption was stopped.")

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        page = self._pages.pop(request.session_hash or "", None)
        if page is not None:
            page.stop.set()

    def caption(self, image: str | None = None, library: str = "", k: float = 5) -> dict[str, Any]:
        """Say what an image shows, by the captions of similar images.

        Args:
            image: the image.
            library: whose captions are read, one of those that library_list gives.
            k: how many images like the whole one are read of, 1 to 50.

        Returns:
            The caption, the neighbours with their captions and scores, and the prompt that was made of them.
        """
        try:
            if not image:
                raise RequestError("There is no picture. Send one as image.")
            page = self._taken(image, library, k)
            imports.wait()
            return record(self._captions(page.picture, page.request))
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from error

    def _taken(self, picture: str | None, library: str | None, k: float | None) -> _Page:
        if not picture:
            raise RequestError(
                "There is no picture yet. Choose one, or draw one and press “Caption it” there."
            )
        asked = CaptionRequest(library=chosen(self._offered, library), k=None if k is None else int(k))
        return _Page(read_upload(picture), asked)

    def _changed(self, request: gr.Request, change: Callable[[Captioned], Captioned]) -> Iterator[Updates]:
        page = self._pages.get(request.session_hash or "")

        def begin() -> Generator[CaptionEvent, None, None]:
            if page is None or not page.known.parts:
                raise RequestError("There is nothing to go on with. Choose a picture and press “Caption it”.")
            page.stop = threading.Event()
            return self._captions.resume(page.picture, change(page.known), page.request, page.stop)

        yield from self._followed(page, begin)

    def _followed(
        self,
        page: _Page | None,
        begin: Callable[[], Generator[CaptionEvent, None, None]],
        fresh: bool = False,
    ) -> Iterator[Updates]:
        try:
            if page is not None:
                page.at_work = True
            imports.wait()
            events = begin()
            if fresh:
                yield ["", "", gr.update(choices=[], value=[], visible=False), "", "", "", *_buttons(False)]
            for event in events:
                yield self._seen(page, event)
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            yield [markup.sentence(explain(error)), *[gr.skip()] * (OUTPUTS - 4), *[gr.skip()] * 3]
        finally:
            if page is not None:
                page.at_work = False

    def _seen(self, page: _Page | None, event: CaptionEvent) -> Updates:
        updates: Updates = [gr.skip()] * OUTPUTS
        updates[0] = ""
        if isinstance(event, CaptionWords):
            updates[4] = event.text
        if isinstance(event, CaptionStageDone) and event.stage == "neighbours":
            choices = [cards.choice(one) for one in event.captioned.neighbours]
            read = [cards.key(one) for one in event.captioned.neighbours if one.counts]
            updates[1] = cards.neighbours(event.captioned, self._thumbnail(event.captioned))
            updates[2] = gr.update(choices=choices, value=read, visible=bool(choices))
        if isinstance(event, CaptionStageDone) and event.stage == "prompt":
            updates[3] = event.captioned.prompt
        if isinstance(event, CaptionFinished) and page is not None:
            page.known = event.captioned
            updates[3:6] = [event.captioned.prompt, event.captioned.caption, cards.written(event.captioned)]
            updates[6:] = _buttons(True)
        return updates

    def _thumbnail(self, captioned: Captioned) -> Callable[[str], str]:
        page_library = self._pipeline.library(self._offered.get(captioned.library, captioned.library))

        def shown(file: str) -> str:
            try:
                return markup.data_uri(page_library.thumbnail(file, cards.SIDE), cards.SIDE, "webp")
            except LibraryError:  # it vanished since it was added
                return ""

        return shown


def _buttons(ready: bool) -> Updates:
    return [gr.update(interactive=ready)] * 3
