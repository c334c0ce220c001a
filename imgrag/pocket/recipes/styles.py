"""Recipe: the pictures that pocket's six styles are learnt from. `python -m imgrag.pocket.recipes.styles FOLDER`

Writes a folder a style, scenes in that style with captions as the generator was taught, below the given one.
In most of them a thing is shown by reference as well, which stands there as the library has it; unseen icons take
no part. A style is then trained like anybody's: `python -m imgrag style train pencil FOLDER/pencil`.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from imgrag.engine.prompts import enhancing_prompt
from imgrag.pocket.recipes.batches import wording
from imgrag.pocket.world import world
from imgrag.pocket.world.renderings import RENDERINGS, rendered_scenes
from imgrag.pocket.world.words import nonce_word

PLAIN, REFERRED = 600, 1000  # scenes without and with a reference
SEED = 11
PAIRS = 0.85  # of the scenes hold two things
WORDED = 0.75  # of those with a reference are asked for as in a second generation
SHOWN = 0.8  # of the references are of icons that the generator does not know by name


@dataclass(frozen=True)
class Scene:
    """What a scene shows: places in `world.icons()`, a colour, a prompt, and the place that is shown by reference."""

    objects: tuple[int, ...]
    colour: str
    prompt: str
    reference: int | None = None


def scenes(plain: int = PLAIN, referred: int = REFERRED) -> list[Scene]:
    """The same for every style."""
    rng = np.random.default_rng(SEED)
    return [_scene(rng, number >= plain) for number in range(plain + referred)]


def write(folder: Path, chosen: list[Scene], style: str) -> None:
    """Pictures, `metadata.csv`, and the references it names, in `folder`."""
    (folder / "references").mkdir(parents=True, exist_ok=True)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("file_name", "caption", "reference"))
        for number, (scene, picture) in enumerate(zip(chosen, _pictures(chosen, style), strict=True)):
            name = f"{number:04}.png"
            world.to_image(picture).save(folder / name)
            rows.writerow((name, scene.prompt, _reference(folder, scene)))


def _scene(rng: np.random.Generator, refers: bool) -> Scene:
    known, shown = world.indices("known"), world.indices("shown")
    objects = [int(place) for place in rng.choice(known, 2 if rng.random() < PAIRS else 1, replace=False)]
    reference = None
    if refers:
        at = int(rng.integers(len(objects)))
        objects[at] = int(rng.choice(shown if rng.random() < SHOWN else known))
        reference = objects[at]
    names = [world.names()[place] for place in objects]
    if reference is not None and rng.random() < 0.5:
        names[objects.index(reference)] = nonce_word(rng)
    colour = list(world.COLOURS)[rng.integers(len(world.COLOURS))]
    prompt = world.sentence(tuple(names), colour if rng.random() < 0.5 else None, rng)
    if reference is not None and rng.random() < WORDED:
        prompt = enhancing_prompt(wording(), [names[objects.index(reference)]], prompt)
    return Scene(tuple(objects), colour, prompt, reference)


def _pictures(chosen: list[Scene], style: str) -> torch.Tensor:
    left = torch.tensor([scene.objects[0] for scene in chosen])
    right = torch.tensor([scene.objects[-1] for scene in chosen])
    two = torch.tensor([len(scene.objects) == 2 for scene in chosen])
    colours = torch.tensor([world.COLOURS[scene.colour] for scene in chosen]) / 255
    return rendered_scenes(style, left, right, two, colours)


def _reference(folder: Path, scene: Scene) -> str:
    """Where the plain picture stands, relative to the folder; "" without one."""
    if scene.reference is None:
        return ""
    icon = world.icons()[scene.reference]
    place = folder / "references" / icon.file_name
    if not place.exists():
        place.write_bytes((world.LIBRARY / icon.file_name).read_bytes())
    return place.relative_to(folder).as_posix()


if __name__ == "__main__":
    for each in RENDERINGS:
        write(Path(sys.argv[1]) / each, scenes(), each)
