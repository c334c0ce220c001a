"""How fast pictures are added to a library, and what that takes in memory.

The row of photos runs a ViT-B/32 with random weights: what it answers does not matter, only that
it costs what a real one costs. The other rows are about the library, so their embedder costs next
to nothing. What has to be measured in a new process is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from imgrag.bench import Figure, Meter
from imgrag.bench.library.counts import DIMENSIONS, MODEL, Counts, Figures, in_new_process, seconds_of
from imgrag.library import ImageLibrary, create_library, library_names, open_library
from imgrag.library.intake.adding import BATCH, Progress, Report, finished
from imgrag.library.intake.pictures import read_picture
from imgrag.models import Embedder, weighted_sum
from imgrag.models.checkpoints import locate_clip
from imgrag.models.clip import ClipEmbedder, import_clip, load_clip
from imgrag.models.profile import load_profile
from imgrag.pictures import bounded


def measure_photos(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """What part of a model's own rate is kept when pictures are found, decoded and written besides.

    Half of the bare passes come before, half after: a machine that slows down slows both alike.
    """
    photos = make_pictures(folder / "photos", counts.photos, photo, ".jpg", meter)
    model, preprocess = random_vit()
    embedder = ClipEmbedder(model, preprocess, MODEL, "cpu")
    middle = len(photos) // 2
    meter.console.print("bare passes, adding, bare passes")
    bare = bare_seconds(model, preprocess, embedder.side, photos[:middle])
    seconds, report = add(folder, folder / "photos", embedder)
    bare += bare_seconds(model, preprocess, embedder.side, photos[middle:])
    return {"photos": Figure(bare / seconds, report.added)}


def measure_again(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """The second `add` of a folder in which nothing changed, by a library opened anew, both with pocket's CLIP."""
    make_pictures(folder / "tiles", counts.files, tile, ".png", meter)
    name = load_profile("pocket").clip.checkpoint
    embedder = load_clip(name, locate_clip(name, "pocket"), "cpu")
    first, _ = add(folder, folder / "tiles", embedder)
    second, report = add(folder, folder / "tiles", embedder)
    return {"again": Figure(second / first, report.unchanged)}


def measure_memory(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """How much adding grows after its first tenth, beyond the vectors that come in."""
    make_pictures(folder / "tiles", counts.many, tile, ".png", meter)
    meter.console.print("adding them in a new process")
    growth, added = in_new_process(growth_while_adding, folder, folder / "tiles", counts.many // 10)
    return {"memory": Figure(growth / 1e6, added)}


def growth_while_adding(root: Path, pictures: Path, first: int) -> tuple[int, int]:
    """Bytes of resident memory that came after the `first` pictures; how many were added in all.

    The vectors of the pictures that came later are not counted.
    """
    with opened_library(root) as library:
        events = library.add([pictures], Projection())
        done = next(event.done for event in events if isinstance(event, Progress) and event.done >= first)
        with MemoryGrowth() as memory:
            report = finished(events)
    return memory.bytes - 4 * DIMENSIONS * (report.added - done), report.added


class MemoryGrowth:
    """How far this process's resident memory rose while the block ran; looked at every 10 ms."""

    def __init__(self) -> None:
        self.bytes = 0
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryGrowth:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()

    def _watch(self) -> None:
        over = False
        while not over:
            over = self._over.wait(0.01)
            self.bytes = max(self.bytes, self._process.memory_info().rss - self._before)


def add(root: Path, pictures: Path, embedder: Embedder) -> tuple[float, Report]:
    """Seconds and report of adding a folder to the library below `root`, which may have it already."""
    with opened_library(root) as library:
        begun = time.perf_counter()
        report = finished(library.add([pictures], embedder))
        return time.perf_counter() - begun, report


@contextmanager
def opened_library(root: Path) -> Iterator[ImageLibrary]:
    """The one library below `root`, made if it is not there."""
    if "bench" not in library_names(root / "libraries"):
        create_library("bench", root / "libraries")
    with closing(open_library("bench", root / "libraries", root / "cache")) as library:
        yield library


def make_pictures(
    folder: Path, count: int, draw: Callable[[int], Image.Image], suffix: str, meter: Meter
) -> list[Path]:
    """Files of `draw(0)`, `draw(1)` and so on, in the order of their names."""
    folder.mkdir(parents=True)
    files = [folder / f"{number:07}{suffix}" for number in range(count)]
    with meter.over(f"making {count:,} {suffix} files", files) as steps:
        for number, file in enumerate(steps):
            draw(number).save(file, quality=90)
    return files


def tile(number: int) -> Image.Image:
    """A tiny picture like no other."""
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
    return Image.fromarray(pixels)


def photo(number: int) -> Image.Image:
    """A megapixel of soft shapes with grain, as large and as slow to decode as a real one."""
    generator = np.random.default_rng(number)
    shapes = Image.fromarray(generator.integers(0, 256, (20, 30, 3), np.uint8))
    pixels = np.asarray(shapes.resize((1200, 840), Image.Resampling.BICUBIC), np.int16)
    grain = generator.integers(-8, 9, (840, 1200, 1), np.int16)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


class Projection:
    """An `imgrag.models.Embedder` that costs next to nothing: pixels through a fixed random matrix."""

    model_id = MODEL
    dimensions = DIMENSIONS
    side = 8

    def __init__(self) -> None:
        self._matrix = np.random.default_rng(1).standard_normal((3 * self.side**2, DIMENSIONS), np.float32)

    def prepare(self, image: Image.Image) -> Image.Image:
        """See `imgrag.models.Embedder`."""
        return image.convert("RGB").resize((self.side, self.side))

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        small = [np.asarray(self.prepare(image), np.float32).ravel() for image in images]
        return self._unit(np.stack(small) - 127.5)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `imgrag.models.Embedder`: a text is a picture of its bytes."""
        size = (3 * self.side**2,)
        return self._unit(
            np.stack([np.resize(np.frombuffer(f"{t}.".encode(), np.uint8), size) for t in texts])
        )

    def compose(self, image: Image.Image, text: str, weight: float) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        return weighted_sum(self.embed_images([image])[0], self.embed_texts([text])[0], weight)

    def _unit(self, pixels: np.ndarray) -> np.ndarray:
        vectors = pixels.astype(np.float32) @ self._matrix
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_vit() -> tuple[Any, Any]:
    """OpenAI's ViT-B/32 with random weights, and how it wants its pictures."""
    clip = import_clip()
    from clip.model import CLIP

    model = CLIP(
        embed_dim=DIMENSIONS, image_resolution=224, vision_layers=12, vision_width=768,
        vision_patch_size=32, context_length=77, vocab_size=49408, transformer_width=512,
        transformer_heads=8, transformer_layers=12,
    )  # fmt: skip
    return model.eval(), clip.clip._transform(224)  # what `clip.load` returns with a model


def bare_seconds(model: Any, preprocess: Any, side: int, files: Sequence[Path]) -> float:
    """Seconds of the forward passes alone, in the batches in which a library embeds."""
    import torch

    seconds = 0.0
    with torch.inference_mode():
        model.encode_image(torch.zeros(1, 3, side, side))  # the first pass sets things up
        for start in range(0, len(files), BATCH):
            pictures = [bounded(read_picture(file, side), side) for file in files[start : start + BATCH]]
            tensors = torch.stack([preprocess(picture) for picture in pictures])
            seconds += seconds_of(partial(model.encode_image, tensors))
    return seconds
