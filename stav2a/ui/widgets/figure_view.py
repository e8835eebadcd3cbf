"""The figure of a clip on the page: an image with a playhead that follows the video."""

from __future__ import annotations

import shutil
from pathlib import Path

import gradio as gr

from stav2a.generation.figure import NARROW_PX, WIDE_PX, Tracks, clip_figure, describe, time_extent, to_png
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")
TEMPLATE = '<div class="fv" hidden><img alt=""><div class="fv-head" aria-hidden="true"></div></div>'


def figure_view(video_id: str, **kwargs) -> gr.HTML:
    """Shows what `figure_value` returns, synchronised with the first video inside the element `video_id`."""
    return widget(STEM, TEMPLATE, video_id=video_id, **kwargs)


def draw(tracks: Tracks, folder: Path, name: str, own: Path | None = None) -> dict:
    """Draw the figure for wide and narrow screens into `folder`; returns their paths and the alt text.

    own: the figure of the run, which is that for wide screens, so it is copied.
    """
    paths = {"wide": folder / f"{name}_wide.png", "narrow": folder / f"{name}_narrow.png"}
    if own is None:
        paths["wide"].write_bytes(to_png(clip_figure(tracks, width_px=WIDE_PX)))
    else:
        shutil.copyfile(own, paths["wide"])
    paths["narrow"].write_bytes(to_png(clip_figure(tracks, width_px=NARROW_PX)))
    return {
        **{kind: str(path) for kind, path in paths.items()},
        "alt": describe(tracks),
        "duration_s": tracks.duration_s,
    }


def figure_value(drawn: dict) -> dict | None:
    """The component's value; makes the two images accessible to the page. None hides a figure that is not drawn yet."""
    if not drawn:
        return None
    files = {
        kind: {"path": drawn[kind], "meta": {"_type": "gradio.FileData"}, "mime_type": "image/png"}
        for kind in ("wide", "narrow")
    }
    return {
        **files,
        "wide_extent": list(time_extent(WIDE_PX)),
        "narrow_extent": list(time_extent(NARROW_PX)),
        "duration_s": drawn["duration_s"],
        "alt": drawn["alt"],
    }
