"""The reference library: pictures with names, captions, sources and licences, found by CLIP.

How they come in is in `intake`, where they are kept in `engines`, how they are found in `search`.
Stages know the `Library` protocol and `is_literal`; where pictures and entries lie is the
business of `ImageLibrary` and the store behind it.
"""

from __future__ import annotations

from imgrag.library.base import Library, Skipped, is_literal
from imgrag.library.images import ImageLibrary
from imgrag.library.shelf import (
    BUNDLED,
    copy_library,
    create_library,
    delete_library,
    libraries_folder,
    library_names,
    open_library,
    rename_library,
    typed_folder,
)

__all__ = [
    "BUNDLED",
    "ImageLibrary",
    "Library",
    "Skipped",
    "copy_library",
    "create_library",
    "delete_library",
    "is_literal",
    "libraries_folder",
    "library_names",
    "open_library",
    "rename_library",
    "typed_folder",
]
