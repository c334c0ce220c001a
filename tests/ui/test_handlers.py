"""All handlers of the page and its endpoints, with whatever can be missing missing, and as they break."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.blocks import BlockFunction
from gradio.state_holder import SessionState

from imgrag.errors import Cancelled, LibraryError, RequestError
from imgrag.runs.values import MAX_PROMPT
from imgrag.ui.create.events.prompts import asked
from imgrag.ui.create.events.runs import chosen
from imgrag.ui.demo import build_demo
from imgrag.ui.server.inputs import take_inputs
from imgrag.ui.server.unforeseen import tell_unforeseen
from tests.served import page_pipeline

REQUEST = SimpleNamespace(session_hash="nobody", headers={}, query_params={}, username=None)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    return build_demo(page_pipeline(tmp_path_factory.mktemp("page")))


def handlers(demo: gr.Blocks) -> Iterator[BlockFunction]:
    """Every one that runs on the server."""
    return (handler for handler in demo.fns.values() if handler.fn is not None)


def takes_event(handler: BlockFunction) -> bool:
    return "EventData" in str(inspect.signature(handler.fn).parameters)


async def told(
    demo: gr.Blocks, handler: BlockFunction, request: Any = REQUEST, sent: list[Any] | None = None
) -> str:
    """What the person is told where all that can be is `null`, or `sent`; "" if it goes to its end."""
    sent = [None] * len(handler.inputs) if sent is None else sent
    state, iterator = SessionState(demo), None
    try:
        while True:
            done = await demo.process_api(
                handler, sent, state=state, request=request, iterator=iterator, session_hash="nobody"
            )
            iterator = done["iterator"]
            if not done["is_generating"]:
                return ""
    except gr.Error as error:
        return error.message


def test_no_handler_breaks_where_nothing_is_sent(demo: gr.Blocks) -> None:
    said = {handler: asyncio.run(told(demo, handler)) for handler in handlers(demo)}
    names = {handler.name for handler in said}
    assert len(said) > 60
    assert names > {"begin", "stream", "call", "bring", "adjust", "library_search", "create", "look"}
    surprised = {h.name for h, words in said.items() if "our side" in words and not takes_event(h)}
    assert surprised <= {"load_example"}, "Gradio's own, which is always sent the number of an example"


@pytest.mark.parametrize("odd", [{"path": 5}, "x", [["a"]], ["pocket"], math.nan], ids=str)
def test_what_a_field_does_not_take_is_a_sentence(demo: gr.Blocks, odd: Any) -> None:
    """Each field of each handler in turn, as a program may send it."""
    refused = 0
    for handler in filter(lambda handler: not takes_event(handler), handlers(demo)):
        for place in range(len(handler.inputs)):
            sent = [None] * len(handler.inputs)
            sent[place] = odd
            words = asyncio.run(told(demo, handler, sent=sent))
            assert "our side" not in words, (handler.name, handler.inputs[place])
            refused += "does not take" in words
    assert refused


def test_what_nobody_foresaw_is_a_sentence_in_every_handler(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(2, "No such file", "/secret/place")

    demo = build_demo(page_pipeline(tmp_path))
    for handler in handlers(demo):
        handler.fn = broken
        words = asyncio.run(told(demo, handler))
        assert words.startswith("Something went wrong on our side (run "), handler.name
        assert "secret" not in words
        number = words.split("run ")[1].split(")")[0]
        assert number in str(vars(caplog.records[-1])), "the log has it under the same number"
    assert "/secret/place" in caplog.text


def small(handler: Any, *inputs: gr.components.Component) -> tuple[gr.Blocks, BlockFunction]:
    with gr.Blocks() as demo:
        for component in inputs:
            component.render()
        out = gr.JSON()
        gr.Button().click(handler, list(inputs), out)
    take_inputs(demo)
    tell_unforeseen(demo)
    return demo, next(iter(demo.fns.values()))


def test_nothing_stands_for_a_components_own_value() -> None:
    seen: list[Any] = []
    inputs = (
        gr.Textbox("pocket"), gr.Textbox(), gr.Checkbox(True), gr.Slider(1, 5, 3), gr.Number(7), gr.Dropdown(["a"]),
    )  # fmt: skip
    demo, handler = small(lambda *values: seen.extend(values), *inputs)
    asyncio.run(told(demo, handler))
    assert seen == ["pocket", "", True, 3, None, None]


@pytest.mark.parametrize(
    ("name", "sent", "words"),
    [
        ("knowledge", "maybe", "The field 'Knowledge' does not take 'maybe'; it takes one of: off, on, unknown."),
        ("knowledge", ["on"], "The field 'Knowledge' does not take"),
        ("knowledge_base", ["pocket"], "The field 'Knowledge base' does not take \"['pocket']\"; it takes a text."),
        ("knowledge_base", 5, "The name of the knowledge base must be a text."),
        ("styles", {"a": 1}, "The field 'Styles' does not take \"{'a': 1}\"; it takes a text."),
        ("guidance_scale", 99, "The field 'Guidance scale' does not take '99'; it takes a number from 0 to 30."),
        ("weight_2", "x", "The field 'Weight 2' does not take 'x'; it takes a number from 0 to 2."),
        ("seed", [1], "The field 'Seed' does not take '[1]'; it takes a number"),
        ("library", "x" * 5000, "There is no library"),
    ],
)  # fmt: skip
def test_an_odd_value_of_a_program_is_a_sentence_that_names_its_field(
    demo: gr.Blocks, name: str, sent: Any, words: str
) -> None:
    (run,) = [handler for handler in handlers(demo) if handler.api_name == "run"]
    names = [
        parameter["parameter_name"]
        for parameter in demo.get_api_info()["named_endpoints"]["/run"]["parameters"]
    ]
    values: list[Any] = [None] * len(names)
    values[names.index("prompt")], values[names.index(name)] = "a car", sent
    said = asyncio.run(told(demo, run, sent=values))
    assert said.startswith(words) and len(said) < 500


def failing(error: Exception) -> Any:
    def handler() -> Iterator[int]:
        yield 1
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (gr.Error("a sentence"), "a sentence"),
        (LibraryError("No library is chosen."), "No library is chosen."),
        (Cancelled("The run was stopped."), "The run was stopped."),
        (KeyError("x"), "Something went wrong on our side"),
    ],
)
def test_a_generator_is_told_of_in_the_middle_too(error: Exception, says: str) -> None:
    demo, handler = small(failing(error))
    assert says in asyncio.run(told(demo, handler))


def test_the_sentence_is_in_the_language_of_who_asked() -> None:
    demo, handler = small(
        failing(LibraryError("No library is chosen. Create one, or choose one from the list."))
    )
    chinese = gr.Request(headers={"accept-language": "zh-CN"}, session_hash="nobody")
    assert "没有选择图库" in asyncio.run(told(demo, handler, chinese))


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [],
        {},
        {"text": "a"},
        {"text": None, "before": "", "number": 1},
        {"text": "a", "before": "", "number": "x"},
    ],
)
def test_a_question_that_no_page_asks_is_a_sentence(sent: Any) -> None:
    with pytest.raises(RequestError, match="Load the page again"):
        asked(gr.EventData(None, sent))


def test_of_a_question_so_much_is_read() -> None:
    text, before, number = asked(
        gr.EventData(None, {"text": "a" * 9000, "before": "b" * 9000, "number": 10**30})
    )
    assert len(text) == MAX_PROMPT and len(before) < MAX_PROMPT and number < 2**53


@pytest.mark.parametrize("library", [["pocket"], {"a": 1}, 5, "nowhere"])
def test_a_library_that_is_not_offered_is_a_sentence(library: Any) -> None:
    with pytest.raises(RequestError, match="There is no library"):
        chosen({"pocket": "pocket"}, library)
