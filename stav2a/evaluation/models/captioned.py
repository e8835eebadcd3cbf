"""The effect of captions on real clips: without one, with the describer's, with the manifest's.

Level: RMS of the generated sound against the clip's own, in dB, as made and at the default loudness. Likeness, by
this project's bank classifier, which hears no level: KL(own || generated) of its class probabilities, and the rank of
the own sound among those of all clips by that KL (0 best, 0.5 chance).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stav2a.generation.describe import suggestions
from stav2a.generation.settings import LOUDNESS_LUFS
from stav2a.media.audio import fit_loudness, read_audio
from stav2a.media.frames import read_for_model
from stav2a.media.probe import probe
from stav2a.metrics.bank_classifier import BankClassifier, describe
from stav2a.metrics.chance import bootstrap_ci
from stav2a.metrics.classifier import kl_divergence

CONDITIONS = ("no caption", "describer's caption", "manifest's caption")
QUIETEST = 0.1  # quantile of levels
SILENCE = 1e-6  # RMS below which a sound has no level


@dataclass(frozen=True)
class CaptionedClip:
    """One clip: its own sound, and what was made of each condition; level in dB against the own sound."""

    name: str
    described: bool
    own: np.ndarray  # class probabilities float [C]
    made: dict[str, np.ndarray]  # condition: class probabilities
    level_db: dict[str, tuple[float, float]]  # condition: (as made, at the default loudness)


def captions_of(folder: Path, split: str | None) -> dict[str, str]:
    """{file: caption} of the folder's `manifest.csv`; of a split, where it has splits."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if split is None or (row.get("split") or split) == split]
    return {row["file"]: row["caption"] for row in rows}


def generated(
    pipe, seconds: float | None, folder: str | Path, split: str | None = None, seed: int = 0
) -> Iterator[CaptionedClip]:
    """Each clip of a folder with sound of its own; where the describer is silent, its sound is the captionless one.

    seconds: the beginning of each clip that is used; None: all of it.
    """
    classifier = BankClassifier.load()
    rate = pipe.timeline.sample_rate
    for name, caption in sorted(captions_of(Path(folder), split).items()):
        path = Path(folder) / name
        length_s = None if seconds is None else min(seconds, probe(path).duration_s)
        own = read_audio(path, rate, 0.0, length_s)
        if own is None or rms(own) < SILENCE:
            continue
        seen = pipe.encode_video(read_for_model(path, pipe.timeline, 0.0, length_s).frames)
        said = suggestions(path)
        captions = dict(zip(CONDITIONS, ("", said[0].caption if said else "", caption), strict=True))
        sounds = {text: pipe(seen, text, seed=seed).waveforms[0] for text in dict.fromkeys(captions.values())}
        yield CaptionedClip(
            name,
            bool(said),
            describe(classifier, own).probabilities,
            {condition: describe(classifier, sounds[text]).probabilities for condition, text in captions.items()},
            {condition: levels(sounds[text], own, rate) for condition, text in captions.items()},
        )


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def levels(waveform: np.ndarray, own: np.ndarray, rate: int) -> tuple[float, float]:
    """RMS against the own sound in dB: as made, and at the default loudness."""
    made = max(rms(waveform), SILENCE)
    fitted = max(rms(fit_loudness(waveform, rate, LOUDNESS_LUFS)), SILENCE)
    return 20 * np.log10(made / rms(own)), 20 * np.log10(fitted / rms(own))


def table(clips: list[CaptionedClip]) -> dict[str, dict]:
    """Rows by condition: levels, KL and rank, with bootstrap intervals; for all clips and those the describer names."""
    if len(clips) < 2:
        raise ValueError(f"There are {len(clips)} clips with sound; at least 2 are needed.")
    own = [clip.own for clip in clips]
    rows = {}
    for group, members in groups(clips).items():
        for condition in CONDITIONS:
            made = [clips[k].made[condition] for k in members]
            as_made, fitted = np.array([clips[k].level_db[condition] for k in members]).T
            for title, values in (("level as made, dB", as_made), (f"level at {LOUDNESS_LUFS:g} LUFS, dB", fitted)):
                rows[f"{group}, {condition}: {title}, median"] = row(values, np.median)
                tenth = partial(np.quantile, q=QUIETEST)
                rows[f"{group}, {condition}: {title}, quietest tenth"] = row(values, tenth)
            distances = np.array([[kl_divergence(other, mine) for other in own] for mine in made])
            kl = distances[np.arange(len(members)), members]
            rows[f"{group}, {condition}: KL_bank"] = row(kl)
            rows[f"{group}, {condition}: rank of the own sound"] = row(
                (distances < kl[:, None]).sum(1) / (len(clips) - 1)
            )
    return rows


def groups(clips: list[CaptionedClip]) -> dict[str, list[int]]:
    named = [k for k, clip in enumerate(clips) if clip.described]
    return {"all": list(range(len(clips))), **({"named": named} if len(named) >= 2 else {})}


def row(values: np.ndarray, statistic=np.mean) -> dict:
    return {
        "value": float(statistic(values)),
        "ci95": list(bootstrap_ci(values, statistic=statistic)),
        "n": len(values),
    }
