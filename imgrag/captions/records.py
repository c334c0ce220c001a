"""How captions are kept: a folder each below `captions` of the results, with the picture and `caption.json`."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.archive.records import CAPTIONS as FOLDER
from imgrag.archive.records import PARTIAL, TEXT_KEY
from imgrag.errors import RecordError
from imgrag.runs.captions import Captioned

RECORD, PICTURE = "caption.json", "picture.png"
MOST = 500  # captions that are kept; the oldest make room


def record(captioned: Captioned) -> dict[str, Any]:
    """What is kept, and what `--json` and the endpoint give."""
    return {"version": 1, "kind": f"{TEXT_KEY} caption", **asdict(captioned)}


def save(captioned: Captioned, picture: Image.Image, results: Path) -> Path:
    """Write a caption's folder, whole or not at all; returns it. Raises RecordError: it cannot be written."""
    folder = results / FOLDER / captioned.id
    made = folder.with_name(f"{PARTIAL}{os.getpid()}-{captioned.id}")
    try:
        made.mkdir(parents=True, exist_ok=True)
        picture.save(made / PICTURE)
        text = json.dumps(record(captioned), indent=2, ensure_ascii=False)
        (made / RECORD).write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # of the same caption, before a person changed it
        os.replace(made, folder)
        _make_room(folder.parent)
    except OSError as error:
        raise RecordError(f"The caption cannot be kept ({error.strerror}). Make room on the disk.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _make_room(folder: Path) -> None:
    """Their ids sort by time."""
    kept = sorted(path.name for path in folder.iterdir() if not path.name.startswith(PARTIAL))
    for name in kept[: max(0, len(kept) - MOST)]:
        shutil.rmtree(folder / name, ignore_errors=True)
