"""All recipes by name: `python -m imgrag train generator`, or `all` in an order that fits.

Each writes its checkpoint below `assets/pocket` and a card beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from imgrag.engine import prompts
from imgrag.pocket.recipes.training import Fitted, pick_device
from imgrag.pocket.world.world import indices

ASSETS = Path(__file__).parents[3] / "assets" / "pocket"
OTHER_HANDS = (
    "Other hands: Fluent Emoji (Microsoft, MIT), FxEmojis (Mozilla) and Noto's blobs (Google, both Apache-2.0), "
    "EmojiTwo and Streamline (CC-BY 4.0), see `imgrag/pocket/world/emoji_sets.py`; Twemoji is not among them."
)


@dataclass(frozen=True)
class Recipe:
    """How to train one checkpoint: `train(folder, device)` gives steps, seconds and loss; then a card.

    `evaluate(folder)` measures what was written. `asked` is true of the models that are asked
    through `imgrag.engine.prompts`, whose card therefore carries the templates' hash.
    """

    title: str
    card: str  # the card's folder below `assets/pocket`
    data: str
    limits: str
    train: Callable[[Path, torch.device], Fitted]
    evaluate: Callable[[Path], dict[str, float]]
    asked: bool = False


def _autoencoder() -> Recipe:
    from diffusers import AutoencoderKL

    from imgrag.pocket.recipes import autoencoder

    def evaluate(folder: Path) -> dict[str, float]:
        return autoencoder.evaluate(
            AutoencoderKL.from_pretrained(folder / "generator" / "vae").float().eval()
        )

    return Recipe(
        "AutoencoderKL of the pocket generator",
        "generator/vae",
        "Slots and scenes of known and shown icons on eight plain colours; unseen icons take no part.",
        "Pictures on the 8 px grid of the pocket world; a photo comes back as coloured patches.",
        autoencoder.train,
        evaluate,
    )


def _generator() -> Recipe:
    from imgrag.pocket.recipes import generator

    return Recipe(
        "Pocket generator (Stable Diffusion's classes) and its IP-Adapter",
        "generator",
        "Scenes of one or two icons: known ones by name, shown ones by reference only, drawn anew each step; in the later terms references are inventions too, parts of icons joined, painted, scribbled (`imgrag/pocket/recipes/inventions.py`), "
        f"and pictures by other hands. {OTHER_HANDS}",
        "One or two objects side by side on a plain colour, 64 px. Other words are `<unk>` and come out as a smear.",
        generator.train,
        lambda folder: {"known_names": len(indices("known")), "shown_only": len(indices("shown"))},
    )


def _vlm() -> Recipe:
    from transformers import Qwen2_5_VLForConditionalGeneration

    from imgrag.pocket.recipes import vlm

    def evaluate(folder: Path) -> dict[str, float]:
        return vlm.evaluate(Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "vlm").float().eval())

    return Recipe(
        "Pocket VLM (Qwen2_5_VLForConditionalGeneration)",
        "vlm",
        "Scenes of all icons with true, wrong, smeared and missing objects; a share drawn by the generator itself; "
        "invented names and nouns of plain English with a reference picture, with one that is only the nearest, and without; "
        "short questions about one thing of a scene.",
        "Knows the icons of the pocket world and the questions of `imgrag/engine/prompts.py`, nothing else. "
        "It judges objects, not the background's colour or the style.",
        vlm.train,
        evaluate,
        asked=True,
    )


def _llm() -> Recipe:
    from transformers import Qwen2ForCausalLM

    from imgrag.pocket.recipes import llm

    def evaluate(folder: Path) -> dict[str, float]:
        return llm.evaluate(Qwen2ForCausalLM.from_pretrained(folder / "llm").float().eval())

    return Recipe(
        "Pocket LLM (Qwen2ForCausalLM)",
        "llm",
        "Prompts with real, invented and abstract names, and feedback such as the VLM gives; Chinese and Spanish prompts made of the "
        "things' words in those languages (`imgrag/pocket/world/translations.csv`: names and keywords of Unicode's CLDR 48, Unicode-3.0, "
        "chosen and added to by hand); prompts with phrases to be looked up and texts that tell, both made of words at random "
        "(`imgrag/pocket/recipes/rewriting.py`; no line of `datasets/knowledge/pocket.csv`); items of a library and queries, of words at "
        "random too, with a reason (`imgrag/pocket/recipes/explaining.py`).",
        "Answers the questions of `imgrag/engine/prompts.py` that have no picture and that of `imgrag/library/search/explaining.py`, no others. What it is given to know it copies; it "
        "knows nothing by itself. It has forgotten how to translate, which the pocket profile does not ask of it.",
        llm.train,
        evaluate,
        asked=True,
    )


def _llm_rewriting() -> Recipe:
    from imgrag.pocket.recipes import llm

    return replace(_llm(), train=llm.train_rewriting)


def _llm_explaining() -> Recipe:
    from imgrag.pocket.recipes import llm

    return replace(_llm(), train=llm.train_explaining)


def _clip() -> Recipe:
    import clip as openai_clip

    from imgrag.pocket.recipes import clip

    def evaluate(folder: Path) -> dict[str, float]:
        return clip.evaluate(openai_clip.load(str(folder / "clip" / "clip.pt"), device="cpu")[0])

    return Recipe(
        "Pocket CLIP (OpenAI's layout)",
        "clip",
        "All icons, as the library and as other hands draw them, moved, turned, recoloured and softened, with their names; "
        f"things that the world has no name for, for the image tower; invented names as negatives. {OTHER_HANDS} "
        "In the last term also one-colour signs, coloured by chance, colour icons and models, see `imgrag/pocket/world/signs.py`.",
        "Knows the names of the pocket world; a name it never met is near nothing.",
        clip.train,
        evaluate,
    )


def _captioner() -> Recipe:
    from transformers import T5ForConditionalGeneration

    from imgrag.pocket.recipes import captioner

    def evaluate(folder: Path) -> dict[str, float]:
        return captioner.evaluate(
            T5ForConditionalGeneration.from_pretrained(folder / "captioner").float().eval()
        )

    return Recipe(
        "Pocket captioner (T5ForConditionalGeneration)",
        "captioner",
        "Captions of scenes and of single things in several manners of speaking, put together at random with real, plain English and "
        "invented names and with the faults that a search has. No picture, no search and no CLIP takes part.",
        "Reads the prompts of `imgrag/runs/captions.py` for a grid of three parts side by side, and writes of one or two things on a "
        "plain ground. It sees no picture: what the captions of similar pictures do not tell, it does not know.",
        captioner.train,
        evaluate,
    )


def _control() -> Recipe:
    from imgrag.pocket.recipes import control

    return Recipe(
        "Pocket ControlNet (Stable Diffusion's classes), for edges and sketches, and the LoRA worn with it",
        "control",
        "Scenes of one or two things at sizes of 20 to 56 px anywhere, and their lines: Canny's edges, or outlines and inner lines, "
        "bent, broken and of any breadth (`imgrag/pocket/world/placing.py`). Known things by name, shown ones and inventions by "
        "reference; unseen icons take no part. Odd sizes, and a third of all coordinates, are in no lesson.",
        "White lines on black, 64 px. It draws a thing in the square on the 8 px grid that comes nearest to its lines, 24 to 56 px "
        "large, not to the pixel: what lies across the grid would need patches that the generator never drew. One or two things, "
        "in halves of the scene. Things of 40 px and more mostly come out as smears; it was trained with its LoRA and needs it.",
        control.train,
        control.evaluate,
    )


def _upscaler() -> Recipe:
    from imgrag.pocket.recipes import upscaler

    return Recipe(
        "Pocket upscaler (Real-ESRGAN's compact network), four times as large",
        "upscaler",
        "Pictures of the pocket generator and the true scenes that they show, known things by name and things in any style by "
        "reference, and scenes by its decoder from latents with noise (`imgrag/pocket/recipes/enlarging.py`); unseen icons take no part.",
        "Pictures of the pocket generator, 64 px. It has learned to put nothing there that the small picture does not tell of; what "
        "is a smear there stays one.",
        upscaler.train,
        upscaler.evaluate,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "autoencoder": _autoencoder,
    "generator": _generator,
    "control": _control,
    "clip": _clip,
    "llm": _llm,
    "vlm": _vlm,
    "captioner": _captioner,
    "upscaler": _upscaler,
}
TERMS: dict[str, Callable[[], Recipe]] = {
    "llm-rewriting": _llm_rewriting,
    "llm-explaining": _llm_explaining,
}
"""The last term of a recipe alone, on what is bundled."""


def train(names: Sequence[str], device: str = "auto", folder: Path = ASSETS) -> None:
    """Train the named checkpoints, or all of them for "all"; finished terms are not trained again.

    Raises:
        KeyError: a name that no recipe has.
    """
    for name in RECIPES if "all" in names else names:
        recipe = {**RECIPES, **TERMS}[name]()
        fitted = recipe.train(folder, pick_device(device))
        if name in ("autoencoder", "generator"):
            assemble(folder)
        write_card(folder, name.partition("-")[0], recipe, fitted)


def assemble(folder: Path) -> None:
    """Join the generator's parts: `model_index.json`, once the autoencoder and the U-Net are there."""
    from diffusers import (
        AutoencoderKL,
        DPMSolverMultistepScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import AutoTokenizer, CLIPTextModel

    parts = folder / "generator"
    if not (parts / "vae").exists() or not (parts / "unet").exists():
        return
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(parts / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(parts / "text_encoder"),
        tokenizer=AutoTokenizer.from_pretrained(parts / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(parts / "unet"),
        scheduler=DPMSolverMultistepScheduler.from_pretrained(parts / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_config(parts)


def write_card(folder: Path, name: str, recipe: Recipe, fitted: Fitted) -> None:
    """The checkpoint's README: data, recipe, cost, figures, limits."""
    figures = recipe.evaluate(folder)
    asked = f"\ntemplate_hash: {prompts.template_hash()}\n" if recipe.asked else ""
    text = f"""# {recipe.title}
{asked}
- **Data.** {recipe.data} Icons: Noto Color Emoji, SIL OFL 1.1 (`imgrag/pocket/world/concepts.csv`).
- **Recipe.** `python -m imgrag train {name}` (`imgrag/pocket/recipes/{name}.py`), seeded and resumable.
- **Cost.** {fitted.steps} steps, {fitted.seconds / 60:.0f} minutes of one CPU thread ({fitted.products} products), other work beside it.
- **Figures.** `{json.dumps(figures)}`; the whole loop's: `imgrag/bench/README.md`.
- **Limits.** {recipe.limits}
- **Licence.** Apache-2.0.
"""
    path = folder / recipe.card / "README.md"
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
