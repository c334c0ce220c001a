"""A run again from what was written of it: its folder, its zip, or one of its PNGs.

Everything read here may come from anybody: only the files that a record names are looked at, and none
is larger than a picture may be. Which libraries may be opened is for the caller to say: a record may
name any.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageFile

from imgrag.archive import records
from imgrag.archive.bundles import new_zip, put
from imgrag.archive.checked import text_of
from imgrag.archive.reading import DAMAGED, library_of, restored
from imgrag.errors import RecordError
from imgrag.library.intake.archives import check_list
from imgrag.library.intake.pictures import MAX_PIXELS
from imgrag.library.intake.structure import check_structure
from imgrag.runs.values import Run, new_id

MAX_RECORD = 2 * 10**6  # bytes of a record that was brought along; one of five rounds has some ten thousand
MAX_PICTURE = 40 * 10**6  # bytes of a picture in a zip
MAX_ALBUM = 150 * 10**6  # pixels of all pictures in a zip together

Find = Callable[[str, str], Image.Image]
"""The picture of a library, by the library's name and the file; raises `LibraryError`."""


def open_run(results: Path, run_id: str) -> Run:
    """An earlier run, with its pictures.

    Raises:
        RecordError: the id is none, or there is no such run, or it cannot be read.
    """
    folder = records.run_folder(results, run_id)
    record = records.open_record(results, run_id)
    return restored({**record, "id": run_id}, lambda name: open_picture(folder / name))


def read_zip(path: Path) -> Run:
    """The run in a zip that `write_zip` made, or `write_bundle` of one run. Nothing is unpacked to disk.

    Raises:
        RecordError: it is no such zip.
    """
    try:
        check_list(path)
        with zipfile.ZipFile(path) as archive:
            place = _place(archive.namelist())
            record = _record(_member(archive, place + records.RECORD, MAX_RECORD))
            run = restored(record, _Album(archive, place))
    except RecordError:
        raise
    except Exception as error:  # zipfile's readers raise nearly anything on broken files
        raise RecordError("This zip holds no run of imgrag. Choose one that was saved here.") from error
    return replace(run, state="stopped") if run.state == "running" else run


def read_png(path: Path, find: Find) -> Run:
    """The run whose image this is, to be drawn again: its decisions and references are there, its images not.

    Raises:
        RecordError: the image carries no run, or one that began with a picture only its zip has.
        LibraryError: a reference is no longer in its library.
    """
    record = carried(path)
    anew = {**record, "id": "", "started": "", "state": "paused"}
    run = restored(anew, lambda name: _reference_again(name, record, find))
    if any(correction.what == "image" for correction in run.corrections):
        raise RecordError(
            "This run began with a picture of one's own, which its PNG has not. Drop its zip here."
        )
    structure = run.structure
    if structure is not None and structure.image is None and not structure.initial:
        raise RecordError(
            "This run is drawn along a structure of one's own, which its PNG has not. Drop its zip here."
        )
    return run


def promised(path: Path) -> str:
    """The hash of the pixels that the result of a PNG's run had. Raises RecordError: it carries no run."""
    pixels = carried(path).get("pixels")
    return str(pixels.get("result.png", "")) if isinstance(pixels, dict) else ""


def open_picture(file: Path) -> Image.Image:
    """A picture in a run's folder. Raises RecordError: it is none that can be read."""
    try:
        if file.is_file():  # a pipe would be waited for without end
            return _decoded(file.read_bytes(), MAX_PIXELS)
    except OSError as error:
        raise RecordError(f"The picture {file.name} of this run cannot be read.") from error
    raise RecordError(f"The picture {file.name} of this run is not there.")


def drawn_anew(run: Run) -> Run:
    """The run with all its decisions and without its drawings; a person's own initial image stays."""
    own = any(correction.what == "image" for correction in run.corrections)
    drawing = ("enhanced",) if own else ("initial", "enhanced")
    return replace(
        run,
        state="paused",
        drafts=tuple(replace(draft, image=None) for draft in run.drafts),
        initial=run.initial if own else None,
        larger=None,
        rounds=tuple(replace(past, enhanced=None) for past in run.rounds),
        stages=tuple(
            replace(r, reused=True) for r in run.stages if r.name not in drawing or r.status == "skipped"
        ),
    )


def taken_in(run: Run, owner: str) -> Run:
    """A run that was brought along, as one of this owner's own."""
    now = datetime.now(timezone.utc)
    return replace(run, id=new_id(now), started=now.isoformat(timespec="seconds"), owner=owner, parent="")


def write_zip(run: Run, folder: Path, target: Path) -> Path:
    """A run's folder as a zip, a person's own reference pictures included; returns `target`.

    It may be given to anybody, so it does not say whose run it is.

    Raises:
        RecordError: a picture of the run is not in the folder, or the zip cannot be written.
    """
    record = records.record(replace(run, owner=""))
    try:
        with new_zip(target) as archive:
            for name in record["pixels"]:
                put(archive, name, (folder / name).read_bytes())
            put(archive, records.RECORD, json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise RecordError("The zip of this run cannot be written. Continue the run, then save it.") from error
    return target


def consistent(results: Path) -> list[str]:
    """What is wrong with the runs below a folder, a line each: half files in sight, records of what is not there.

    Whatever process wrote them, and whenever it was killed, there should be nothing.
    """
    faults = []
    for folder in sorted(results.iterdir()):
        if folder.name.startswith(records.PARTIAL) or folder.name == records.CAPTIONS:
            continue
        try:
            record = records.open_record(results, folder.name)
            open_run(results, folder.name)
            named = record["pixels"].items()
            wrong = [
                name for name, pixels in named if records.pixel_hash(open_picture(folder / name)) != pixels
            ]
            faults += [f"{folder.name}: {name} is not what its record says" for name in wrong]
            faults += [f"{folder.name}: no result"] * (record["state"] == "finished" and not record["result"])
        except RecordError as error:
            faults.append(f"{folder.name}: {error}")
    return faults


class _Album:
    """The pictures in a zip, decoded one by one as long as they are not too much together."""

    def __init__(self, archive: zipfile.ZipFile, place: str) -> None:
        self._archive = archive
        self._place = place
        self._left = MAX_ALBUM

    def __call__(self, name: str) -> Image.Image:
        image = _decoded(_member(self._archive, self._place + name, MAX_PICTURE), min(self._left, MAX_PIXELS))
        self._left -= image.width * image.height
        return image


def _place(names: Sequence[str]) -> str:
    """What stands before the names of a run's files: nothing, or the one folder that they lie in."""
    if records.RECORD in names:
        return ""
    folders = {
        folder for folder, _, name in (name.partition("/") for name in names) if name == records.RECORD
    }
    if len(folders) > 1:
        raise RecordError("This zip holds several runs. Unpack it and drop one of its PNGs here.")
    return "".join(f"{folder}/" for folder in folders)


def carried(path: Path) -> dict[str, Any]:
    """The record that a PNG carries. Its text stands before the pixels, so nothing is decoded.

    Raises:
        RecordError: it carries none.
    """
    try:
        with path.open("rb") as file, _png(file) as image:
            text = image.info[records.TEXT_KEY]
            content = text.encode()
    except Exception as error:  # Pillow's readers raise nearly anything on broken files
        raise RecordError(
            "This image carries no run. Choose a PNG that was saved here, as it was saved, or a run's zip."
        ) from error
    return _record(content)


def _png(file: IO[bytes]) -> ImageFile.ImageFile:
    check_structure(file)
    return Image.open(file, formats=["PNG"])


def _record(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_RECORD:
        raise RecordError(DAMAGED)
    try:
        return records.parsed(content)
    except ValueError as error:
        raise RecordError(DAMAGED) from error


def _reference_again(name: str, record: Mapping[str, Any], find: Find) -> Image.Image | None:
    """A reference's picture from its library; what was drawn is drawn again."""
    if not name.startswith("reference-"):
        return None
    row = next(row for past in record["rounds"] for row in past["references"] or () if row["image"] == name)
    if row.get("own"):
        raise RecordError(
            f"The reference for {row['concept']!r} is a picture of one's own, which the PNG has not. "
            "Drop the run's zip here."
        )
    return find(library_of(record["library"]), text_of(row["file"]))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    found = archive.getinfo(name)
    if found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed as imgrag packs nothing")
    with archive.open(found) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise RecordError(f"{name} in this zip is larger than a run's files are.")
    return content


def _decoded(content: bytes, most: int) -> Image.Image:
    """A PNG of at most so many pixels; the size is read before anything is decoded."""
    try:
        with _png(io.BytesIO(content)) as image:
            if image.width * image.height > most:
                raise RecordError("A picture of this run is larger than any that imgrag makes.")
            image.load()
            return image.copy()
    except RecordError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on broken files
        raise RecordError("A picture of this run cannot be read.") from error
