"""Serve the page: `python app.py`, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import errno
import os
import re
import socket
from pathlib import Path
from typing import NoReturn

from imgrag import logs
from imgrag.commands.terminal import plain_errors, say, whole_streams
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.zerogpu import LeasedPipeline, on_zero_gpu
from imgrag.errors import RequestError
from imgrag.models.checkpoints import download
from imgrag.models.profile import load_profile, profile_names
from imgrag.runs.values import in_brief
from imgrag.ui import build_demo, launch
from imgrag.ui.server.hosts import read_hosts

HERE = ("127.0.0.1", "localhost", "::1")
AUTH = "IMGRAG_AUTH"  # the environment variable that --auth reads
MAX_PORT = 65535
HOSTS = "IMGRAG_ALLOWED_HOSTS"  # the environment variable for --allowed-hosts
UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


class Parser(argparse.ArgumentParser):
    """What is wrong with a flag is one sentence, as everywhere."""

    def error(self, message: str) -> NoReturn:
        """Say it, and end with exit code 2."""
        say(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.")
        raise SystemExit(2)


def parse_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(description="ImageRAG in a browser: draw, check, look up, draw again.")
    known = ", ".join(profile_names())
    parser.add_argument(
        "--profile",
        default=os.environ.get("IMGRAG_PROFILE", "pocket"),  # a Space has variables and no command line
        help=f"{known}, or a .toml file (default: the variable IMGRAG_PROFILE, else pocket)",
    )
    parser.add_argument(
        "--host",
        help="address to listen on; 0.0.0.0 for every one, :: for every one of IPv6 (default: this machine only)",
    )
    parser.add_argument(
        "--port", type=parse_port, help="port to listen on (default: the first free one from 7860)"
    )
    parser.add_argument(
        "--allowed-hosts", type=parse_hosts, default=os.environ.get(HOSTS, ""), metavar="NAMES",
        help="names that a proxy serves the page under, with commas between them, such as images.example.org "
        f"(default: the variable {HOSTS}, else this machine's own names and addresses only)",
    )  # fmt: skip
    parser.add_argument(
        "--root-path", type=parse_root, metavar="PATH",
        help="path below which a proxy serves the page and which it takes off, such as /images",
    )  # fmt: skip
    parser.add_argument(
        "--share", action="store_true", help="also give the page a public address for a few days"
    )
    parser.add_argument("--library", help="a library's name, or a folder of images, to take references from")
    parser.add_argument(
        "--folders", type=Path, metavar="DIR",
        help="let people on this machine add folders below DIR to libraries (default: uploads only)",
    )  # fmt: skip
    parser.add_argument(
        "--policy",
        choices=["sequential", "resident"],
        default="sequential",
        help="free models when memory is short (default), or keep them all",
    )
    parser.add_argument(
        "--auth", action="store_true",
        help=f"ask for a name and a password: {AUTH}=name:password in the environment, several with commas",
    )  # fmt: skip
    parser.add_argument(
        "--shared-links", action="store_true",
        help="let people make links to runs of theirs that anybody can look at, without a login too",
    )  # fmt: skip
    parser.add_argument(
        "--results-cap", type=parse_size, default="2 GB", metavar="SIZE",
        help='drop the oldest runs that nobody kept above this, such as "500 MB"; none to keep all (default: 2 GB)',
    )  # fmt: skip
    return parser.parse_args(arguments)


def parse_port(text: str) -> int:
    """A port's number.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not re.fullmatch(r"0*[0-9]{1,5}", text) or not 1 <= int(text) <= MAX_PORT:
        raise argparse.ArgumentTypeError(
            f"{in_brief(text)!r} is no port; it is a number from 1 to {MAX_PORT}"
        )
    return int(text)


def parse_size(text: str) -> int | None:
    """Bytes of a size such as "500 MB" or "1.5GB"; `None` for "none".

    Raises:
        argparse.ArgumentTypeError: it is no size above zero.
    """
    if text.strip().lower() == "none":
        return None
    found = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,12})?)\s*([KMGT]B)\s*", text, re.ASCII | re.IGNORECASE)
    size = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if size < 1:
        raise argparse.ArgumentTypeError(
            f'{in_brief(text)!r} is no size; write one such as "500 MB", or none'
        )
    return size


def parse_hosts(text: str) -> frozenset[str]:
    """The hosts in `text`.

    Raises:
        argparse.ArgumentTypeError: one of them is no host.
    """
    try:
        return read_hosts(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_root(text: str) -> str:
    """A path such as "/images", without a slash at its end.

    Raises:
        argparse.ArgumentTypeError: it is no such path.
    """
    if not re.fullmatch(r"(/(?!\.\.?(?:/|$))[\w.~-]+)+/?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no path; write it as /images")
    return text.rstrip("/")


def logins(text: str | None) -> list[tuple[str, str]]:
    """The names and passwords in `text`, "name:password" with commas between them.

    Raises:
        RequestError: there is none, or one that cannot be read; the sentence holds no password.
    """
    pairs = [
        (name.strip(), word) for name, _, word in (one.partition(":") for one in (text or "").split(","))
    ]
    names = [name for name, _ in pairs]
    if not all(name and word for name, word in pairs) or len(set(names)) < len(names):
        raise RequestError(
            f"--auth takes its users from the environment: set {AUTH} to name:password, "
            "several with commas between them, each name once."
        )
    return pairs


def only_here(flags: argparse.Namespace) -> bool:
    """Whether nobody but this machine's people can open the page."""
    return _listening(flags.host) in HERE and not flags.share and not flags.allowed_hosts


def check_address(host: str | None, port: int | None) -> None:
    """See that the page can be served there, before anything is opened that takes long.

    Raises:
        RequestError: the host is no address of this machine, or the port is taken or not allowed.
    """
    name = _listening(host)
    try:
        family, kind, _, _, address = socket.getaddrinfo(name, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if os.name == "posix":  # where it lets a server that has just ended start again, and nothing else
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (socket.gaierror, UnicodeError):
        raise RequestError(
            f"There is no host {in_brief(name)!r}; --host takes an address of this machine."
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise RequestError(
                f"The host {name!r} is no address of this machine; choose one with --host."
            ) from None
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise RequestError(f"The port {port} {reason}; choose another with --port.") from None


def _listening(host: str | None) -> str:
    """Where the page listens, an IPv6 address without brackets; Gradio reads the same variable."""
    return (host or os.environ.get("GRADIO_SERVER_NAME") or HERE[0]).strip("[]")


def main() -> None:
    with whole_streams(), plain_errors():
        serve(parse_flags())


def serve(flags: argparse.Namespace) -> None:
    """Serve the page until the process is ended.

    Raises:
        ImgragError: it cannot be served so; its text says why.
    """
    if flags.folders is not None and not only_here(flags):
        raise RequestError(
            "--folders is for a page that only this machine opens: leave out --host, --share and --allowed-hosts."
        )
    auth = logins(os.environ.get(AUTH)) if flags.auth else None
    check_address(flags.host, flags.port)
    if os.environ.get("SPACE_ID"):  # a Space: nobody can run the command that fetches checkpoints
        download(load_profile(flags.profile))
    kind = LeasedPipeline if on_zero_gpu() else ImageRAGPipeline
    pipeline = kind(flags.profile, policy=flags.policy, results_cap=flags.results_cap)
    pipeline.tidy()
    demo = build_demo(pipeline, library=flags.library, folders=flags.folders, links=flags.shared_links)
    logs.configure()  # from here on nobody reads along: what a person must know before was said in words
    launch(
        demo, hosts=flags.allowed_hosts, server_name=flags.host, server_port=flags.port, share=flags.share,
        root_path=flags.root_path, auth=auth, linked=pipeline.results if flags.shared_links else None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
