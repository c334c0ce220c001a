"""The stages of a run: draw, judge, extract, retrieve, enhance, rejudge.

Each is a function `(run, context) -> run` that borrows one model inside itself, so that no name
of it outlives the stage. None knows which checkpoint serves it, and none yields.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from PIL import Image

from imgrag.engine.prompts import (
    Introduced,
    affirming_reply,
    concepts_question,
    default_caption,
    enhancing_prompt,
    parse_concepts,
    parse_verdict,
    parse_yes_no,
    place_in,
    second_verdict_question,
    spelt_as_in,
    validation_question,
    verdict_question,
)
from imgrag.errors import LibraryError
from imgrag.library import Library, is_literal
from imgrag.models import Chat, Generator, Guide, Judge, OnStep
from imgrag.models.residency import Residency
from imgrag.runs.decisions import folded, is_open, keep_better
from imgrag.runs.events import Preview
from imgrag.runs.layout import placed
from imgrag.runs.values import (
    MAX_SEED,
    Candidate,
    Comparison,
    Concept,
    Reference,
    Rejection,
    Round,
    Run,
    StageName,
    Verdict,
)

T = TypeVar("T")
TEMPERATURES = (0.0, 0.3, 0.7)
"""Of the first question and of each time it is asked again."""
PREVIEW_EVERY = 0.15  # seconds; decoding a picture for each step would slow a large model down
QUERY_NAME = 60  # characters of a prompt that serve as a concept's name


@dataclass(frozen=True)
class Context:
    """What the stages of one run share.

    Attributes:
        enhancing_prompt: the profile's wording of the second generation.
        layout: where the generator puts the things of a prompt.
        query: the profile's wording of a search, with {caption} and {name}.
        candidates: pictures kept for each concept.
        emit: takes the previews.
        note: takes what the person should know.
        check: raises `Cancelled` once the person has stopped the run.
    """

    residency: Residency
    library: Library
    enhancing_prompt: str
    layout: str
    query: str
    candidates: int
    emit: Callable[[Preview], None]
    note: Callable[[str], None]
    check: Callable[[], None]


Stage = Callable[[Run, Context], Run]


def draw(run: Run, context: Context) -> Run:
    """The initial image, from the prompt alone."""
    with context.residency.use("generator") as generator:
        for note in _reading_notes(generator, run.request.prompt):
            context.note(note)
        initial = _draw(generator, run, context, "initial", run.request.prompt, ())
    return replace(run, initial=initial)


def judge(run: Run, context: Context) -> Run:
    """The VLM's verdict on the initial image. If it gives none, something is taken to be missing."""
    assert run.initial is not None
    question = verdict_question(run.request.prompt)
    with context.residency.use("vlm") as vlm:
        verdict, raw = _verdict_on(vlm, [run.initial], question, run, context)
    if verdict is None:
        verdict = Verdict(matches=False, raw=raw, readable=False)
        context.note("The judge gave no verdict that can be read, so the whole prompt is looked up.")
    return run.with_round(verdict=verdict)


def extract(run: Run, context: Context) -> Run:
    """The missing concepts that a picture can show, from the prompt and the VLM's words.

    If the LLM names only what is there already, the judge's own names are tried; if its list is
    unusable or nobody names anything, the whole prompt is the query.
    """
    verdict = run.round.verdict
    assert verdict is not None
    prompt, limit = run.request.prompt, run.settings["max_concepts"]
    whole = _whole_prompt(prompt)
    question = concepts_question(prompt, verdict.raw, limit)
    with context.residency.use("llm") as llm:
        named, _ = _ask(llm, question, (), lambda reply: parse_concepts(reply, prompt, limit), run, context)
        if named is None:
            return run.with_round(concepts=(whole,))
        accepted, rejected = _sift(named, llm, run, context)
        if not accepted:
            tried = folded([rejection.name for rejection in rejected])
            judged = [Concept(n, default_caption(n)) for n in verdict.missing if n.casefold() not in tried]
            accepted, more = _sift(judged[:limit], llm, run, context)
            rejected += more
    return run.with_round(concepts=tuple(accepted or ([] if rejected else [whole])), rejected=tuple(rejected))


def retrieve(run: Run, context: Context) -> Run:
    """A reference for each concept, beside those of earlier rounds.

    A concept that already had a reference takes its next candidate in that one's place.
    """
    found = _search(run.round.concepts or (), context)
    earlier = [reference for round_ in run.rounds for reference in round_.references or ()]
    references = {reference.concept.casefold(): reference for reference in earlier}
    unfound = []
    for concept, candidates in found.items():
        key = concept.name.casefold()
        used = {reference.chosen.file for reference in earlier if reference.concept.casefold() == key}
        rest = [candidate for candidate in candidates if candidate.file not in used]
        reference = _choose(concept, candidates, rest, run, context)
        if reference is None:
            unfound.append(Rejection(concept.name, _why_unfound(rest, run.settings["similarity_floor"])))
        else:
            references[key] = reference
    weighted = _weighted(list(references.values()), run.request.weights)
    _note_skipped(context)
    return run.with_round(references=placed(weighted, run, context.layout), unfound=tuple(unfound))


def enhance(run: Run, context: Context) -> Run:
    """The image again, with all references so far. The wording gives way to the prompt's own words."""
    references = run.round.references
    assert references
    worded = enhancing_prompt(context.enhancing_prompt, [r.concept for r in references], run.request.prompt)
    with context.residency.use("generator") as generator:
        fits = not generator.cut(worded) or bool(generator.cut(run.request.prompt))
        prompt = worded if fits else run.request.prompt
        enhanced = _draw(generator, run, context, "enhanced", prompt, references)
    return run.with_round(enhanced=enhanced)


def rejudge(run: Run, context: Context) -> Run:
    """The VLM's verdict on the enhanced image, which it sees beside the references; keep the better one.

    A name that nobody trained on cannot be judged by name; with its picture in view it can. Where the
    verdicts leave it open which image is better, it is the one that the judge finds likelier to show
    everything (VQAScore; Lin et al., 2024): more can be told from two images than from one.
    """
    references, enhanced = run.round.references, run.round.enhanced
    assert references and enhanced is not None
    question = second_verdict_question(
        run.request.prompt, [Introduced(reference.concept) for reference in references]
    )
    images = [enhanced, *(reference.picture for reference in references)]
    with context.residency.use("vlm") as vlm:
        verdict, raw = _verdict_on(vlm, images, question, run, context)
        judged = run.with_round(second_verdict=verdict)
        if is_open(judged):
            judged = judged.with_round(comparison=_compare(vlm, question, judged))
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
) -> Image.Image:
    settings = run.settings
    scale = settings["adapter_scale"]
    return generator.draw(
        prompt,
        negative_prompt=settings["negative_prompt"],
        seed=settings["seed"],
        steps=settings["steps"],
        guidance_scale=settings["guidance_scale"],
        guides=[Guide(r.picture, scale * r.weight, r.region) for r in references],
        guided_share=settings["guided_share"],
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


def _ask(
    chat: Chat,
    question: str,
    images: Sequence[Image.Image],
    parse: Callable[[str], T | None],
    run: Run,
    context: Context,
) -> tuple[T | None, str]:
    """What a reply says, and the reply; asked again with rising temperature while it cannot be read."""
    raw = ""
    for attempt, temperature in enumerate(TEMPERATURES):
        context.check()
        seed = (run.settings["seed"] + attempt) % (MAX_SEED + 1)
        raw = chat.reply(question, images, temperature=temperature, seed=seed)
        parsed = parse(raw)
        if parsed is not None:
            return parsed, raw
    return None, raw


def _verdict_on(
    vlm: Judge, images: Sequence[Image.Image], question: str, run: Run, context: Context
) -> tuple[Verdict | None, str]:
    """The VLM's verdict, its names spelt as in the prompt, and its reply."""
    verdict, raw = _ask(vlm, question, images, parse_verdict, run, context)
    if verdict is not None:
        missing = tuple(spelt_as_in(run.request.prompt, name) for name in verdict.missing)
        verdict = replace(verdict, missing=missing)
    return verdict, raw


def _compare(vlm: Judge, question: str, run: Run) -> Comparison:
    """The same answer to the same question, with each of the two images in the first place."""
    references, enhanced, verdict = run.round.references, run.round.enhanced, run.round.verdict
    assert references and enhanced is not None and run.result is not None and verdict is not None
    seen = [name for name in verdict.seen if place_in(run.request.prompt, name) is not None]
    wanted = dict.fromkeys([*seen, *(reference.concept for reference in references)])
    reply = affirming_reply(run.request.prompt, list(wanted))
    pictures = [reference.picture for reference in references]
    earlier, later = (vlm.likelihood(question, [image, *pictures], reply) for image in (run.result, enhanced))
    return Comparison(earlier, later)


def _whole_prompt(prompt: str) -> Concept:
    """The prompt as a query; its beginning, cut at a word, as a name."""
    words = " ".join(prompt.split())
    name = words if len(words) <= QUERY_NAME else words[:QUERY_NAME].rsplit(" ", 1)[0]
    return Concept(name, words)


def _sift(
    concepts: Sequence[Concept], llm: Chat, run: Run, context: Context
) -> tuple[list[Concept], list[Rejection]]:
    """The concepts worth looking up, and the others with the reason."""
    accepted, rejected = [], []
    for concept in concepts:
        if reason := _rejection(concept, llm, run, context):
            rejected.append(Rejection(concept.name, reason))
        else:
            accepted.append(concept)
    return accepted, rejected


def _rejection(concept: Concept, llm: Chat, run: Run, context: Context) -> str:
    """Why a concept is not looked up, "" if it is. In doubt it is: the floor still guards the result.

    Of what the library has a picture by that very name, nobody needs to be asked whether there can be one:
    a model that never met the name of somebody's own thing would deny it.
    """
    verdict = run.round.verdict
    assert verdict is not None
    name = concept.name.casefold()
    if name in folded(verdict.seen) and name not in folded(verdict.missing):
        return "the image already shows it"
    if context.library.holds(concept.name):
        return ""
    possible, _ = _ask(llm, validation_question(concept.name), (), parse_yes_no, run, context)
    return "no picture can show it" if possible is False else ""


def _search(concepts: Sequence[Concept], context: Context) -> dict[Concept, list[Candidate]]:
    """Candidates, best first: those called exactly like the concept, then the most similar ones."""
    queries = [context.query.format(caption=concept.caption, name=concept.name) for concept in concepts]
    with context.residency.use("clip") as clip:
        column = context.library.index(clip, context.check)
        vectors = clip.embed_texts(queries)
    return {
        concept: column.search(vector, concept.name, context.candidates)
        for concept, vector in zip(concepts, vectors, strict=True)
    }


def _choose(
    concept: Concept, candidates: Sequence[Candidate], rest: Sequence[Candidate], run: Run, context: Context
) -> Reference | None:
    """The best of the rest that is called like the concept or not below the floor."""
    for candidate in rest:
        if candidate.score >= run.settings["similarity_floor"] or is_literal(candidate, concept.name):
            try:
                image = context.library.open(candidate.file)
            except LibraryError:  # it vanished since it was indexed
                continue
            return Reference(concept.name, candidate, image, candidates=tuple(candidates))
    return None


def _why_unfound(rest: Sequence[Candidate], floor: float) -> str:
    if not rest:
        return "the library has no other candidate for it"
    best = max(rest, key=lambda candidate: candidate.score)
    return f"the best picture, {best.file}, scores {best.score:.3f}, below the floor of {floor:.3f}"


def _weighted(references: Sequence[Reference], weights: Sequence[float]) -> tuple[Reference, ...]:
    padded = (*weights, *[1.0] * len(references))
    return tuple(
        replace(reference, weight=weight) for reference, weight in zip(references, padded, strict=False)
    )


def _reading_notes(generator: Generator, prompt: str) -> list[str]:
    """What the person should know of how the generator reads the prompt."""
    notes = []
    for word, nearest in generator.unknown_words(prompt).items():
        hint = f" Nearest spellings: {', '.join(nearest)}." if nearest else ""
        notes.append(f'The generator does not know the word "{word}".{hint}')
    if left_out := generator.cut(prompt):
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


FIRST: Mapping[StageName, tuple[str, Stage]] = {"initial": ("generator", draw), "verdict": ("vlm", judge)}
"""Stage -> (role that serves it, function), in order; only the first round has these."""
LATER: Mapping[StageName, tuple[str, Stage]] = {
    "concepts": ("llm", extract),
    "references": ("clip", retrieve),
    "enhanced": ("generator", enhance),
    "second_verdict": ("vlm", rejudge),
}
"""Likewise of every round."""
