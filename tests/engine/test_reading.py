"""How prompts are read, with the bundled vocabulary and the names of a small library; no model is opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgrag.engine.reading import Reader
from imgrag.engine.reading.syntax import plain
from imgrag.engine.reading.vocabulary import load_vocabulary
from imgrag.errors import ProfileError
from imgrag.models.checkpoints import PROJECT
from imgrag.models.profile import load_profile
from imgrag.runs.reading import Reading

POCKET = load_profile("pocket").reading
VOCABULARY = load_vocabulary(PROJECT / POCKET.vocabulary)


class Shelf:
    """A library with these names, and a caption that mentions one more."""

    def __init__(self, *names: str, mentioned: str = "") -> None:
        self.names = {name.casefold(): name for name in names}
        self.mentioned = mentioned

    def holds(self, name: str) -> bool:
        return name.casefold() in self.names

    def mentions(self, name: str) -> bool:
        return name.casefold() == self.mentioned

    def near(self, name: str, limit: int = 3) -> list[str]:
        return [spelled for plain, spelled in self.names.items() if plain[:4] == name[:4]][:limit]


def read(prompt: str, shelf: Shelf | None = None, **options: object) -> Reading:
    reader = Reader(replace(POCKET, **options), VOCABULARY, shelf or Shelf())  # type: ignore[arg-type]
    return reader.read(prompt)


def read_openly(prompt: str) -> Reading:
    return Reader(load_profile("sdxl").reading, None, Shelf()).read(prompt)


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("a dog and a toolbox", "a dog and a toolbox"),
        ("A DOG AND A CASTLE", "a dog and a castle"),
        ("A Dog, And A Castle!", "a dog and a castle"),
        ("kangaroo, castle", "a kangaroo and a castle"),
        ("owl hedgehog", "an owl and a hedgehog"),
        ("a owl and an hedgehog", "an owl and a hedgehog"),
        ("two dogs", "a dog and a dog"),
        ("Drendly Dog", "Drendly Dog"),
        ("Old Dog", "a dog"),
        ("two owls", "an owl"),
        ("horses", "a horse and a horse"),
        ("a pair of scissors", "scissors"),
        ("a bunch of grapes", "grapes"),
        ("an apple and an apple", "an apple and an apple"),
        ("a tolbox and a hedghog", "a toolbox and a hedgehog"),
        ("a puppy and a rucksack", "a dog and a backpack"),
        ("\U0001f436\U0001f9f0", "a dog and a toolbox"),
        ("a wooden violin", "a violin"),
        ("a violin under a horse", "a violin and a horse"),
        ("a book sitting on a mushroom", "a book and a mushroom"),
        ("a sleeping cat and a dog barking", "a cat and a dog"),
        ("a hot dog and a dog", "a hot dog and a dog"),
        ("could u pls draw a robot", "a robot"),
        ("can you draw me a dog and a guitar, please?", "a dog and a guitar"),
        ("Hello! I would like a picture of a piano. Thanks", "a piano"),
        ("masterpiece, best quality, a dog, 4k, trending on artstation", "a dog"),
        ("a dog, watercolor painting", "a dog"),
        ("an oil painting of a ship in the style of Monet", "a ship"),
        ("a dog on a plain blue backdrop", "a dog on a blue background"),
        ("a dog on red", "a dog on a red background"),
        ("a dog and a cat, background: red", "a dog and a cat on a red background"),
        ("the background is blue, a dog and a cat", "a dog and a cat on a blue background"),
        ("a dog with the background in red", "a dog on a red background"),
        ("a dog, bg red", "a dog on a red background"),
        ("Red background: a dog and a cat", "a dog and a cat on a red background"),
        ("dog on a red background orange cat", "a dog and a cat on a red background"),
        ("a dog and a cat on red paper", "a dog and a cat on a red background"),
        ("a dog on a red chair", "a dog and a chair"),
        ("a dog but not a cat", "a dog"),
        ("a dog instead of a cat", "a dog"),
        ("instead of a cat draw a dog", "a dog"),
        ("neither a cat nor a horse, just a dog", "a dog"),
        ("nothing but a dog", "a dog"),
        ("a dog. Don't draw a cat", "a dog"),
        ("zero dogs", "a white background"),
        ("0 drendles", "a white background"),
        ("1,000 dogs", "a dog and a dog"),
        ("a dog with no tail and a cat", "a dog and a cat"),
        ("a dog without a cat and a horse", "a dog"),
        ("a dog that chases a cat", "a dog and a cat"),
        ("I lost my toolbox yesterday", "a toolbox"),
        ("thank you so much, a dog asap", "a dog"),
        ("2.5 dogs", "a dog and a dog"),
        ("3x dogs", "a dog and a dog"),
        ("half a dog", "a dog"),
        ("a statue of a dog", "a dog"),
        ("a cat on a pink background", "a cat"),
        ("a dog without a hat", "a dog"),
        ("a dog or a cat", "a dog"),
        ("(dog:1.3), castle <lora:x:0.8>", "a dog and a castle"),
        ("a dog AND a cat", "a dog and a cat"),
        ("{dog|cat} and a castle --ar 16:9", "a dog and a castle"),
        ("a drendle and a dog", "a drendle and a dog"),
        ("a red pencil, a book", "a pencil and a book"),  # a way to draw, and a thing
        ("a dog in watercolor", "a dog"),
        ("a hedge-hog and a tool box", "a hedgehog and a toolbox"),
        ("three dogs and two cats", "a dog and a cat"),
        ("dog photo", "a dog"),
        ("a dog and cat picture", "a dog and a cat"),
        ("castle icon, wallpaper", "a castle"),
        ("a dog and a poster", "a dog and a poster"),  # which nobody knows
        ("dog, flat icon", "a dog"),
        ("a dog w/ a hat", "a dog and a hat"),
        ("a dog w/o a hat", "a dog"),
        ("a dog bigger than a castle", "a dog and a castle"),
        ("a castle built from apples", "a castle and an apple"),
        ("on red, a dog", "a dog on a red background"),
        ("a school of dogs", "a dog and a dog"),
        ("half a dozen dogs", "a dog and a dog"),
        ("<p class=x>a dog</p> <br> a castle", "a dog and a castle"),
        ("teh dog wiht a castle adn", "a dog and a castle"),
        ("a dog, a kangaroo and a castle", "a dog and a castle"),  # what the generator knows goes first
    ],
)
def test_what_people_type_becomes_what_the_models_are_asked_for(prompt: str, asked: str) -> None:
    assert read(prompt).prompt == asked


@pytest.mark.parametrize(
    ("prompt", "name", "how", "number"),
    [
        ("a tolbox", "toolbox", "slip", 1),
        ("a dgo", "dog", "slip", 1),
        ("a hrose", "horse", "slip", 1),  # its letters in another order; a rose has others
        ("a tac", "tac", "nobody", 1),
        ("two puppies", "dog", "synonym", 2),
        ("half a dozen owls", "owl", "name", 6),
        ("1000000 cats", "cat", "name", 99),
        ("a 1920 cat", "cat", "name", 1),
        ("a \U0001f436", "dog", "emoji", 1),
        ("3 owls", "owl", "name", 3),
        ("a pikachu", "pikachu", "nobody", 1),
        ("one hundred cats", "cat", "name", 99),  # the most that are counted
        ("twenty-one cats", "cat", "name", 21),
        ("2.0 cats", "cat", "name", 2),
        ("Godzilla", "godzilla", "nobody", 1),  # no gorilla, in the library neither
        ("a beech", "beech", "nobody", 1),  # an English word is no slip, however near a name is
    ],
)
def test_a_thing_says_how_it_was_found(prompt: str, name: str, how: str, number: int) -> None:
    shelf = Shelf(mentioned="beech")
    shelf.near = lambda name, limit=3: ["gorilla"]  # type: ignore[method-assign]
    (thing,) = read(prompt, shelf).things
    assert (thing.name, thing.how, thing.number) == (name, how, number)
    assert bool(thing.known) == (how != "nobody")


@pytest.mark.parametrize(
    ("prompt", "words", "reason"),
    [
        ("a golden mushroom", "golden", "drawn as its picture is"),
        ("a dog, watercolor", "watercolor", "one style"),
        ("a cat on a pink background", "on a pink background", "the grounds are white"),
        ("two owls", "2 owls", "knows from a picture alone"),
        ("a cat inside a toolbox", "inside", "only the things themselves are drawn"),
        ("a dog ate a cat", "ate", "only the things themselves are drawn"),
        ("a dog smaller than a cat", "smaller than", "only the things themselves are drawn"),
        ("a statue of a dog", "statue of", "only the things themselves are drawn"),
        ("a dog without a drendle", "drendle", "not to be there"),
        ("a dog, a cat and a castle", "castle", "at most 2 things"),
        ("3 books", "3 books", "2 are drawn; at most 2 things"),
        ("two owl", "2 owls", "1 is drawn; the generator draws one"),
        ("3 mice and a cat", "3 mice", "1 is drawn"),
        ("a dog <lora:x:0.8>", "<lora:x:0.8>", "LoRAs"),
        ("a dog or a cat", "cat", "of several choices"),
        ("a dog, 8k", "8k", "nothing to draw"),
        ("1.5 cats", "1.5", "not a whole number"),
        ("0 cats", "cat", "not to be there"),
        ("a dog without a hat", "hat", "negative prompt"),
    ],
)
def test_what_is_left_out_is_told_with_its_reason(prompt: str, words: str, reason: str) -> None:
    assert any(left.words == words and reason in left.reason for left in read(prompt).left_out)


def test_a_setting_that_nobody_knows_is_not_drawn_and_not_forgotten() -> None:
    dog, night = read("a dog at night").things
    assert dog.drawn == 1 and (night.name, night.drawn, night.known) == ("night", 0, ())


def test_names_of_the_library_count_in_any_script_and_before_parts_of_them() -> None:
    shelf = Shelf("zorblax", "blue dog", "\u732b\u738b", mentioned="quindle")
    assert read("a cat and a Zorblax", shelf).things[1].known == ("library",)
    assert read("my blue dog", shelf).prompt == "a blue dog"
    assert read("a quindle", shelf).things[0].known == ("library",)
    assert read("a dog and a \u732b\u738b", shelf).things[1].known == ("library",)
    assert read("a zorblex", shelf).things[0].name == "zorblax"


def test_a_negative_block_goes_to_the_negative_prompt() -> None:
    reading = read("a dog Negative prompt: cat, blurry Steps: 20, Sampler: Euler a")
    assert (reading.prompt, reading.negative) == ("a dog", "cat")
    assert read_openly("a dog\nNegative prompt: cat, blurry").negative == "cat, blurry"


@pytest.mark.parametrize(
    "prompt",
    ["a man (old) with a dog", "a fox by Monet, 8k", "three dogs and two cats", "a [very] odd prompt:1"],
)
def test_where_words_have_no_end_a_prompt_stays_as_it_is(prompt: str) -> None:
    assert read_openly(prompt.replace("[", "").replace("]", "")).prompt == prompt.replace("[", "").replace(
        "]", ""
    )


def test_where_words_have_no_end_things_are_whole_phrases_and_known() -> None:
    things = read_openly("two wooden violins under a big horse on a red background").things
    assert [(thing.number, bool(thing.known)) for thing in things] == [(2, True), (1, True)]
    assert things[1].name == "big horse"


@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("\u4e00\u53ea\u72d7\u548c\u4e00\u628a\u5409\u4ed6", "Chinese"),
        ("un perro y una guitarra", "Spanish"),
        ("\u72ac\u3068\u30ae\u30bf\u30fc", "Japanese"),
        ("a dog and a zorblax", ""),
        ("pikachu", ""),
        ("hello there", ""),
        ("a tolbox and a pan", ""),  # a pan is bread in Spanish
        ("el perro", "Spanish"),  # a dictionary of English has "perro" too
        ("a bera and a forg", ""),  # slips of English look like German
        ("cta and dgo", ""),
    ],
)
def test_another_language_is_known_as_one(prompt: str, language: str) -> None:
    assert Reader(POCKET, VOCABULARY, Shelf()).language_of(prompt) == language


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        (
            "\u8bf7\u753b\u4e00\u53ea\u72d7\u548c\u4e00\u4e2a\u5de5\u5177\u7bb1\uff0c\u8c22\u8c22",
            "a dog and a toolbox",
        ),
        ("\u4e24\u53ea\u732b\u5934\u9e70", "an owl"),
        ("\u7ea2\u8272\u80cc\u666f\u4e0a\u7684\u4e00\u53ea\u732b", "a cat on a red background"),
        ("Dibuja un coche rojo sobre un fondo azul", "a car on a blue background"),
        ("dos b\u00fahos", "an owl"),
    ],
)
def test_what_the_vocabulary_has_words_for_takes_no_model(prompt: str, asked: str) -> None:
    def translate(prompt: str) -> str:
        raise AssertionError("no model is needed")

    reading = Reader(POCKET, VOCABULARY, Shelf()).read(prompt, translate)
    assert reading.prompt == asked and reading.language


def test_what_it_has_no_words_for_is_translated_and_own_names_stay() -> None:
    asked = []

    def translate(prompt: str) -> str:
        asked.append(prompt)
        return "a dog and a zorblax"

    reader = Reader(POCKET, VOCABULARY, Shelf("\u732b\u738b"))
    assert (
        reader.read("\u4e00\u53ea\u72d7\u548c\u732b\u738b", translate).prompt == "a dog and a \u732b\u738b"
        and not asked
    )
    openly = Reader(load_profile("sdxl").reading, None, Shelf("\u732b\u738b"))
    reading = openly.read("\u9f98\u9f98\u72d7\u548c\u732b\u738b", translate)
    assert (reading.language, reading.translation) == ("Chinese", "a dog and a \u732b\u738b")
    assert len(asked) == 1 and "\u732b\u738b" not in asked[0]
    japanese = reader.read("\u72ac\u3068\u30ae\u30bf\u30fc", translate)
    assert len(asked) == 1 and "English, Chinese and Spanish" in japanese.left_out[0].reason


@pytest.mark.parametrize(
    "prompt",
    ["?", "((((", "{|}", "--", "a" * 2000, "\U0001f636" * 500, "no", "and and and", "(a:1", "<lora", "0", "1 2 3", ", " * 900],
)  # fmt: skip
def test_whatever_is_typed_something_is_asked_for(prompt: str) -> None:
    assert read(prompt).prompt.strip()
    assert read_openly(prompt).prompt.strip()


def test_syntax_that_is_none_stays() -> None:
    assert plain("a dog (brown), 10:30 on a clock").text == "a dog (brown), 10:30 on a clock"
    assert plain("a dog (brown)").left_out == ()


def test_a_vocabulary_that_is_none_is_a_sentence(tmp_path) -> None:
    with pytest.raises(ProfileError, match="vocabulary"):
        load_vocabulary(tmp_path / "none.json")


def test_a_slip_that_a_library_finds_as_a_form_of_a_word_stays_a_slip() -> None:
    assert read("a hedgehoge", Shelf(mentioned="hedgehoge")).prompt == "a hedgehog"
    assert read("a zorblaxe", Shelf(mentioned="zorblaxe")).prompt == "a zorblaxe"


def test_what_a_vocabulary_of_another_language_lacks_stays_as_it_was_typed() -> None:
    """A small model that never met a word makes some other thing of it."""

    def guess(text: str) -> str:
        raise AssertionError(f"the model is asked for {text}")

    reader = Reader(POCKET, VOCABULARY, Shelf())
    said = reader.read("\u51e4\u51f0\u548c\u732b", guess)
    assert [(thing.name, bool(thing.known)) for thing in said.things] == [
        ("\u51e4\u51f0", False),
        ("cat", True),
    ]
    assert reader.read("\u6ca1\u6709\u732b\u7684\u57ce\u5821", guess).prompt == "a castle"
    french = reader.read("un chien et un oiseau", guess)
    assert any("French" in left.reason for left in french.left_out)


@pytest.mark.parametrize(
    ("prompt", "known", "unknown"),
    [
        ("苹果手机和一只狗", ["dog"], ["苹果手机"]),
        ("熊猫馆旁边的牛肉面", [], ["熊猫馆", "牛肉面"]),
        ("一台洗衣机，一隻貓", ["cat"], ["洗衣机"]),
        ("貓和電冰箱", ["cat"], ["電冰箱"]),
        ("無線耳機", [], ["無線耳機"]),
        ("飞船和飞碟", ["flying saucer"], ["飞船"]),
        ("一碗面条和一把玻璃花瓶", ["noodle bowl", "vase"], []),
        ("红苹果、黑猫", ["apple", "cat"], []),
        ("男孩踢足球", ["soccer ball"], ["男孩"]),
        ("番茄炒蛋", [], ["番茄炒蛋"]),
        ("一只龙猫", [], ["龙猫"]),
        ("龙、猫", ["dragon", "cat"], []),
        ("猫狗", ["cat", "dog"], []),
        ("牛羊", ["cow", "sheep"], []),
        ("哆啦A梦和猫", ["cat"], ["哆啦a梦"]),
        ("un coche de bomberos", [], ["coche de bomberos"]),
        ("un pez espada y un perro", ["dog"], ["pez espada"]),
        ("un ramo de rosas y una silla de madera", ["rose", "chair"], []),
        ("una tarta de queso", [], ["tarta de queso"]),
        ("un mono en bicicleta", ["monkey", "bicycle"], []),
        ("a key ring and a dog", ["dog"], ["key ring"]),
        ("a horse shoe", [], ["horse shoe"]),
        ("two guinea pigs", [], ["guinea pigs"]),
        ("an ear ring", [], ["ear ring"]),
        ("a hot dog stand", [], ["hot dog stand"]),
        ("a black bird and a pumpkin pie", ["bird", "pie"], []),
    ],
)
def test_the_name_of_another_thing_is_not_cut_into_names_that_are_known(
    prompt: str, known: list[str], unknown: list[str]
) -> None:
    things = Reader(POCKET, VOCABULARY, Shelf()).read(prompt, _refused).things
    assert [thing.name for thing in things if thing.known] == known
    assert [thing.name for thing in things if not thing.known] == unknown


def _refused(text: str) -> str:
    raise AssertionError(f"the model is asked for {text}")


@pytest.mark.parametrize(
    ("prompt", "asked", "left", "negative"),
    [
        ("水彩风格的城堡", "a castle", "watercolor style", ""),
        ("三匹奔跑的马", "a horse and a horse", "奔跑", ""),
        ("狗追猫", "a dog and a cat", "追", ""),
        ("森林背景，一只猫", "a cat", "on a 森林 background", ""),
        ("没有星星和月亮的城市", "a city", "star", "star, moon"),
        ("海豚，别加鲨鱼", "a dolphin", "shark", "shark"),
        ("十二颗鸡蛋", "an egg and an egg", "12 eggs", ""),
        ("no quiero un gato, quiero un perro", "a dog", "cat", "cat"),
        ("el perro duerme", "a dog", "duerme", ""),
        ("un violín de madera", "a violin", "wooden", ""),
    ],
)
def test_of_a_foreign_prompt_too_what_is_not_drawn_is_told(
    prompt: str, asked: str, left: str, negative: str
) -> None:
    read = Reader(POCKET, VOCABULARY, Shelf()).read(prompt, _refused)
    assert (read.prompt, read.negative) == (asked, negative)
    assert left in [part.words for part in read.left_out]


@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("ein Apfel und eine Birne", "German"),
        ("un homme avec un chapeau", "French"),
        ("una mela e una pera", "Italian"),
        ("três gatos pretos", "Portuguese"),
        ("een huis met een tuin", "Dutch"),
        ("una pizza sin queso", "Spanish"),
        ("a guitar case", ""),
        ("a dog in a van", ""),
        ("la la land", ""),
    ],
)
def test_small_words_tell_a_language(prompt: str, language: str) -> None:
    assert Reader(POCKET, VOCABULARY, Shelf()).language_of(prompt) == language


def test_an_emoji_is_told_by_its_own_character() -> None:
    for prompt in ("a 🐶 and a cat", "一只🐶和猫", "un 🐶 y un gato"):
        first = Reader(POCKET, VOCABULARY, Shelf()).read(prompt, _refused).things[0]
        assert (first.name, first.how, first.spelling) == ("dog", "emoji", "🐶")


@pytest.mark.parametrize(
    ("prompt", "asked", "left"),
    [
        ("a horse riding a bicycle", "a horse and a bicycle", "riding"),
        ("the cat sat on the chair", "a cat and a chair", "sat on"),
        ("a horse riding", "a horse", "riding"),
        ("a dog barked at a cat", "a dog and a cat", "barked"),
        ("a horse riding astronaut", "a horse riding astronaut", ""),
    ],
)
def test_what_a_thing_does_is_no_part_of_its_name(prompt: str, asked: str, left: str) -> None:
    reading = read(prompt)
    assert reading.prompt == asked
    assert left in ["", *(part.words for part in reading.left_out)]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("一只洗衣机", "one 洗衣机"),
        ("人类最好的朋友在海边", "人类, 朋友 at the sea"),
        ("海边的猫", "at the sea, cat"),
        ("，，狗和，猫、", "dog, and cat"),
        ("un perro y , un gato y", "a dog, a cat"),
    ],
)
def test_a_translation_joins_what_is_there_alone(prompt: str, said: str) -> None:
    assert Reader(POCKET, VOCABULARY, Shelf()).read(prompt, _refused).translation == said


def test_a_scene_of_another_language_is_one() -> None:
    dog, sea = Reader(POCKET, VOCABULARY, Shelf()).read("狗在海边", _refused).things
    assert dog.drawn == 1 and (sea.name, sea.drawn) == ("sea", 0)


@pytest.mark.parametrize("prompt", ["my dog Rex", "a dog named Rex"])
def test_what_a_thing_is_called_is_told_and_not_drawn(prompt: str) -> None:
    reading = read(prompt)
    things = {thing.name: (thing.drawn, bool(thing.known)) for thing in reading.things}
    assert things == {"dog": (1, True), "rex": (0, False)} and reading.prompt == "a dog"


def test_a_proper_name_that_nobody_knows_stays_whole() -> None:
    assert [(thing.spelling, thing.describing) for thing in read("Santa Claus").things] == [
        ("Santa Claus", ())
    ]
    assert [thing.spelling for thing in read("a shiny drendle").things] == ["drendle"]
