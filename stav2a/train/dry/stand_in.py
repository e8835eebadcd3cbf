"""What stands in for parts and data that are not there: untrained narrow parts, rendered clips, decaying tones."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
import torch

from stav2a.data.foleyworld.cache import write_cache
from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.data.soundbank import SoundBank
from stav2a.models.build import CLASSES, build, build_controlnet
from stav2a.timeline import Timeline

SPLITS = ("train", "train", "val")  # of the clips
COLUMNS = "path,class,kind,caption,material,duration_s,onsets,source,licence,split,author,original,group"


def write_parts(folder: Path, model: str, weights: bool = True) -> None:
    """Every part of the size `model`, untrained; `weights` false: their configurations alone, of any size."""
    with torch.device("cpu" if weights else "meta"):
        torch.manual_seed(0)
        parts = {name: build(name, model) for name in CLASSES if name != "controlnet"}
        parts["controlnet"] = build_controlnet(parts["unet"], model)
    for name, part in parts.items():
        if weights:
            part.save_pretrained(folder / name)
        elif hasattr(part, "save_config"):
            part.save_config(folder / name)
        else:
            part.config.save_pretrained(folder / name)


def write_shards(folder: Path, model: str, timeline: Timeline, seconds: float, parts: Path | None) -> None:
    """Rendered clips as `data prepare` keeps them, with the features of the video encoder in `parts`."""
    seconds = min(max(seconds, 1.0), timeline.video_window_s)
    world = {"duration_s": seconds, "fps": timeline.fps, "size": timeline.frame_size, "split": "train"}
    sources = [Rendered(number, split) for number, split in enumerate(SPLITS)]
    settings = PrepareSettings(model, str(parts or ""), fps=timeline.fps, frame_size=timeline.frame_size, world=world)
    for _ in prepare(folder, sources, settings):
        pass


def write_clips(folder: Path, timeline: Timeline, seconds: float) -> None:
    """Two clips as `data cache` keeps them, twice as long as a stretch."""
    options = {"duration_s": 2 * seconds, "fps": timeline.fps, "size": timeline.frame_size, "split": "train", "seed": 0}
    for _ in write_cache(folder, {"bank": None, "sprites": None, "scenes": None, **options}, 2):
        pass


def write_bank(folder: Path, sample_rate: int) -> None:
    """A sound bank of tones, two of each of two classes in every split."""
    folder.mkdir(parents=True)
    rows, time = [COLUMNS], np.arange(sample_rate // 2) / sample_rate
    for number in range(12):
        split, kind = ("train", "val", "test")[number // 4], ("metal_hit", "wood_hit")[number % 2]
        wave = 0.7 * np.sin(2 * np.pi * 150 * (number + 2) * time) * np.exp(-8 * time)
        soundfile.write(folder / f"{number}.flac", wave.astype(np.float32), sample_rate)
        rows.append(f"{number}.flac,{kind},oneshot,a tone,,0.5,0.0,stand-in,CC0,{split},,{number}.flac,{number}")
    (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")


def few_recordings(bank: Path, folder: Path) -> None:
    """Two classes of a sound bank, at most two recordings of each in every split, by links."""
    with (bank / "manifest.csv").open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        names, rows = table.fieldnames, list(table)
    classes = SoundBank(bank, "train").classes[:2]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        few = csv.DictWriter(file, names)
        few.writeheader()
        for kind in classes:
            for split in ("train", "val", "test"):
                for row in [row for row in rows if (row["class"], row["split"]) == (kind, split)][:2]:
                    few.writerow(row)
                    link = folder / row["path"]
                    link.parent.mkdir(parents=True, exist_ok=True)
                    if not link.is_symlink():
                        link.symlink_to((bank / row["path"]).resolve())
