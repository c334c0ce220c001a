"""How often a password may be guessed: by one address, and by all of them together.

Whoever is told to wait is told so before the password is looked at, so a guess too many learns nothing.
Addresses that have come in before have no part in what all share: a flood of guesses from elsewhere does
not keep them out. It knows addresses alone, no names and no passwords.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

FREE = 5  # wrong guesses of an address before it has to wait
LONGEST = 60.0  # seconds; each further wrong guess doubles the wait up to this
FORGOTTEN = 900.0  # seconds without a guess
BURST = 30  # guesses of all addresses together at once
EACH = 0.5  # seconds that one of all guesses takes of what they share
PATIENCE = 20.0  # seconds that a guess may stand in line
KEPT = 10_000  # addresses

T = TypeVar("T")


@dataclass
class _Tally:
    wrong: int = 0
    last: float = 0.0
    until: float = 0.0  # when it may guess again


class TooManyGuesses(Exception):
    """This guess is not looked at; `seconds` until the next one may be."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many wrong passwords. Please try again in {max(1, round(seconds))} seconds.")
        self.seconds = max(1, round(seconds))


class Guesses:
    """The wrong guesses so far. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._next = 0.0  # when all guesses before have had their time

    def turn(self, address: str) -> float:
        """Seconds until a guess of this address may be looked at. It counts as wrong until it is `right`.

        Raises:
            TooManyGuesses: it is not looked at.
        """
        key, now = _network(address), self._clock()
        tally = self._tallies.get(key)
        if tally is None or now - tally.last > FORGOTTEN:
            tally = _Tally()
        if now < tally.until:
            raise TooManyGuesses(tally.until - now)
        wait = 0.0 if key in self._known else self._in_line(now)
        _count(tally, now)
        _keep(self._tallies, key, tally)
        return wait

    def right(self, address: str) -> None:
        """Its guess was right: nothing is held against the address."""
        key = _network(address)
        self._tallies.pop(key, None)
        _keep(self._known, key, None)

    def _in_line(self, now: float) -> float:
        wait = max(0.0, self._next - BURST * EACH - now)
        if wait > PATIENCE:
            raise TooManyGuesses(wait - PATIENCE)
        self._next = max(self._next, now) + EACH
        return wait


def _count(tally: _Tally, now: float) -> None:
    tally.wrong, tally.last = tally.wrong + 1, now
    over = tally.wrong - FREE
    tally.until = now + min(LONGEST, 2.0 ** min(over, 10)) if over >= 0 else 0.0


def _keep(table: OrderedDict[str, T], key: str, value: T) -> None:
    """Put it last, and let the first go if there are too many."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > KEPT:
        table.popitem(last=False)


def _network(address: str) -> str:
    """Whom the address belongs to: a household has a whole /64 of IPv6."""
    try:
        known = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped or ip_network((known, 64), strict=False))
