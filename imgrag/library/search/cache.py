"""What was found, kept by everything that decides it: in the process, or in a Redis that several share.

An answer is JSON text, never a pickle, so that nobody who can write to the server runs anything
here. Nothing is ever taken back: what changes, changes the key.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections import OrderedDict
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import urlsplit

from PIL import Image

from imgrag.errors import LibraryError

VARIABLE = "IMGRAG_CACHE"
SCHEMES = ("redis", "rediss", "unix")
NEEDED = "redis>=6,<9"
READING = 1  # raised when the same question has another answer than before
MOST = 32 * 2**20  # characters of keys and answers that a process keeps
KEPT_SECONDS = 24 * 60 * 60  # in Redis
ANSWER_SECONDS = 0.25  # that a search waits for Redis
PAUSE_SECONDS = 30.0  # after which a lost server is asked again
LOST, REFUSES = "does not answer", "refuses something"
log = logging.getLogger(__name__)


class Cache(Protocol):
    """Answers by key."""

    def get(self, key: str) -> str | None:
        """The answer, if it is there."""
        ...

    def put(self, key: str, answer: str) -> None:
        """Keep an answer for a while."""
        ...


class InProcess:
    """`Cache` of at most `most` characters; those that were not asked for longest make room."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, str] = OrderedDict()
        self._size = 0

    def get(self, key: str) -> str | None:
        """See `Cache.get`."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
            return self._answers.get(key)

    def put(self, key: str, answer: str) -> None:
        """See `Cache.put`."""
        with self._lock:
            self._size += len(key) + len(answer) - self._drop(key)
            self._answers[key] = answer
            while self._size > self._most:
                self._size -= self._drop(next(iter(self._answers)))

    def _drop(self, key: str) -> int:
        """How many characters that makes room for."""
        return len(key) + len(self._answers.pop(key)) if key in self._answers else 0


class InRedis:
    """`Cache` in a Redis server, one round trip a question, on connections that stay open.

    A server that does not answer is one line in the log; until it does, everything is searched. One that refuses
    something, as it does when it is full, is asked on.
    """

    def __init__(self, uri: str) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._refused = redis.ResponseError
        self._place = urlsplit(uri).hostname or "a socket"
        self._lost_until = 0.0
        self._told: set[str] = set()
        self._server = redis.Redis.from_url(
            uri, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection may have been closed by a server that is there again
        )  # fmt: skip

    def get(self, key: str) -> str | None:
        """See `Cache.get`."""
        answer = self._asked("get", key)
        return answer.decode(errors="replace") if isinstance(answer, bytes) else None

    def put(self, key: str, answer: str) -> None:
        """See `Cache.put`."""
        self._asked("set", key, answer, ex=KEPT_SECONDS)

    def _asked(self, command: str, *values: str, **options: int) -> Any:
        if time.monotonic() < self._lost_until:
            return None
        try:
            answer = getattr(self._server, command)(*values, **options)
        except self._refused as error:
            self._tell(REFUSES, error)
            return None
        except Exception as error:  # noqa: BLE001  what answers oddly makes the client raise anything
            self._lost_until = time.monotonic() + PAUSE_SECONDS
            self._tell(LOST, error)
            return None
        self._told.discard(LOST)
        return answer

    def _tell(self, what: str, error: Exception) -> None:
        if what not in self._told:
            log.warning("the cache at %s %s, searches go on without it: %s", self._place, what, error)
        self._told.add(what)


def open_cache(uri: str | None = None) -> Cache:
    """In the process, or where `uri` (or the variable `IMGRAG_CACHE`) says.

    Raises:
        LibraryError: it is no address of a Redis, or the package for it is missing.
    """
    uri = os.environ.get(VARIABLE, "") if uri is None else uri
    if not uri.strip():
        return InProcess()
    if urlsplit(uri).scheme not in SCHEMES:
        raise LibraryError(
            f"{VARIABLE} names no Redis. Give an address such as redis://localhost:6379/0, or leave it empty."
        )
    if find_spec("redis") is None:
        raise LibraryError(f'{VARIABLE} names a Redis. To reach it: pip install "{NEEDED}"')
    try:
        return InRedis(uri)
    except ValueError as error:
        raise LibraryError(
            f"{VARIABLE} is no address of a Redis: {error}. It looks like redis://localhost:6379/0."
        ) from error


def key_of(*parts: Any) -> str:
    """What an answer is kept under: a hash of all that decides it, JSON values."""
    text = json.dumps((READING, *parts), ensure_ascii=False)
    return f"imgrag:search:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def picture_hash(image: Image.Image | None) -> str:
    """Which picture it is, by what it shows; "" of none."""
    if image is None:
        return ""
    about = (image.mode, image.size, image.getpalette(), repr(image.info.get("transparency")))
    return hashlib.sha256(repr(about).encode() + image.tobytes()).hexdigest()
