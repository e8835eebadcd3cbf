"""Settings of a training: a dataclass, read from a YAML file and `key=value` arguments."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from stav2a.assets import shipped
from stav2a.models.precision import has_bf16
from stav2a.presets import NAMES, NARROW, timeline_of
from stav2a.timeline import Timeline
from stav2a.train.runtime.options import nearest

CHOICES = {
    "model": (*NAMES, *(name for name in NARROW if name not in NAMES)),
    "optimizer": ("adamw", "adamw8bit"),
    "mixed_precision": ("no", "auto", "fp16", "bf16", "fp8"),
}


@dataclass
class TrainConfig:
    """Settings of one stage's run; saved beside its checkpoints.

    `batch_size` is the effective batch over all processes and accumulation steps, so that one file trains the
    same model on one process or on many. `parts` is the checkpoint folder that earlier stages filled and
    that this stage reads from and exports to.
    """

    stage: str = ""  # the stage that these settings are for, where the name of their file does not say it
    model: str = "compact"  # configuration of the parts: compact, paper or tiny
    parts: str = "runs/compact"
    out: str = "runs"
    bank: str = ""  # folder of a sound bank; empty: modal synthesis
    sprites: str = ""
    fps: float = 0.0  # of the pictures trained on and of the checkpoint; 0: the model's own
    frame_size: int = 0  # pixels of the pictures trained on and of the checkpoint; 0: the model's own
    steps: int = 1000
    batch_size: int = 8
    gradient_accumulation_steps: int = 1
    micro_batch_size: int = 0  # samples a device holds at once; the accumulation steps then follow from it
    optimizer: str = "adamw"  # or adamw8bit (bitsandbytes)
    lr: float = 3e-4
    warmup: int = 100
    final_lr: float = 0.1  # share of `lr` that a cosine decay ends at
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    ema_decay: float = 0.999
    mixed_precision: str = "no"  # auto: bf16 where the device has instructions for it
    gradient_checkpointing: bool = False  # activations are computed twice instead of kept
    compile: bool = False
    seed: int = 0
    workers: int = 0
    crop_s: float = 2.56
    log_every: int = 20
    validate_every: int = 500
    validation_batches: int = 8
    save_every: int = 500
    keep: int = 2
    keep_best: bool = False  # export the best validation alone (`Stage.cost`); else the last weights win
    max_minutes: float = 0.0  # 0: no limit; a run that reaches it decays, validates and exports at once
    trackers: list[str] = field(default_factory=list)  # of: tensorboard, trackio
    options: dict = field(default_factory=dict)  # what one stage alone needs

    @classmethod
    def load(cls, file: str | Path | None = None, words: list[str] | None = None) -> TrainConfig:
        """Read `file`, then apply `key=value` words; `options.name=value` sets an option of the stage."""
        values: dict = {}
        if file:
            path = shipped(file)
            if not path.is_file():
                raise ValueError(f"There is no configuration file {path}.")
            try:
                values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}.") from None
            if not isinstance(values, dict):
                raise ValueError(f"{path} must hold settings as `name: value` lines.")
        for word in words or []:
            key, mark, text = word.partition("=")
            if not mark:
                raise ValueError(f"{word!r} is not of the form key=value.")
            value = yaml.safe_load(text)
            if key.startswith("options."):
                values.setdefault("options", {})[key.removeprefix("options.")] = value
            else:
                values[key] = value
        return cls.checked(values)

    @classmethod
    def checked(cls, values: dict) -> TrainConfig:
        fields = {f.name: f for f in dataclasses.fields(cls)}
        for name in values:
            if name not in fields:
                raise ValueError(f"Unknown setting {name}; {nearest(name, fields)}")
        blank = cls()
        for name, value in values.items():
            wanted = type(getattr(blank, name))
            if wanted is float and isinstance(value, str | int) and not isinstance(value, bool):
                value = values[name] = float(value)
            if not isinstance(value, wanted):
                raise ValueError(f"{name} is {value!r}; it must be of type {wanted.__name__}.")
        config = cls(**values)
        for name in ("steps", "batch_size", "gradient_accumulation_steps"):
            if getattr(config, name) < 1:
                raise ValueError(f"{name} is {getattr(config, name)}; it must be at least 1.")
        for name, unit in (("frame_size", "pixels"), ("fps", "frames a second")):
            if getattr(config, name) < 0:
                raise ValueError(f"{name} is {getattr(config, name)}; it must be 0 (the model's own) or {unit}.")
        for name, known in CHOICES.items():
            if getattr(config, name) not in known:
                raise ValueError(f"{name} is {getattr(config, name)!r}; it must be one of {', '.join(known)}.")
        return config

    @property
    def timeline(self) -> Timeline:
        """The timeline of `model`, with `fps` and `frame_size` if these are set."""
        return timeline_of(self.model, self.fps, self.frame_size)

    @property
    def precision(self) -> str:
        """`mixed_precision` as accelerate takes it."""
        if self.mixed_precision != "auto":
            return self.mixed_precision
        import torch

        return "bf16" if has_bf16("cuda" if torch.cuda.is_available() else "cpu") else "no"

    def to_dict(self) -> dict:
        return asdict(self)


def checked_chance(name: str, chance: float) -> float:
    """`chance` of the option `name`; `ValueError` outside [0, 1]."""
    if not 0 <= chance <= 1:
        raise ValueError(f"options.{name} is {chance}; it must be a chance in [0, 1].")
    return chance
