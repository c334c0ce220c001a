"""How often passwords may be guessed, on a clock that the test turns."""

from __future__ import annotations

import pytest

from imgrag.ui.server.logins import BURST, FORGOTTEN, FREE, KEPT, LONGEST, PATIENCE, Guesses, TooManyGuesses


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def refused(guesses: Guesses, address: str) -> float:
    """The seconds that the address has to wait, 0 if its guess is looked at."""
    try:
        guesses.turn(address)
    except TooManyGuesses as wait:
        return wait.seconds
    return 0


def test_an_address_waits_longer_after_each_wrong_guess_up_to_a_bound():
    clock = Clock()
    guesses = Guesses(clock)
    assert [refused(guesses, "192.0.2.1") for _ in range(FREE)] == [0] * FREE
    waits = []
    for _ in range(8):
        waits.append(refused(guesses, "192.0.2.1"))
        clock.now += waits[-1]
        assert refused(guesses, "192.0.2.1") == 0
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST, LONGEST]
    clock.now += FORGOTTEN + LONGEST
    assert [refused(guesses, "192.0.2.1") for _ in range(FREE)] == [0] * FREE


def test_a_right_guess_wipes_out_the_wrong_ones():
    guesses = Guesses(Clock())
    for _ in range(3):
        assert [refused(guesses, "192.0.2.1") for _ in range(FREE)] == [0] * FREE
        guesses.right("192.0.2.1")


def test_a_household_is_one_address():
    guesses = Guesses(Clock())
    assert not any(refused(guesses, f"2001:db8::{n}") for n in range(FREE))
    assert refused(guesses, "2001:db8::ffff") and not refused(guesses, "2001:db8:0:1::1")
    assert not any(refused(guesses, f"::ffff:192.0.2.{n}") for n in range(FREE + 1))


def test_all_together_are_slowed_down_but_not_who_came_in_before():
    guesses = Guesses(Clock())
    guesses.turn("192.0.2.1")
    guesses.right("192.0.2.1")
    waits = []
    with pytest.raises(TooManyGuesses):
        for number in range(1000):
            waits.append(guesses.turn(f"198.51.100.{number}"))
    assert waits[: BURST - 1] == [0] * (BURST - 1)
    assert len(waits) < 100 and max(waits) <= PATIENCE
    assert guesses.turn("192.0.2.1") == 0


def test_the_table_is_bounded():
    clock = Clock()
    guesses = Guesses(clock)
    for number in range(KEPT + 10):
        clock.now += 1
        guesses.turn(f"no address {number}")
    assert len(guesses._tallies) == KEPT
