"""Styles: a prompt template, words that call it, and where there is one a LoRA, under one name.

What a style is and how its folder is read is in `style`, which there are in `shelf`. Knows no pipeline and no page.
"""

from __future__ import annotations

from imgrag.styles.style import Style, read_style, style_toml

__all__ = ["Style", "read_style", "style_toml"]
