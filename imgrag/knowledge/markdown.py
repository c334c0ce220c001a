"""Markdown as a table of texts: a heading is a term, each paragraph under it a text.

"source: ...", "licence: ..." and "language: ..." may stand in the front matter for the whole file, and in a
line below a heading for its section.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from imgrag.library.intake.described import MAX_TEXT, Row
from imgrag.library.intake.plain_text import open_text

MAX_BYTES = 2**20  # of a file; a book has as much
_LOOKED_AT = 2 * MAX_TEXT  # characters of a paragraph with its marks: unpaired ones cost their square
MOST_BROKEN = 0.05  # of a text's characters: of bytes that are none a tenth is control characters
_NO_TEXT = re.compile(r"[\x01-\x08\x0e-\x1f\ufffd]")
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_LABEL = re.compile(r"(source|licen[cs]e|language)[ \t]*:[ \t]*(\S.*)", re.IGNORECASE)


def markdown_rows(path: Path, check: Callable[[], None]) -> Iterator[Row]:
    """The paragraphs of a file with the heading that they stand under; before the first it is the file's name.

    Raises:
        ValueError, OSError: it cannot be read, is too large or no text.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MB")
    with open_text(path, check) as file:
        text = file.read().replace("\r\n", "\n")
    if "\0" in text or len(_NO_TEXT.findall(text)) > MOST_BROKEN * len(text):
        raise ValueError("it is no text")
    front = _FRONT.match(text)
    whole = dict(_labels(front[1].splitlines())) if front else {}
    term, section, inside = path.stem.replace("_", " ").replace("-", " "), dict(whole), ""
    known: dict[str, Any] = {}
    blocks = _blocks(check)
    for token in blocks.parse(text[front.end() :] if front else text, known):
        check()
        if token.type in ("heading_open", "paragraph_open"):
            inside = token.type
        elif token.type == "inline" and inside == "heading_open":
            term, section, inside = _plain(blocks, token.content, known), dict(whole), ""
        elif token.type == "inline" and inside == "paragraph_open":
            lines = _plain(blocks, token.content, known).splitlines()
            section |= dict(_labels(lines))
            said = " ".join(line for line in lines if not _LABEL.fullmatch(line.strip()))
            inside = ""
            if said:
                yield {"term": term, "text": said, **section}


def _labels(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if found := _LABEL.fullmatch(line.strip()):
            name = found[1].casefold()
            yield "licence" if name == "license" else name, found[2].strip("\"' ")


def _blocks(check: Callable[[], None]) -> MarkdownIt:
    """A parser of headings and paragraphs that leaves what stands within them as it is, and looks at the stop."""
    parser = MarkdownIt("commonmark").disable("inline")

    def look(state: StateBlock, start: int, end: int, silent: bool) -> bool:
        check()
        return False

    parser.block.ruler.before("code", "look", look, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    return parser


def _plain(parser: MarkdownIt, content: str, known: dict[str, Any]) -> str:
    """What the first few thousand characters of a paragraph say, without their marks; `known` are its links."""
    parts: list[Token] = []
    parser.inline.parse(content[:_LOOKED_AT], parser, known, parts)
    return "".join("\n" if part.type in ("softbreak", "hardbreak") else part.content for part in parts)
