"""What a prompt wants to have looked up, and the prompt written again with what was found. Part of the first stage.

Words find texts without a model; CLIP is borrowed only where they find none and the profile says from which
similarity on its own finds count. The language model is borrowed only where something was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from imgrag.engine.augmenting import Span, Told, Wording, fault, lines, merged
from imgrag.engine.context import Context, Texts
from imgrag.engine.judging import ask
from imgrag.engine.prompts import augmentation_question, parse_augmentation
from imgrag.engine.reading.reader import Reader
from imgrag.engine.reading.syntax import plain
from imgrag.errors import LibraryError
from imgrag.runs.knowledge import Augmentation
from imgrag.runs.reading import Reading
from imgrag.runs.values import MAX_PROMPT, Run
from imgrag.texts import clean_line

MOST_FOUND = 24  # texts of one question that are looked at
MOST_PHRASES = 6  # of a prompt

UNREADABLE = "the language model gave no prompt that can be read"
NOT_FOUND = "no text about it was found"
TOO_LONG = "the prompt that the language model wrote is longer than the generator reads"
BY_HAND = "a person chose the original prompt"


def augmented(run: Run, reading: Reading, context: Context) -> Reading:
    """The reading of a prompt with what was looked up for it, or as it was.

    Nothing is searched, and no model loaded, unless it is wanted for this prompt.
    """
    when, name = run.settings["knowledge"], run.settings["knowledge_base"]
    wording = wording_of(run, reading, context)
    unknown = [] if when == "off" or not name else wording.unknown()
    if when == "off" or not name or (when == "unknown" and not unknown):
        return reading
    try:
        told = _looked_up(wording, when == "on", unknown, context.knowledge(name), context)
    except LibraryError as error:
        context.note(f"Nothing was looked up. {error}")
        return reading
    if told:
        return _written(run, wording, told, context)
    nothing = Augmentation(reading.prompt, reason=NOT_FOUND)
    return replace(reading, augmentation=nothing) if when == "on" else reading


def wording_of(run: Run, reading: Reading, context: Context) -> Wording:
    """The words that are looked up, and written again."""
    text = reading.translation or context.reader.called_in(plain(run.request.prompt).text)[0]
    return Wording(text[:MAX_PROMPT], reading, context.vocabulary is not None)


def original(run: Run, reader: Reader) -> Reading:
    """The reading of a run's prompt without what was looked up for it, which is told beside it. No model is asked."""
    old = run.reading or Reading(run.request.prompt)
    read = reader.read(old.translation or run.request.prompt)
    told = replace(old.augmentation or Augmentation(read.prompt), reason=BY_HAND)
    return replace(
        read, language=old.language, translation=old.translation, negative=old.negative, augmentation=told
    )


def by_hand(run: Run, reading: Reading) -> Reading:
    """A person's own wording of a prompt that texts were looked up for; they are told beside it still."""
    told = run.reading.augmentation if run.reading is not None else None
    if told is None or not told.facts:
        return reading
    return replace(reading, augmentation=replace(told, rewritten=reading.prompt, reason=""))


def _looked_up(
    wording: Wording, always: bool, unknown: Sequence[Span], base: Texts, context: Context
) -> tuple[Told, ...]:
    """The phrases that something was found about: in the base by words, in the library, in the base by vectors."""
    found = dict.fromkeys(f for asked in wording.questions() for f in base.search(asked, MOST_FOUND))
    mine = ("", context.reader.profile.language)
    facts = [fact for fact in found if not wording.closed or fact.language in mine]
    told = list(wording.told(facts, None if always else unknown, context.texts))
    for find in (_in_library, _by_look):
        left = [span for span in wording.strangers() if not any(span.meets(one.span) for one in told)]
        for one in find(wording, left, base, context):
            if not any(one.span.meets(other.span) for other in told):
                told.append(one)
    return tuple(told[:MOST_PHRASES])


def _in_library(wording: Wording, spans: Sequence[Span], base: Texts, context: Context) -> Iterator[Told]:
    """What the library's captions and fields say of things; what else is in a picture tells nothing of a place."""
    for span in spans:
        fact = context.library.tells(wording.said(span))
        if fact is not None and not (one := wording.phrase(span, ())).setting:
            yield replace(one, facts=(replace(fact, base=context.library.name),))


def _by_look(wording: Wording, spans: Sequence[Span], base: Texts, context: Context) -> Iterator[Told]:
    """What CLIP finds alike enough."""
    if context.alike >= 1 or not spans:
        return
    with context.residency.use("clip") as clip:
        for span in spans:
            found = base.search(wording.said(span), context.texts, clip, context.check)
            if near := [fact for fact in found if fact.score >= context.alike]:
                yield wording.phrase(span, near)


def _written(run: Run, wording: Wording, told: Sequence[Told], context: Context) -> Reading:
    """The prompt with what was found, if the language model kept to the rule; else as it was, with the reason."""
    first, kept = wording.reading, wording.kept(told)
    said, faults = [""], [UNREADABLE]

    def read(reply: str) -> Reading | None:
        words = parse_augmentation(reply)
        if words is None:
            return None
        said.append(clean_line(words)[:MAX_PROMPT])
        new = context.reader.read(said[-1])
        faults.append(fault(first, new, kept, told))
        return None if faults[-1] else new

    question = augmentation_question(wording.bracketed(told), lines(told))
    with context.residency.use("llm") as llm:
        new, _ = ask(llm, question, (), read, run, context)
    reason = faults[-1] if new is None else _too_long(new.prompt, context)
    facts = tuple(dict.fromkeys(fact for one in told for fact in one.facts))
    augmentation = Augmentation(first.prompt, facts, said[-1], reason)
    drawn = first if new is None or reason else merged(first, new, kept, told)
    return replace(drawn, augmentation=augmentation)


def _too_long(prompt: str, context: Context) -> str:
    """Why a prompt cannot be drawn, "" if it fits the generator's window. The generator is the next stage's too."""
    with context.residency.use("generator") as generator:
        return TOO_LONG if generator.cut(prompt) else ""
