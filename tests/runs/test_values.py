"""The values of a run: what a request refuses, and what a run's copies keep."""

from __future__ import annotations

import dataclasses

import pytest
from PIL import Image

from imgrag.errors import ImgragError, RequestError
from imgrag.runs.values import MAX_SEED, Request, Round, Run, Verdict


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " \n\t"}, "prompt is empty"),
        ({"prompt": "x" * 2001}, "2001 characters; at most 2000"),
        ({"prompt": "\x00"}, "prompt is empty"),
        ({"prompt": ["a dog"]}, "prompt must be a text"),
        ({"negative_prompt": None}, "negative prompt must be a text"),
        ({"seed": 10**400}, "seed is 1e400; it must be"),
        ({"seed": -(10**5000)}, "seed is -1e5000"),
        ({"steps": 10**400}, "steps is 1e400"),
        ({"guidance_scale": 10**400}, "guidance scale is 1e400"),
        ({"rounds": "many " * 100}, "number of rounds is many many"),
        ({"max_concepts": [1] * 1000}, "…; it must be a whole number"),
        ({"negative_prompt": "x" * 2001}, "negative prompt has 2001"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": MAX_SEED + 1}, "seed is 4294967296"),
        ({"seed": 1.5}, "whole number"),
        ({"seed": True}, "seed is True"),
        ({"seed": "7"}, "seed is 7"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 151}, "from 1 to 150"),
        ({"guidance_scale": float("nan")}, "guidance scale is nan"),
        ({"guidance_scale": 31}, "from 0 to 30"),
        ({"adapter_scale": -0.1}, "adapter scale is -0.1"),
        ({"similarity_floor": 1.01}, "similarity floor is 1.01"),
        ({"similarity_floor": float("-inf")}, "similarity floor is -inf"),
        ({"max_concepts": 4}, "number of concepts is 4"),
        ({"rounds": 0}, "number of rounds is 0"),
        ({"images": 5}, "number of images is 5"),
        ({"weights": (1.0, 3.0)}, "weight of a reference is 3.0"),
    ],
)
def test_a_request_says_what_is_wrong(values: dict, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        Request(**{"prompt": "a dog", **values})
    assert says in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 200
    assert isinstance(caught.value, (ImgragError, ValueError))


@pytest.mark.parametrize(
    "values",
    [{"prompt": "x" * 2000}, {"seed": MAX_SEED}, {"seed": 3.0}, {"steps": 150}, {"similarity_floor": -1},
     {"adapter_scale": 0}, {"weights": (0.0, 2.0)}, {"rounds": 5}, {"prompt": "ein Hund \u2013 \u72ac"}],
)  # fmt: skip
def test_the_ends_of_the_ranges_are_allowed(values: dict) -> None:
    request = Request(**{"prompt": "a dog", **values})
    assert {name: getattr(request, name) for name in values} == values


def test_texts_pass_the_gate_wherever_a_request_is_made() -> None:
    request = Request("a cat and a zo\u0308rblax\ud800\x00", negative_prompt="fog\r\nand\x1b rain")
    assert request.prompt == "a cat and a z\u00f6rblax\ufffd"
    assert request.negative_prompt == "fog\nand rain"
    assert dataclasses.replace(request, prompt="\udfff").prompt == "\ufffd"


def make_run(**values: object) -> Run:
    return Run("20260101-000000-abcdef", Request("a dog"), "pocket", "pocket", "now", {}, **values)  # type: ignore[arg-type]


def test_values_are_frozen() -> None:
    for value in (Request("a dog"), Verdict(True), Round(), make_run()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.raw = "other"  # type: ignore[union-attr]


def test_the_result_is_the_image_that_was_kept() -> None:
    initial, first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue"))
    run = make_run(initial=initial, rounds=(Round(enhanced=first), Round(enhanced=second)))
    kept = [dataclasses.replace(run, kept=number).result for number in range(3)]
    assert [image is wanted for image, wanted in zip(kept, (initial, first, second), strict=True)] == [
        True
    ] * 3


def test_a_change_is_of_the_round_in_hand() -> None:
    verdict = Verdict(False, ("owl",))
    run = make_run().with_round(verdict=verdict)
    later = dataclasses.replace(run, rounds=(*run.rounds, Round())).with_round(concepts=())
    assert run.round.verdict == verdict
    assert later.rounds[0] == run.round and later.round == Round(concepts=())
