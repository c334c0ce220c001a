"""The pipeline on the bench: whole runs and single stages, each image put before the judge."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from PIL import Image

from imgrag.bench import Meter
from imgrag.bench.fidelity.answers import Answer
from imgrag.bench.fidelity.asking import Wording
from imgrag.bench.fidelity.cases import Case
from imgrag.bench.fidelity.sketching import Sketched
from imgrag.engine.context import Context
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.prompts import default_caption
from imgrag.engine.settings import settings
from imgrag.engine.stages import draw, enhance, read
from imgrag.errors import ImgragError, LibraryError
from imgrag.library import open_library
from imgrag.models.profile import Profile, load_profile
from imgrag.pocket.judge import Judge, ground
from imgrag.pocket.world import twemoji, world
from imgrag.pocket.world.renderings import RENDERINGS, rendered_pictures
from imgrag.runs.knowledge import When
from imgrag.runs.structure import Structured
from imgrag.runs.styles import Styled
from imgrag.runs.values import WHOLE, Box, Candidate, Reference, Request, Round, Run

LEFT, RIGHT = Box(right=0.5), Box(left=0.5)


@dataclass(frozen=True)
class Outcome:
    """A run and which of the case's two objects the judge finds, in each of its images."""

    case: Case
    run: Run
    before: tuple[bool, bool]
    enhanced: tuple[bool, bool]
    after: tuple[bool, bool]

    @property
    def matches(self) -> bool:
        """What the VLM says of the initial image."""
        verdict = self.run.rounds[0].verdict
        return verdict is not None and verdict.matches

    @property
    def second_matches(self) -> bool:
        """What it says of the enhanced one."""
        verdict = self.run.round.second_verdict
        return verdict is not None and verdict.matches

    @property
    def concepts(self) -> tuple[str, ...]:
        """What is named as missing."""
        return tuple(concept.name for concept in self.run.rounds[0].concepts or ())

    @property
    def files(self) -> tuple[str, ...]:
        """The pictures it is looked up in."""
        return tuple(reference.chosen.file for reference in self.run.rounds[0].references or ())


@dataclass(frozen=True)
class Drawn:
    """Whether both things of a case are there, and the seconds from the references to the last image."""

    both: bool
    seconds: float


class Workbench:
    """Runs cases through a pipeline that `make` gives it for `profile`.

    Args:
        make: is asked again where a row needs the profile changed.
        folder: where it makes libraries of its own.
        style: gives the other style's picture of every name, or raises `LibraryError`.
    """

    def __init__(
        self, make: Callable[[Profile], ImageRAGPipeline], profile: str, folder: Path, meter: Meter,
        style: Callable[[], dict[str, Image.Image]] = twemoji.pictures,
    ) -> None:  # fmt: skip
        self.pipeline = make(load_profile(profile))
        self.profile = profile
        self._make = make
        self._style = style
        self._folder = folder
        self._meter = meter

    @cached_property
    def pictures(self) -> dict[str, Image.Image]:
        """The bundled picture of every name."""
        return {
            icon.name: Image.open(world.LIBRARY / icon.file_name).convert("RGBA") for icon in world.icons()
        }

    @cached_property
    def judge(self) -> Judge:
        """Knows the bundled pictures."""
        return Judge(list(self.pictures.values()), list(self.pictures))

    @cached_property
    def other_pictures(self) -> dict[str, Image.Image]:
        """The other style's picture of every name.

        Raises:
            LibraryError: they cannot be had.
        """
        return self._style()

    @cached_property
    def other_judge(self) -> Judge:
        """Knows the other style's pictures."""
        return Judge(list(self.other_pictures.values()), list(self.other_pictures))

    def without_other_style(self) -> str:
        """Why the other style cannot be had, "" if it can."""
        try:
            self.other_pictures  # noqa: B018  fetched on first use
        except LibraryError as error:
            return str(error)
        return ""

    def other_library(self) -> str:
        """A library of the other style's pictures, each called by its name."""
        folder = self._folder / "other-style"
        if not folder.exists():
            folder.mkdir(parents=True)
            for icon in world.icons():
                self.other_pictures[icon.name].save(folder / icon.file_name)
        return str(folder)

    def runs(
        self, what: str, cases: Sequence[Case], library: str, judges: tuple[Judge, Judge]
    ) -> list[Outcome]:
        """Whole runs; each judge looks for one of the two objects."""
        with self._meter.over(what, cases) as steps:
            return [self._outcome(case, library, judges, case.objects) for case in steps]

    def answers(self, what: str, cases: Sequence[Wording]) -> list[Answer]:
        """Whole runs on the bundled library; one that ends with an error is an answer too."""
        with self._meter.over(what, cases) as steps:
            return [self._answer(case) for case in steps]

    def _answer(self, case: Wording) -> Answer:
        try:
            run = self.pipeline(Request(case.prompt, seed=case.seed, library="pocket"))
        except ImgragError:
            return Answer(case, None)
        if run.result is None:
            return Answer(case, run)
        return Answer(case, run, self._judge_of(run).shown(run.result), ground(run.result))

    def _judge_of(self, run: Run) -> Judge:
        """Knows the pictures as the run draws them: a prompt may call a style."""
        drawn = [style.name for style in run.reading.styles] if run.reading else []
        return next((style_judge(name) for name in drawn if name in RENDERINGS), self.judge)

    def beginnings(self, what: str, cases: Sequence[Wording], knowledge: When) -> list[Answer]:
        """Runs as far as the initial image, which stands for the result."""
        context, answers = self._context("pocket"), []
        with self._meter.over(what, cases) as steps:
            for case in steps:
                run = draw(self._read(case.prompt, case.seed, knowledge, context), context)
                assert run.initial is not None  # it is what the stage is for
                answers.append(Answer(case, run, self.judge.shown(run.initial), ground(run.initial)))
        return answers

    def readings(self, what: str, prompts: Sequence[str]) -> list[tuple[str, str]]:
        """What is drawn for each of these prompts, where knowledge may be looked up and where not."""
        context = self._context("pocket")
        with self._meter.over(what, prompts) as steps:
            return [
                (self._read(text, 0, "unknown", context).prompt, self._read(text, 0, "off", context).prompt)
                for text in steps
            ]

    def styled(self, what: str, cases: Sequence[Case], style: str) -> list[Image.Image]:
        """The initial image of each case in a style."""
        context, images = self._context("pocket"), []
        with self._meter.over(what, cases) as steps:
            for case in steps:
                run = draw(self._read(case.prompt, case.seed, "off", context, style), context)
                assert run.initial is not None  # it is what the stage is for
                images.append(run.initial)
        return images

    def styled_by_reference(self, what: str, cases: Sequence[Case], style: str) -> list[Image.Image]:
        """The enhanced image of each case in a style, given the right plain picture of its second object."""
        context, images = self._context("pocket"), []
        with self._meter.over(what, cases) as steps:
            for case in steps:
                reference = _right(case.objects[1], self.pictures[case.source])
                begun = self._read(case.prompt, case.seed, "off", context, style)
                run = enhance(replace(begun, rounds=(Round(references=(reference,)),)), context)
                assert run.round.enhanced is not None  # it is what the stage is for
                images.append(run.round.enhanced)
        return images

    def along(
        self, what: str, cases: Sequence[Sketched], without: bool = False
    ) -> Iterator[tuple[Sketched, Image.Image]]:
        """Each case's image along its sketch: the initial one, or with a reference the enhanced one."""
        context = self._context("pocket")
        with self._meter.over(what, cases) as steps:
            for case in steps:
                structure = None if without else Structured(case.sketch)
                begun = self._begun(Request(case.prompt, seed=case.seed, structure=structure), context)
                yield case, self._along(case, begun, context)

    def _along(self, case: Sketched, begun: Run, context: Context) -> Image.Image:
        if case.shown is None:
            image = draw(begun, context).initial
        else:
            name = case.things[case.shown]
            given = replace(begun, rounds=(Round(references=(_right(name, self.pictures[name]),)),))
            image = enhance(given, context).round.enhanced
        assert image is not None  # it is what the stages are for
        return image

    def _read(self, prompt: str, seed: int, knowledge: When, context: Context, style: str = "") -> Run:
        styles = (Styled(style),) if style else ()
        return self._begun(Request(prompt, seed=seed, knowledge=knowledge, styles=styles), context)

    def _begun(self, request: Request, context: Context) -> Run:
        profile = self.pipeline.profile
        return read(Run("bench", request, profile.name, "pocket", "", settings(request, profile)), context)

    def own_runs(
        self, what: str, cases: Sequence[Case], pictures: Mapping[str, Image.Image]
    ) -> list[Outcome]:
        """Whole runs on the bundled library and one picture more: the person's, under the nonce.

        The judge knows the world and all these pictures, and has to find this one.
        """
        folder = self._folder / f"own-{len(list(self._folder.glob('own-*')))}"
        shutil.copytree(world.LIBRARY, folder)
        kept = {f"own {name}": picture for name, picture in pictures.items()}
        wider = Judge([*self.pictures.values(), *kept.values()], [*self.pictures, *kept])
        outcomes = []
        with self._meter.over(what, cases) as steps:
            for case in steps:
                mine = folder / f"{case.objects[1]}.png"
                pictures[case.source].save(mine)
                names = (case.objects[0], f"own {case.source}")
                outcomes.append(self._outcome(case, str(folder), (self.judge, wider), names))
                mine.unlink()
        return outcomes

    def _outcome(
        self, case: Case, library: str, judges: tuple[Judge, Judge], names: tuple[str, str]
    ) -> Outcome:
        run = self.pipeline(Request(case.prompt, seed=case.seed, library=library))

        def found(image: Image.Image | None) -> tuple[bool, bool]:
            known, other = (
                image is not None and judge.present(image, name)
                for judge, name in zip(judges, names, strict=True)
            )
            return known, other

        before, enhanced = found(run.initial), found(run.rounds[0].enhanced)
        return Outcome(case, run, before, enhanced, enhanced if run.kept else before)

    def enhanced(
        self, what: str, cases: Sequence[Case], pictures: Mapping[str, Image.Image], judge: Judge
    ) -> Iterable[bool]:
        """Whether the second object is there once the enhancing stage has its right picture."""
        with self._meter.over(what, cases) as steps:
            for case in steps:
                name = case.objects[1]
                reference = _right(name, pictures[case.source])
                run = enhance(self._given(case, reference), self._context("pocket"))
                assert run.round.enhanced is not None  # it is what the stage is for
                yield judge.present(run.round.enhanced, name)

    def drawn_from_two(
        self, what: str, cases: Sequence[Case], several: str, halves: bool = False
    ) -> list[Drawn]:
        """The enhancing stage alone, given the right pictures of both objects.

        Args:
            several: what serves the two pictures, see `AdapterProfile`.
            halves: each may fill its half only, the first named the left one, where scenes have it.
        """
        regions = (LEFT, RIGHT) if halves else (WHOLE, WHOLE)
        with self._served(several) as context, self._meter.over(what, cases) as steps:
            return [self._drawn(case, regions, context) for case in steps]

    def drawn_by_loop(self, what: str, cases: Sequence[Case], concepts: int, rounds: int) -> list[Drawn]:
        """Whole runs that look up so many concepts a round."""
        drawn = []
        with self._meter.over(what, cases) as steps:
            for case in steps:
                request = Request(
                    case.prompt, seed=case.seed, library="pocket", max_concepts=concepts, rounds=rounds
                )
                run = self.pipeline(request)
                drawn.append(Drawn(self._both(run.result, case), _seconds_drawing(run)))
        return drawn

    def first_by_clip(self, library: str) -> list[bool]:
        """For each name of the world, whether its own picture is the most similar of the library."""
        context = self._context(library)
        captions = [default_caption(name) for name in world.names()]
        queries = [
            context.query.format(caption=caption, name=name)
            for caption, name in zip(captions, world.names(), strict=True)
        ]
        with context.residency.use("clip") as clip:
            column = context.library.index(clip, context.check)
            vectors = clip.embed_texts(queries)
        # Asked for without a name, the library has nothing but similarity to go by.
        best = [column.search(vector, "", 1)[0].file for vector in vectors]
        return [file == icon.file_name for file, icon in zip(best, world.icons(), strict=True)]

    @contextmanager
    def _served(self, several: str) -> Iterator[Context]:
        """A context whose generator gives several pictures to one adapter, or to one each."""
        profile, context = self.pipeline.profile, self._context("pocket")
        if several == profile.adapter.several:
            yield context
            return
        other = self._make(replace(profile, adapter=replace(profile.adapter, several=several)))
        try:
            yield replace(context, residency=other.residency)
        finally:
            other.residency.release()

    def _drawn(self, case: Case, regions: tuple[Box, Box], context: Context) -> Drawn:
        references = [
            replace(_right(name, self.pictures[name]), region=region)
            for name, region in zip(case.objects, regions, strict=True)
        ]
        begun = time.perf_counter()
        run = enhance(self._given(case, *references), context)
        return Drawn(self._both(run.round.enhanced, case), time.perf_counter() - begun)

    def _both(self, image: Image.Image | None, case: Case) -> bool:
        return image is not None and all(self.judge.present(image, name) for name in case.objects)

    def _given(self, case: Case, *references: Reference) -> Run:
        """A run that has come as far as these references."""
        request = Request(case.prompt, seed=case.seed)
        profile = self.pipeline.profile
        return Run(
            "bench", request, profile.name, "pocket", "", settings(request, profile),
            rounds=(Round(references=references),),
        )  # fmt: skip

    def _context(self, library: str) -> Context:
        opened = open_library(library, self.pipeline.libraries, self._folder / "cache")
        return self.pipeline.context(opened, lambda event: None, lambda: None)


@cache
def style_judge(style: str) -> Judge:
    """Knows the icons as one of pocket's styles renders them."""
    return Judge(rendered_pictures(style), world.names())


def _right(name: str, picture: Image.Image) -> Reference:
    """The picture that a faultless search would find."""
    return Reference(name, Candidate(f"{name}.png", 1.0, name), picture)


def _seconds_drawing(run: Run) -> float:
    """From the first references to the last image: what lies between two rounds counts."""
    drawings = [
        i for i, report in enumerate(run.stages) if report.name == "enhanced" and report.status == "done"
    ]
    if not drawings:
        return 0.0
    return sum(report.seconds for report in run.stages[drawings[0] : drawings[-1] + 1])
