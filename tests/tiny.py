"""Tiny checkpoints with random weights, of exactly the classes the profiles name.

`build_sdxl` is the cast of the sdxl profile (two text encoders, IP-Adapter Plus), `build_pocket`
that of the pocket one (one text encoder, full-token projection). Both write folders as the
libraries publish them, in a second or two, and return a `Profile` that points there.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    ControlNetUnionModel,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessor,
)

from imgrag.models.clip import import_clip
from imgrag.models.profile import (
    AdapterProfile,
    Checkpoint,
    ClipProfile,
    ControlProfile,
    GeneratorProfile,
    LlmProfile,
    Profile,
    RetrievalProfile,
    VlmProfile,
)
from imgrag.runs.structure import KINDS

SIZE = 64  # px of the drawn images
WORDS = (
    "a an and the on dog owl toolbox background blue according to this image these images of generate".split()
)
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_sdxl(folder: Path) -> Profile:
    """SDXL with IP-Adapter Plus, Qwen2.5-VL, Qwen2.5 and CLIP, all tiny."""
    torch.manual_seed(0)
    _sdxl_pipeline().save_pretrained(folder / "generator", variant="fp16")
    _save_adapter(
        folder / "adapter",
        _sdxl_unet(),
        _resampler(64),
        "sdxl_models/plus.safetensors",
        "models/image_encoder",
    )
    adapter = AdapterProfile(
        checkpoint=Checkpoint(local=str(folder / "adapter")),
        subfolder="sdxl_models",
        weight_name="plus.safetensors",
        image_encoder_folder="models/image_encoder",
        scale=0.5,
    )
    return _profile(folder, adapter, Checkpoint(local=str(folder / "generator"), variant="fp16"))


def build_pocket(folder: Path) -> Profile:
    """Stable Diffusion with a word-level tokenizer and an adapter of every patch token."""
    torch.manual_seed(0)
    _sd_pipeline().save_pretrained(folder / "generator")
    projection = {"proj.0": _linear(32, 32), "proj.2": _linear(32, 32), "proj.3": _norm(32)}
    _save_adapter(folder / "adapter", _sd_unet(), _flat(projection), "full.safetensors", "image_encoder")
    adapter = AdapterProfile(
        checkpoint=Checkpoint(local=str(folder / "adapter")), weight_name="full.safetensors"
    )
    return _profile(folder, adapter, Checkpoint(local=str(folder / "generator")))


def with_control(profile: Profile, folder: Path) -> Profile:
    """The profile with a ControlNet that is seen: of every kind for SDXL, of edges and sketches for the other.

    Beside the first lie Depth Anything and ViTPose.
    """
    torch.manual_seed(0)
    plain = profile.generator.checkpoint.variant == ""
    net = ControlNetModel.from_unet(_sd_unet(), **_CONDITION) if plain else _union()
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.3)  # they begin with zeros, and would do nothing
    torch.nn.init.normal_(net.controlnet_cond_embedding.conv_out.weight, std=0.3)
    net.save_pretrained(folder / "control")
    checkpoint = Checkpoint(local=str(folder / "control"))
    if plain:
        return replace(profile, control=ControlProfile(checkpoint=checkpoint, kinds=("edges", "sketch")))
    for eye, model, processor in (
        ("depth", _depth(), _looking()),
        ("pose", _pose(), VitPoseImageProcessor()),
    ):
        model.save_pretrained(folder / eye)
        processor.save_pretrained(folder / eye)
    eyes = {eye: Checkpoint(local=str(folder / eye)) for eye in ("depth", "pose")}
    return replace(profile, control=ControlProfile(checkpoint=checkpoint, kinds=KINDS, scale=0.8, **eyes))


_CONDITION = {"conditioning_embedding_out_channels": (8, 8, 16, 16)}


def _union() -> ControlNetUnionModel:
    """As `xinsir/controlnet-union-sdxl-1.0`: six kinds of conditions, told apart by `control_mode`."""
    unet = dict(_sdxl_unet().config)
    shared = inspect.signature(ControlNetUnionModel.__init__).parameters.keys() & unet.keys()
    sizes = {name: unet[name] for name in shared if name not in ("act_fn", "self")}
    return ControlNetUnionModel(
        **sizes, **_CONDITION, num_trans_channel=16, num_trans_head=2, num_proj_channel=16
    )


def _depth() -> DepthAnythingForDepthEstimation:
    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=2, patch_size=14, image_size=28,
        out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    return DepthAnythingForDepthEstimation(config)


def _looking() -> DPTImageProcessor:
    return DPTImageProcessor(size={"height": 28, "width": 28}, ensure_multiple_of=14, keep_aspect_ratio=True)


def _pose() -> VitPoseForPoseEstimation:
    backbone = VitPoseBackboneConfig(
        image_size=[256, 192], hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2
    )
    return VitPoseForPoseEstimation(
        VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=True)
    )


def build_chats(folder: Path) -> None:
    """`vlm/` and `llm/`."""
    torch.manual_seed(0)
    tokenizer = _subwords()
    _vlm(tokenizer).save_pretrained(folder / "vlm")
    _processor(tokenizer).save_pretrained(folder / "vlm")
    config = Qwen2Config(**_qwen_sizes(tokenizer), tie_word_embeddings=True)
    Qwen2ForCausalLM(config).save_pretrained(folder / "llm")
    tokenizer.save_pretrained(folder / "llm")


def build_clip(file: Path) -> None:
    """A state dict that `clip.load` opens; the vocabulary is the one its tokenizer has."""
    torch.manual_seed(0)
    import_clip()
    from clip.model import CLIP

    model = CLIP(16, 32, 1, 64, 16, 77, 49408, 64, 1, 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({key: value.half() for key, value in model.state_dict().items()}, file)


def _profile(folder: Path, adapter: AdapterProfile, generator: Checkpoint) -> Profile:
    build_chats(folder)
    build_clip(folder / "clip.pt")
    return Profile(
        name="tiny",
        title="Tiny",
        generator=GeneratorProfile(checkpoint=generator, size=SIZE, steps=2, guidance_scale=3.0),
        adapter=adapter,
        vlm=VlmProfile(
            checkpoint=Checkpoint(local=str(folder / "vlm")),
            max_new_tokens=8,
            min_pixels=112 * 112,
            max_pixels=112 * 112,
        ),
        llm=LlmProfile(checkpoint=Checkpoint(local=str(folder / "llm")), max_new_tokens=8),
        clip=ClipProfile(checkpoint=str(folder / "clip.pt")),
        retrieval=RetrievalProfile(library="pocket", similarity_floor=0.2),
    )


def _sdxl_pipeline() -> StableDiffusionXLPipeline:
    tokenizer = _byte_pairs()
    return StableDiffusionXLPipeline(
        vae=_vae(0.13025, force_upcast=True),
        text_encoder=CLIPTextModel(_text_config(tokenizer, 32)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, 32)),
        tokenizer=tokenizer,
        tokenizer_2=_byte_pairs(),
        unet=_sdxl_unet(),
        scheduler=EulerDiscreteScheduler(
            beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
        ),
    )


def _sd_pipeline() -> StableDiffusionPipeline:
    tokenizer = _word_level()
    return StableDiffusionPipeline(
        vae=_vae(1.0, force_upcast=False),
        text_encoder=CLIPTextModel(_text_config(tokenizer, 32)),
        tokenizer=tokenizer,
        unet=_sd_unet(),
        scheduler=DPMSolverMultistepScheduler(prediction_type="v_prediction", steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _vae(scaling_factor: float, force_upcast: bool) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIZE,
        scaling_factor=scaling_factor,
        force_upcast=force_upcast,
    )


def _sdxl_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=64,
        norm_num_groups=8,
    )


def _sd_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=32,
        norm_num_groups=8,
    )


def _text_config(tokenizer: PreTrainedTokenizerFast, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _byte_pairs() -> CLIPTokenizer:
    """CLIP's byte-level BPE with no merges but its window of 77: a letter is a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={entry: i for i, entry in enumerate(entries)}, merges=[], model_max_length=77)


def _word_level() -> PreTrainedTokenizerFast:
    """Whole words, as the pocket generator has them; the rest is <unk>."""
    vocabulary = {word: i for i, word in enumerate(("<pad>", "<bos>", "<eos>", "<unk>", *WORDS))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>",
        special_tokens=[("<bos>", vocabulary["<bos>"]), ("<eos>", vocabulary["<eos>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=16,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )


def _save_adapter(
    folder: Path, unet: UNet2DConditionModel, projection: dict[str, torch.Tensor], weights: str, encoder: str
) -> None:
    """Weights in the published layout, strong enough to be seen, and the image encoder."""
    state = {f"image_proj.{key}": value for key, value in projection.items()}
    crossing = [name for name in unet.attn_processors if not name.endswith("attn1.processor")]
    for number, name in enumerate(crossing):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        for kind, layer in (("k", attention.to_k), ("v", attention.to_v)):
            state[f"ip_adapter.{2 * number + 1}.to_{kind}_ip.weight"] = layer.weight.detach() * 3
    (folder / weights).parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half().contiguous() for key, value in state.items()}, folder / weights)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=32,
    )
    CLIPVisionModelWithProjection(config).half().save_pretrained(folder / encoder)


def _resampler(out: int, width: int = 64, queries: int = 4) -> dict[str, torch.Tensor]:
    """IP-Adapter Plus: four layers of attention over the encoder's 32-wide patch tokens."""
    parts = {"proj_in": _linear(32, width), "proj_out": _linear(width, out), "norm_out": _norm(out)}
    for layer in range(4):
        attention, feed = f"layers.{layer}.0", f"layers.{layer}.1"
        parts |= {f"{attention}.norm1": _norm(width), f"{attention}.norm2": _norm(width)}
        parts |= {
            f"{attention}.to_q": _linear(width, 64, bias=False),
            f"{attention}.to_kv": _linear(width, 128, bias=False),
        }
        parts |= {f"{attention}.to_out": _linear(64, width, bias=False), f"{feed}.0": _norm(width)}
        parts |= {
            f"{feed}.1": _linear(width, 4 * width, bias=False),
            f"{feed}.3": _linear(4 * width, width, bias=False),
        }
    return {"latents": torch.randn(1, queries, width), **_flat(parts)}


def _linear(inside: int, out: int, bias: bool = True) -> dict[str, torch.Tensor]:
    weight = {"weight": torch.randn(out, inside) * inside**-0.5}
    return {**weight, "bias": torch.zeros(out)} if bias else weight


def _norm(width: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.ones(width), "bias": torch.zeros(width)}


def _flat(parts: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()}


def _subwords() -> Qwen2Tokenizer:
    """Qwen's byte-level BPE with no merges: a byte is a token."""
    entries = (*SPECIAL, "<|video_pad|>", *sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = Qwen2Tokenizer(
        vocab={entry: i for i, entry in enumerate(entries)},
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=4096,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL, "<|video_pad|>"]})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _qwen_sizes(tokenizer: Qwen2Tokenizer) -> dict[str, object]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.2,
    }


def _vlm(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLForConditionalGeneration:
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in (*SPECIAL, "<|video_pad|>")}
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    config = Qwen2_5_VLConfig(
        text_config={**_qwen_sizes(tokenizer), "rope_parameters": rope, "tie_word_embeddings": True},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "out_hidden_size": 64,
            "initializer_range": 0.2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def _processor(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLProcessor:
    """Stored with the published bounds, so that the profile's have something to override."""
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 1280}
    return Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size),
        tokenizer,
        Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_TEMPLATE,
    )
