"""The page in Chinese: nothing of it is left in English, and nothing that is a person's is touched."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import Formatter

import gradio as gr
import pytest
from gradio.context import LocalContext

from imgrag.models.profile import load_profile
from imgrag.runs.trace import trace
from imgrag.runs.values import Request, Run
from imgrag.ui import language
from imgrag.ui.create import markup, verdicts
from imgrag.ui.create.board import Board
from imgrag.ui.language import Template, both, label, language_of, say, speaking, told, words
from tests.engine.test_augmenting import FRIEND, WRITTEN, Writer, knowing
from tests.fakes import Cast, FakeChat, ShyJudge, make_library, make_pipeline

PACKAGE = Path(language.__file__).parent.parent
PAGE = sorted((PACKAGE / "ui").rglob("*.py"))
ENGINE = [
    *(PACKAGE / "models" / f"{name}.py" for name in ("residency", "checkpoints")),
    *(
        file
        for room in ("runs", "engine", "archive", "knowledge", "styles", "library")
        for file in sorted((PACKAGE / room).rglob("*.py"))
    ),
    *(
        PACKAGE / "commands" / f"{name}.py" for name in ("grid", "grid_sheet", "prompt_files")
    ),  # the page's too
]
INNER = (
    "ValueError",
    "TypeError",
    "KeyError",
    "AttributeError",
    "FileExistsError",
)  # nobody reads their texts
SPOKEN = re.compile(r"[\u4e00-\u9fff]")
TABLE = language.tomllib.loads(language.CATALOGUE.read_text(encoding="utf-8"))


def calls(files: list[Path], *names: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls of functions or classes with these names, or names that end so; also within `partial`."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called == "partial" and isinstance(node.args[0], ast.Name):
                called, node = node.args[0].id, ast.Call(node.func, node.args[1:], [])
            if called.endswith(names):
                yield file.name, node


def literals(*names: str) -> set[str]:
    """What these functions of the page are called with, where it is a literal."""
    found = {node.args[0] for _, node in calls(PAGE, *names) if node.args}
    return {str(text.value) for text in found if isinstance(text, ast.Constant)}


def rendered(node: ast.expr) -> str | None:
    """A literal or f-string with dummies in its placeholders; `None` for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if not isinstance(node, ast.JoinedStr):
        return None
    parts = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            parts.append("'7'" if part.conversion == ord("r") else "7")
        else:
            parts.append(str(part.value))  # type: ignore[attr-defined]
    return "".join(parts)


def in_chinese(sentence: str) -> str:
    with speaking("zh"):
        return told(sentence)


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def request(**headers: str) -> gr.Request:
    return gr.Request(headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_what_components_are_built_with_has_a_translation() -> None:
    assert literals("label") == set(TABLE["labels"])


def test_what_the_server_says_has_a_translation() -> None:
    assert literals("say") - set(TABLE["labels"]) == set(TABLE["texts"])
    for _, node in calls(PAGE, "say"):
        assert isinstance(node.args[0], ast.Constant), ast.unparse(node)


def test_a_key_that_gradio_has_no_words_for_and_a_shape_without_a_name_are_translated() -> None:
    texts = words().translations
    assert (texts["en"]["common.upload"], texts["zh"]["common.upload"]) == ("Upload", "上传")
    assert (texts["en"]["common.complete"], texts["zh"]["common.complete"]) == ("complete", "完成")
    shown = in_chinese("it shows something and cat; everything is there")
    assert "某样东西" in shown and "cat" in shown and "something" not in shown


@pytest.mark.parametrize("section", TABLE)
def test_a_translation_has_the_placeholders_of_its_text(section: str) -> None:
    foreign = {
        "a red toolbox",
        ", ",
        "...",
        "{name}: {reason:known}.",
        "{file} ({reason:known})",
        "it {lacks:known}",
    }
    for english, chinese in TABLE[section].items():
        assert fields(english) == fields(chinese), english
        assert SPOKEN.search(chinese) or english in foreign or " · " in english, english


def test_every_error_of_the_engine_is_translated() -> None:
    names = ("Error", "Cancelled", "UnreadablePicture", "Skipped", "Progress")
    unknown = []
    for file, node in calls([*ENGINE, *PAGE], *names):
        if getattr(node.func, "id", "") in INNER:
            continue
        unknown += [
            f"{file}: {text}"
            for text in map(rendered, node.args)
            if text and " " in text and not SPOKEN.search(in_chinese(text))
        ]
    assert not unknown, "\n".join(unknown)


def test_no_sentence_is_left_over(tmp_path: Path) -> None:
    texts = {text for run in runs(tmp_path) for text in sentences(run)}
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        texts |= {text for node in ast.walk(tree) if (text := rendered(node))}  # type: ignore[arg-type]
    texts |= {load_profile(name).reading.draws for name in ("pocket", "sdxl")}
    whole = "\n".join(texts)
    unused = []
    for english in TABLE["sentences"]:
        template = Template.read(english, "")
        pieces = [own for own, *_ in Formatter().parse(english) if own.strip(" .:;(\"'")]
        if not any(map(template.pattern.fullmatch, texts)) and not all(piece in whole for piece in pieces):
            unused.append(english)
    assert not unused, "\n".join(unused)


@pytest.mark.parametrize(
    "case",
    ["found", "matches", "idea", "floor", "worse", "likelier", "rounds", "garbled", "spelling", "several"],
)
def test_all_that_a_run_says_is_translated(case: str, tmp_path: Path) -> None:
    run = make_run(case, tmp_path)
    said = sentences(run)
    assert len(said) > 1
    for sentence in said:
        chinese = in_chinese(sentence)
        english = re.findall(r"[A-Za-z]+", re.sub(r"“[^”]*”|\S+\.png|\w+ \w+ (?=\()", "", chinese))
        assert SPOKEN.search(chinese) and chinese != sentence, sentence
        assert not {"the", "is", "it", "image", "and", "lacks"} & set(english), chinese


@pytest.mark.parametrize("written", [WRITTEN, "a dog on a red background", "an owl and a cat", " "])
def test_what_was_looked_up_is_told_in_chinese(written: str, tmp_path: Path) -> None:
    run = knowing(tmp_path, Cast(llm=Writer(written)))(FRIEND)
    told_of = [sentence for sentence in trace(run) if "Looked up" in sentence or "ritten" in sentence]
    told_of += [sentence for sentence in trace(run) if "drawn as it was" in sentence]
    assert len(told_of) == 3
    for sentence in told_of:
        chinese = re.sub(r"“[^”]*”|（[^）]*）", "", in_chinese(sentence))
        assert SPOKEN.search(chinese) and not re.search(r"[a-z]{4}", chinese), chinese


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("The image already matches the prompt.", "图像已经符合提示词。"),
        ("Round 2: To look up: owl, cat and toolbox.", "第 2 轮：要查找：owl、cat 和 toolbox。"),
        (
            "There is no good reference. owl: no picture can show it. seed: the image already shows it.",
            "没有合适的参考图。owl：无法用图片表现。seed：图中已经有了。",
        ),
        (
            'Drew "a dog. The run was stopped. x" with seed 7.',
            "按“a dog. The run was stopped. x”绘制，随机种子 7。",
        ),
        (
            "The judge says of the initial image: it lacks seed and prompt.",
            "对初始图像的评判：缺少 seed 和 prompt。",
        ),
        (
            "The judge says of the initial image: it shows cat; it lacks owl and perhaps still shows dog.",
            "对初始图像的评判：图中有 cat，缺少 owl，而且可能还有 dog。",
        ),
        (
            "The initial image is kept: the enhanced one is no better, it perhaps still shows dog.",
            "保留初始图像：增强图像并没有更好，可能还有 dog。",
        ),
        (
            "The judge says of the enhanced image: it perhaps lacks owl and cat.",
            "对增强图像的评判：可能缺少 owl 和 cat。",
        ),
        (
            "The judge says of the enhanced image: it lacks something that the judge did not name.",
            "对增强图像的评判：缺少评判未指明的内容。",
        ),
        (
            "2 files of the library left out: a.png (it is empty), b.png (it has 50 megapixels, more than 40).",
            "图库中有 2 个文件未采用：a.png（文件是空的）、b.png（有 50 百万像素，超过 40 百万）。",
        ),
        (
            "There is no library 'it {x}'. Known are: none yet. A folder of images will do too.",
            "没有图库“it {x}”。已有：暂无。也可以用图片文件夹。",
        ),
        (
            "The seed is -1; it must be a whole number from 0 to 4.",
            "随机种子的值是 -1，应为 0 到 4 之间的整数。",
        ),
        (
            "A person changed the verdict of round 2, from lacks owl and cat to matches.",
            "用户修改了第 2 轮的评判：由缺少 owl 和 cat 改为符合。",
        ),
        ("The run was stopped. Nobody knows this.", "运行已停止。Nobody knows this."),
    ],
)
def test_sentences_are_told_in_chinese(english: str, chinese: str) -> None:
    assert in_chinese(english) == chinese
    assert told(english) == english


@pytest.mark.parametrize(
    "text", ["", "seed", "prompt: image", "Nobody knows this.", "owl: nice.", "运行已停止。"]
)
def test_what_is_unknown_stays_as_it_is(text: str) -> None:
    assert in_chinese(text) == text


def test_the_most_specific_sentence_wins() -> None:
    """Every sentence, filled in with dummies, is told by its own template and by no wider one."""
    dummies = {
        "": "x7",
        "number": "7",
        "quoted": "'x7'",
        "names": "x7",
        "list": "x7",
        "words": "x7",
        "known": "it is empty",
    }
    catalogue = language._catalogue()
    for english in TABLE["sentences"]:
        text = re.sub(r"\{\w+:?(\w*)\}", lambda found: dummies[found[1]], english)
        match = catalogue.match(text)
        assert match is not None and match[0].english == english, text


def test_a_long_text_is_told_in_time_that_its_length_allows() -> None:
    """No template goes back and forth over a text: hundreds of sentences in a prompt are one placeholder."""
    prompt = "a. b: c (d). " * 150
    assert in_chinese(f'Drew "{prompt}" with seed 1.') == f"按“{prompt}”绘制，随机种子 1。"


@pytest.mark.parametrize(
    ("headers", "spoken"),
    [
        ({}, "en"),
        ({"accept_language": "zh-CN,zh;q=0.9,en;q=0.8"}, "zh"),
        ({"accept_language": "zh-TW"}, "zh"),
        ({"accept_language": "ZH"}, "zh"),
        ({"accept_language": "en-US,en;q=0.9,zh-CN;q=0.8"}, "en"),
        ({"accept_language": "en;q=0.5, zh-Hans-CN;q=0.8"}, "zh"),
        ({"accept_language": "zh;q=0, en;q=0.1"}, "en"),
        ({"accept_language": "zhx, de"}, "en"),
        ({"accept_language": ";;q=,,zh;q=x"}, "en"),
        ({"accept_language": "en", "cookie": "a=1; imgrag-language=zh-CN; b=2"}, "zh"),
        ({"accept_language": "zh", "cookie": "imgrag-language=en"}, "en"),
        ({"accept_language": "zh", "cookie": "not-imgrag-language=en"}, "zh"),
    ],
)
def test_the_language_is_that_of_the_page_or_else_of_the_browser(
    headers: dict[str, str], spoken: str
) -> None:
    assert language_of(request(**headers)) == spoken


def test_the_request_in_hand_decides_and_speaking_overrules_it() -> None:
    assert say("Waiting") == "Waiting"
    token = LocalContext.request.set(request(accept_language="zh-CN"))
    try:
        assert say("Waiting") == "等待中" and told("it is empty") == "文件是空的"
        with speaking("en"):
            assert say("Waiting") == "Waiting"
        assert say("{seconds} s", seconds="{left}") == "{left} 秒"
    finally:
        LocalContext.request.reset(token)


def test_a_label_is_what_gradio_translates_in_the_browser() -> None:
    assert label("Prompt") == str(gr.I18n()("Prompt"))
    shown = both(lambda: markup.strip(Board()))
    table = words().translations_dict
    english = markup.strip(Board())
    assert shown == label(english) and table["en"][english] == english
    assert "准备就绪" in table["zh"][english] and table["zh"]["Prompt"] == "提示词"
    assert both(lambda: "") == ""


def test_the_page_shows_no_english_of_ours_in_chinese(tmp_path: Path) -> None:
    run = make_run("found", tmp_path)
    with speaking("zh"):
        html = verdicts.outcome(run) + markup.trace_list(trace(run)) + markup.sentence("it is <b>empty</b>.")
    assert "增强图像包含提示词中的全部内容" in html and "按“a dog and an owl”绘制" in html
    assert "it is &lt;b&gt;empty&lt;/b&gt;." in html


def sentences(run: Run) -> list[str]:
    """Everything a run says in words, an item each."""
    reasons = [item.reason for now in run.rounds for item in (*now.rejected, *now.unfound)]
    return [*trace(run), *run.notes, run.why, *reasons, *(r.reason for r in run.stages if r.reason)]


def runs(folder: Path) -> list[Run]:
    cases = (
        "found",
        "matches",
        "idea",
        "floor",
        "worse",
        "likelier",
        "rounds",
        "garbled",
        "spelling",
        "several",
    )
    return [make_run(case, folder / case) for case in cases]


def make_run(case: str, folder: Path) -> Run:
    """A finished run of one kind: by which models, for which request."""
    owl = Request("a dog and an owl", steps=1, seed=7)
    no_owl, worse = "Seen: dog\nMatches: no\nMissing: owl", "Seen: \nMatches: no\nMissing: dog, owl"
    cast, request = {
        "found": (Cast(), owl),
        "matches": (Cast(), Request("a dog", steps=1)),
        "idea": (
            Cast(vlm=FakeChat("Seen: dog\nMatches: no\nMissing: idea")),
            Request("a dog and an idea", steps=1),
        ),
        "floor": (Cast(), replace(owl, library="small", similarity_floor=0.26)),
        "worse": (Cast(vlm=FakeChat(no_owl, worse)), replace(owl, library="mixed")),
        "likelier": (Cast(vlm=ShyJudge(no_owl)), replace(owl, library="mixed")),
        "rounds": (Cast(vlm=FakeChat(no_owl)), replace(owl, rounds=3, similarity_floor=0.5)),
        "several": (Cast(), replace(owl, images=3)),
        "garbled": (Cast(vlm=FakeChat("What?"), llm=FakeChat("What?")), owl),
        "spelling": (Cast(), Request("a dgo and an owl " + "far " * 40, steps=1)),
    }[case]
    pipeline = make_pipeline(folder, cast)
    libraries = folder / "libraries"
    make_library(libraries / "small", "dog", "cat")
    make_library(libraries / "mixed", "dog", "owl")
    for broken in ("small/a.png", "mixed/a.png", "mixed/b.png"):
        (libraries / broken).write_bytes(b"no picture")
    return pipeline(request)
