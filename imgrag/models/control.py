"""A ControlNet (Zhang et al., 2023) beside a generator: opened by itself, and laid over a pipeline for one image.

The pipeline with it shares all parts of the plain one, which stays as it is. Knows diffusers; knows no stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgrag.errors import RequestError
from imgrag.models import Control, Lora
from imgrag.models.profile import GeneratorProfile
from imgrag.models.soundness import UnsoundFile, open_part, read_json
from imgrag.models.weights import tensor_bytes
from imgrag.runs.structure import Kind

UNION = "ControlNetUnionModel"
MODES: Mapping[Kind, int] = {"pose": 0, "depth": 1, "sketch": 2, "edges": 3, "lines": 3}
"""What a ControlNet for all kinds calls them, as `xinsir/controlnet-union-sdxl-1.0` was trained."""
ALIKE = ("cross_attention_dim", "block_out_channels", "in_channels", "layers_per_block")


class ControlNet:
    """A ControlNet in memory; `lora` is what the generator wears with it."""

    def __init__(self, net: Any, lora: Lora | None = None) -> None:
        self.net = net
        self.lora = lora

    @property
    def nbytes(self) -> int:
        """See `residency.Sized`. With offload it is on the device while the U-Net is."""
        return tensor_bytes(self.net)


def load_control(
    profile: GeneratorProfile, folder: Path, generator: Path, device: str, lora: str = ""
) -> ControlNet:
    """Open a ControlNet; on a CPU in float32 whatever it was stored in.

    Args:
        folder: its own; `generator` is that of the generator it belongs to.
        lora: see `ControlProfile`.

    Raises:
        UnsoundFile: the folder does not hold one, or not all of it, or one of another generator.
    """
    import diffusers
    import torch

    config, file = read_json(folder / "config.json"), folder / "config.json"
    named = str(config.get("_class_name", ""))
    if "ControlNet" not in named:
        raise UnsoundFile(file, "describes no ControlNet")
    kind = UNION if "Union" in named or "num_control_type" in config else "ControlNetModel"
    dtype = torch.float32 if device == "cpu" else getattr(torch, profile.dtype)
    net = open_part(getattr(diffusers, kind), folder, dtype=dtype)
    unet = read_json(generator / "unet" / "config.json")
    unlike = [name for name in ALIKE if config.get(name, unet.get(name)) != unet.get(name)]
    if unlike:
        raise UnsoundFile(
            file, f"is of a ControlNet for another generator: its {unlike[0]} is not the U-Net's"
        )
    worn = Lora("structure", folder / lora) if lora else None
    return ControlNet(net if profile.offload and device != "cpu" else net.to(device), worn)


@contextmanager
def steered(
    pipe: Any, control: Control, until: float, offload: Callable[[Any], None]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A pipeline that draws along a structure, on a pipeline's own parts, and the arguments it takes besides.

    Args:
        until: the share of the steps, the first ones, that the structure guides.
        offload: lays offload over a pipeline, where there is any.

    Raises:
        RequestError: nothing draws so with such parts.
    """
    import diffusers

    union = type(control.net).__name__ == UNION
    name = f"{type(pipe).__name__.removesuffix('Pipeline')}ControlNet{'Union' if union else ''}Pipeline"
    if not hasattr(diffusers, name):
        raise RequestError(
            "This generator draws along no structure. Do without it, or choose another profile."
        )
    # Its own default would make every part float32, and they are the plain pipeline's parts too.
    drawing = getattr(diffusers, name).from_pipe(pipe, controlnet=control.net, dtype=pipe.dtype)
    drawing.set_progress_bar_config(disable=True)
    try:
        offload(drawing)
        yield drawing, {**_condition(control, union), "control_guidance_end": until}
    finally:
        drawing.remove_all_hooks()
        offload(pipe)


def _condition(control: Control, union: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"controlnet_conditioning_scale": float(control.scale)}
    if union:
        return {**said, "control_image": [control.image], "control_mode": [MODES[control.kind]]}
    return {**said, "image": control.image}
