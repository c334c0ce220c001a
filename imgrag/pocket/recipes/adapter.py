"""The pocket IP-Adapter: made, scaled and written in the published format.

Ye et al., 2023, with every patch token of the image encoder (diffusers' full projection).
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0

from imgrag.models.adapter import cross_attentions


def attach_new_adapter(unet: UNet2DConditionModel) -> None:
    """Give the U-Net a fresh adapter through diffusers' own loader of published weights."""
    width = unet.config.cross_attention_dim
    state: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    shapes = {"proj.0": (width, width), "proj.2": (width, width)}
    for key, shape in shapes.items():
        state["image_proj"][f"{key}.weight"] = torch.randn(shape) * width**-0.5
        state["image_proj"][f"{key}.bias"] = torch.zeros(shape[0])
    state["image_proj"]["proj.3.weight"] = torch.ones(width)
    state["image_proj"]["proj.3.bias"] = torch.zeros(width)
    for number, name in cross_attentions(unet):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        for kind, layer in (("k", attention.to_k), ("v", attention.to_v)):
            state["ip_adapter"][f"{number}.to_{kind}_ip.weight"] = layer.weight.detach().clone()
    unet._load_ip_adapter_weights([state], low_cpu_mem_usage=False)


def adapter_state(unet: UNet2DConditionModel) -> dict[str, torch.Tensor]:
    """The adapter in the published safetensors layout (`image_proj.*`, `ip_adapter.*`)."""
    layer = unet.encoder_hid_proj.image_projection_layers[0]
    published = {"ff.net.0.proj": "proj.0", "ff.net.2": "proj.2", "norm": "proj.3"}
    state = {}
    for mine, theirs in published.items():
        module = layer.get_submodule(mine)
        state[f"image_proj.{theirs}.weight"] = module.weight
        state[f"image_proj.{theirs}.bias"] = module.bias
    for number, name in cross_attentions(unet):
        processor = unet.attn_processors[name]
        state[f"ip_adapter.{number}.to_k_ip.weight"] = processor.to_k_ip[0].weight
        state[f"ip_adapter.{number}.to_v_ip.weight"] = processor.to_v_ip[0].weight
    return {key: value.detach().to(torch.float16).contiguous().cpu() for key, value in state.items()}


def set_adapter_scale(unet: UNet2DConditionModel, scale: float) -> None:
    for processor in unet.attn_processors.values():
        if isinstance(processor, IPAdapterAttnProcessor2_0):
            processor.scale = [scale]
