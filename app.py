"""Serve the page: `python app.py`, then open http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from imgrag.errors import ImgragError
from imgrag.pipeline import ImageRAGPipeline
from imgrag.profile import profile_names
from imgrag.ui import build_demo, launch

HERE = ("127.0.0.1", "localhost", "::1")


def parse_flags(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="ImageRAG in a browser: draw, check, look up, draw again.")
    known = ", ".join(profile_names())
    parser.add_argument("--profile", default="pocket", help=f"{known}, or a .toml file (default: pocket)")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
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
    return parser.parse_args(arguments)


def only_here(flags: argparse.Namespace) -> bool:
    """Whether nobody but this machine's people can open the page; Gradio reads the same variable."""
    host = flags.host or os.environ.get("GRADIO_SERVER_NAME") or HERE[0]
    return host in HERE and not flags.share


def main() -> None:
    flags = parse_flags()
    if flags.folders is not None and not only_here(flags):
        raise SystemExit(
            "--folders is for a page that only this machine opens: leave out --host and --share."
        )
    try:
        pipeline = ImageRAGPipeline(flags.profile, policy=flags.policy)
        demo = build_demo(pipeline, library=flags.library, folders=flags.folders)
    except ImgragError as error:
        raise SystemExit(str(error)) from None
    launch(demo, server_name=flags.host, server_port=flags.port, share=flags.share)


if __name__ == "__main__":
    main()
