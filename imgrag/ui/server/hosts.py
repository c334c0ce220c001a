"""The names under which this page is served, and which pages are its own.

A browser says in `Host` whom the person asked for. A name that is none of ours is a stranger's who let it
lead here (DNS rebinding): to the browser, the stranger's page and this one would be one. It opens no socket
and looks up no name.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

HERE = "127.0.0.1"
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})
_HOST = re.compile(r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?")


@dataclass(frozen=True)
class Hosts:
    """Where the page may be asked for.

    Args:
        named: what people were told, such as "images.example.org" or "images.example.org:8443". A page of
            theirs is ours, whatever a proxy makes of `Host`.
        listening: the name or address that the server listens on. On every address, it is served by any
            address in digits: those cannot be made to lead here, and behind a router ours may be unknown.
        routed: a router in front has chosen us by `Host` already, as on Spaces.
        shared: the public address of the tunnel, once there is one.
    """

    named: frozenset[str] = frozenset()
    listening: str = HERE
    routed: bool = False
    shared: Callable[[], str | None] = field(default=lambda: None, repr=False)

    def serves(self, host: str) -> bool:
        """Whether a request for this `Host` is meant for this page."""
        known = plain(host)
        name = _name(known)
        if self.routed or not name:
            return bool(name)
        return _loops(name) or bool({known, name} & self._public()) or self._listens_as(name)

    def owns(self, origin: str, asked: Iterable[str]) -> bool:
        """Whether a page of this `Origin` is this page, which was asked for as one of `asked`."""
        scheme, _, netloc = origin.partition("://")
        known = plain(netloc)
        return scheme in ("http", "https") and bool(known) and known in {*map(plain, asked), *self._public()}

    def _public(self) -> frozenset[str]:
        return self.named | {plain(urlsplit(self.shared() or "").netloc)} - {""}

    def _listens_as(self, name: str) -> bool:
        if _loops(self.listening):
            return False
        everywhere = self.listening in EVERYWHERE
        return name in (self.listening, *_own_names()) or (everywhere and _is_address(name))


def served(named: frozenset[str], listening: str | None, shared: Callable[[], str | None]) -> Hosts:
    """The hosts of this process: what it was told, and what a Space says of itself."""
    listening = listening or os.environ.get("GRADIO_SERVER_NAME") or HERE
    on_space = os.environ.get("SPACE_ID") is not None
    return Hosts(
        named | read_hosts(os.environ.get("SPACE_HOST", "")), listening.strip("[]").lower(), on_space, shared
    )


def bracketed(host: str | None) -> str | None:
    """A host to listen on as Gradio takes it: it writes an address after it, in which IPv6 needs brackets."""
    return f"[{host}]" if host and ":" in host and not host.startswith("[") else host


def read_hosts(text: str) -> frozenset[str]:
    """The hosts in `text`, with commas between them; each may have a port.

    Raises:
        ValueError: one of them is no host.
    """
    hosts = [one.strip() for one in text.split(",") if one.strip()]
    return frozenset(_read_host(host) for host in hosts)


def plain(host: str) -> str:
    """A `Host` in small letters and without the ports that go without saying; "" if it is none."""
    host = host.strip().lower().replace(".:", ":").rstrip(".")  # a name may end in a dot
    return re.sub(r":(80|443)$", "", host) if _HOST.fullmatch(host) else ""


def _read_host(text: str) -> str:
    try:
        host = plain(text.encode("idna").decode() if not text.isascii() else text)
    except UnicodeError:
        host = ""
    if not host:
        raise ValueError(f"{text!r} is no host; write it as images.example.org, or with a port")
    return host


def _name(known: str) -> str:
    """What `plain` gave, without a port and without brackets."""
    return re.sub(r":\d+$", "", known).strip("[]") if known else ""


def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0], f"{name}.local"}) - {""}


def _is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


def _loops(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)
