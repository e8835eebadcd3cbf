"""Cost and quality of numbers of steps, guidance scales, samplers and timestep spacings.

Every combination of the dials asked for generates the same clips from the same noise, so that rows
differ by the dials alone. The default settings of a checkpoint are read off such a table of validation clips (its
knee); test clips then say what they bring. Two rows more are what can be reached: the clips' real sounds, and these
through VAE and vocoder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stav2a.denoise.request import Request
from stav2a.denoise.strength import steps_from
from stav2a.dials import Dials
from stav2a.evaluation.models.judged import OwnSound, judged
from stav2a.metrics.bank_classifier import BankClassifier
from stav2a.metrics.classifier import load_tagger
from stav2a.models.defaults import DEFAULTS
from stav2a.output import STAV2AOutput

BATCH = 8


@dataclass(frozen=True)
class Row:
    """What one row is sampled with: dials of `Guidance` and of the sampler."""

    steps: int
    text: float
    video: float
    guided_share: float
    timestep_power: float
    rescale: float = 0.0
    strength: float = 1.0
    sampler: str = DEFAULTS["sampler"]

    def evaluations(self, distilled: bool = False) -> int:
        """Passes of one clip through the network, all branches of the guidance counted; one a step if `distilled`."""
        from stav2a.denoise.sample import Guidance

        steps = steps_from(self.steps, self.strength)
        if distilled:
            return steps
        guided = round(self.guided_share * steps)
        branches = Guidance(self.text, self.video).branch_count()
        return guided * branches + steps - guided


class HeardClips:
    """Clips whose conditions are computed once for all rows."""

    def __init__(self, pipe, samples: Iterator[tuple[OwnSound, np.ndarray]], listener: str | None = None):
        """samples: what is heard in a clip, and its frames uint8 [T, H, W, 3]."""
        self.listener = None if listener is None else load_tagger(listener)
        self.classifier = BankClassifier.load()
        self.clips, self.videos = [], []
        for sound, frames in samples:
            self.videos.append(pipe.encode_video(frames))
            self.clips.append(sound)
            if len(self.clips) % 20 == 0:
                print(f"{len(self.clips)} clips read", file=sys.stderr)
        if len(self.clips) < 2:
            raise ValueError(f"There are {len(self.clips)} clips with sound; at least 2 are needed.")

    def requests(self, row: Row, draw: int) -> list[Request]:
        """One a clip; the seeds of the draws 0 and 1 differ."""
        own = {"guided_share": row.guided_share, "timestep_power": row.timestep_power, "guidance_rescale": row.rescale}
        shared = {"guidance_scale": row.text, "video_guidance_scale": row.video, "steps": row.steps}
        shared |= {"strength": row.strength, "sampler": row.sampler}
        return [
            Request(video, Dials(prompt=clip.caption, seed=2 * index + draw, **shared), own)
            for index, (clip, video) in enumerate(zip(self.clips, self.videos, strict=True))
        ]


def measured(pipe, clips: HeardClips, row: Row, draws: int = 2) -> tuple[dict, list[np.ndarray]]:
    """One row: cost, timing, what is asked for, likeness to real sounds, level and spread between two seeds; and the
    sounds of the first seed."""
    waves: list[list[np.ndarray]] = [[] for _ in range(draws)]
    spent = 0.0
    for draw in range(draws):
        made = [item for item in pipe.stream(clips.requests(row, draw), BATCH) if isinstance(item, STAV2AOutput)]
        made.sort(key=lambda item: item.index)
        spent += sum(item.seconds.get("denoise", 0.0) for item in made)
        waves[draw] = [item.waveforms[0] for item in made]
    ran = replace(row, steps=made[0].settings["num_inference_steps"])  # too few for the U-Net itself become its own
    distilled = pipe.distilled_serves(Dials(), {**pipe.defaults, "steps": ran.steps, "sampler": ran.sampler})
    found = {
        **vars(ran),
        "evaluations": ran.evaluations(distilled),
        "denoise_seconds_per_clip": spent / (draws * len(clips.clips)),
        **judged(clips.clips, waves, pipe.timeline.sample_rate, clips.classifier, clips.listener),
    }
    return found, waves[0]


def limits(pipe, clips: HeardClips) -> Iterator[tuple[dict, list[np.ndarray]]]:
    """Rows of the real sounds, and of these through VAE and vocoder: what no setting can surpass; and the sounds."""
    from stav2a.evaluation.models.reconstruction import coded_and_decoded

    real = [clip.waveform for clip in clips.clips]
    sounds = {"real": real}
    if pipe.vae is not None:
        sounds["real through VAE and vocoder"] = [coded_and_decoded(pipe, wave) for wave in real]
    for name, made in sounds.items():
        found = judged(clips.clips, [made], pipe.timeline.sample_rate, clips.classifier, clips.listener)
        yield {"sound": name, **found}, made


HEAD = (
    f"{'sampler':>9s} {'steps':>5s} {'text':>5s} {'video':>5s} {'share':>5s} {'power':>5s} "
    f"{'rescale':>7s} {'strength':>8s} {'passes':>6s} {'s/clip':>6s} "
    f"{'onset gain (95 % CI)':>21s} {'W-dis (95 % CI)':>19s} "
    f"{'top-1':>5s} {'top-5 (95 % CI)':>17s} "
    f"{'FD_bank':>7s} {'rank (95 % CI)':>21s} {'FD':>6s} {'LU':>6s} {'diversity':>9s}"
)
DIALS_WIDE = 70  # columns of the dials and their cost, before the figures


def line(row: dict) -> str:
    """A row as text; "-" for what was not measured."""

    def number(name: str, form: str, width: int) -> str:
        return f"{'-' if row[name] is None else format(row[name], form):>{width}s}"

    def between(name: str, digits: int) -> str:
        low, high = row[name] or (float("nan"), float("nan"))
        return f"({low:.{digits}f}-{high:.{digits}f})"

    if "sound" in row:
        dials = f"{row['sound']:<{DIALS_WIDE}s}"
    else:
        dials = (
            f"{row['sampler']:>9s} {row['steps']:5d} {row['text']:5.1f} {row['video']:5.1f} {row['guided_share']:5.2f} "
            f"{row['timestep_power']:5.2f} {row['rescale']:7.2f} {row['strength']:8.2f} {row['evaluations']:6d} "
            f"{row['denoise_seconds_per_clip']:6.2f}"
        )
    return (
        f"{dials} {number('onset_gain', '.3f', 7)} {between('onset_gain_ci95', 3)} "
        f"{number('w_dis', '.3f', 5)} {between('w_dis_ci95', 3)} "
        f"{number('top1', '.2f', 5)} {number('top5', '.2f', 5)} {between('top5_ci95', 2)} {row['fd_bank']:7.1f} "
        f"{number('rank', '.3f', 7)} {between('rank_ci95', 3)} {number('fd', '.1f', 6)} "
        f"{number('loudness_lu', '+.1f', 6)} {number('diversity', '.2f', 9)}"
    )
