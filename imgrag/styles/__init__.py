"""Styles: a prompt template, words that call it, and where there is one a LoRA, under one name.

What a style is and how its folder is read is in `style`, how one is brought along in `taking`, how a prompt calls
one in `calling`, which there are in `shelf`. Knows no pipeline and no page.
"""

from __future__ import annotations

from imgrag.styles.shelf import StyleShelf, styles_folder
from imgrag.styles.style import Style, read_style, style_toml

__all__ = ["Style", "StyleShelf", "read_style", "style_toml", "styles_folder"]
