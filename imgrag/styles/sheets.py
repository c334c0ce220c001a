"""What a training shows of itself: its loss as a table and a curve, sample sheets, and a style's previews."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from imgrag.models.profile import Profile
from imgrag.styles.conditions import fitted, framed
from imgrag.styles.lessons import Example

SAMPLES = 4
TILE = 256  # px at most, the side of a sample on a sheet
WIDE, HIGH, MARGIN = 640, 320, 24  # px of the curve
PLOTTED = 200  # points of it; each is the mean of the steps it stands for


class Curve:
    """The loss of each step, in a CSV file that goes on where it was, and as a picture beside it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows = _read(file)

    def add(self, step: int, loss: float) -> None:
        """Later steps of an earlier sitting that was not saved are done again, and forgotten here."""
        while self._rows and self._rows[-1][0] >= step:
            self._rows.pop()
        self._rows.append((step, loss))
        if step % 20 == 0 or step < 5:
            self.write()

    def write(self) -> None:
        """Both files."""
        partial = self._file.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("step", "loss"), *self._rows])
        os.replace(partial, self._file)
        _replace(self._file.with_suffix(".png"), plot(self._rows))


def _read(file: Path) -> list[tuple[int, float]]:
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        return [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(opened)]


def plot(rows: Sequence[tuple[int, float]]) -> Image.Image:
    """The loss over the steps, from zero to its highest."""
    image = Image.new("RGB", (WIDE, HIGH), "white")
    pen = ImageDraw.Draw(image)
    share = -(-len(rows) // PLOTTED)
    parts = [rows[start : start + share] for start in range(0, len(rows), share)]
    means = [sum(loss for _, loss in part) / len(part) for part in parts]
    top = max(means)
    points = [
        (
            MARGIN + (WIDE - 2 * MARGIN) * place / max(1, len(means) - 1),
            HIGH - MARGIN - (HIGH - 2 * MARGIN) * mean / (top or 1),
        )
        for place, mean in enumerate(means)
    ]
    pen.line([(MARGIN, MARGIN), (MARGIN, HIGH - MARGIN), (WIDE - MARGIN, HIGH - MARGIN)], fill="gray")
    pen.line(points, fill=(30, 80, 200), width=2)
    pen.text((MARGIN + 4, 6), f"loss, at most {top:.4f}", fill="black")
    pen.text((WIDE - 4 * MARGIN, HIGH - MARGIN + 6), f"{rows[-1][0]} steps", fill="black")
    return image


def draw_sheet(file: Path, pipe: Any, profile: Profile, examples: Sequence[Example], size: int) -> None:
    """Some examples above what the generator draws for their captions now."""
    chosen = samples(examples)
    drawn = [_drawn(pipe, profile, example, size, seed) for seed, example in enumerate(chosen)]
    side = min(size, TILE)
    sheet = Image.new("RGB", (side * len(chosen), 2 * side))
    for column, (example, image) in enumerate(zip(chosen, drawn, strict=True)):
        sheet.paste(fitted(example, size).resize((side, side)), (column * side, 0))
        sheet.paste(image.resize((side, side)), (column * side, side))
    _replace(file, sheet)


def draw_previews(folder: Path, pipe: Any, profile: Profile, examples: Sequence[Example], size: int) -> None:
    """`preview-1.png` and on: what the trained style draws."""
    for number, example in enumerate(samples(examples), start=1):
        image = _drawn(pipe, profile, example, size, number)
        _replace(folder / f"preview-{number}.png", image)


def samples(examples: Sequence[Example]) -> list[Example]:
    """Some with other captions, those without a reference first."""
    distinct = {example.caption: example for example in reversed(examples)}
    return sorted(distinct.values(), key=lambda example: example.reference is not None)[:SAMPLES]


def _drawn(pipe: Any, profile: Profile, example: Example, size: int, seed: int) -> Image.Image:
    """What the pipeline as it is draws for an example's caption, shown its reference where it has one."""
    settings: dict[str, Any] = {}
    if getattr(pipe.unet, "encoder_hid_proj", None) is not None:
        pipe.set_ip_adapter_scale(0.0 if example.reference is None else profile.adapter.scale)
        settings["ip_adapter_image"] = framed(example, pipe, profile.adapter)
    generator = torch.Generator("cpu").manual_seed(seed)
    with torch.random.fork_rng():
        return pipe(
            example.caption, height=size, width=size, num_inference_steps=profile.generator.steps,
            guidance_scale=profile.generator.guidance_scale, generator=generator, **settings,
        ).images[0]  # fmt: skip


def _replace(file: Path, image: Image.Image) -> None:
    partial = file.with_suffix(".partial")
    image.save(partial, format="PNG")
    os.replace(partial, file)
