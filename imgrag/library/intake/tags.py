"""What a picture file says of itself: XMP, IPTC and EXIF, in this order.

XMP comes first since it is what programs write today, and as long as it has to be; of the others'
texts some are cut at 32 bytes. What lies outside of a JPEG's first 64 kB of XMP is not read.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from PIL import ExifTags, ImageFile, IptcImagePlugin

from imgrag.library.intake.described import Described, bounded_text
from imgrag.library.intake.pictures import opened

XMP_BYTES = 2**20  # more is no description
_XMP = {"name": ["title"], "caption": ["description"], "source": ["creator", "Credit"], "licence": ["rights"]}
_IPTC = {"name": (2, 5), "caption": (2, 120), "source": (2, 80), "licence": (2, 116)}
_IPTC_KEYWORDS = (2, 25)


def describe_picture(path: Path) -> Described:
    """What a picture file says of itself, each source asked where the one before is silent; never raises."""
    known = Described()
    # Pillow's readers raise nearly anything on broken files, and a caption is not worth an error.
    with contextlib.suppress(Exception), path.open("rb") as file, opened(file) as picture:
        for read in (_from_xmp, _from_iptc, _from_exif):
            with contextlib.suppress(Exception):
                known = known.filled_from(read(picture))
    return known


def _from_xmp(picture: ImageFile.ImageFile) -> Described:
    if len(picture.info.get("xmp", b"")) > XMP_BYTES:
        return Described()
    said = _xmp_properties(picture.getxmp())
    texts = {
        key: next((text for name in names if (text := _xmp_text(said.get(name)))), "")
        for key, names in _XMP.items()
    }
    return Described(**texts, fields={})


def _xmp_properties(tree: dict[str, Any]) -> dict[str, Any]:
    """Name -> value, from the elements that Pillow made dicts of, without their namespaces."""
    packet: dict[str, Any] = tree if "RDF" in tree else next(iter(tree.values()), {})
    blocks = _listed(packet.get("RDF", {}).get("Description", {}))
    return {key: value for block in blocks[::-1] for key, value in block.items()}


def _xmp_text(value: Any) -> str:
    """A text, an alternative in the language that is meant for all, or an enumeration."""
    match value:
        case {"Alt": {"li": items}}:
            every = _listed(items)
            general = [item for item in every if isinstance(item, dict) and item.get("lang") == "x-default"]
            return _xmp_text((general or every)[0])
        case {"Seq": {"li": items}} | {"Bag": {"li": items}}:
            return bounded_text(", ".join(filter(None, map(_xmp_text, _listed(items)))))
        case {"text": text}:
            return bounded_text(text)
    return bounded_text(value)


def _listed(value: Any) -> list[Any]:
    """Pillow makes a list only of what is there several times."""
    return value if isinstance(value, list) else [value]


def _from_iptc(picture: ImageFile.ImageFile) -> Described:
    stored = IptcImagePlugin.getiptcinfo(picture) or {}
    texts = {key: ", ".join(_iptc_texts(stored.get(number))) for key, number in _IPTC.items()}
    keywords = bounded_text(", ".join(_iptc_texts(stored.get(_IPTC_KEYWORDS))))
    cut = {key: bounded_text(text) for key, text in texts.items()}
    return Described(**cut, fields={"keywords": keywords} if keywords else {})


def _iptc_texts(stored: bytes | list[bytes] | None) -> list[str]:
    items = stored if isinstance(stored, list) else [stored or b""]
    return [text for item in items if (text := bounded_text(_decoded(item)))]


def _from_exif(picture: ImageFile.ImageFile) -> Described:
    if picture.format == "PNG" and "exif" not in picture.info:
        return Described()  # Pillow would decode all of it to look for EXIF at its end
    exif = picture.getexif()

    def text(tag: int) -> str:
        value = exif.get(tag, "")
        # EXIF says ASCII and Pillow reads Latin-1, but what cameras and programs write is UTF-8.
        return bounded_text(_decoded(value.encode("latin-1", "replace") if isinstance(value, str) else value))

    tags = ExifTags.Base
    return Described(
        caption=text(tags.ImageDescription), source=text(tags.Artist), licence=text(tags.Copyright)
    )


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
