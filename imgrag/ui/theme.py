"""Colours and type of the page. Fonts come from this server or the visitor's own machine."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes

INK = colors.Color(
    "#fafaf8", "#f3f2ee", "#e6e4de", "#d2cfc6", "#a5a197", "#78746b", "#57544d", "#403e39", "#292824", "#1d1c1a", "#141312",
    name="ink",
)  # fmt: skip
IRIS = colors.Color(
    "#f2f2fe", "#e5e4fd", "#cccbfa", "#aca9f5", "#8a84ee", "#6c62e4", "#594dd2", "#4a3fb3", "#3d358f", "#342f72", "#201c47",
    name="iris",
)  # fmt: skip


def build_theme() -> gr.themes.Base:
    """Warm paper and ink with one accent; green and amber are kept for verdicts (see page.css)."""
    # Bold, not semibold: Gradio's copy of Plex's semibold lacks most letters.
    theme = gr.themes.Base(
        primary_hue=IRIS,
        secondary_hue=IRIS,
        neutral_hue=INK,
        radius_size=sizes.radius_lg,
        font=(
            fonts.LocalFont("IBM Plex Sans", weights=(400, 700)),
            "ui-sans-serif",
            "system-ui",
            "PingFang SC",
            "Microsoft YaHei",
            "Noto Sans CJK SC",
            "sans-serif",
        ),
        font_mono=(
            fonts.LocalFont("IBM Plex Mono", weights=(400, 700)),
            "ui-monospace",
            "Consolas",
            "monospace",
        ),
    )
    return theme.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="*neutral_900",
        block_background_fill="#ffffff",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="600",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        block_shadow="none",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        slider_color="*primary_500",
    )
