"""The vocabulary: what is shipped is what the list says, and the list is checked against CLDR."""

from __future__ import annotations

import json

from imgrag.pocket.world import vocabulary, world
from imgrag.pocket.world.vocabulary import Synonym, faults, synonyms


def shipped() -> dict:
    return json.loads(vocabulary.VOCABULARY_FILE.read_text(encoding="utf-8"))


def test_what_is_shipped_is_what_the_list_says() -> None:
    assert shipped() == vocabulary.vocabulary(synonyms())


def test_no_word_and_no_character_means_two_things() -> None:
    things = shipped()["things"]
    assert [thing["name"] for thing in things] == list(world.names())
    words = [word for thing in things for word in (thing["name"], *thing["words"])]
    characters = [each for thing in things for each in thing["emoji"]]
    assert len(words) == len(set(words)) and len(characters) == len(set(characters))


def test_a_picture_s_character_is_known_with_and_without_the_selector() -> None:
    by_name = {thing["name"]: thing for thing in shipped()["things"]}
    assert {"🐶", "🐕", "🐕\ufe0f"} <= set(by_name["dog"]["emoji"]) and by_name["dog"]["drawn"]
    assert {"☀", "☀\ufe0f"} <= set(by_name["sun"]["emoji"])
    assert {"🐻‍❄", "🐻‍❄\ufe0f"} <= set(by_name["polar bear"]["emoji"]) and not by_name["polar bear"]["drawn"]


def test_words_that_only_go_with_a_thing_do_not_mean_it() -> None:
    words = {word for thing in shipped()["things"] for word in thing["words"]}
    assert not words & {"education", "mechanic", "face", "animal", "red", "food", "tool", "clothing"}
    assert {"rucksack", "tool chest", "bike", "puppy", "kitten", "doughnut", "automobile"} <= words


def test_each_fault_of_a_list_is_named() -> None:
    known = {"🐶": frozenset({"puppy", "dog face"}), "🐱": frozenset({"kitty"})}
    chosen = (
        Synonym("dog", "puppy", "cldr"),
        Synonym("dog", "pooch", "cldr"),
        Synonym("dog", "dog face", "added"),
        Synonym("dog", "cat", "added"),
        Synonym("cat", "moggy", "added"),
        Synonym("cat", "kitty", "cldr"),
        Synonym("lion", "moggy", "added"),
        Synonym("zorblax", "zorb", "added"),
    )
    told = list(faults(chosen, known))
    assert told == [
        '"pooch" for dog: its source is added.',
        '"dog face" for dog: its source is cldr.',
        '"cat" for dog: that is itself a name of the world.',
        '"moggy" for cat: the word stands there 2 times.',
        '"moggy" for lion: the word stands there 2 times.',
        '"zorb" for zorblax: the world has no such thing.',
    ]
