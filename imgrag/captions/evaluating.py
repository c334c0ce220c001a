"""Captions measured against those that people wrote, with and without retrieval, with and without a LoRA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from imgrag.captions.lessons import Lesson, Sample, samples
from imgrag.captions.measures import measures, require_bleu
from imgrag.captions.pipeline import BATCH, CaptionPipeline, CaptionRequest
from imgrag.library import ImageLibrary
from imgrag.models import CaptionAdapter
from imgrag.models.captioning import CaptionsProfile
from imgrag.runs.captions import WHOLE_PICTURE, caption_prompt, parts_of


@dataclass(frozen=True)
class Measured:
    """One row: what was asked with, and BLEU-1 to 4, CIDEr-D and words a caption."""

    retrieval: bool
    adapter: str
    pictures: int
    figures: dict[str, float]


def evaluate(
    captions: CaptionPipeline,
    library: ImageLibrary,
    request: CaptionRequest,
    lesson: Lesson,
    profile: CaptionsProfile,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Measured]:
    """A row without and one with neighbours, and both again with the adapter, if one is used.

    A picture's own captions are never among its neighbours'.

    Raises:
        RequestError: sacrebleu is not installed.
        LibraryError: too few pictures have captions.
    """
    require_bleu()
    made = samples(captions, library, request, replace(lesson, dropped=0.0), told)
    adapter = captions.adapter(library.name)
    alone = caption_prompt(
        dict.fromkeys((WHOLE_PICTURE, *parts_of(profile.columns, profile.rows, profile.part)), ())
    )
    for worn in dict.fromkeys((None, adapter)):
        for retrieval in (False, True):
            prompts = [sample.prompt if retrieval else alone for sample in made]
            yield measured(captions, library, made, prompts, worn, retrieval)


def measured(
    captions: CaptionPipeline,
    library: ImageLibrary,
    made: list[Sample],
    prompts: list[str],
    worn: CaptionAdapter | None,
    retrieval: bool,
) -> Measured:
    """One row for these prompts."""
    said: list[str] = []
    for start in range(0, len(made), BATCH):
        batch = slice(start, start + BATCH)
        pictures = [library.open(sample.file) for sample in made[batch]]
        said += captions.write(prompts[batch], pictures, worn)
    figures = measures(said, [sample.captions for sample in made])
    return Measured(retrieval, worn.name if worn else "", len(made), figures)
