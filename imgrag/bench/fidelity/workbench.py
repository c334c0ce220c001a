"""The pipeline on the bench: whole runs and single stages, each image put before the judge."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from imgrag.bench import Meter
from imgrag.bench.fidelity.cases import Case
from imgrag.errors import LibraryError
from imgrag.library import open_library
from imgrag.pipeline import ImageRAGPipeline, settings
from imgrag.pocket import twemoji, world
from imgrag.pocket.judge import Judge
from imgrag.prompts import default_caption
from imgrag.run import Candidate, Reference, Request, Round, Run
from imgrag.stages import Context, enhance


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


class Workbench:
    """Runs cases through `pipeline`, which was made from `profile`.

    Args:
        folder: where it makes libraries of its own.
        style: gives the other style's picture of every name, or raises `LibraryError`.
    """

    def __init__(
        self, pipeline: ImageRAGPipeline, profile: str, folder: Path, meter: Meter,
        style: Callable[[], dict[str, Image.Image]] = twemoji.pictures,
    ) -> None:  # fmt: skip
        self.pipeline = pipeline
        self.profile = profile
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
                reference = Reference(name, Candidate(f"{name}.png", 1.0, name), pictures[case.source])
                run = enhance(self._given(case, reference), self._context("pocket"))
                assert run.round.enhanced is not None  # it is what the stage is for
                yield judge.present(run.round.enhanced, name)

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

    def _given(self, case: Case, reference: Reference) -> Run:
        """A run that has come as far as this reference."""
        request = Request(case.prompt, seed=case.seed)
        profile = self.pipeline.profile
        return Run(
            "bench", request, profile.name, "pocket", "", settings(request, profile),
            rounds=(Round(references=(reference,)),),
        )  # fmt: skip

    def _context(self, library: str) -> Context:
        profile = self.pipeline.profile
        return Context(
            residency=self.pipeline.residency,
            library=open_library(library, self.pipeline.libraries, self._folder / "cache"),
            enhancing_prompt=profile.generator.enhancing_prompt,
            query=profile.retrieval.query,
            candidates=profile.retrieval.candidates,
            emit=lambda preview: None,
            check=lambda: None,
        )
