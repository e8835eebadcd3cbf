"""The look of the page: one theme, a little CSS, only system fonts (so that no request goes to another host)."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

FONTS = ("Inter", "ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

BLUE = gr.themes.Color(
    c50="#eef6fb", c100="#d8eaf6", c200="#b3d6ed", c300="#7fbbe0", c400="#3f98cc", c500="#0072b2",
    c600="#00639c", c700="#005283", c800="#04436a", c900="#083857", c950="#052439", name="blue",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """Greys and one accent colour: the blue of the model's output in the figure."""
    return gr.themes.Base(
        primary_hue=BLUE,
        secondary_hue=BLUE,
        neutral_hue=gr.themes.colors.slate,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_md,
        font=list(FONTS),
        font_mono=list(MONO),
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_border_width="1px",
        block_shadow="none",
        block_label_background_fill="*background_fill_primary",
        block_label_background_fill_dark="*neutral_800",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_label_border_width="0px",
        block_label_text_weight="600",
        block_title_text_weight="600",
        block_label_text_color="*body_text_color",
        block_title_text_color="*body_text_color",
        button_primary_background_fill="*primary_500",
        button_primary_background_fill_hover="*primary_600",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_400",
        button_primary_text_color="white",
        button_large_text_weight="600",
        input_background_fill="*neutral_50",
        slider_color="*primary_500",
    )


CSS = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
