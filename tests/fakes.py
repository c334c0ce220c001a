"""Short real models for tests: they keep the protocols of `imgrag.models` and need no weights.

The fake world: a picture shows a thing when it holds its colour. The generator draws the known
things of a prompt and whatever its references show, as stripes.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.models import Guide, OnStep, weighted_sum
from imgrag.models.attention import Watch, Word
from imgrag.models.profile import Checkpoint, ControlProfile, load_profile
from imgrag.models.residency import ModelSpec
from imgrag.runs.layout import FREE

Pipeline = TypeVar("Pipeline", bound=ImageRAGPipeline)
COLOURS = {"dog": (160, 110, 60), "owl": (90, 60, 160), "toolbox": (200, 40, 40), "cat": (240, 200, 80)}
KNOWN = ("dog", "cat")
STROKE = (250, 250, 5)
BACKGROUND = (255, 255, 255)
MEGABYTE = 2**20
SURE_YES, SURE_NO = 0.99, 0.01
SAME = "what the second picture shows"


def tile(name: str, size: int = 8) -> Image.Image:
    """A picture of one thing."""
    return Image.new("RGB", (size, size), COLOURS[name])


def shows(image: Image.Image, name: str) -> bool:
    return COLOURS[name] in set(image.convert("RGB").getdata())


def thing_in(question: str) -> str:
    """What a question about one thing asks for."""
    found = re.search(r"show (?:an? )?(.+)\? Answer", question)
    return found.group(1) if found else ""


def _is_there(question: str, images: Sequence[Image.Image]) -> bool:
    name = thing_in(question)
    return shows(images[0], name) if name in COLOURS else name == SAME


class Crowd:
    """Counts how many are inside at once, and the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


class FakeGenerator:
    """Draws known things and references as stripes, with a seeded speck of noise."""

    nbytes = 40 * MEGABYTE

    def __init__(
        self, crowd: Crowd | None = None, at_step: Callable[[int], None] = lambda step: None
    ) -> None:
        self.calls: list[dict[str, Any]] = []
        self.window = 40  # words
        self._crowd = crowd or Crowd()
        self._at_step = at_step

    def draw(
        self, prompt: str, *, seeds: Sequence[int], steps: int, guides: Sequence[Guide] = (),
        on_step: OnStep | None = None, watch: Watch | None = None, **settings: Any,
    ) -> list[Image.Image]:  # fmt: skip
        scales = [round(guide.scale, 6) for guide in guides]
        asked = {"prompt": prompt, "seed": seeds[0], "steps": steps, "guides": list(guides), "scales": scales}
        self.calls.append({**asked, **settings})
        images = [self._picture(prompt, seed, [guide.image for guide in guides]) for seed in seeds]
        if settings.get("control") is not None:
            lines = settings["control"].image.convert("L")
            for image in images:
                image.paste(STROKE, mask=lines)
        with self._crowd:
            for step in range(1, steps + 1):
                time.sleep(0.001)
                self._at_step(step)
                if watch is not None:
                    _shown(watch, prompt, len(guides))
                    watch.step(images[watch.index])
                if on_step:
                    on_step(step, steps, lambda: images[0])
        return images

    def _picture(self, prompt: str, seed: int, references: Sequence[Image.Image]) -> Image.Image:
        colours = [COLOURS[name] for name in KNOWN if name in prompt.split()]
        colours += [reference.convert("RGB").getpixel((0, 0)) for reference in references]
        image = Image.new("RGB", (64, 64), BACKGROUND)
        for number, colour in enumerate(colours):
            image.paste(colour, (number * 16, 0, number * 16 + 16, 64))
        image.putpixel((63, 63), tuple(np.random.default_rng(seed).integers(0, 256, 3).tolist()))
        return image

    def cut(self, prompt: str) -> str:
        return " ".join(prompt.split()[self.window :])

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        return {word: ["dog"] for word in prompt.split() if word == "dgo"}


def _shown(watch: Watch, prompt: str, pictures: int) -> None:
    """Word n acted at place n alone, a picture everywhere."""
    watch.words = [
        Word(found.group(), found.start(), range(n, n + 1))
        for n, found in enumerate(re.finditer(r"\w+", prompt))
    ]
    watch.take("words", np.eye(48, dtype=np.float32).reshape(48, 6, 8))
    if pictures:
        watch.take("pictures", np.ones((pictures, 6, 8), np.float32))


class FakeChat:
    """Replies from a queue; the last reply is given again when it is empty.

    Of each thing it is as sure as its last reply says: not at all of what that calls missing, quite of the rest.
    """

    nbytes = 20 * MEGABYTE

    def __init__(self, *replies: str, crowd: Crowd | None = None) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, int, float, int]] = []  # question, images, temperature, seed
        self.said = ""
        self._crowd = crowd or Crowd()

    def reply(
        self, question: str, images: Sequence[Image.Image] = (), *, temperature: float = 0.0, seed: int = 0
    ) -> str:
        with self._crowd:
            self.asked.append((question, len(images), temperature, seed))
            self.said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            return self.said

    def tokens(self, text: str) -> int:
        return len(text.split())

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        with self._crowd:
            missing = self.said.split("Missing:")[-1]
            return [SURE_NO if thing_in(question) in missing else SURE_YES for question in questions]

    def odds(self, question: str, shown: Sequence[Sequence[Image.Image]]) -> list[float]:
        """Of the same question about several pictures, as log-odds."""
        sure = [self.sureness([question], pictures)[0] for pictures in shown]
        return [math.log(one / (1 - one)) for one in sure]


class FakeJudge(FakeChat):
    """A VLM that really looks: a thing of the prompt whose colour is not in the picture is missing."""

    def reply(
        self, question: str, images: Sequence[Image.Image] = (), *, temperature: float = 0.0, seed: int = 0
    ) -> str:
        super().reply(question, images, temperature=temperature, seed=seed)
        prompt = question.split('"')[1]
        wanted = [name for name in COLOURS if name in prompt.split()]
        seen = [name for name in wanted if shows(images[0], name)]
        missing = [name for name in wanted if name not in seen]
        answer = "no" if missing else "yes"
        return f"Seen: {', '.join(seen)}\nMatches: {answer}\nMissing: {', '.join(missing) or 'none'}"

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        """Sure of what has its colour in the picture, and of its absence."""
        with self._crowd:
            return [SURE_YES if _is_there(question, images) else SURE_NO for question in questions]


class ShyJudge(FakeJudge):
    """It sees better than it says: its verdicts come from the queue, what it is sure of from the picture."""

    reply = FakeChat.reply


class FakeListener(FakeChat):
    """An LLM that repeats what the feedback calls missing, and takes any thing but an idea for one."""

    def reply(
        self, question: str, images: Sequence[Image.Image] = (), *, temperature: float = 0.0, seed: int = 0
    ) -> str:
        super().reply(question, images, temperature=temperature, seed=seed)
        if "Feedback" not in question:
            return "No." if '"idea"' in question else "Yes."
        feedback = question.split("Missing:")[1].splitlines()[0]
        return "\n".join(f"{name.strip()}: a picture of {name.strip()}" for name in feedback.split(","))


class FakeEmbedder:
    """Axis i of a vector is thing i; a picture or a text of none of them lies on an axis of its own."""

    nbytes = 10 * MEGABYTE
    dimensions = len(COLOURS) + 1
    side = 64

    def __init__(self, model_id: str = "fake", crowd: Crowd | None = None) -> None:
        self.model_id = model_id
        self.embedded = 0  # pictures
        self._crowd = crowd or Crowd()

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        with self._crowd:
            self.embedded += len(images)
            return self._vectors([[shows(image, name) for name in COLOURS] for image in images])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        with self._crowd:
            return self._vectors([[name in text.split() for name in COLOURS] for text in texts])

    def compose(self, image: Image.Image, text: str, weight: float) -> np.ndarray:
        return weighted_sum(self.embed_images([image])[0], self.embed_texts([text])[0], weight)

    def _vectors(self, rows: Sequence[Sequence[bool]]) -> np.ndarray:
        axes = np.array([[*row, not any(row)] for row in rows], np.float32)
        return axes / np.linalg.norm(axes, axis=1, keepdims=True)


class FakeControlNet:
    """What the fake generator is lent, and leaves unused: it draws the lines of the condition."""

    nbytes = 15 * MEGABYTE
    net = "net"
    lora = None


class FakeUpscaler:
    """Twice as large, pixel by pixel."""

    nbytes = 2 * MEGABYTE
    factor = 2

    def enlarge(self, picture: Image.Image, check: Callable[[], None] = lambda: None) -> Image.Image:
        check()
        return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)


class Cast:
    """The four fakes and the specs that hand them out, counting loads by role."""

    def __init__(
        self,
        vlm: FakeChat | None = None,
        llm: FakeChat | None = None,
        at_step: Callable[[int], None] = lambda step: None,
    ) -> None:
        self.crowd = Crowd()
        self.generator = FakeGenerator(self.crowd, at_step)
        self.vlm = vlm or FakeJudge("", crowd=self.crowd)
        self.llm = llm or FakeListener("", crowd=self.crowd)
        self.clip = FakeEmbedder(crowd=self.crowd)
        self.control = FakeControlNet()
        self.upscaler: Any = FakeUpscaler()
        self.loads: Counter[str] = Counter()

    def specs(self, *others: str) -> dict[str, ModelSpec]:
        return {role: self._spec(role) for role in ("generator", "vlm", "llm", "clip", *others)}

    def _spec(self, role: str) -> ModelSpec:
        model = getattr(self, role)

        def load() -> Any:
            self.loads[role] += 1
            return model

        return ModelSpec(role, load, model.nbytes, f"fake {role}", role in ("generator", "vlm"))


def make_library(folder: Path, *names: str) -> Path:
    """A folder with a tile for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        tile(name).save(folder / f"{name}.png")
    return folder


def make_pipeline(
    folder: Path,
    cast: Cast,
    open_vocabulary: bool = False,
    control: bool = False,
    kind: type[Pipeline] = ImageRAGPipeline,
    **options: Any,
) -> Pipeline:
    """The real pipeline, or a kind of it, on the pocket profile's numbers, with a library "pocket" of four tiles and none that come with the app.

    With `control` it draws along edges and sketches. It draws as many things as the fake world has; with an open vocabulary it takes prompts as they are, things anywhere.
    """
    make_library(folder / "libraries" / "pocket", *COLOURS)
    specs = cast.specs("control") if control else cast.specs()
    usual = {"roles": specs, "budget_bytes": 10**12, "styles": folder / "styles", "bundled": ()}
    pocket = load_profile("pocket")
    told = {"vocabulary": "", "backgrounds": ()} if open_vocabulary else {}
    generator = replace(pocket.generator, layout=FREE if open_vocabulary else pocket.generator.layout)
    reading = replace(pocket.reading, most=len(COLOURS), **told)
    along = ControlProfile(checkpoint=Checkpoint(local="control"), kinds=("edges", "sketch"), share=0.8)
    profile = replace(pocket, reading=reading, generator=generator, control=along if control else None)
    return kind(
        profile, device="cpu", results=folder / "results", libraries=folder / "libraries",
        knowledge=folder / "knowledge", cache=folder / "cache", **{**usual, **options},
    )  # fmt: skip
