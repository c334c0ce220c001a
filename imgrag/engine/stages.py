"""The stages of a run: read, draw, judge, extract, retrieve, enhance, rejudge.

Each is a function `(run, context) -> run` that borrows one model inside itself, so that no name
of it outlives the stage. None knows which checkpoint serves it, and none yields.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from PIL import Image

from imgrag.engine.context import Context
from imgrag.engine.drafting import seed_taken, with_drawn, with_likeliest
from imgrag.engine.judging import ask, compare, introduction, is_called, verdict_on
from imgrag.engine.lookup import augmented
from imgrag.engine.missing import feedback_of, is_held, left_out_of, once, sift, wanted_of, whole_prompt
from imgrag.engine.prompts import (
    concepts_question,
    default_caption,
    enhancing_prompt,
    parse_concepts,
    parse_translation,
    second_verdict_question,
    translation_question,
    verdict_question,
)
from imgrag.engine.ranking import looked_twice
from imgrag.engine.reading.languages import NAMES
from imgrag.engine.structuring import along, as_drawn, structure_of, with_condition
from imgrag.engine.styling import drawn_as, kept_out, loras_of, wanted_styles
from imgrag.errors import LibraryError
from imgrag.models import Control, Generator, Guide, Lora, OnStep
from imgrag.runs.decisions import is_open, keep_better, seeks_alike
from imgrag.runs.drafts import seeds_of
from imgrag.runs.events import Preview
from imgrag.runs.layout import placed, regions_of
from imgrag.runs.values import (
    Candidate,
    Concept,
    Reference,
    Rejection,
    Round,
    Run,
    StageName,
    Verdict,
)

PREVIEW_EVERY = 0.15  # seconds; decoding a picture for each step would slow a large model down

Stage = Callable[[Run, Context], Run]


def read(run: Run, context: Context) -> Run:
    """The prompt, read into things, and written again with what was looked up for it.

    A model is asked only where it is in another language than the generator's, or a text was found.
    """
    language = NAMES[context.reader.profile.language]

    def translate(prompt: str) -> str:
        question = translation_question(prompt, language)
        with context.residency.use("llm") as llm:
            said, _ = ask(
                llm, question, (), lambda reply: _unlike(parse_translation(reply), question), run, context
            )
        return said or prompt

    first = context.reader.read(run.request.prompt, translate)
    styles = wanted_styles(run, first.styles, context)
    reading = replace(augmented(run, first, context), styles=styles)
    for left_out in reading.left_out:
        context.note(f'"{left_out.words}" is left out: {left_out.reason}.')
    return replace(run, reading=reading, structure=structure_of(run, context))


def _unlike(said: str | None, question: str) -> str | None:
    """A translation; `None` where a model only says its question again."""
    return None if said is None or said in question else said


def draw(run: Run, context: Context) -> Run:
    """The initial image, from the prompt alone, or several at once."""
    loras = loras_of(run, context)
    with context.residency.use("generator", sum(lora.bytes for lora in loras)) as generator:
        for note in _reading_notes(generator, run):
            context.note(note)
        with along(run, "initial", context) as control:
            seeds = seeds_of(run.settings["seed"], run.settings["images"])
            prompt = drawn_as(run.prompt, run)
            images = _draw(generator, run, context, "initial", prompt, (), loras, control, seeds)
    return with_drawn(run, images)


def judge(run: Run, context: Context) -> Run:
    """The VLM's verdict on the initial image, the likeliest of those drawn. If it gives none, something is taken to be
    missing."""
    question = verdict_question(run.prompt)
    with context.residency.use("vlm") as vlm:
        run = with_likeliest(vlm, run, context)
        assert run.initial is not None
        verdict, raw = verdict_on(vlm, [run.initial], question, (), run, context, "verdict")
    if verdict is None:
        verdict = Verdict(matches=False, raw=raw, readable=False)
        context.note("The judge gave no verdict that can be read, so the whole prompt is looked up.")
    return run.with_round(verdict=verdict)


def extract(run: Run, context: Context) -> Run:
    """The missing concepts that a picture can show, from the prompt and the VLM's words.

    What the LLM names and the prompt does not hold is not looked up. If it names only what is there already, the
    judge's own names are tried; if its list is unusable or nobody names anything, the whole prompt is the query.
    """
    verdict = run.round.verdict
    assert verdict is not None
    if verdict.matches:  # and yet the run goes on, for what looks like the sketch
        return run.with_round(concepts=())
    wanted = wanted_of(verdict, run)
    told = run.reading is not None and (verdict.readable or not run.reading.things)
    if told and not wanted and context.vocabulary is not None:
        return run.with_round(concepts=(), rejected=tuple(left_out_of(verdict.sights)))
    prompt, limit = run.prompt, run.settings["max_concepts"]
    question = concepts_question(prompt, feedback_of(verdict, wanted), limit)
    with context.residency.use("llm") as llm:
        named, _ = ask(
            llm, question, (), lambda reply: parse_concepts(reply, prompt, limit), run, context, "concepts"
        )
        if named is None and not wanted:
            return run.with_round(concepts=(whole_prompt(prompt),))
        held = [concept for concept in named or () if is_held(concept.name, wanted, run)]
        judged = [Concept(name, default_caption(name)) for name in wanted]
        accepted, rejected = sift(once((*held, *judged)), llm, run, context)
    whole = [] if rejected else [whole_prompt(prompt)]
    return run.with_round(concepts=tuple(accepted[:limit] or whole), rejected=tuple(rejected))


def retrieve(run: Run, context: Context) -> Run:
    """A reference for each concept, beside those of earlier rounds.

    A concept that already had a reference takes its next candidate in that one's place.
    """
    found = _search(run.round.concepts or (), context)
    earlier = [reference for round_ in run.rounds for reference in round_.references or ()]
    references = {reference.concept.casefold(): reference for reference in earlier}
    unfound = []
    for concept, candidates in found.items():
        if run.settings["look_twice"]:
            candidates = looked_twice(concept, candidates, context)
        key = concept.name.casefold()
        used = {reference.chosen.file for reference in earlier if reference.concept.casefold() == key}
        rest = [candidate for candidate in candidates if candidate.file not in used]
        reference = _choose(concept, candidates, rest, run, context)
        if reference is None:
            unfound.append(Rejection(concept.name, _why_unfound(rest, run, context)))
        else:
            references[key] = reference
    for reference in _alike(run, context):
        references.setdefault(reference.concept.casefold(), reference)
    weighted = _weighted(list(references.values()), run.request.weights)
    _note_skipped(context)
    return run.with_round(references=placed(weighted, run, context.layout), unfound=tuple(unfound))


def enhance(run: Run, context: Context) -> Run:
    """The image again, with all references so far. The wording gives way to the prompt's own words."""
    references, run = run.round.references, with_condition(run, context)
    assert references
    plain = drawn_as(run.prompt, run)
    worded = enhancing_prompt(context.enhancing_prompt, [r.concept for r in references], plain)
    loras = loras_of(run, context)
    with context.residency.use("generator", sum(lora.bytes for lora in loras)) as generator:
        fits = not generator.cut(worded) or bool(generator.cut(plain))
        prompt = worded if fits else plain
        with along(run, "enhanced", context) as control:
            seeds = [seed_taken(run)]
            (enhanced,) = _draw(
                generator, run, context, "enhanced", prompt, references, loras, control, seeds
            )
    return run.with_round(enhanced=enhanced)


def rejudge(run: Run, context: Context) -> Run:
    """The VLM's verdict on the enhanced image, which it sees beside the references; keep the better one.

    A name that nobody trained on cannot be judged by name; with its picture in view it can. A picture that is only
    the nearest there is is not introduced as the thing. Where the verdicts leave it open which image is better, it
    is the one whose things the judge finds likelier, all together.
    """
    references, enhanced = run.round.references, run.round.enhanced
    assert references and enhanced is not None
    introduced = [introduction(reference, run, context) for reference in references]
    question = second_verdict_question(run.prompt, introduced)
    images = [enhanced, *(reference.picture for reference in references)]
    with context.residency.use("vlm") as vlm:
        verdict, raw = verdict_on(vlm, images, question, introduced, run, context, "second_verdict")
        judged = run.with_round(second_verdict=verdict)
        if is_open(judged):
            judged = judged.with_round(comparison=compare(vlm, introduced, judged))
    if verdict is None:
        unjudged = "The enhanced image is not used: the judge gave no verdict on it that can be read."
        return replace(
            run.with_round(second_verdict=Verdict(matches=False, raw=raw, readable=False)), why=unjudged
        )
    return keep_better(judged)


def _draw(
    generator: Generator,
    run: Run,
    context: Context,
    stage: StageName,
    prompt: str,
    references: Sequence[Reference],
    loras: Sequence[Lora],
    control: Control | None,
    seeds: Sequence[int],
) -> list[Image.Image]:
    settings = run.settings
    scale = settings["adapter_scale"]
    return generator.draw(
        prompt,
        negative_prompt=kept_out(run),
        seeds=seeds,
        steps=settings["steps"],
        guidance_scale=settings["guidance_scale"],
        guides=[
            Guide(r.picture, scale * r.weight, region, r.use)
            for r in references
            for region in regions_of(r, run, context.layout)
        ],
        guided_share=settings["guided_share"],
        loras=loras,
        control=control,
        on_step=_previews(stage, len(run.rounds), context),
    )


def _previews(stage: StageName, number: int, context: Context) -> OnStep:
    """Announces every step; a picture is made anew only now and then."""
    last: list[tuple[float, Image.Image]] = []

    def on_step(step: int, steps: int, preview: Callable[[], Image.Image]) -> None:
        context.check()
        now = time.monotonic()
        if not last or now - last[-1][0] >= PREVIEW_EVERY:
            last[:] = [(now, preview())]
        context.emit(Preview(stage, step, steps, last[-1][1], number))

    return on_step


def _search(concepts: Sequence[Concept], context: Context) -> dict[Concept, list[Candidate]]:
    """Candidates, best first: those called exactly like the concept, then the most similar ones."""
    if not concepts:
        return {}
    queries = [context.query.format(caption=concept.caption, name=concept.name) for concept in concepts]
    with context.residency.use("clip") as clip:
        column = context.library.index(clip, context.check)
        vectors = clip.embed_texts(queries)
    return {
        concept: column.search(vector, concept.name, context.candidates)
        for concept, vector in zip(concepts, vectors, strict=True)
    }


def _alike(run: Run, context: Context) -> list[Reference]:
    """The picture of the library that looks most like the sketch, where one is wanted."""
    if not seeks_alike(run) or run.structure is None or run.structure.similar is None:
        return []
    with context.residency.use("clip") as clip:
        column = context.library.index(clip, context.check)
        vector = clip.embed_images([as_drawn(run.structure)])[0]
    found = tuple(column.search(vector, "", context.candidates))
    for candidate in found:
        with suppress(LibraryError):  # it vanished since it was indexed
            image, name = context.library.open(candidate.file), candidate.name or candidate.file
            return [Reference(name, candidate, image, candidates=found, use=run.structure.similar)]
    return []


def _choose(
    concept: Concept, candidates: Sequence[Candidate], rest: Sequence[Candidate], run: Run, context: Context
) -> Reference | None:
    """The best of the rest that is called like the concept or not below the floor.

    By its look alone a picture is found only for words that the models know, and while there are some that were
    looked at twice, only if it is one of these.
    """
    looked = any(candidate.sure is not None for candidate in rest)
    vocabulary = context.vocabulary
    understood = vocabulary is None or vocabulary.speaks(f"{concept.name} {concept.caption}")
    floor = run.settings["similarity_floor"]
    for candidate in rest:
        passes = not looked or (candidate.sure or 0) >= context.ranking.passes
        if is_called(candidate, concept.name) or (understood and candidate.score >= floor and passes):
            try:
                image = context.library.open(candidate.file)
            except LibraryError:  # it vanished since it was indexed
                continue
            return Reference(concept.name, candidate, image, candidates=tuple(candidates))
    return None


def _why_unfound(rest: Sequence[Candidate], run: Run, context: Context) -> str:
    if not rest:
        return "the library has no other candidate for it"
    floor = run.settings["similarity_floor"]
    likely = [candidate for candidate in rest if candidate.sure is not None and candidate.score >= floor]
    if likely and all((one.sure or 0) < context.ranking.passes for one in likely):
        first = max(likely, key=lambda one: one.sure or 0)
        percent = round(100 * (first.sure or 0))
        return f"no good reference: the likeliest picture, {first.file}, is it with {percent}% only"
    best = max(rest, key=lambda candidate: candidate.score)
    return f"the best picture, {best.file}, scores {best.score:.3f}, below the floor of {floor:.3f}"


def _weighted(references: Sequence[Reference], weights: Sequence[float]) -> tuple[Reference, ...]:
    padded = (*weights, *[1.0] * len(references))
    return tuple(
        replace(reference, weight=weight) for reference, weight in zip(references, padded, strict=False)
    )


def _reading_notes(generator: Generator, run: Run) -> list[str]:
    """What the person should know of how the generator reads the prompt."""
    notes, prompt = [], run.prompt
    for word, nearest in generator.unknown_words(prompt).items():
        hint = f" Nearest spellings: {', '.join(nearest)}." if nearest else ""
        notes.append(f'The generator does not know the word "{word}".{hint}')
    if left_out := generator.cut(drawn_as(prompt, run)):
        notes.append(f'The prompt is longer than the generator reads; it left out: "{left_out}".')
    return notes


def _note_skipped(context: Context) -> None:
    skipped = context.library.news()
    if not skipped:
        return
    shown = ", ".join(f"{item.file} ({item.reason})" for item in skipped[:5])
    more = ", ..." if len(skipped) > 5 else ""
    context.note(f"{len(skipped)} file{'s' * (len(skipped) > 1)} of the library left out: {shown}{more}.")


def next_round(run: Run) -> Run:
    """Begin a round: the first judges the initial image, a later one goes on from the second verdict."""
    return replace(run, rounds=(*run.rounds, Round(verdict=run.round.second_verdict)))


FIRST: Mapping[StageName, tuple[str, Stage]] = {
    "reading": ("", read),
    "initial": ("generator", draw),
    "verdict": ("vlm", judge),
}
"""Stage -> (role that serves it, "" for none, and its function), in order; only the first round has these."""
LATER: Mapping[StageName, tuple[str, Stage]] = {
    "concepts": ("llm", extract),
    "references": ("clip", retrieve),
    "enhanced": ("generator", enhance),
    "second_verdict": ("vlm", rejudge),
}
"""Likewise of every round."""
