"""A figure of a result on one time axis: predicted onsets, generated sound, original sound.

Rows, from the top:
    onsets        the predicted curve, the picked onsets, and those that were added or removed by hand
    heard         onsets detected in the generated and in the original audio
    waveform      generated, and original when the clip had sound
    mel           generated, and original when the clip had sound

Every row spans the same pixels: `MARGIN_PX` from both edges of a figure that is `width_px` wide, whatever the
height. `time_extent(width_px)` gives these two edges as fractions, so that a page can lay a playhead over the
image: second `t` lies at `left + (right - left) * t / duration_s` of the width.

Figures are built from `matplotlib.figure.Figure` alone. pyplot keeps a global list of figures and is not safe
in threads; nothing here touches it.

Colours are Okabe & Ito's palette (distinguishable with any kind of colour vision), and no colour stands
alone: each series also has its own lane or marker shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stav2a.generation.result import Result

BLUE, SKY, GREEN, VERMILION, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#E69F00"
INK, MUTED, RULE, PAPER = "#1f2933", "#5b6673", "#d9dee4", "#ffffff"

WIDE_PX, NARROW_PX = 760, 380  # a desktop column, a phone held upright
MARGIN_PX = 14
TITLE_PX, GAP_PX, FOOT_PX = 20, 8, 30
ROW_PX = {"onsets": 92, "heard": 40, "waveform": 62, "mel": 104}
DPI = 100  # of the layout; a figure may be saved at any multiple of it
MEL_FLOOR, MEL_CEILING = -11.0, 2.0  # natural-log mel: silence (the front end clamps at 1e-5), loud


@dataclass(frozen=True)
class Tracks:
    """The data of a figure. Times in seconds from the start of the clip; all fields are optional.

    `waveform`, `original_waveform`: float [S]; `mel`, `original_mel`: natural-log mel [M, bins];
    `onset_curve`: probability per latent frame [T], `latent_frame_s` seconds apart.
    """

    duration_s: float
    sample_rate: int = 16_000
    waveform: np.ndarray | None = None
    mel: np.ndarray | None = None
    onset_curve: np.ndarray | None = None
    latent_frame_s: float = 0.04
    predicted_onsets_s: Sequence[float] = field(default_factory=tuple)
    onsets_s: Sequence[float] | None = None  # those used for control; None: the predicted ones
    generated_onsets_s: Sequence[float] | None = None
    original_waveform: np.ndarray | None = None
    original_mel: np.ndarray | None = None
    original_onsets_s: Sequence[float] | None = None


def tracks(result: Result, take: int = 0) -> Tracks:
    """The tracks of one take of a generated result."""
    chosen = result.takes[take]
    original = result.original_waveform
    return Tracks(
        duration_s=result.duration_s,
        sample_rate=result.sample_rate,
        waveform=chosen.waveform,
        mel=chosen.mel,
        onset_curve=result.onset_curve,
        predicted_onsets_s=result.predicted_onsets_s,
        onsets_s=result.onsets_s,
        generated_onsets_s=chosen.onsets_s,
        original_waveform=original,
        original_mel=None if original is None else mel_of(original, result.sample_rate),
        original_onsets_s=None if original is None else result.original_onsets_s,
    )


def mel_of(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Natural-log mel [M, bins] of float audio [S], as the model computes it."""
    import torch

    from stav2a.sound.mel import log_mel
    from stav2a.timeline import Timeline

    wave = torch.as_tensor(np.asarray(waveform, dtype=np.float32))[None]
    wave = torch.nn.functional.pad(wave, (0, max(0, 1024 - wave.shape[1])))  # the front end reflects 512 samples
    return log_mel(wave, Timeline(sample_rate=sample_rate))[0].numpy()


def clip_figure(result: Result | Tracks, take: int = 0, width_px: int = WIDE_PX) -> Figure:
    """The figure of one take, `width_px` wide at `DPI`. The height depends on the number of rows."""
    data = result if isinstance(result, Tracks) else tracks(result, take)
    rows = _rows(data)
    height_px = sum(TITLE_PX + ROW_PX[kind] + GAP_PX for kind, _, _ in rows) + FOOT_PX
    figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    left, right = time_extent(width_px)
    top, axes = height_px, None
    for kind, title, draw in rows:
        top -= TITLE_PX + ROW_PX[kind]
        axes = figure.add_axes((left, top / height_px, right - left, ROW_PX[kind] / height_px))
        top -= GAP_PX
        _frame(axes, title, data.duration_s, compact=width_px < 600)
        draw(axes, data)
    if axes is not None:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6 if width_px < 600 else 12, steps=[1, 2, 2.5, 5, 10]))
        axes.tick_params(axis="x", labelbottom=True, length=3, color=RULE, labelcolor=MUTED, labelsize=8)
        axes.set_xlabel("seconds", fontsize=8, color=MUTED, labelpad=1)
    return figure


def time_extent(width_px: int = WIDE_PX) -> tuple[float, float]:
    """Left and right edge of the time axis as fractions of the figure's width."""
    return MARGIN_PX / width_px, 1 - MARGIN_PX / width_px


def to_png(figure: Figure, scale: float = 2.0) -> bytes:
    """The figure as PNG, `scale` device pixels per layout pixel (its text stays sharp on dense screens)."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI * scale, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def describe(data: Tracks) -> str:
    """The figure in one or two sentences, for those who cannot see it."""
    used = data.predicted_onsets_s if data.onsets_s is None else data.onsets_s
    parts = [f"{len(used)} onset{'' if len(used) == 1 else 's'} over {data.duration_s:.1f} s"]
    if data.generated_onsets_s is not None:
        parts.append(f"{len(data.generated_onsets_s)} heard in the generated audio")
    if data.original_onsets_s is not None:
        parts.append(f"{len(data.original_onsets_s)} heard in the original audio")
    where = ", ".join(f"{t:.2f}" for t in list(used)[:24])
    return "; ".join(parts) + (f". Onsets at {where} s." if where else ".")


def _rows(data: Tracks) -> list[tuple[str, str, Callable[[Axes, Tracks], None]]]:
    """(kind, title, draw) of every row with data."""
    rows: list[tuple[str, str, Callable[[Axes, Tracks], None]]] = []
    if data.onset_curve is not None or data.onsets_s is not None or len(data.predicted_onsets_s):
        rows.append(("onsets", "Onsets to follow", _draw_onsets))
    if data.generated_onsets_s is not None or data.original_onsets_s is not None:
        rows.append(("heard", "Onsets heard in the audio", _draw_heard))
    waves = {"generated": (data.waveform, BLUE), "original": (data.original_waveform, GREEN)}
    for name, (wave, colour) in waves.items():
        if wave is not None:
            rows.append(("waveform", f"Waveform, {name}", partial(_draw_wave, wave, colour)))
    for name, mel in {"generated": data.mel, "original": data.original_mel}.items():
        if mel is not None:
            rows.append(("mel", f"Mel spectrogram, {name}", partial(_draw_mel, mel)))
    return rows


def _frame(axes: Axes, title: str, duration_s: float, compact: bool) -> None:
    """The frame of a row: time axis, title above, no box."""
    axes.set_xlim(0, max(duration_s, 1e-3))
    # Not set_title: placing a title measures every tick of the axes, a third of the whole drawing time.
    above = 1 + 5 / (axes.figure.bbox.height * axes.get_position().height)
    after = 5 / (axes.figure.bbox.width * axes.get_position().width)  # a playhead at the start covers no letter
    axes.text(after, above, title, transform=axes.transAxes, fontsize=8.5 if compact else 9, color=INK)
    axes.set_yticks([])
    axes.set_facecolor("none")
    axes.xaxis.set_major_locator(NullLocator())  # the lowest row has the ticks of all; unseen ones take time, too
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)


def _draw_onsets(axes: Axes, data: Tracks) -> None:
    axes.set_ylim(0, 1.22)
    if data.onset_curve is not None and len(data.onset_curve):
        curve = np.asarray(data.onset_curve, dtype=float)
        times = (np.arange(len(curve)) + 0.5) * data.latent_frame_s
        axes.fill_between(times, curve, color=SKY, alpha=0.35, linewidth=0)
        axes.plot(times, curve, color=BLUE, linewidth=1.1)
    kept, added, removed = edits(data.predicted_onsets_s, data.onsets_s, data.latent_frame_s)
    entries = []
    for onsets, marker, face, edge, name in (
        (kept, "v", BLUE, BLUE, "picked"),
        (added, "D", VERMILION, VERMILION, "added"),
        (removed, "v", PAPER, MUTED, "removed"),
    ):
        if not onsets:
            continue
        axes.vlines(onsets, 0, 1.06, color=edge, linewidth=0.9, linestyle="-" if face != PAPER else ":")
        size = 30 if marker == "v" else 22
        axes.scatter(onsets, [1.1] * len(onsets), marker=marker, s=size, c=face, edgecolors=edge, zorder=3)
        entries.append((name, edge, marker))
    _key(axes, entries)


def _draw_heard(axes: Axes, data: Tracks) -> None:
    """Two lanes of ticks, so that hits at the same time are aligned."""
    axes.set_ylim(0, 2)
    entries = []
    for onsets, lane, colour, name in (
        (data.generated_onsets_s, 1, BLUE, "generated"),
        (data.original_onsets_s, 0, GREEN, "original"),
    ):
        if onsets is None:
            continue
        axes.vlines(onsets, lane + 0.12, lane + 0.88, color=colour, linewidth=2)
        entries.append((name, colour, "|"))
    if len(entries) == 2:
        axes.axhline(1, color=RULE, linewidth=0.8)
    _key(axes, entries)


def _key(axes: Axes, entries: list) -> None:
    """Marker and name of each series, right of the row's title so that it covers no data."""
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=name,
               markersize=7 if marker == "|" else 5.5, markeredgewidth=2 if marker == "|" else 1,
               markerfacecolor=PAPER if name == "removed" else colour)
        for name, colour, marker in entries
    ]  # fmt: skip
    if handles:
        axes.legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(handles), frameon=False,
            fontsize=8, labelcolor=INK, borderpad=0, borderaxespad=0.35,
            handlelength=1, handletextpad=0.3, columnspacing=0.9,
        )  # fmt: skip


def _draw_wave(waveform: np.ndarray, colour: str, axes: Axes, data: Tracks) -> None:
    """Lowest and highest sample of each pixel column: exact at this size and cheap for an hour of audio."""
    wave = np.asarray(waveform, dtype=np.float32)
    axes.set_ylim(-1, 1)
    axes.axhline(0, color=RULE, linewidth=0.8)
    if not len(wave):
        return
    columns = min(len(wave), int(axes.get_window_extent().width) * 2)
    edges = np.linspace(0, len(wave), columns, endpoint=False).astype(int)
    low, high = np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)
    # Quiet takes are drawn larger, so that their shape can be read; loudness is in the table.
    gain = 0.95 / max(float(np.abs(wave).max()), 0.05)
    times = np.linspace(0, axes.get_xlim()[1], columns)
    axes.fill_between(times, low * gain, high * gain, color=colour, linewidth=0.4)


def _draw_mel(mel: np.ndarray, axes: Axes, data: Tracks) -> None:
    """Log-mel as an image; pitch marks inside it, so that its row keeps the common width."""
    image = np.asarray(mel, dtype=np.float32).T
    bins = image.shape[0]
    end_s = image.shape[1] * 0.01 if data.waveform is None else len(data.waveform) / data.sample_rate
    axes.set_ylim(0, bins)
    axes.imshow(
        image, origin="lower", aspect="auto", extent=(0, end_s, 0, bins), cmap="magma",
        vmin=MEL_FLOOR, vmax=MEL_CEILING, interpolation="nearest",
    )  # fmt: skip
    axes.set_xlim(0, max(data.duration_s, 1e-3))
    for khz in (0.5, 2, 4):
        height = _mel_scale(khz * 1000) / _mel_scale(data.sample_rate / 2)
        axes.text(
            0.008, height, f"{khz:g} kHz", transform=axes.transAxes, fontsize=6.5, color="white", alpha=0.85,
            va="center",
        )  # fmt: skip


def _mel_scale(hertz: float) -> float:
    """Slaney's mel scale, as in the model's front end: linear below 1 kHz, logarithmic above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def edits(
    predicted_s: Sequence[float], used_s: Sequence[float] | None, tolerance_s: float = 0.04
) -> tuple[list[float], list[float], list[float]]:
    """Onsets (kept, added, removed) between those predicted and those used, matched within half a step."""
    if used_s is None:
        return list(predicted_s), [], []
    near = tolerance_s / 2 + 1e-6
    kept = [t for t in used_s if any(abs(t - p) <= near for p in predicted_s)]
    added = [t for t in used_s if not any(abs(t - p) <= near for p in predicted_s)]
    removed = [p for p in predicted_s if not any(abs(t - p) <= near for t in used_s)]
    return kept, added, removed
