"""Whether an IP-Adapter fits a U-Net and its image encoder: seen by the files' headers, before anything is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgrag.models.profile import AdapterProfile
from imgrag.models.soundness import Shapes, UnsoundFile, blaming, refuse_unlike, shapes, weights_of

PROJECTION, ATTENTION = "image_proj.", "ip_adapter."


def adapter_files(profile: AdapterProfile, folder: Path) -> tuple[Path, Path]:
    """The adapter's weights and its image encoder's folder, as diffusers finds them in a checkpoint's folder."""
    encoder = Path(profile.image_encoder_folder)
    inside = folder / profile.subfolder
    return inside / profile.weight_name, (inside if len(encoder.parts) == 1 else folder) / encoder


def cross_attentions(unet: Any) -> list[tuple[int, str]]:
    """Cross-attention processors under the odd numbers the published format gives them."""
    crossing = [name for name in unet.attn_processors if not name.endswith("attn1.processor")]
    return [(2 * i + 1, name) for i, name in enumerate(crossing)]


def refuse_adapter(weights: Path, encoder: Path, unet: Any) -> None:
    """Refuse an adapter or an image encoder that diffusers could not attach, or would attach with gaps.

    Args:
        weights: the adapter's file, `image_proj.*` and `ip_adapter.*`.
        encoder: the image encoder's folder.

    Raises:
        UnsoundFile: a file is damaged, or belongs to another model.
    """
    given = shapes(weights)
    rest = {key: shape for key, shape in given.items() if not key.startswith(PROJECTION)}
    refuse_unlike(weights, rest, _attention(unet))
    projection = {key.removeprefix(PROJECTION): shape for key, shape in given.items() if key not in rest}
    _refuse_projection(weights, projection, _checked(encoder), unet)


def _attention(unet: Any) -> dict[str, tuple[int, ...]]:
    """The keys and values that an adapter adds: as large as those that the U-Net has for words."""
    wanted = {}
    for number, name in cross_attentions(unet):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        wanted[f"{ATTENTION}{number}.to_k_ip.weight"] = tuple(attention.to_k.weight.shape)
        wanted[f"{ATTENTION}{number}.to_v_ip.weight"] = tuple(attention.to_v.weight.shape)
    return wanted


def _checked(encoder: Path) -> Any:
    """The configuration of an image encoder whose weights are just what it describes."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with blaming(encoder / "config.json", "describes no image encoder"), torch.device("meta"):
        config = CLIPVisionConfig.from_pretrained(encoder, local_files_only=True)
        model = CLIPVisionModelWithProjection(config)
    given = shapes(*encoder.glob("*.safetensors"))
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    # Published encoders were saved when the row numbers of the positions still counted as weights.
    known = {key: shape for key, shape in given.items() if not key.endswith(".position_ids")}
    refuse_unlike(weights_of(encoder), known, wanted)
    return config


def _refuse_projection(weights: Path, given: Shapes, encoder: Any, unet: Any) -> None:
    """Let diffusers lay out what projects the pictures, without memory, and send a picture through it."""
    import torch
    from diffusers.models.embeddings import ImageProjection

    said = "projects no pictures of the image encoder beside it into this U-Net: it is of another model, or not whole"
    with blaming(weights, said), torch.device("meta"), torch.no_grad():
        tensors = {key: torch.empty(shape) for key, shape in given.items()}
        layer = unet._convert_ip_adapter_image_proj_to_diffusers(tensors, low_cpu_mem_usage=False)
        plain = isinstance(layer, ImageProjection)
        picture = torch.empty((1, encoder.projection_dim) if plain else (1, 1, encoder.hidden_size))
        width = layer(picture).shape[-1]
    if width != unet.config.cross_attention_dim:
        raise UnsoundFile(weights, said)
