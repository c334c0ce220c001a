"""How fast and how exact the library is, as ratios within one run where a machine would decide otherwise.

Searching is measured on clustered vectors: around centres, as pictures of few kinds are, since
evenly spread ones have no neighbours worth finding. "Exact" compares with every vector, "bare"
asks the very FAISS index that the store asks. Vectors come in blocks from a seed, so that the
bench itself holds none of the million.

Adding is measured on files. The row of photos runs a ViT-B/32 with random weights: what it
answers does not matter, only that it costs what a real one costs. The other rows are about the
library, so their embedder costs next to nothing. What has to be measured in a new process is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import faiss
import numpy as np
import psutil
from PIL import Image

from imgrag.bench import Bar, Figure, Meter, machine, print_bars, print_document
from imgrag.checkpoints import locate_clip
from imgrag.library import ImageLibrary, create_library, library_names, open_library
from imgrag.library.adding import BATCH, Progress, Report, finished
from imgrag.library.filters import parse_filter
from imgrag.library.pictures import read_picture
from imgrag.library.sqlite import EmbeddedStore
from imgrag.library.store import Entry, Hit
from imgrag.models import Embedder, weighted_sum
from imgrag.models.clip import ClipEmbedder, import_clip, load_clip
from imgrag.models.pictures import bounded
from imgrag.profile import load_profile

DIMENSIONS = 512
CENTRES = 1000
SPREAD = 0.5  # of a vector around its centre, whose coordinates have a deviation of 1
BLOCK = 10_000  # vectors made and written at a time
K = 10
QUERIES = 500
SHELVES = 40  # one of them is 2.5%
FILTER = "shelf = 7"
MODEL = "bench"
ROUNDING = 1e-6  # scores nearer than this are equal: float32 sums depend on their order
OPENINGS = 3

T = TypeVar("T")
Figures = dict[str, Figure]


@dataclass(frozen=True)
class Counts:
    """How much each row stands on; `large` may be 0."""

    rows: int = 100_000
    large: int = 1_000_000
    photos: int = 2_000
    files: int = 10_000
    many: int = 100_000


@dataclass(frozen=True)
class Experiment:
    """Something done once, in a folder of its own, that yields the rows `keys`."""

    keys: tuple[str, ...]
    measure: Callable[[Counts, Path, Meter], Figures]


def main(argv: list[str]) -> int:
    """Measure, print the table and the JSON line; exit code 0 whatever the figures are."""
    options = _options(argv)
    counts = Counts(options.rows, options.large, options.photos, options.files, options.many)
    figures = run(counts, options.only)
    print_bars("library", bars(counts), figures)
    print_document(report(counts, figures), options.out)
    return 0


def bars(counts: Counts) -> tuple[Bar, ...]:
    """What is measured and what it has to reach."""
    rows, large = f"{counts.rows:,} x {DIMENSIONS}", f"{counts.large:,} x {DIMENSIONS}"
    return (
        Bar("recall", f"recall@{K} against exact, {rows}", 0.99),
        Bar("recall_large", f"  {large}", 0.99),
        Bar("query", f"p50 of one query, {rows}", unit="ms"),
        Bar("query_large", f"  {large}", unit="ms"),
        Bar("against_bare", f"  against bare FAISS, {rows}", 1.3, at_most=True, unit="x"),
        Bar("against_bare_large", f"  {large}", 1.3, at_most=True, unit="x"),
        Bar("filtered", f"recall@{K} where 2.5% pass, {rows}", 1.0),
        Bar("filtered_large", f"  {large}", 1.0),
        Bar("opened", f"open + first query, new process, {rows}", 0.7, at_most=True, unit="s"),
        Bar("photos", f"adding {counts.photos:,} JPEGs, against bare ViT-B/32", 0.85),
        Bar("again", f"adding {counts.files:,} images again, against first", 0.02, at_most=True),
        Bar("memory", f"adding {counts.many:,} images: growth", 200, at_most=True, unit="MB"),
    )


def run(counts: Counts, only: Iterable[str] = ()) -> Figures:
    """The figures of the wanted rows (all, if `only` is empty)."""
    wanted = set(only) or {bar.key for bar in bars(counts)}
    figures: Figures = {}
    for experiment in EXPERIMENTS:
        if not wanted.intersection(experiment.keys):
            continue
        with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
            measured = experiment.measure(counts, Path(folder), Meter())
        figures.update({key: figure for key, figure in measured.items() if key in wanted})
    return figures


def report(counts: Counts, figures: Figures) -> dict[str, Any]:
    """The JSON document: each row's value, what it has to reach, and whether it does."""
    rows = {
        bar.key: {
            "value": round(figures[bar.key].value, 4), "n": figures[bar.key].n, "must": bar.must,
            "at_most": bar.at_most, "unit": bar.unit, "state": bar.state(figures[bar.key].value),
        }
        for bar in bars(counts) if bar.key in figures
    }  # fmt: skip
    return {"bench": "library", "counts": asdict(counts), "rows": rows, "machine": machine()}


def measure_search(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """Recall, pace and opening at `rows` vectors."""
    figures = _searched(counts.rows, folder, meter)
    seconds = [in_new_process(first_query_seconds, folder) for _ in range(OPENINGS)]
    return {**figures, "opened": Figure(statistics.median(seconds), OPENINGS)}


def measure_large_search(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """Recall and pace at `large` vectors; nothing if there are to be none."""
    if counts.large == 0:
        return {}
    return {f"{key}_large": figure for key, figure in _searched(counts.large, folder, meter).items()}


def _searched(rows: int, folder: Path, meter: Meter) -> Figures:
    with closing(EmbeddedStore(folder)) as store:
        store.select(MODEL, DIMENSIONS)
        queries = next(clustered(QUERIES, seed=2))
        every, passing = fill(store, rows, queries, meter)
        store.optimise()
        where = parse_filter(FILTER)
        ours, bare = paces(store, queries)
        return {
            "recall": every.recall([store.search(query, K) for query in queries]),
            "filtered": passing.recall([store.search(query, K, where) for query in queries]),
            "query": Figure(1000 * ours, len(queries)),
            "against_bare": Figure(ours / bare, len(queries)),
        }


def clustered(count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` vectors of length 1, in blocks float32 [at most BLOCK, DIMENSIONS].

    The centres are the same for every seed.
    """
    centres = np.random.default_rng(1).standard_normal((CENTRES, DIMENSIONS), np.float32)
    generator = np.random.default_rng([1, seed])
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        around = centres[generator.integers(0, CENTRES, size)]
        vectors = around + SPREAD * generator.standard_normal((size, DIMENSIONS), np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Truth:
    """The exact neighbours of queries [n, d] among vectors that come block by block."""

    def __init__(self, queries: np.ndarray) -> None:
        self._queries = queries
        # A few more than K, for those that are as near as the last one.
        self._best = faiss.ResultHeap(len(queries), 2 * K, keep_max=True)

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Take these vectors [n, d] into account."""
        k = min(2 * K, len(ids))
        if k:
            scores, places = faiss.knn(self._queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
            self._best.add_result(scores, ids[places])

    def recall(self, found: Sequence[Sequence[Hit]]) -> Figure:
        """The share of the K best that was found, over all queries."""
        self._best.finalize()
        shares = [
            _recall({hit.id for hit in hits}, ids, scores)
            for hits, ids, scores in zip(found, self._best.I, self._best.D, strict=True)
        ]
        return Figure(statistics.mean(shares), len(shares))


def _recall(found: set[int], ids: np.ndarray, scores: np.ndarray) -> float:
    """`ids` [n] are the exact ones, best first, -1 where there are no more."""
    wanted = min(K, int((ids >= 0).sum()))
    if wanted == 0:
        return 1.0
    near = ids[(ids >= 0) & (scores >= scores[wanted - 1] - ROUNDING)]
    return min(wanted, len(found.intersection(near.tolist()))) / wanted


def fill(store: EmbeddedStore, rows: int, queries: np.ndarray, meter: Meter) -> tuple[Truth, Truth]:
    """Write `rows` vectors; returns the truth of all of them and of those that pass the filter."""
    every, passing = Truth(queries), Truth(queries)
    starts = range(0, rows, BLOCK)
    with meter.over(f"writing {rows:,} vectors, blocks", starts) as steps:
        for start, vectors in zip(steps, clustered(rows, seed=3), strict=True):
            numbers = np.arange(start, start + len(vectors))
            ids = np.array(store.write([_entry(int(number)) for number in numbers], vectors))
            chosen = numbers % SHELVES == 7
            every.add(ids, vectors)
            passing.add(ids[chosen], vectors[chosen])
    return every, passing


def _entry(number: int) -> Entry:
    return Entry(f"{number}.png", f"{number:064x}", fields={"shelf": number % SHELVES})


def paces(store: EmbeddedStore, queries: np.ndarray) -> tuple[float, float]:
    """Median seconds of one query, by the store and by its bare FAISS index.

    They take turns, so that what else the machine does slows both, and one goes through the
    queries backwards, so that neither finds the other's vectors in the processor's cache.
    """
    index = store.faiss_index()
    ours, bare = [], []
    for one, other in zip(queries, queries[::-1], strict=True):
        ours.append(seconds_of(partial(store.search, one, K)))
        bare.append(seconds_of(partial(index.search, other[None], K)))
    return statistics.median(ours), statistics.median(bare)


def seconds_of(action: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def in_new_process(function: Callable[..., T], *arguments: Any) -> T:
    """Its result in a Python of its own, which has imported this module and nothing done."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def first_query_seconds(folder: Path) -> float:
    """Open the store in `folder` and ask it once."""
    query = next(clustered(1, seed=2))[0]
    begun = time.perf_counter()
    with closing(EmbeddedStore(folder)) as store:
        store.search(query, K)
        return time.perf_counter() - begun


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
    if not library_names(root / "libraries"):
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

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        small = [image.convert("RGB").resize((self.side, self.side)) for image in images]
        return self._unit(np.stack([np.asarray(image, np.float32).ravel() - 127.5 for image in small]))

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
            pictures = [bounded(read_picture(file, side)) for file in files[start : start + BATCH]]
            tensors = torch.stack([preprocess(picture) for picture in pictures])
            seconds += seconds_of(partial(model.encode_image, tensors))
    return seconds


EXPERIMENTS = (
    Experiment(("recall", "query", "against_bare", "filtered", "opened"), measure_search),
    Experiment(("recall_large", "query_large", "against_bare_large", "filtered_large"), measure_large_search),
    Experiment(("photos",), measure_photos),
    Experiment(("again",), measure_again),
    Experiment(("memory",), measure_memory),
)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m imgrag bench library", description=__doc__)
    usual, keys = Counts(), [bar.key for bar in bars(Counts())]
    parser.add_argument("--rows", type=int, default=usual.rows, help="vectors to search")
    parser.add_argument("--large", type=int, default=usual.large, help="and again, so many; 0 leaves it out")
    parser.add_argument("--photos", type=int, default=usual.photos, help="JPEGs to add through a ViT-B/32")
    parser.add_argument("--files", type=int, default=usual.files, help="images to add twice")
    parser.add_argument("--many", type=int, default=usual.many, help="images to add while memory is watched")
    parser.add_argument("--only", nargs="+", default=[], choices=keys, metavar="ROW", help=", ".join(keys))
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    options = parser.parse_args(argv)
    for name, least in (("rows", K), ("large", 0), ("photos", 1), ("files", 1), ("many", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name} is {getattr(options, name)}; it must be at least {least}")
    return options
