"""A style's folder: what is read of it, and what is wrong with it in a sentence."""

import pytest
from PIL import Image

from imgrag.errors import StyleError
from imgrag.styles import read_style, style_toml

WHOLE = 'title = "Pixel art"\nlicence = "CC0"\nwords = ["pixel art", "像素画"]\ntemplate = "{prompt}, pixels"\nscale = 0.8\n'


def folder_with(place, toml, name="pixels"):
    folder = place / name
    folder.mkdir(parents=True)
    (folder / "style.toml").write_text(toml, encoding="utf-8")
    return folder


def test_a_style_is_read_with_its_files(tmp_path):
    folder = folder_with(tmp_path, WHOLE)
    Image.new("RGB", (8, 8)).save(folder / "preview-1.png")
    (folder / "lora.safetensors").write_bytes(b"none yet")
    style = read_style(folder)
    assert (style.name, style.title, style.words, style.scale) == (
        "pixels",
        "Pixel art",
        ("pixel art", "像素画"),
        0.8,
    )
    assert style.lora == folder / "lora.safetensors"
    assert style.previews == (folder / "preview-1.png",)


def test_what_is_written_of_a_style_is_read_alike(tmp_path):
    style = read_style(folder_with(tmp_path, WHOLE + 'source = "a \\"quoted\\" \\u00e9"\n'))
    again = read_style(folder_with(tmp_path / "again", style_toml(style)))
    assert again == style


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ('title = "Pixels"', "names no licence"),
        ('licence = "CC0"', "names no title"),
        ("title = ", "is no TOML that can be read"),
        (WHOLE + "size = 3", "unknown key 'size'"),
        (WHOLE.replace("{prompt}, ", ""), "template must hold {prompt} once"),
        (WHOLE.replace("0.8", "nan"), "its scale is nan, no number from 0 to 2"),
        (WHOLE.replace("0.8", "true"), "its scale is True"),
        (WHOLE.replace('["pixel art", "像素画"]', '["a", 3]'), "its words is no text"),
        ('title = "' + "x" * 101 + '"', "its title has 101 characters, more than 100"),
        ("#" * 70_000, "style.toml is larger than 64 kB"),
    ],
)
def test_what_is_wrong_with_a_style_is_one_sentence(tmp_path, toml, why):
    with pytest.raises(StyleError) as told:
        read_style(folder_with(tmp_path, toml))
    assert why in str(told.value)
    assert str(tmp_path) not in str(told.value)


def test_a_folder_without_a_style_says_so(tmp_path):
    with pytest.raises(StyleError, match=r"it has no style\.toml"):
        read_style(tmp_path)
