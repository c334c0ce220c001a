"""A LoRA on a U-Net (Hu et al., 2021) by peft: put on to be trained, and written in diffusers' format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
CONVOLUTION = (
    "conv1", "conv2", "time_emb_proj", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2",
)  # fmt: skip
ENDS = ("conv_in", "conv_out")  # they carry all that the U-Net sees and says of colour
ENDS_RANK = 4  # times the others'


def attach_lora(
    unet: Any, device: torch.device, *, rank: int, alpha: int = 0, convolutions: bool = False, seed: int = 0
) -> torch.nn.ModuleList:
    """A fresh LoRA on the U-Net; returns its layers, in float32.

    Args:
        alpha: what it adds is multiplied by alpha / rank; 0 is the rank itself.
        convolutions: whether the layers between the attentions learn too; they draw textures and grounds.
    """
    from diffusers.training_utils import cast_training_params

    torch.manual_seed(seed)
    unet.add_adapter(_config(unet, rank, alpha or rank, convolutions))
    cast_training_params(unet, dtype=torch.float32)
    if device.type != "cpu":
        unet.enable_gradient_checkpointing()
    return torch.nn.ModuleList(
        module
        for name, module in unet.named_modules()
        if name.endswith((".lora_A.default", ".lora_B.default"))
    )


def _config(unet: Any, rank: int, alpha: int, convolutions: bool) -> Any:
    from peft import LoraConfig

    # By their full names: peft would take "conv1" of an encoder's and the adapter's layers for these as well.
    wanted = ATTENTION + CONVOLUTION if convolutions else ATTENTION
    names = [name for name, module in unet.named_modules() if _is_wanted(name, module, wanted)]
    ends = ENDS if convolutions else ()
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=[*names, *ends],
        rank_pattern=dict.fromkeys(ends, ENDS_RANK * rank),
        alpha_pattern=dict.fromkeys(ends, ENDS_RANK * alpha),
    )


def _is_wanted(name: str, module: torch.nn.Module, wanted: Sequence[str]) -> bool:
    if name.startswith("encoder_hid_proj") or not isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
        return False
    return any(name == end or name.endswith(f".{end}") for end in wanted)


def save_lora(file: Path, pipe: Any) -> None:
    """The LoRA on a pipeline's U-Net, in diffusers' format and float16; rank and alpha in the file's metadata."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(pipe.unet)
    config = pipe.unet.peft_config["default"].to_dict()
    pipe.save_lora_weights(
        file.parent,
        unet_lora_layers={key: value.half().contiguous().cpu() for key, value in state.items()},
        unet_lora_adapter_metadata={**config, "target_modules": sorted(config["target_modules"])},
        weight_name=file.name,
    )
