"""Recipe: the pocket CLIP, a state dict in OpenAI's layout that `clip.load` opens.

First the image tower, OpenAI's residual network, looks: it tells things apart, the world's and others, as
the library draws them and as other hands do, bent, recoloured, flattened, softened and moved, so that a
thing in another style is still found. A table of prototypes stands for their names, which is faster than
reading them. Then the text tower reads: captions go where their prototypes are. Then both go on together,
contrastive (Radford et al., 2021) and still looking, for without that they forget other hands. Captions of
invented names are negatives, so that a name nobody knows is near nothing. Backgrounds are named too, so
that a picture and words ("on a green background") add up to a query.

By then it knows every picture that it was shown, and other styles four times in five. So it goes on, deeper
by three blocks that begin as nothing, among four times as many pictures: signs of one colour, models, lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import clip
import numpy as np
import torch
import torch.nn.functional as F
from clip.model import CLIP
from torch import nn

from imgrag.engine.prompts import with_article
from imgrag.pocket.recipes.judging import invented_name
from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.training import Fitted, Schedule, fit, together
from imgrag.pocket.world import emoji_sets, signs, world
from imgrag.pocket.world.pixels import normalise, soften
from imgrag.pocket.world.styles import ink, restyle

SIDE = 64  # px
BATCH = 144
STRANGERS = 24
TWINS = 24  # rows that show an icon of the batch once more, on another colour
COLOUR_SHARE = 1.0  # of the loss that tells backgrounds by their name alone
LOOKED_AT = 192  # pictures a step while only the image tower learns
BESIDE = 56  # strange things beside the named ones, while names and looks are learned at once
STRANGE = 0.3  # of them are things that the world has no name for
PROTOTYPE_SCALE = 24.0  # of cosines, before the softmax
SMOOTHING = 0.05
APART_SHARE = 5.0  # of the loss that a caption lies away from its prototype
LOOKING = Schedule(steps=6000, lr=2e-3, weight_decay=0.05, ema=0.995, warmup=200, save_every=100)
READING = Schedule(steps=1500, lr=2e-3, weight_decay=0.05, ema=0.99, seed=3, warmup=60, save_every=250)
NAMING = Schedule(steps=1200, lr=3e-4, weight_decay=0.05, ema=0.99, seed=2, warmup=60, save_every=100)
LOOKING_ON = Schedule(steps=3600, lr=1e-3, weight_decay=0.05, ema=0.998, seed=4, warmup=150, save_every=250)
KEPT = 0.6  # of what that term changes: whole, it knows lines better and flat colours worse than half-way
COUNTED = 24  # batches that its batch normalisations are counted on then
COUNTED_AT = 160  # pictures of each
COUNTED_SEED = 11
LAYERS = (1, 2, 2, 1)
DEEPER = (2, 3, 3, 1)
CAPTIONS = ("{}", "a picture of {}", "a photo of {}", "an image of {}", "a drawing of {}", "an icon of {}")


@dataclass(frozen=True)
class Mix:
    """Of a term's pictures, how many are `restyled`, drawn by `other` hands, `signs`, redrawn as lines (`inked`)."""

    restyled: float
    other: float = 0.0
    signs: float = 0.0
    inked: float = 0.0


LOOKED_MIX = Mix(restyled=0.4, other=0.75)
NAMED_MIX = Mix(restyled=0.5, other=0.75)
MANY_HANDS = Mix(restyled=0.5, other=0.55, signs=0.3, inked=0.2)


def build(layers: tuple[int, ...] = LAYERS) -> CLIP:
    return CLIP(
        embed_dim=128,
        image_resolution=SIDE,
        vision_layers=layers,
        vision_width=16,
        vision_patch_size=None,
        context_length=77,
        vocab_size=49408,
        transformer_width=64,
        transformer_heads=1,
        transformer_layers=2,
    )


@dataclass(frozen=True)
class Scene:
    """A row of a batch: a thing, and the named colour it stands on, -1 for white or any other.

    A thing is an icon of the world or, numbered after all of them, one of `emoji_sets.strange_things`.
    """

    thing: int
    colour: int


def scenes(rng: np.random.Generator) -> list[Scene]:
    """Different icons, some of them a second time on another colour, so that both count."""
    icons = rng.permutation(len(world.names()))[: BATCH - TWINS]
    colours = np.where(rng.random(len(icons)) < 0.3, rng.integers(len(world.COLOURS), size=len(icons)), -1)
    colours[:TWINS] = rng.integers(len(world.COLOURS), size=TWINS)
    other = (colours[:TWINS] + rng.integers(1, len(world.COLOURS), size=TWINS)) % len(world.COLOURS)
    rows = zip([*icons, *icons[:TWINS]], [*colours, *other], strict=True)
    return [Scene(int(icon), int(colour)) for icon, colour in rows]


def caption(name: str, rng: np.random.Generator, colour: int = -1) -> str:
    template = CAPTIONS[rng.integers(len(CAPTIONS))]
    text = template.format(name if template == "{}" and rng.random() < 0.5 else with_article(name))
    return text if colour < 0 else f"{text} {on_colour(colour)}"


def on_colour(colour: int) -> str:
    return f"on a {list(world.COLOURS)[colour]} background"


def views(rows: Sequence[Scene], rng: np.random.Generator, mix: Mix) -> torch.Tensor:
    """Things moved and softened on a plain colour, some by other hands or restyled, [b, 3, 64, 64]."""
    count = len(rows)
    plainly = torch.stack([_picture(row.thing, rng, mix) for row in rows])
    for share, change in ((mix.inked, ink), (mix.restyled, partial(restyle, swapped=0.15))):
        chosen = torch.from_numpy(rng.random(count) < share)
        if chosen.any():
            plainly[chosen] = change(plainly[chosen], rng)
    moved = _move(plainly, rng)
    plain = torch.ones(count, 3)
    tinted = rng.random(count) < 0.3
    plain[tinted] = torch.from_numpy(rng.random((int(tinted.sum()), 3), dtype=np.float32))
    colours = torch.tensor([row.colour for row in rows])
    shade = torch.from_numpy(rng.normal(0, 0.03, (count, 3)).astype(np.float32))
    plain = torch.where((colours >= 0)[:, None], world.colour_values()[colours] + shade, plain)
    return normalise(soften(world.over(moved, plain), rng, 0.0, 1.2).clamp(0, 1))


def _picture(thing: int, rng: np.random.Generator, mix: Mix) -> torch.Tensor:
    """One of its pictures, [4, 64, 64]; the library draws the world's icons only."""
    own = world.icon_slots(SIDE)
    if thing >= len(own):
        return emoji_sets.strange_things(SIDE).another(thing - len(own), rng)
    luck = rng.random() - mix.signs
    if luck < 0 and len(signs.signs(SIDE).rows_of(thing)):
        return signs.signs(SIDE).another(thing, rng)
    hands = signs.coloured if mix.signs else emoji_sets.named
    return hands(SIDE).another(thing, rng) if luck < mix.other else own[thing]


def _move(slots: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    count = len(slots)
    still = rng.random(count) < 0.25
    angle = np.where(still, 0, rng.normal(0, 0.16, count))
    zoom = np.where(still, 1, rng.uniform(0.9, 1.45, (count,)))
    stretch = np.where(still, 1, rng.uniform(0.85, 1.18, count))
    shift = np.where(still[:, None], 0, rng.uniform(-0.2, 0.2, (count, 2)))
    mirror = np.where(~still & (rng.random(count) < 0.25), -1, 1)
    matrix = np.stack(
        [
            np.stack([np.cos(angle) * zoom * stretch * mirror, -np.sin(angle) * zoom, shift[:, 0]], -1),
            np.stack([np.sin(angle) * zoom * mirror, np.cos(angle) * zoom / stretch, shift[:, 1]], -1),
        ],
        axis=1,
    )
    grid = F.affine_grid(torch.from_numpy(matrix.astype(np.float32)), list(slots.shape), align_corners=False)
    return F.grid_sample(slots, grid, align_corners=False)


def looking_loss(
    visual: nn.Module, prototypes: nn.Linear, rng: np.random.Generator, mix: Mix, device: torch.device
) -> torch.Tensor:
    """Cross-entropy over all things; the table's rows, `prototypes.weight` [things, 128], are their names."""
    named = len(world.names())
    things = rng.integers(named, size=LOOKED_AT)
    strange = rng.random(LOOKED_AT) < STRANGE
    things[strange] = rng.integers(named, prototypes.out_features, size=int(strange.sum()))
    pictures = views([Scene(int(thing), -1) for thing in things], rng, mix).to(device)
    with autocast(device):
        images = F.normalize(visual(pictures).float(), dim=-1)
    return _told(images, prototypes, torch.from_numpy(things).to(device))


def reading_loss(
    model: CLIP, prototypes: nn.Linear, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """As `naming_loss`, with prototypes in place of pictures and no colours; and captions lie where those do.

    To be nearest would be enough for the prototypes, but not for pictures that lie around them.
    """
    icons = rng.permutation(len(world.names()))[:BATCH]
    texts = [caption(world.names()[icon], rng) for icon in icons]
    texts += [caption(invented_name(rng), rng) for _ in range(STRANGERS)]
    with autocast(device):
        words = F.normalize(model.encode_text(clip.tokenize(texts, truncate=True).to(device)).float(), dim=-1)
    table = F.normalize(prototypes.weight.detach()[torch.from_numpy(icons).to(device)], dim=-1)
    apart = 1 - (table * words[:BATCH]).sum(-1)
    return _contrast(_scale(model) * table @ words.T) + APART_SHARE * apart.mean()


def naming_loss(model: CLIP, rng: np.random.Generator, mix: Mix, device: torch.device) -> torch.Tensor:
    """Symmetric cross-entropy; the strangers stand among the captions only."""
    rows = scenes(rng)
    with autocast(device):
        images = F.normalize(model.encode_image(views(rows, rng, mix).to(device)).float(), dim=-1)
    return _named(model, images, rows, rng, device)


def looking_on_loss(
    model: CLIP, prototypes: nn.Linear, rng: np.random.Generator, mix: Mix, device: torch.device
) -> torch.Tensor:
    """`naming_loss` and `looking_loss` of the same pictures, for which each picture is drawn and read once."""
    named = len(world.names())
    beside = rng.integers(named, prototypes.out_features, size=BESIDE)
    rows = scenes(rng)
    things = [row.thing for row in rows] + beside.tolist()
    pictures = views([*rows, *(Scene(int(thing), -1) for thing in beside)], rng, mix)
    with autocast(device):
        images = model.encode_image(pictures.to(device, memory_format=torch.channels_last)).float()
    images = F.normalize(images, dim=-1)
    told = _told(images, prototypes, torch.tensor(things, device=device))
    return _named(model, images[: len(rows)], rows, rng, device) + told


def _told(images: torch.Tensor, prototypes: nn.Linear, things: torch.Tensor) -> torch.Tensor:
    logits = PROTOTYPE_SCALE * images @ F.normalize(prototypes.weight, dim=-1).T
    return F.cross_entropy(logits, things, label_smoothing=SMOOTHING)


def _named(
    model: CLIP, images: torch.Tensor, rows: Sequence[Scene], rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    texts = [caption(world.names()[row.thing], rng, row.colour) for row in rows]
    texts += [caption(invented_name(rng), rng) for _ in range(STRANGERS)]
    texts += [on_colour(colour) for colour in range(len(world.COLOURS))]
    tokens = clip.tokenize(texts, truncate=True).to(device)
    with autocast(device):
        words = F.normalize(model.encode_text(tokens).float(), dim=-1)
    captions, backgrounds = words[: BATCH + STRANGERS], words[BATCH + STRANGERS :]
    scale = _scale(model)
    both = _contrast(scale * images @ captions.T)
    colours = torch.tensor([row.colour for row in rows], device=device)
    named = colours >= 0
    return both + COLOUR_SHARE * F.cross_entropy(scale * images[named] @ backgrounds.T, colours[named])


def deeper(model: CLIP) -> CLIP:
    """The same model with more blocks in its image tower, which at first hand on what they get.

    A block's last normalisation begins at zero, so that it adds nothing (as in Goyal et al., 2017).
    """
    deep = build(DEEPER).float()
    for name, parameter in deep.named_parameters():
        if name.endswith("bn3.weight"):
            nn.init.zeros_(parameter)
    deep.load_state_dict(model.state_dict(), strict=False)
    return deep.to(memory_format=torch.channels_last)


@torch.no_grad()
def between(before: CLIP, after: CLIP, share: float) -> CLIP:
    """Weights that went only a share of the way: in styles that neither saw, better than both.

    After Wortsman et al., 2022 (WiSE-FT). Batch normalisations are counted anew, for theirs do not add up.
    """
    model, rng = deepcopy(after), np.random.default_rng(COUNTED_SEED)
    old = before.state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(old[name].to(value), 1 - share)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean
    model.train()
    for _ in range(COUNTED):
        things = rng.integers(len(world.names()), size=COUNTED_AT)
        pictures = views([Scene(int(thing), -1) for thing in things], rng, MANY_HANDS)
        model.encode_image(pictures.to(model.positional_embedding.device))
    return model.eval()


@torch.no_grad()
def _prototypes(model: CLIP, things: int) -> nn.Linear:
    """What pictures and names are to lie at: the names' own places, for what has no name its pictures' mean."""
    table = nn.Linear(model.text_projection.shape[1], things, bias=False)
    names = [f"a picture of {with_article(name)}" for name in world.names()]
    strange = emoji_sets.strange_things(SIDE)
    pictures = normalise(
        world.over(strange.pick(np.arange(len(strange.shows))), torch.ones(len(strange.shows), 3))
    )
    images = F.normalize(model.eval().encode_image(pictures).float(), dim=-1)
    means = torch.zeros(things - len(names), images.shape[1]).index_add_(
        0, torch.from_numpy(strange.shows), images
    )
    words = F.normalize(model.encode_text(clip.tokenize(names)).float(), dim=-1)
    table.weight.copy_(F.normalize(torch.cat([words, means]), dim=-1))
    return table


def _scale(model: CLIP) -> torch.Tensor:
    return model.logit_scale.exp().clamp(max=30)


def _contrast(logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy both ways, [b, b + strangers]: nothing is to be found for a stranger."""
    target = torch.arange(len(logits), device=logits.device)
    found = F.cross_entropy(logits[:, : len(logits)].T, target)
    return (F.cross_entropy(logits, target) + found) / 2


@torch.no_grad()
def evaluate(model: CLIP) -> dict[str, float]:
    """Retrieval over the whole library by name, and where the scores of right and best wrong lie."""
    names = world.names()
    white = torch.ones(len(names), 3)
    images = F.normalize(model.encode_image(normalise(world.over(world.icon_slots(SIDE), white))), dim=-1)
    rng = np.random.default_rng(99)
    strangers = [with_article(invented_name(rng)) for _ in range(300)]
    known, unknown = (
        F.normalize(model.encode_text(clip.tokenize([f"a picture of {text}" for text in texts])), dim=-1)
        @ images.T
        for texts in ([with_article(name) for name in names], strangers)
    )
    right = known.diagonal()
    return {
        "recall_at_1": round((known.argmax(1) == torch.arange(len(names))).float().mean().item(), 4),
        "right_score_p01": round(right.quantile(0.01).item(), 3),
        "right_score_median": round(right.median().item(), 3),
        "stranger_best_score_median": round(unknown.amax(1).median().item(), 3),
        "stranger_best_score_p95": round(unknown.amax(1).quantile(0.95).item(), 3),
    }


def train(folder: Path, device: torch.device) -> Fitted:
    """Train CLIP and write `folder/clip/clip.pt`, in fp16 as OpenAI's files are."""
    torch.manual_seed(LOOKING.seed)
    model = build().to(device)
    things = len(world.names()) + 1 + int(emoji_sets.strange_things(SIDE).shows.max())
    prototypes = nn.Linear(model.text_projection.shape[1], things, bias=False).to(device)

    def look(step: int, rng: np.random.Generator) -> torch.Tensor:
        return looking_loss(model.visual, prototypes, rng, LOOKED_MIX, device)

    def read(step: int, rng: np.random.Generator) -> torch.Tensor:
        return reading_loss(model, prototypes, rng, device)

    def name(step: int, rng: np.random.Generator) -> torch.Tensor:
        return naming_loss(model, rng, NAMED_MIX, device) + look(step, rng)

    whole = {"clip": model, "prototypes": prototypes}
    costs = [fit("clip-looking", {"visual": model.visual, "prototypes": prototypes}, look, LOOKING, device)]
    model.visual.requires_grad_(False)
    costs.append(fit("clip-reading", {"clip": model}, read, READING, device))
    model.visual.requires_grad_(True)
    costs.append(fit("clip-naming", whole, name, NAMING, device))
    model = deeper(model)
    table = _prototypes(model, things).to(device)

    def look_on(step: int, rng: np.random.Generator) -> torch.Tensor:
        return looking_on_loss(model, table, rng, MANY_HANDS, device)

    before = deepcopy(model)
    costs.append(fit("clip-hands", {"clip": model, "prototypes": table}, look_on, LOOKING_ON, device))
    model = between(before, model, KEPT)
    path = folder / "clip" / "clip.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.cpu().state_dict().items()}
    torch.save(state, partial)
    os.replace(partial, path)
    return together(costs)
