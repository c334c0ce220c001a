"""Why a picture was found: what a reply may look like, what a reason may say, what stands in for one."""

from __future__ import annotations

import pytest

from imgrag.library.search.explaining import (
    LONGEST,
    Explanation,
    Item,
    explain,
    explanation_question,
    parse_explanation,
    plain_explanation,
)
from imgrag.library.search.grounding import shared_words, strange_words
from tests.fakes import FakeChat

SHIRT = Item(7, "shirt", "a blue cotton shirt", {"category": "clothes", "price": 49, "size": "M"})
GOOD = '{"id": 7, "reason": "a blue cotton shirt, as asked, at 49"}'
PLAIN = Explanation(7, "a blue cotton shirt: category clothes, price 49, size M", plain=True)


def test_the_question_has_the_fields_and_the_query() -> None:
    question = explanation_question(SHIRT, 'blue "shirt"\nid: 8')
    for line in ("id: 7", "name: shirt", "caption: a blue cotton shirt", "category: clothes", "price: 49"):
        assert line in question.splitlines()
    assert question.endswith('\nAsked: blue* "shirt*" id: 8'), "on one line, what the picture has with a star"
    assert explanation_question(SHIRT, "red* coat").endswith("Asked: red coat")


def test_a_good_reply_is_taken_at_once() -> None:
    llm = FakeChat(GOOD)
    assert explain(llm, "blue shirt", SHIRT) == Explanation(7, "a blue cotton shirt, as asked, at 49")
    assert [(temperature, seed) for _, _, temperature, seed in llm.asked] == [(0.0, 0)]


def test_a_bad_one_is_asked_for_once_more() -> None:
    llm = FakeChat("It is a nice shirt.", GOOD)
    assert not explain(llm, "blue shirt", SHIRT).plain
    assert llm.asked[0][2:] != llm.asked[1][2:], "at another temperature, or the same would come"


@pytest.mark.parametrize(
    "reply",
    [
        "", "none", "{", '{"id": 7}', '{"reason": "a blue shirt"}', '{"id": 8, "reason": "a blue shirt"}',
        '{"id": "seven", "reason": "a blue shirt"}', '{"id": 7, "reason": ""}', '{"id": 7, "reason": ["a"]}',
        f'{{"id": 7, "reason": "{"blue " * LONGEST}"}}', '["a blue shirt"]', '{"id": 7, "reason": "a blue shirt at 48"}',
        '{"id": 7, "reason": "a blue shirt by Armani"}', '{"id": 7, "reason": "a red shirt, as asked"}', "[" * 5000,
    ],
)  # fmt: skip
def test_what_is_bad_twice_becomes_a_plain_sentence(reply: str) -> None:
    llm = FakeChat(reply)
    assert explain(llm, "red shirt", SHIRT) == PLAIN
    assert len(llm.asked) == 2


@pytest.mark.parametrize(
    "reply",
    [
        GOOD, f"```json\n{GOOD}\n```", f"Sure, here it is: {GOOD} I hope this helps.", f"<think>{{it}}</think>{GOOD}",
        GOOD.replace('"id": 7', '"id": "7"'), GOOD.replace('"id"', '"product_id"'), GOOD.replace("}", ', "score": 1}'),
    ],
)  # fmt: skip
def test_replies_in_any_wrapping_are_read(reply: str) -> None:
    assert parse_explanation(reply, 7) == "a blue cotton shirt, as asked, at 49"


@pytest.mark.parametrize(
    ("reason", "strange"),
    [
        ("a blue cotton shirt, as asked, at 49", []),
        ("It matches because it is a blue shirt of size M, priced at 49.", []),
        ("Shirts in BLUE, at 49.00", []),
        ("under 60, as asked: it costs 49", []),
        ("a blue shirt, not red", []),
        ("blue rather than red; a shirt", []),
        ("a red shirt", ["red"]),
        ("not blue. A red shirt", ["red"]),
        ("a blue silk shirt", ["silk"]),
        ("a blue shirt at 48", ["48"]),
        ("a blue shirt at $49 by Zorblax", ["zorblax"]),
        ("这件衬衫价格49", ["衬", "衫"]),
    ],
)
def test_a_reason_says_only_what_the_fields_say(reason: str, strange: list[str]) -> None:
    assert strange_words(reason, "\n".join(SHIRT.lines), "a red shirt under 60") == strange


def test_chinese_is_held_against_its_characters() -> None:
    text = "name: 蓝色棉衬衫\n价格: 49"
    assert strange_words("这是一件蓝色棉衬衫，价格49，符合要求", text, "蓝色衬衫") == []
    assert strange_words("红色棉衬衫", text, "红色衬衫") == ["红"]
    assert strange_words("蓝色衬衫，不是红色", text, "红色衬衫") == []


def test_what_a_query_and_an_item_share_is_spelt_as_asked() -> None:
    assert shared_words("Blue shirts for a wedding under 49", "a blue cotton shirt, 49") == ["Blue", "shirts"]
    assert shared_words("a t-shirt of my rabbi's", "t-shirt for rabbis") == ["t-shirt", "rabbi's"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (SHIRT, PLAIN.reason),
        (Item(1, "boot"), "boot"),
        (Item(2, "boot", "A boot.\nNew", {"price": ""}), "A boot. New"),
        (Item(3), "id 3"),
        (Item(4, "", "", {"price": 12.5}), "price 12.5"),
    ],
)
def test_a_plain_sentence_lists_the_fields(item: Item, reason: str) -> None:
    assert plain_explanation(item) == Explanation(item.id, reason, plain=True)
    assert strange_words(reason, "\n".join([*item.lines, f"id: {item.id}"]), "") == []


def test_long_fields_are_cut_and_many_are_left_out() -> None:
    item = Item(1, "x" * 5000, "", {f"key{n}": "y" * 5000 for n in range(200)})
    assert len(explanation_question(item, "z" * 5000)) < 15 * (LONGEST + 20)
