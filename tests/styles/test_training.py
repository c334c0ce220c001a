"""A style is trained from pictures, on the classes of both profiles; stopped and gone on with it is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from imgrag.errors import StyleError
from imgrag.models.generator import open_pipeline
from imgrag.pocket.recipes import training as loop
from imgrag.styles import training
from imgrag.styles.lessons import read_examples
from imgrag.styles.style import Style, read_style
from imgrag.styles.training import Lesson, train_style
from tests.tiny import build_pocket, build_sdxl

STYLE = Style("ink", "Ink", "CC0-1.0", words=("in ink",))
LESSON = Lesson(rank=2, steps=3, batch=2, convolutions=True)


@pytest.fixture
def pictures(tmp_path):
    """Two with a caption, of which one has a reference, and one without."""
    folder = tmp_path / "pictures"
    (folder / "plain").mkdir(parents=True)
    for number, name in enumerate(("dog.png", "owl.png", "blot.png", "plain/owl.png")):
        Image.new("RGB", (80, 64), (60 * number, 90, 200)).save(folder / name)
    (folder / "dog.txt").write_text("a dog", encoding="utf-8")
    (folder / "metadata.csv").write_text(
        "file_name,caption,reference\nowl.png,an owl,plain/owl.png\n", encoding="utf-8"
    )
    return folder


def trained(profile, pictures, folder, lesson=LESSON):
    train_style(STYLE, read_examples([pictures], "in ink"), folder, profile, lesson, "cpu")
    return load_file(folder / "lora.safetensors")


def test_captions_and_references_are_read_beside_the_pictures(pictures):
    found = {e.picture.name: (e.caption, e.reference) for e in read_examples([pictures], "in ink")}
    plain = pictures.resolve() / "plain" / "owl.png"
    assert found == {"blot.png": ("in ink", None), "dog.png": ("a dog", None), "owl.png": ("an owl", plain)}


def test_a_reference_outside_of_the_folder_is_refused(pictures):
    (pictures / "metadata.csv").write_text(
        "file_name,reference\nowl.png,../../secret.png\n", encoding="utf-8"
    )
    with pytest.raises(StyleError, match="no file in the folder"):
        read_examples([pictures], "in ink")


@pytest.mark.parametrize("build", [build_pocket, build_sdxl])
def test_what_is_trained_goes_on_a_generator_of_its_class(build, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CACHE", tmp_path / "cache")
    profile = build(tmp_path / "models")
    state = trained(profile, pictures, tmp_path / "styles" / "ink")
    assert any(key.endswith("attn2.to_k.lora_A.weight") for key in state)
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert any(value.abs().max() > 0 for key, value in state.items() if "lora_B" in key)
    style = read_style(tmp_path / "styles" / "ink")
    assert (style.title, style.licence, len(style.previews)) == ("Ink", "CC0-1.0", 3)
    assert (tmp_path / "styles" / "ink" / "loss.png").is_file()
    pipe = open_pipeline(profile.generator, Path(profile.generator.checkpoint.local), "cpu")
    pipe.load_lora_weights(str(style.lora.parent), weight_name="lora.safetensors", adapter_name="ink")
    assert pipe.get_list_adapters() == {"unet": ["ink"]}


def test_a_training_that_was_stopped_ends_with_the_same_weights(pictures, tmp_path, monkeypatch):
    profile = build_pocket(tmp_path / "models")
    monkeypatch.setattr(loop, "faster", lambda *_: "float32")  # a busy machine may choose otherwise each time
    monkeypatch.setattr(loop, "CACHE", tmp_path / "whole")
    whole = trained(profile, pictures, tmp_path / "whole-style")
    monkeypatch.setattr(loop, "CACHE", tmp_path / "halves")
    drawing = training.draw_sheet

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "draw_sheet", stop)
    every = replace(LESSON, every=2)
    with pytest.raises(KeyboardInterrupt):
        trained(profile, pictures, tmp_path / "style", every)
    monkeypatch.setattr(training, "draw_sheet", drawing)
    resumed = trained(profile, pictures, tmp_path / "style", every)
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"steps": 0}, {"rate": 2.0}, {"resolution": 100}])
def test_settings_that_make_no_sense_are_refused_in_a_sentence(wrong):
    with pytest.raises(StyleError, match=next(iter(wrong))):
        Lesson(**wrong)
