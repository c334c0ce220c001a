"""Captions by retrieval on the profile's own models: what neighbours bring, what a LoRA brings, and how long it takes.

The library holds the world's icons and scenes of them, with captions. The icons of the set "unseen" have names in it that no
model has met. Asked are scenes that nobody has seen, against what they show: right is a caption that names just the
things that are there, and the ground.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from imgrag.bench import Bar, Figure, count, machine, print_bars, print_document
from imgrag.captions import AdapterShelf, CaptionPipeline, CaptionRequest
from imgrag.captions.evaluating import measured
from imgrag.captions.lessons import SETTINGS, read_lesson, samples, split
from imgrag.captions.training import train_adapter
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.prompts import with_article
from imgrag.pocket.recipes.things import untaught
from imgrag.pocket.world import world
from imgrag.runs.captions import SOMETHING

SEED = 41
BARS = (
    Bar("exact", "things and ground just right", 0.90),
    Bar("exact_alone", "the same without neighbours"),
    Bar("named", "a thing of a name nobody met is named", 0.85, 0.97),
    Bar("named_alone", "the same without neighbours"),
    Bar("honest", 'a thing the library lacks is "something"', 0.90),
    Bar("bleu_before", "BLEU-4 of another manner of speaking"),
    Bar("bleu_after", "the same with a LoRA trained on it"),
    Bar("bleu_gain", "what the LoRA adds", 0.15),
    Bar("cider_before", "CIDEr-D of that manner", unit=""),
    Bar("cider_after", "the same with the LoRA", unit=""),
    Bar("seconds", "seconds for 1,000 captions", 60, at_most=True, unit=""),
)


@dataclass(frozen=True)
class Scene:
    """A picture and what it shows: places in `world.names()`, and a colour."""

    things: tuple[int, ...]
    colour: str

    @property
    def picture(self) -> Image.Image:
        return world.scene_image(tuple(world.names()[thing] for thing in self.things), self.colour)


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m imgrag bench captions", description=__doc__)
    parser.add_argument("--scenes", type=count, default=200, help="of each kind")
    parser.add_argument("--library", type=count, default=800, help="scenes in the library, beside the icons")
    parser.add_argument("--timed", type=count, default=1000, help="captions that are timed")
    parser.add_argument("--epochs", type=count, default=6, help="of the LoRA")
    parser.add_argument("--profile", default="pocket")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), options.profile, options.library)
        figures = {
            **bench.scenes(options.scenes),
            **bench.timed(options.timed),
            **bench.manner(options.epochs),
        }
        bench.close()
    print_bars(f"captions of scenes, {options.profile}", BARS, figures)
    document = {
        "bench": "captions", "profile": options.profile, "library": options.library,
        **{key: {"value": round(figure.value, 4), "n": figure.n} for key, figure in figures.items()},
        "machine": machine(),
    }  # fmt: skip
    print_document(document, options.out)
    return 0


def names(rng: np.random.Generator) -> list[str]:
    """What the library calls each icon: those of the set "unseen" by nouns that no training knows."""
    strange = rng.permutation([noun for noun in untaught() if noun not in world.names()]).tolist()
    return [strange.pop() if icon.set == "unseen" else icon.name for icon in world.icons()]


def plain(things: Sequence[str], colour: str) -> str:
    return f"{' and '.join(map(with_article, things))} on {with_article(f'{colour} background')}"


def other_manner(things: Sequence[str], colour: str) -> str:
    """Another word order and other words."""
    return f"in front of all {colour} stands {' , to its right '.join(f'one {thing}' for thing in things)}"


class Bench:
    """A library in a folder, the pipeline, and what is measured with both."""

    def __init__(self, root: Path, profile: str, scenes: int) -> None:
        self._root, self._rng = root, np.random.default_rng(SEED)
        self._names = names(self._rng)
        self._lacking = set(map(int, self._rng.choice(world.indices("shown"), 40, replace=False)))
        self._scenes = scenes
        self._pipeline = ImageRAGPipeline(profile, results=root / "results", libraries=root / "libraries")
        self._captions = CaptionPipeline(self._pipeline, AdapterShelf(root / "adapters"))
        self._draw("plain", plain)

    def close(self) -> None:
        for name in ("plain", "manner"):
            self._pipeline.close_library(name)

    def scenes(self, number: int) -> dict[str, Figure]:
        """Whether things and grounds come out, with neighbours and without."""
        strange = set(map(int, world.indices("unseen")))
        known = [i for i in range(len(self._names)) if i not in strange | self._lacking]
        usual = [self._scene(known) for _ in range(number)]
        odd = [self._scene(known, sorted(strange)) for _ in range(number)]
        lacking = [self._scene(known, sorted(self._lacking)) for _ in range(number)]
        return {
            "exact": self._share(usual, self._exact),
            "exact_alone": self._share(usual, self._exact, alone=True),
            "named": self._share(odd, self._named),
            "named_alone": self._share(odd, self._named, alone=True),
            "honest": self._share(lacking, self._honest),
        }

    def timed(self, number: int) -> dict[str, Figure]:
        """Seconds for as many captions, pictures in hand, models in memory."""
        pictures = [(str(n), self._scene(range(len(self._names))).picture) for n in range(number)]
        request = CaptionRequest(library="plain")
        list(self._captions.many(pictures[:2], request))
        begun = time.perf_counter()
        list(self._captions.many(pictures, request))
        return {"seconds": Figure((time.perf_counter() - begun) * 1000 / number, number)}

    def manner(self, epochs: int) -> dict[str, Figure]:
        """BLEU-4 and CIDEr-D on a library in another manner of speaking, without and with a LoRA trained on it."""
        self._draw("manner", other_manner)
        library, request = self._pipeline.library("manner"), CaptionRequest(library="manner")
        lesson = read_lesson(SETTINGS, samples=self._scenes + len(self._names), epochs=epochs)
        made = [s for s in samples(self._captions, library, request, lesson) if s.file.startswith("scene")]
        learnt, kept = split(made, replace(lesson, validation=0.2))
        shelf = self._captions.adapters
        train_adapter(
            self._root / "work",
            shelf.place_for("manner"),
            learnt,
            kept,
            self._pipeline.profile,
            lesson,
            print,
        )
        found: dict[str, Figure] = {}
        for key, adapter in (("before", None), ("after", shelf.get("manner"))):
            row = measured(self._captions, library, kept, [s.prompt for s in kept], adapter, retrieval=True)
            found[f"bleu_{key}"] = Figure(row.figures["bleu_4"], row.pictures)
            found[f"cider_{key}"] = Figure(row.figures["cider_d"], row.pictures)
        gain = found["bleu_after"].value - found["bleu_before"].value
        return {**found, "bleu_gain": Figure(gain, found["bleu_after"].n)}

    def _scene(self, things: Sequence[int], first: Sequence[int] = ()) -> Scene:
        """One or two different things; one of them out of `first`, if there are any."""
        chosen = [
            int(i) for i in self._rng.choice(list(things), int(self._rng.integers(1, 3)), replace=False)
        ]
        if first:
            chosen[int(self._rng.integers(len(chosen)))] = int(self._rng.choice(list(first)))
        return Scene(tuple(chosen), str(self._rng.choice(list(world.COLOURS))))

    def _draw(self, name: str, manner: Callable[[Sequence[str], str], str]) -> None:
        folder = self._root / "libraries" / name
        folder.mkdir(parents=True)
        told = [i for i in range(len(self._names)) if i not in self._lacking]
        with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as lines:
            table = csv.writer(lines)
            table.writerow(("file_name", "caption"))
            for icon in told:
                file = world.icons()[icon].file_name
                Image.open(world.LIBRARY / file).save(folder / file)
                table.writerow((file, f"a picture of {with_article(self._names[icon])}"))
            for number in range(self._scenes):
                scene = self._scene(told)
                scene.picture.save(folder / f"scene-{number:04}.png")
                table.writerow(
                    (f"scene-{number:04}.png", manner([self._names[t] for t in scene.things], scene.colour))
                )

    def _share(
        self, scenes: Sequence[Scene], right: Callable[[Scene, str], bool], alone: bool = False
    ) -> Figure:
        request = CaptionRequest(library="plain", alone=alone, plain=True)
        pictures = [(str(n), scene.picture) for n, scene in enumerate(scenes)]
        said = [one.caption for one in self._captions.many(pictures, request)]
        return Figure(float(np.mean([right(*pair) for pair in zip(scenes, said, strict=True)])), len(scenes))

    def _exact(self, scene: Scene, said: str) -> bool:
        return said == plain([self._names[thing] for thing in scene.things], scene.colour)

    def _named(self, scene: Scene, said: str) -> bool:
        strange = [self._names[t] for t in scene.things if world.icons()[t].set == "unseen"]
        return all(f" {name} " in f" {said} " for name in strange)

    def _honest(self, scene: Scene, said: str) -> bool:
        """It says something, and of what is there and of nothing else the names."""
        there = {with_article(self._names[t]) for t in scene.things if t not in self._lacking}
        parts = said.split(" on ")[0].split(" and ")
        return SOMETHING in parts and set(parts) - {SOMETHING} <= there
