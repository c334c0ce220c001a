"""A prompt augmented by what was looked up: which phrases, the rule, and the stage with fakes for models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgrag.archive.restoring import drawn_anew, open_run
from imgrag.engine.augmenting import Wording, fault, lines
from imgrag.engine.lookup import BY_HAND, NOT_FOUND, TOO_LONG, UNREADABLE, by_hand, original
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import LibraryError, RequestError
from imgrag.runs import corrections
from imgrag.runs.events import Finished
from imgrag.runs.knowledge import Augmentation, Fact
from imgrag.runs.reading import Reading, Thing
from imgrag.runs.trace import trace
from imgrag.runs.values import Request, Run
from tests.engine.test_reading import read, read_openly
from tests.fakes import COLOURS, Cast, FakeListener, make_pipeline, shows, tile

TEXTS = {
    "man's best friend": "man's best friend is a dog",
    "the sea": "the sea is blue",
    "the king of the beasts": "the king of the beasts is a lion",
    "the ship of the desert": "the ship of the desert is a camel",
    "a farmer's alarm clock": "a farmer's alarm clock is a rooster",
    "the beasts": "beasts are animals",
    "winter": "winter is white",
}
FACTS = [Fact(term, text) for term, text in TEXTS.items()]
FRIEND = Request("an owl and man's best friend at the sea", steps=2, seed=7, knowledge_base="mine")
WRITTEN = "an owl and a dog on a blue background"


def bracketed(prompt: str, always: bool = False) -> str:
    wording = Wording(prompt, read(prompt), True)
    told = wording.told(FACTS, None if always else wording.unknown(), 3)
    return wording.bracketed(told) if told else ""


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        (FRIEND.prompt, "an owl and [man's best friend] [at the sea]"),
        ("please draw at the sea, an owl and two dogs!", "an owl and a dog [at the sea]"),
        ("two dogs in winter", "two dogs [in winter]"),
        ("a dog and a dog in winter", "a dog and a dog [in winter]"),
        ("the wild king of all beasts down by the sea", "[the wild king of all beasts] [down by the sea]"),
        ("a dog and the ship of the desert", "a dog and [the ship of the desert]"),
        ("the farmer's alarm clock on a red background", "[the farmer's alarm clock] on a red background"),
        ("an owl chases man's best friend", "an owl and [man's best friend]"),
        ("a dog when it is winter", "a dog [when it is winter]"),
        ("man's toolbox, my friend the owl", ""),  # two words of three, and not together
        ("a sea monster and a dog", ""),  # a text about the sea is about no monster
        ("an owl and the queen of the sea", ""),
        ("a picture of the sea", "[the sea]"),
        ("a dog and a zorblax", ""),
        ("a dog and a toolbox", ""),
    ],
)
def test_phrases_that_a_text_is_about_stand_in_brackets(prompt: str, asked: str) -> None:
    assert bracketed(prompt) == asked


def test_what_is_known_is_looked_up_only_where_that_is_asked_for() -> None:
    assert bracketed("a beast and a dog") == "[a beast] and a dog"
    prompt = "a dog and a winter"
    known = replace(read(prompt), things=tuple(replace(t, known=("library",)) for t in read(prompt).things))
    wording = Wording(prompt, known, True)
    assert wording.told(FACTS, wording.unknown(), 3) == ()
    assert wording.bracketed(wording.told(FACTS, None, 3)) == "a dog and [a winter]"


def test_a_prompt_for_models_that_may_know_anything_keeps_its_words() -> None:
    prompt = "An oil painting of man's best friend [at the sea], 4k"
    wording = Wording(prompt, read_openly(prompt), False)
    assert wording.unknown() == []
    told = wording.told(FACTS, None, 3)
    assert wording.bracketed(told) == "An oil painting of [man's best friend]  [at the sea] , 4k"
    assert lines(told) == [TEXTS["man's best friend"], TEXTS["the sea"]]


def test_several_texts_of_a_phrase_are_told_up_to_so_many() -> None:
    wording = Wording("a dog at the sea", read("a dog at the sea"), True)
    facts = [Fact("the sea", f"the sea is {word}") for word in ("blue", "deep", "wide")]
    (told,) = wording.told(facts, None, 2)
    assert told.setting and [fact.text for fact in told.facts] == ["the sea is blue", "the sea is deep"]


def wrong(prompt: str, written: str, always: bool = False) -> str:
    first = read(prompt)
    wording = Wording(prompt, first, True)
    told = wording.told(FACTS, None if always else wording.unknown(), 3)
    return fault(first, read(written), wording.kept(told), told)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (WRITTEN, ""),
        ("a dog and an owl on a blue background", ""),
        ("a dog on a blue background", "the language model left out owl"),
        ("an owl and a cat on a blue background", "the language model added cat, which neither prompt nor texts name"),
        ("an owl and a dog on a red background", "the language model added red, which neither prompt nor texts name"),
        ("an owl and an owl", "the language model added owl, which neither prompt nor texts name"),
        ("an owl", "nothing of the texts is in what the language model wrote"),
        ("an owl and man's best friend", "nothing of the texts is in what the language model wrote"),
    ],
)  # fmt: skip
def test_what_the_person_named_stays_and_nothing_else_comes(written: str, reason: str) -> None:
    assert wrong(FRIEND.prompt, written) == reason


def test_a_ground_that_the_person_named_and_the_number_of_things_stay() -> None:
    prompt = "two dogs and man's best friend on a red background"
    lost = "the language model left out the red background"
    assert wrong(prompt, "a dog and a dog and a dog on a blue background") == lost
    assert wrong("two dogs in winter", "a dog on a white background") == "the language model left out dog"
    assert wrong("two dogs in winter", "two dogs on a white background") == ""


class Writer(FakeListener):
    """It writes prompts again with replies from a queue; the last one is given again."""

    def __init__(self, *written: str) -> None:
        super().__init__("")
        self.written = list(written)
        self.questions: list[str] = []

    def reply(self, question: str, images: Sequence[Image.Image] = (), **options: Any) -> str:
        if "[brackets]" not in question:
            return super().reply(question, images, **options)
        self.questions.append(question)
        return self.written.pop(0) if len(self.written) > 1 else self.written[0]


def knowing(folder: Path, cast: Cast, **options: Any) -> ImageRAGPipeline:
    """The pipeline, with a knowledge base "mine"."""
    pipeline = make_pipeline(folder, cast, **options)
    table = folder / "mine.csv"
    rows = (f'"{term}","{text}",en,ours,CC0-1.0\n' for term, text in TEXTS.items())
    table.write_text("term,text,language,source,licence\n" + "".join(rows))
    pipeline.knowledge.create("mine")
    pipeline.knowledge.open("mine").add(table)
    return pipeline


def told_of(run: Run) -> tuple[str, str]:
    """What was written, and why it is not drawn."""
    assert run.reading is not None and run.reading.augmentation is not None
    return run.reading.augmentation.rewritten, run.reading.augmentation.reason


class TestStage:
    def test_the_prompt_is_written_again_drawn_and_judged(self, tmp_path: Path) -> None:
        llm = Writer(WRITTEN)
        cast = Cast(llm=llm)
        run = knowing(tmp_path, cast)(FRIEND)
        assert 'Prompt: "an owl and [man\'s best friend] [at the sea]"' in llm.questions[0]
        assert f"- {TEXTS['the sea']}\n" in llm.questions[0]
        assert run.prompt == WRITTEN == cast.generator.calls[0]["prompt"]
        assert WRITTEN in cast.vlm.asked[0][0]
        assert run.result is not None and shows(run.result, "dog") and shows(run.result, "owl")
        assert run.reading is not None and run.reading.augmentation is not None
        dog = run.reading.named("dog")
        assert dog is not None and (dog.how, dog.spelling) == ("knowledge", "man's best friend")
        first, second = run.reading.augmentation.facts
        assert (first.term, first.base, first.licence) == ("man's best friend", "mine", "CC0-1.0")
        assert second.text == "the sea is blue"
        said = "\n".join(trace(run))
        assert (
            'as "an owl and a man\'s best friend"' in said and f'Written again with it: "{WRITTEN}"' in said
        )
        assert run.reading.left_out == ()

    def test_on_the_usual_path_nothing_is_opened_or_loaded(self, tmp_path: Path) -> None:
        cast = Cast()
        pipeline = knowing(tmp_path, cast)
        pipeline.knowledge.delete("mine")  # to open it would be told
        run = pipeline(Request("a dog and a cat on a red background", steps=2))
        assert run.settings["knowledge"] == "unknown"
        assert not run.notes and run.reading is not None and run.reading.augmentation is None
        assert cast.loads == {"generator": 1, "vlm": 1}

    def test_what_nobody_can_tell_loads_nothing(self, tmp_path: Path) -> None:
        cast = Cast()
        run = next(knowing(tmp_path, cast).stream(replace(FRIEND, prompt="a dog and a zorblax"), pause=True))
        assert run is not None and not cast.loads

    @pytest.mark.parametrize(("when", "asked"), [("off", 0), ("unknown", 1), ("on", 1)])
    def test_it_is_asked_for_or_not(self, when: Any, asked: int, tmp_path: Path) -> None:
        llm = Writer(WRITTEN)
        run = knowing(tmp_path, Cast(llm=llm))(replace(FRIEND, knowledge=when))
        assert len(llm.questions) == asked and run.settings["knowledge"] == when
        assert run.prompt == (WRITTEN if asked else "an owl and a man's best friend")

    def test_what_was_asked_for_and_not_found_is_told(self, tmp_path: Path) -> None:
        run = knowing(tmp_path, Cast())(replace(FRIEND, prompt="a dog", knowledge="on"))
        assert told_of(run) == ("", NOT_FOUND) and run.prompt == "a dog"

    @pytest.mark.parametrize(
        ("written", "reason"),
        [
            ("a dog", "the language model left out owl"),
            ("an owl and a cat", "the language model added cat, which neither prompt nor texts name"),
            (" ", UNREADABLE),
        ],
    )
    def test_against_the_rule_the_original_is_drawn(self, written: str, reason: str, tmp_path: Path) -> None:
        llm = Writer(written)
        run = knowing(tmp_path, Cast(llm=llm))(FRIEND)
        assert told_of(run) == (written.strip(), reason)
        assert run.prompt == "an owl and a man's best friend" and len(llm.questions) == 3
        assert f"The prompt is drawn as it was: {reason}." in trace(run)

    def test_a_reply_that_keeps_to_the_rule_may_come_later(self, tmp_path: Path) -> None:
        llm = Writer("a dog", WRITTEN)
        assert knowing(tmp_path, Cast(llm=llm))(FRIEND).prompt == WRITTEN
        assert len(llm.questions) == 2

    def test_a_prompt_beyond_the_generator_s_window_is_not_drawn(self, tmp_path: Path) -> None:
        cast = Cast(llm=Writer(WRITTEN))
        cast.generator.window = 7
        run = knowing(tmp_path, cast)(FRIEND)
        assert told_of(run) == (WRITTEN, TOO_LONG) and run.prompt == "an owl and a man's best friend"
        assert cast.loads["generator"] == 1

    def test_a_library_s_captions_are_knowledge_too(self, tmp_path: Path) -> None:
        llm = Writer("an owl and a dog")
        pipeline = knowing(tmp_path, Cast(llm=llm))
        folder = tmp_path / "libraries" / "album"
        folder.mkdir()
        for name in COLOURS:
            tile(name).save(folder / f"{name}.png")
        (folder / "metadata.csv").write_text(
            "file_name,caption,source,licence\ndog.png,the noisy neighbour is a dog,me,mine\n"
        )
        list(pipeline.library("album").add([], pipeline.residency.spec("clip").load()))
        run = pipeline(replace(FRIEND, prompt="an owl and the noisy neighbour", library="album"))
        assert "- noisy neighbour: the noisy neighbour" not in llm.questions[0]
        assert "- the noisy neighbour is a dog\n" in llm.questions[0]
        assert run.prompt == "an owl and a dog" and run.reading is not None
        assert run.reading.augmentation is not None and run.reading.augmentation.facts[0].base == "album"

    def test_a_base_that_is_not_there_is_told_before_anything_is_drawn(self, tmp_path: Path) -> None:
        with pytest.raises(LibraryError, match="There is no knowledge base 'none'"):
            knowing(tmp_path, Cast())(replace(FRIEND, knowledge_base="none"))

    def test_a_base_that_vanished_ends_no_run(self, tmp_path: Path) -> None:
        pipeline = knowing(tmp_path, Cast())
        profile = replace(pipeline.profile, knowledge=replace(pipeline.profile.knowledge, base="gone"))
        pipeline.profile = profile
        run = pipeline(replace(FRIEND, knowledge_base=None))
        assert run.state == "finished" and run.notes[0].startswith("Nothing was looked up. There is no")

    def test_clip_is_borrowed_where_words_find_nothing_and_the_profile_trusts_it(
        self, tmp_path: Path
    ) -> None:
        cast = Cast(llm=Writer("an owl and a cat"))
        pipeline = knowing(tmp_path, cast)
        told = tmp_path / "cat.csv"
        told.write_text("term,text\nmouser,a mouser is a cat\n")
        pipeline.knowledge.open("mine").add(told)
        profile = pipeline.profile
        pipeline.profile = replace(profile, knowledge=replace(profile.knowledge, alike=0.99))
        cast.clip.embed_texts = lambda texts: cast.clip._vectors(  # type: ignore[method-assign]
            [[name == "cat" and ("cat" in t.split() or "catcher" in t) for name in COLOURS] for t in texts]
        )
        run = pipeline(replace(FRIEND, prompt="an owl and a catcher"))
        assert run.reading is not None and run.reading.augmentation is not None
        assert run.reading.augmentation.facts[0].text == "a mouser is a cat" and cast.loads["clip"] == 1


class TestAfterwards:
    def test_a_run_is_read_back_and_drawn_again_without_the_language_model(self, tmp_path: Path) -> None:
        llm = Writer(WRITTEN)
        pipeline = knowing(tmp_path, Cast(llm=llm))
        run = pipeline(FRIEND)
        again = open_run(tmp_path / "results", run.id)
        assert again.reading == run.reading and again.settings == run.settings
        assert again.request.knowledge_base == "mine"
        *_, last = pipeline.resume(replace(drawn_anew(again), id="20990101-000000000000-abcdef"))
        assert isinstance(last, Finished) and last.run.result is not None and run.result is not None
        assert last.run.result.tobytes() == run.result.tobytes() and len(llm.questions) == 1

    def test_the_original_can_be_drawn_after_all(self, tmp_path: Path) -> None:
        llm = Writer(WRITTEN)
        pipeline = knowing(tmp_path, Cast(llm=llm))
        run = pipeline(FRIEND)
        reader = pipeline.reader(pipeline.library("pocket"))
        *_, last = pipeline.resume(corrections.reread(run, original(run, reader)))
        assert isinstance(last, Finished) and last.run.parent == run.id
        assert told_of(last.run) == (WRITTEN, BY_HAND)
        assert last.run.prompt == "an owl and a man's best friend" and len(llm.questions) == 1

    def test_what_was_written_can_be_edited(self, tmp_path: Path) -> None:
        run = knowing(tmp_path, Cast(llm=Writer("a dog")))(FRIEND)
        edited = by_hand(run, Reading(WRITTEN, (Thing("owl", "owl"), Thing("dog", "dog"))))
        back = corrections.reread(run, edited)
        assert told_of(back) == (WRITTEN, "") and back.prompt == WRITTEN
        nothing = replace(edited, augmentation=Augmentation("a dog", reason=NOT_FOUND))
        assert by_hand(replace(run, reading=nothing), edited) is edited

    def test_when_is_one_of_three(self) -> None:
        with pytest.raises(RequestError, match="Knowledge is maybe; it must be off, on or unknown"):
            Request("a dog", knowledge="maybe")  # type: ignore[arg-type]
