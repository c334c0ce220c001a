"""Conditions: a picture as a ControlNet wants it, RGB, white lines on black but of depth and pose.

A picture keeps its shape; what is left of the square is black. Edges and sketches need no model. Pictures come
from `library.intake.pictures`, which is who reads files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from imgrag.errors import RequestError
from imgrag.models.soundness import open_part
from imgrag.models.weights import tensor_bytes
from imgrag.pictures import MAX_RATIO, border_colour, opaque
from imgrag.runs.structure import Kind

LEAST = 8  # px, each side of a picture
WEAK, STRONG = 100, 200  # gradients of Canny's two bounds, as ControlNets are trained (Zhang et al., 2023)
CLOSELY = 4  # times the output's size; a sketch is not looked at more closely
PLAIN = 32  # of 255; what differs less from the ground is not drawn
HELD = 0.3  # of the fullest pixel's share of a stroke; one with less is no line
SURE = 0.3  # likelihood from which on a limb's end is where it is seen
LIMBS = (
    (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12),
    (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip
"""Pairs of COCO's 17 points of a body."""


class Eye(Protocol):
    """A model that makes a condition."""

    def see(self, picture: Image.Image) -> Image.Image:
        """The condition, RGB of the picture's size."""
        ...


def condition_of(picture: Image.Image, kind: Kind, size: int, eye: Eye | None = None) -> Image.Image:
    """What a picture is to a ControlNet, RGB [size, size].

    Args:
        picture: for a sketch or lines dark strokes on light, light ones on dark, or either on nothing.
        eye: sees depth or pose.

    Raises:
        RequestError: it is too small or too slim, or shows nothing that could guide.
    """
    _refuse_shape(picture)
    if kind in ("sketch", "lines"):
        made = _contained(picture, size, strokes)
    elif kind == "edges":
        made = _contained(picture, size, edges)
    else:
        assert eye is not None
        made = _contained(picture, size, lambda image, side: eye.see(_fitted(opaque(image), side)))
    if made.getbbox() is None:
        raise RequestError(_EMPTY[kind])
    return made


_EMPTY: dict[Kind, str] = {
    "sketch": "The sketch is empty. Draw something, in strokes that can be told from the ground.",
    "lines": "The picture holds no lines. Choose one with lines that can be told from the ground.",
    "edges": "The picture has no edges to follow. Choose one that shows something.",
    "depth": "The picture has no depth to follow. Choose one that shows something.",
    "pose": "No person is seen in the picture. Choose one of a person who fills it.",
}


def edges(picture: Image.Image, side: int) -> Image.Image:
    """Canny's edges (1986) of a picture, looked at with its long side of `side` px."""
    import cv2

    grey = np.asarray(_fitted(opaque(picture), side).convert("L"))
    return Image.fromarray(cv2.Canny(grey, WEAK, STRONG)).convert("RGB")


def strokes(picture: Image.Image, side: int) -> Image.Image:
    """What was drawn on a plain ground, which is the border's colour, as white lines on black."""
    closely = _fitted(opaque(picture, "gray"), min(max(picture.size), CLOSELY * side))
    ground = np.asarray(border_colour(closely), np.int16)
    apart = np.abs(np.asarray(closely, np.int16) - ground).max(axis=2)
    if apart.max() < PLAIN:
        return Image.new("RGB", _within(picture.size, side))
    drawn = Image.fromarray((apart > max(PLAIN, apart.max() // 2)).astype(np.float32))
    held = np.asarray(drawn.resize(_within(picture.size, side), Image.Resampling.BOX))
    return Image.fromarray(np.where(held > HELD * held.max(), 255, 0).astype(np.uint8)).convert("RGB")


def _contained(
    picture: Image.Image, size: int, make: Callable[[Image.Image, int], Image.Image]
) -> Image.Image:
    made, square = make(picture, size), Image.new("RGB", (size, size))
    square.paste(made, ((size - made.width) // 2, (size - made.height) // 2))
    return square


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize(_within(picture.size, side), Image.Resampling.LANCZOS)


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of this shape whose long side is `side`."""
    width, height = (max(1, round(length * side / max(size))) for length in size)
    return width, height


def _refuse_shape(picture: Image.Image) -> None:
    short, long = min(picture.size), max(picture.size)
    if short < LEAST or long > MAX_RATIO * short:
        raise RequestError(
            f"The picture of the structure has {picture.width:,} x {picture.height:,} pixels; it needs {LEAST} on each "
            f"side, and at most {MAX_RATIO} times as many on one as on the other."
        )


class _Model:
    """What makes a condition, and how it wants its pictures."""

    def __init__(self, model: Any, processor: Any, device: str) -> None:
        self._model = model.to(device)
        self._processor = processor
        self._device = device

    @property
    def nbytes(self) -> int:
        """See `residency.Sized`."""
        return tensor_bytes(self._model)


class DepthEye(_Model):
    """Depth Anything V2 (Yang et al., 2024): what is near is light."""

    def see(self, picture: Image.Image) -> Image.Image:
        """See `Eye`."""
        import torch

        with torch.no_grad():
            inputs = self._processor(images=picture, return_tensors="pt").to(self._device)
            depth = self._model(**inputs).predicted_depth[0].float().cpu()
        span = float(depth.max() - depth.min())
        grey = torch.zeros_like(depth) if span == 0 else (depth - depth.min()) / span
        return Image.fromarray((255 * grey).byte().numpy()).resize(picture.size).convert("RGB")


class PoseEye(_Model):
    """ViTPose (Xu et al., 2022): the limbs of one person who fills the picture, each in a colour of its own."""

    def see(self, picture: Image.Image) -> Image.Image:
        """See `Eye`."""
        import torch

        boxes = [[[0.0, 0.0, float(picture.width), float(picture.height)]]]
        with torch.no_grad():
            inputs = self._processor(picture, boxes=boxes, return_tensors="pt").to(self._device)
            # Its head knows several sets of points where it was trained on several; the first is COCO's.
            several = getattr(self._model.config.backbone_config, "num_experts", 1) > 1
            extra = {"dataset_index": torch.tensor([0], device=self._device)} if several else {}
            outputs = self._model(**inputs, **extra)
        (found,) = self._processor.post_process_pose_estimation(outputs, boxes=boxes)[0]
        return _limbs(picture.size, found["keypoints"].tolist(), found["scores"].tolist())


def _limbs(size: tuple[int, int], points: list[list[float]], scores: list[float]) -> Image.Image:
    from PIL import ImageColor, ImageDraw

    drawn = Image.new("RGB", size)
    pen, width = ImageDraw.Draw(drawn), max(1, max(size) // 128)
    for number, (one, other) in enumerate(LIMBS):
        if min(scores[one], scores[other]) >= SURE:
            colour = ImageColor.getrgb(f"hsl({360 * number // len(LIMBS)}, 100%, 50%)")
            pen.line([*points[one], *points[other]], fill=colour, width=width)
    return drawn


def load_eye(kind: Kind, folder: Path, device: str) -> DepthEye | PoseEye:
    """The model that sees depth or pose, in float32.

    Raises:
        UnsoundFile: the folder does not hold such a model, or not all of it.
    """
    import torch
    from transformers import AutoImageProcessor, DepthAnythingForDepthEstimation, VitPoseForPoseEstimation

    made, eye = (
        (DepthAnythingForDepthEstimation, DepthEye)
        if kind == "depth"
        else (VitPoseForPoseEstimation, PoseEye)
    )
    model = open_part(made, folder, dtype=torch.float32).eval()
    return eye(model, AutoImageProcessor.from_pretrained(folder, local_files_only=True), device)
