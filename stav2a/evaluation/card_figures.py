"""The pictures of a model card: `python -m stav2a.evaluation.card_figures OUT --pairs DIR --logs DIR`.

Real beside generated mel-spectrograms, and the curves of every training stage.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stav2a.sound.mel import log_mel
from stav2a.timeline import COMPACT

CURVES = {  # stage: what its validation or training log shows
    "vae": ("main/l1", "L1 of log-mel"),
    "vocoder": ("vocoder/mel", "L1 of log-mel"),
    "onset": ("validation/onset_f1_50ms", "onset F1 ±50 ms, validation"),
    "t2a": ("main/loss", "diffusion loss"),
    "v2a": ("main/loss", "diffusion loss"),
}
WRAP = 46  # characters of a caption in one line


def pairs_figure(folder: Path, out: Path) -> Path:
    """Mel-spectrograms of `NN_real.wav` and `NN_generated.wav`, a row a pair, the caption between them."""
    numbers = sorted(path.name[:2] for path in folder.glob("[0-9][0-9]_real.wav"))
    if not numbers:
        raise SystemExit(f"{folder} holds no pairs of sounds.")
    figure = Figure(figsize=(10, 1.15 * len(numbers)), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(numbers), 2, squeeze=False)
    for row, number in zip(axes, numbers, strict=True):
        caption = (folder / f"{number}.txt").read_text(encoding="utf-8").strip()
        for ax, kind in zip(row, ("real", "generated"), strict=True):
            wave, rate = soundfile.read(folder / f"{number}_{kind}.wav", dtype="float32")
            mel = log_mel(torch.from_numpy(wave)[None], COMPACT)[0].numpy()
            extent = (0, len(wave) / rate, 0, mel.shape[1])
            ax.imshow(mel.T, origin="lower", aspect="auto", extent=extent, vmin=-11, vmax=2, cmap="magma")
            ax.set_yticks([])
            ax.tick_params(labelsize=6)
            ax.set_title(caption[:WRAP] if kind == "real" else "generated", fontsize=7, loc="left", pad=2)
    axes[-1, 0].set_xlabel("seconds", fontsize=7)
    figure.savefig(out)
    return out


def curves_figure(folder: Path, out: Path) -> Path:
    """What each stage's `log.jsonl` recorded, over its steps."""
    found = {name: CURVES[name] for name in CURVES if (folder / name / "log.jsonl").is_file()}
    figure = Figure(figsize=(2.6 * max(len(found), 1), 2.4), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    for ax, (stage, (key, label)) in zip(figure.subplots(1, max(len(found), 1), squeeze=False)[0], found.items()):  # noqa: B905
        lines = [json.loads(line) for line in (folder / stage / "log.jsonl").read_text().splitlines()]
        points = np.array([(line["step"], line[key]) for line in lines if key in line])
        if len(points):
            ax.plot(points[:, 0], points[:, 1], ".-", lw=1, ms=3, color="#0072B2")
        ax.set_title(stage, fontsize=8)
        ax.set_xlabel("step", fontsize=7)
        ax.set_ylabel(label, fontsize=7)
        ax.tick_params(labelsize=6)
        ax.grid(alpha=0.3)
    figure.savefig(out)
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--logs", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.pairs:
        print(pairs_figure(arguments.pairs, arguments.out / "pairs.png"))
    if arguments.logs:
        print(curves_figure(arguments.logs, arguments.out / "curves.png"))
