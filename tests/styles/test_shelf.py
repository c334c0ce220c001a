"""The styles of a profile: listed, added, removed, called by a prompt, searched."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from imgrag.errors import LibraryError, StyleError
from imgrag.runs.styles import Styling, worded_in
from imgrag.styles import StyleShelf
from tests.fakes import FakeEmbedder, tile

INK = 'title = "Ink wash"\nlicence = "CC0"\nwords = ["ink wash", "in ink", "水墨画"]\n'
PIXELS = 'title = "Pixel art"\nlicence = "CC0"\nwords = ["pixel art"]\ntemplate = "pixels, {prompt}"\n'


def put(folder: Path, toml: str, preview: Image.Image | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "style.toml").write_text(toml, encoding="utf-8")
    if preview is not None:
        preview.save(folder / "preview.png")
    return folder


def lora_at(file: Path, **metadata: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({"unet.x.lora_A.weight": torch.zeros(1, 1)}, file, metadata)
    return file


@pytest.fixture
def shelf(tmp_path: Path) -> StyleShelf:
    put(tmp_path / "bundled" / "pocket" / "ink", INK, tile("dog"))
    put(tmp_path / "own" / "pocket" / "pixels", PIXELS, tile("owl"))
    put(tmp_path / "own" / "sdxl" / "other", PIXELS)
    return StyleShelf("pocket", tmp_path / "own", tmp_path / "bundled")


def test_a_profile_has_its_own_styles_and_those_that_come_with_the_app(shelf: StyleShelf) -> None:
    assert [(style.name, style.read_only) for style in shelf.styles()] == [("ink", True), ("pixels", False)]
    with pytest.raises(StyleError, match=r"no style 'chalk' here\. Known are: ink, pixels"):
        shelf.get("chalk")


def test_a_broken_style_is_named_and_the_others_are_there(shelf: StyleShelf, tmp_path: Path) -> None:
    put(tmp_path / "own" / "pocket" / "chalk", 'title = "Chalk"')
    assert [style.name for style in shelf.styles()] == ["ink", "pixels"]
    with pytest.raises(StyleError, match=r"The style 'chalk' cannot be used: style\.toml names no licence"):
        shelf.get("chalk")


@pytest.mark.parametrize(
    ("prompt", "rest", "called"),
    [
        ("a dog in pixel art", "a dog", {"pixels": "in pixel art"}),
        ("a Pixel-Art dog", "a dog", {"pixels": "Pixel-Art"}),
        ("a pixel art picture of a dog", "a dog", {"pixels": "a pixel art picture of"}),
        ("a dog, drawn in ink, on a red background", "a dog, on a red background", {"ink": "drawn in ink"}),
        ("a dog in ink wash style and an owl", "a dog and an owl", {"ink": "in ink wash style"}),
        ("一只狗，水墨画风格", "一只狗", {"ink": "水墨画风格"}),
        ("a dog in ink, pixel art", "a dog", {"pixels": "pixel art", "ink": "in ink"}),
        ("a bottle in inkwell", "a bottle in inkwell", {}),
        ("pixel art", "pixel art", {"pixels": "pixel art"}),
    ],
)
def test_a_prompt_calls_styles_by_their_words(
    shelf: StyleShelf, prompt: str, rest: str, called: dict[str, str]
) -> None:
    text, found = shelf.called_in(prompt)
    assert text == rest
    assert {one.style.name: one.words for one in found} == called


@pytest.mark.parametrize(
    ("prompt", "rest"),
    [
        ("a dog and a pencil", None),
        ("a pencil of wood", None),
        ("a dog with a pencil", None),
        ("two pencils", None),
        ("一支铅笔", None),
        ("a dog in pencil", "a dog"),
        ("a dog, drawn in pencil", "a dog"),
        ("a pencil sketch of a dog", "a dog"),
        ("a dog in pencil style", "a dog"),
        ("a pencil-styled dog", "a dog"),
        ("一只狗，铅笔风格", "一只狗"),
        ("用铅笔画一只狗", "一只狗"),
    ],
)
def test_what_names_a_thing_calls_a_style_only_where_it_is_said_to_be_one(
    shelf: StyleShelf, tmp_path: Path, prompt: str, rest: str | None
) -> None:
    put(
        tmp_path / "own" / "pocket" / "pencil",
        INK.replace('"ink wash", "in ink", "水墨画"', '"pencil", "铅笔"'),
    )
    text, found = shelf.called_in(prompt, lambda words: words in ("pencil", "铅笔"))
    assert (text, [one.style.name for one in found]) == ((rest, ["pencil"]) if rest else (prompt, []))


def test_a_folder_is_copied_whole(shelf: StyleShelf, tmp_path: Path) -> None:
    source = put(tmp_path / "chalk", INK.replace("Ink wash", "Chalk"), tile("cat"))
    lora_at(source / "lora.safetensors")
    added = shelf.add(source, licence="mine")
    assert (added.name, added.title, added.licence, added.words[0]) == ("chalk", "Chalk", "mine", "ink wash")
    assert added.lora is not None
    assert added.lora.is_relative_to(tmp_path / "own" / "pocket")
    assert [file.name for file in added.previews] == ["preview.png"]


def test_a_lora_alone_says_what_it_is(shelf: StyleShelf, tmp_path: Path) -> None:
    file = lora_at(
        tmp_path / "x.safetensors", **{"modelspec.title": "Chalk", "modelspec.trigger_phrase": "chlk"}
    )
    with pytest.raises(StyleError, match="names no licence"):
        shelf.add(file, "chalk")
    style = shelf.add(file, "chalk", licence="CC0", words=("in chalk",), scale=0.5)
    assert (style.title, style.words, style.scale) == ("Chalk", ("in chalk",), 0.5)
    styling = shelf.styling(style, 1.5, "in chalk")
    assert worded_in([styling], "a dog") == "a dog, chlk"
    lora = shelf.lora(styling)
    assert lora is not None
    assert (lora.scale, lora.hash, len(styling.lora)) == (0.75, styling.lora, 64)


def test_what_cannot_be_added_leaves_nothing(shelf: StyleShelf, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(lora_at(tmp_path / "x.safetensors").read_bytes()[:20])
    pickle = tmp_path / "x.pt"
    pickle.write_bytes(b"\x80\x04")
    blank = put(tmp_path / "blank", INK)
    (blank / "preview.png").write_bytes(b"no picture")
    for source, why in [
        (cut, "is cut short, or no safetensors"),
        (pickle, "is no safetensors file"),
        (tmp_path / "gone", "it is no folder and no file"),
        (blank, "The picture 'preview.png' of the style 'blank' cannot be used: it is no picture"),
        (tmp_path, "it has no style.toml"),
    ]:
        with pytest.raises(StyleError, match=why) as told:
            shelf.add(source, licence="CC0")
        assert str(tmp_path) not in str(told.value)
    with pytest.raises(StyleError, match="There is a style 'INK' already"):
        shelf.add(blank, "INK")
    with pytest.raises(LibraryError, match="cannot be a style's name"):
        shelf.add(blank, "../x")
    assert [path.name for path in (tmp_path / "own" / "pocket").iterdir()] == ["pixels"]


def test_one_s_own_is_removed_and_the_app_s_stays(shelf: StyleShelf) -> None:
    shelf.remove("pixels")
    assert shelf.names() == ["ink"]
    with pytest.raises(StyleError, match="comes with the app"):
        shelf.remove("ink")


def test_styles_are_found_by_words_and_by_their_previews(shelf: StyleShelf) -> None:
    assert [(style.name, score) for style, score in shelf.search("pixels art")] == [("pixels", 1.0)]
    by_look = shelf.search(image=tile("owl"), embedder=FakeEmbedder())
    assert [style.name for style, _ in by_look] == ["pixels", "ink"]
    both = shelf.search("ink", embedder=FakeEmbedder())
    assert [style.name for style, _ in both] == ["ink", "pixels"]
    with pytest.raises(StyleError, match="nothing to search by"):
        shelf.search("")


def test_a_lora_that_went_is_told(shelf: StyleShelf) -> None:
    with pytest.raises(StyleError, match="has no LoRA any more"):
        shelf.lora(Styling("ink", "Ink", lora="0" * 64))
    assert shelf.lora(Styling("gone", "Gone")) is None
