"""Plots of the measures of a grid over guidance, one curve per number of steps."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stav2a.generation.figure import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, RULE, VERMILION
from stav2a.ui.explore.grid import Cells, measures_of

COLOURS = (BLUE, VERMILION, GREEN, ORANGE)  # every curve also has its own marker, for colour-blind readers
MARKERS = ("o", "s", "^", "D")
PANELS = {
    "match": "Class match (chance 0.5)",
    "gain": "Onset gain over chance",
    "loudness": "Loudness as made (LUFS)",
    "distance": "Change from the lower guidance (dB)",
}
STYLE = """<style>
.ec { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 12px; }
.ec img { width: 100%; height: auto; margin: 0; display: block; border-radius: 12px;
  border: 1px solid var(--border-color-primary); }
</style>"""


def curves_html(guidance: Sequence[float], steps: Sequence[int], cells: Cells) -> str:
    """A small figure for each available measure; empty until one row has two cells."""
    rows = [row for row, _ in cells]
    if not any(rows.count(row) > 1 for row in rows):
        return ""
    images = []
    for name, title in PANELS.items():
        if all(measures_of(cells, *place)[name] is None for place in cells):
            continue  # e.g. the caption names no class
        buffer = BytesIO()
        curve_figure(name, title, guidance, steps, cells).savefig(buffer, format="png", dpi=200)
        data = base64.b64encode(buffer.getvalue()).decode()
        images.append(f'<img alt="{escape(title)} over the guidance scale" src="data:image/png;base64,{data}">')
    return f'{STYLE}<div class="ec">{"".join(images)}</div>'


def curve_figure(name: str, title: str, guidance: Sequence[float], steps: Sequence[int], cells: Cells) -> Figure:
    figure = Figure(figsize=(3.9, 2.5), dpi=100, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.13, 0.2, 0.83, 0.62))
    figure.text(0.02, 0.93, title, fontsize=9.5, color=INK, weight="bold", va="center")
    for row, count in enumerate(steps):
        points = [
            (guidance[column], value)
            for column in range(len(guidance))
            if (row, column) in cells and (value := measures_of(cells, row, column)[name]) is not None
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True), color=COLOURS[row], marker=MARKERS[row], markersize=4.5, linewidth=1.6,
                label=f"{count} step{'' if count == 1 else 's'}",
            )  # fmt: skip
    axes.set_xticks(list(guidance), [f"{w:g}" for w in guidance])
    if name == "match":
        axes.set_ylim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_xlabel("guidance scale", fontsize=8, color=MUTED, labelpad=2)
    for side in axes.spines.values():
        side.set_visible(False)
    if len(steps) > 1 and axes.lines:
        axes.legend(fontsize=7.5, frameon=False, labelcolor=INK, loc="best", handlelength=1.4)
    return figure
