"""Logs of a run: the screen, log.jsonl and the configured trackers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from accelerate import Accelerator
from PIL import Image

from stav2a.train.runtime.config import TrainConfig


def begin(accelerator: Accelerator, name: str, config: TrainConfig) -> None:
    if config.trackers:
        accelerator.init_trackers(name, config=flat(config.to_dict()))


def flat(settings: dict, before: str = "") -> dict:
    """Nested settings flattened to plain values, as TensorBoard needs."""
    values = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            values |= flat(value, f"{before}{name}.")
        else:
            values[before + name] = value if isinstance(value, int | float | str | bool) else str(value)
    return values


def record(accelerator: Accelerator, folder: Path, step: int, values: dict[str, float]) -> None:
    """Write a line to the screen, to log.jsonl and to each tracker."""
    accelerator.log(values, step=step)
    if accelerator.is_main_process:
        with (folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        print(f"{step:7d}  " + "  ".join(f"{k} {v:.4f}" for k, v in values.items()), flush=True)


def show(accelerator: Accelerator, config: TrainConfig, samples: Path, step: int) -> None:
    """Log the sounds and pictures of a validation to TensorBoard."""
    if "tensorboard" not in config.trackers or not accelerator.is_main_process or not samples.is_dir():
        return
    writer = accelerator.get_tracker("tensorboard", unwrap=True)
    for file in sorted(samples.iterdir()):
        if file.suffix == ".png":
            picture = np.asarray(Image.open(file).convert("RGB"))
            writer.add_image(file.stem, picture, step, dataformats="HWC")
        elif file.suffix == ".wav":
            waveform, rate = soundfile.read(file, dtype="float32")
            writer.add_audio(file.stem, waveform, step, sample_rate=rate)
