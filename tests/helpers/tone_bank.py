"""A sound bank of six decaying tones a class, four to train on and two to validate on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

COLUMNS = "path,class,kind,caption,material,duration_s,onsets,source,licence,split,author,original,group"


def write_bank(folder: Path, classes: tuple[str, ...] = ("metal_hit",)) -> Path:
    rows = [COLUMNS]
    time = np.arange(8000) / 16000
    for number in range(6 * len(classes)):
        cls, k = classes[number // 6], number % 6
        wave = 0.7 * np.sin(2 * np.pi * 300 * (k + 1) * time) * np.exp(-8 * time)
        soundfile.write(folder / f"{number}.flac", wave.astype(np.float32), 16000)
        split = "val" if k > 3 else "train"
        rows.append(f"{number}.flac,{cls},oneshot,a tone,,0.5,0.0,test,CC0,{split},,{number}.wav,{number}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder
