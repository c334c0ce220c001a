"""The gate for text from outside."""

from __future__ import annotations

import unicodedata

import pytest

from imgrag.texts import LONGEST, clean, clean_document, clean_line, shortened


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("a dog", "a dog"),
        ("zo\u0308rblax", "zörblax"),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ("nul\0 and \x1b[31mred\x9b", "nul and [31mred"),
        ("one\r\ntwo\rthree\tfour", "one\ntwo\nthree\tfour"),
        ("👩‍🔬 日本 \u202eabc", "👩‍🔬 日本 \u202eabc"),
        ("", ""),
    ],
)
def test_what_passes_is_well_formed_composed_and_without_controls(text, passed):
    assert clean(text) == passed
    assert clean(passed) == passed
    clean(text).encode("utf-8")
    assert unicodedata.is_normalized("NFC", clean(text))


def test_a_line_has_single_spaces_and_none_at_its_ends():
    assert clean_line(" a\n\n dog\u2003\0") == "a dog"


def test_every_text_and_key_of_a_document_passes():
    assert clean_document({"a\ud800": ["e\u0301", 1, None, {"x": "\0"}]}) == {
        "a\ufffd": ["é", 1, None, {"x": ""}]
    }


def test_of_a_long_path_both_ends_are_shown():
    assert shortened("a/b.png") == "a/b.png" and shortened("x" * LONGEST) == "x" * LONGEST
    shown = shortened(f"photos/{'x' * 5000}/b.png")
    assert len(shown) == LONGEST and shown.startswith("photos/xx") and shown.endswith("xx/b.png")
