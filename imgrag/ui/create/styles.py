"""Styles on the page -> HTML, in the language in force: the gallery of the settings, and what a run draws in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from imgrag.library.intake.pictures import UnreadablePicture, read_picture
from imgrag.runs.styles import Styled, Styling
from imgrag.styles import Style
from imgrag.ui.create.markup import data_uri
from imgrag.ui.language import say

SIDE = 96  # px of a preview
SHOWN = 60  # styles in the gallery; others can be typed
GALLERY = """
const field = () => document.querySelector("#ir-styles :is(textarea, input)");
const chosen = () => new Map((field()?.value ?? "").split(",").filter((part) => part.trim()).map((part) => {
    const [name, weight] = part.split(":");
    return [name.trim(), weight?.trim() || "1"];
}));
const show = () => {
    const now = chosen();
    for (const card of element.querySelectorAll("[data-style]")) {
        const weight = now.get(card.dataset.style), input = card.querySelector("input");
        card.querySelector("button").setAttribute("aria-pressed", weight !== undefined);
        input.hidden = weight === undefined;
        if (weight !== undefined && document.activeElement !== input) input.value = weight;
    }
};
const put = (now) => {
    const text = field();
    text.value = [...now].map(([name, weight]) => weight === "1" ? name : `${name}:${weight}`).join(", ");
    text.dispatchEvent(new Event("input", { bubbles: true }));
    show();
};
element.addEventListener("click", (event) => {
    const name = event.target.closest("button") && event.target.closest("[data-style]")?.dataset.style;
    if (!name) return;
    const now = chosen();
    if (!now.delete(name)) now.set(name, "1");
    put(now);
});
element.addEventListener("change", (event) => {
    const name = event.target.closest("[data-style]")?.dataset.style;
    if (name && event.target.matches("input")) put(chosen().set(name, event.target.value || "1"));
});
document.addEventListener("input", (event) => { if (event.target === field()) show(); });
"""
"""Of the gallery: a press takes a style or leaves it, and its weight stands beside; the field of names has both."""


def gallery(styles: Sequence[Style]) -> str:
    """A card a style; "" without any."""
    cards = "".join(map(_card, styles[:SHOWN]))
    return f'<ul class="ir-styles" aria-label="{escape(say("Styles"))}">{cards}</ul>' if cards else ""


def drawn_in(styles: Sequence[Styling]) -> str:
    """What a run draws in: titles, weights other than 1, and the words that called them; escaped."""
    return "".join(f"<span>{_named(style)}</span>" for style in styles)


def typed_names(styles: Sequence[Styling | Styled]) -> str:
    """As the field of names has them."""
    return ", ".join(f"{s.name}:{s.weight:g}" if s.weight != 1 else s.name for s in styles)


def _card(style: Style) -> str:
    picture = _preview(style.previews[0]) if style.previews else ""
    alt = escape(say("An example of {name}", name=style.title))
    shown = f'<img src="{picture}" alt="{alt}">' if picture else "<i></i>"
    weight = escape(say("Weight of {name}", name=style.title))
    return (
        f'<li data-style="{escape(style.name)}"><button type="button" aria-pressed="false">{shown}'
        f"<span>{escape(style.title)}</span></button>"
        f'<input type="number" min="0" max="2" step="0.1" value="1" aria-label="{weight}" hidden></li>'
    )


def _named(style: Styling) -> str:
    weight = f" ×{style.weight:g}" if style.weight != 1 else ""
    called = f"<small>{escape(say('from “{phrase}”', phrase=style.words))}</small>" if style.words else ""
    return f"{escape(style.title)}{weight}{called}"


def _preview(file: Path) -> str:
    """A data URI, "" where the picture cannot be read."""
    try:
        return _shown(file, file.stat().st_mtime_ns)
    except (OSError, UnreadablePicture):
        return ""


@lru_cache(maxsize=256)
def _shown(file: Path, changed: int) -> str:
    return data_uri(read_picture(file, SIDE), SIDE, "webp")
