"""Figures of a table of dials: curves over the dial that turns, and what its first clips sound like."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from stav2a.evaluation.models.judged import OwnSound
from stav2a.sound.mel import log_mel
from stav2a.timeline import Timeline

NAMES = {
    "text": "guidance of the caption",
    "steps": "denoising steps",
    "video": "guidance of the picture",
    "guided_share": "share of the steps that is guided",
    "timestep_power": "crowding of the timesteps",
    "rescale": "rescaling of the guided prediction",
    "strength": "strength, from a recording to noise alone",
    "sampler": "sampler",
}
SHEET_CLIPS = 10
RANGE = 8.0  # nepers below the loudest value of a spectrogram that are drawn
PANELS = (  # key of a row, title
    ("top5", "asked class among the first five"),
    ("onset_gain", "onset gain over chance, ±50 ms"),
    ("fd_bank", "FD_bank (lower is better)"),
    ("diversity", "diversity of two seeds"),
)


def figure(rows: Sequence[dict]) -> Figure:
    """Rows of `dials` -> four panels over the first dial (in the order of `NAMES`) that was turned."""
    x, *others = turned(rows)
    drawn = Figure(figsize=(3.2 * len(PANELS), 3), layout="constrained")
    axes = drawn.subplots(1, len(PANELS))
    for label, line in lines(rows, x, others):
        for panel, (key, title) in zip(axes, PANELS, strict=True):
            at = [row[x] for row in line]
            values = [float("nan") if row[key] is None else row[key] for row in line]
            (curve,) = panel.plot(at, values, marker="o", markersize=3, label=label)
            bounds = [row.get(f"{key}_ci95") for row in line]
            if all(bounds):
                panel.fill_between(at, *zip(*bounds, strict=True), color=curve.get_color(), alpha=0.15, linewidth=0)
            panel.set(title=title, xlabel=NAMES[x])
            panel.title.set_fontsize(9)
    if others:
        axes[0].legend(fontsize=8)
    return drawn


def turned(rows: Sequence[dict]) -> list[str]:
    """The dials that differ among the rows, in the order of `NAMES`; `ValueError` where none does."""
    found = [name for name in NAMES if len({row[name] for row in rows}) > 1]
    if not found:
        raise ValueError("A figure needs a dial with two values at least, for example --guidance 1 3 5.")
    return found


def lines(rows: Sequence[dict], x: str, others: Sequence[str]) -> list[tuple[str, list[dict]]]:
    """(label, rows by rising `x`) of each curve: one for each setting of the other dials that were turned.

    A picture's guidance that follows the caption's is one setting, whatever its value.
    """

    def settings(row: dict) -> list[dict[str, str]]:
        plain = {name: _said(row[name]) for name in others}
        follows = x == "text" and "video" in others and row["text"] == row["video"]
        return [plain, {**plain, "video": "as the caption"}] if follows else [plain]

    found: dict[str, list[dict]] = {}
    for row in rows:
        for setting in settings(row):
            label = ", ".join(f"{NAMES[name]} {value}" for name, value in setting.items())
            found.setdefault(label, []).append(row)
    curves = [(label, sorted(own, key=lambda row: row[x])) for label, own in found.items()]
    return [curve for curve in curves if len(curve[1]) > 1] or curves


def sheet(
    clips: Sequence[OwnSound], rows: Sequence[dict], sounds: Sequence[Sequence[np.ndarray]], timeline: Timeline
) -> Figure:
    """Log-mel spectrograms, a clip a line, a row of the table a column; dashes mark when events are heard.

    sounds: of each row, those of the first clips, float32 [S] each.
    """
    height = len(sounds[0])
    drawn = Figure(figsize=(1.7 * len(rows), 0.3 + 0.75 * height), layout="constrained")
    axes = np.atleast_2d(drawn.subplots(height, len(rows), squeeze=False))
    for column, (row, waves) in enumerate(zip(rows, sounds, strict=True)):
        axes[0, column].set_title(_title(row, rows), fontsize=7)
        for panel, wave, clip in zip(axes[:, column], waves, clips, strict=False):
            mel = log_mel(torch.from_numpy(np.ascontiguousarray(wave, np.float32))[None], timeline)[0].numpy().T
            seconds = len(wave) / timeline.sample_rate
            panel.imshow(
                mel, origin="lower", aspect="auto", cmap="magma", vmin=mel.max() - RANGE, extent=(0, seconds, 0, 1)
            )
            panel.set(xticks=[], yticks=[])
            if clip.cls or len(clip.heard_s) < 12:
                panel.plot(clip.heard_s, [0.96] * len(clip.heard_s), "|", color="white", markersize=4)
    for panel, clip in zip(axes[:, 0], clips, strict=False):
        panel.set_ylabel(textwrap.fill(clip.caption, 22)[:66], fontsize=5, rotation=0, ha="right", va="center")
    return drawn


def _title(row: dict, rows: Sequence[dict]) -> str:
    """What a column is: the kind of real sound, or the values of the dials that turn."""
    if "sound" in row:
        return row["sound"].replace(" through", "\nthrough")
    generated = [other for other in rows if "sound" not in other]
    turning = [name for name in NAMES if len({other[name] for other in generated}) > 1]
    return ", ".join(f"{name} {_said(row[name])}" for name in turning) or "generated"


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
