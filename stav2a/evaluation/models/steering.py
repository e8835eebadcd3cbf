"""What each scale of TA-V2A's composed guidance steers (its eq. 14): one is turned, the others keep their values.

The caption is that of another clip of another class: what it brings is not what the picture brings anyway. The
negative caption is the clip's own: it asks for less of what the picture brings. Figures of a row: the ranks of both
captions' classes in what is heard, by the built-in classifier (0 first of all classes, 0.5 chance, 1 last), and
the onset gain over chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stav2a.denoise.request import Request
from stav2a.dials import Dials
from stav2a.evaluation.models.foley_figures import gain, mean
from stav2a.evaluation.models.judged import OwnSound
from stav2a.metrics.bank_classifier import BankClassifier, describe, rank_of
from stav2a.output import STAV2AOutput
from stav2a.sound.onsets import detect_onsets, onset_frame_s

BATCH = 8
SCALES = {  # figure of a row that the scale turns: (name of the dial, what it weighs)
    "caption_rank": ("guidance_scale", "caption"),
    "negative_rank": ("negative_guidance_scale", "negative caption"),
    "onset_gain": ("video_guidance_scale", "picture"),
}


def others(classes: Sequence[str]) -> list[int]:
    """For each clip the next one, around the end, whose class is another."""
    count = len(classes)
    orders = ([(i + step) % count for step in range(1, count)] for i in range(count))
    found = [next((k for k in order if classes[k] != classes[i]), None) for i, order in enumerate(orders)]
    if None in found or not found:
        raise ValueError("All clips are of one class; captions of another class are needed.")
    return found


def steered(pipe, clips: Sequence[OwnSound], videos: Sequence, values: Sequence[float]) -> Iterator[dict]:
    """A row for each scale and value. clips: with a class that the classifier knows; videos: their features."""
    classifier, other = BankClassifier.load(), others([clip.cls for clip in clips])
    for figure, (name, weighed) in SCALES.items():
        for value in values:
            requests = [
                Request(video, dials(name, value, clips[k].caption, clip.caption, index))
                for index, (clip, video, k) in enumerate(zip(clips, videos, other, strict=True))
            ]
            made = [item for item in pipe.stream(requests, BATCH) if isinstance(item, STAV2AOutput)]
            made.sort(key=lambda item: item.index)
            waves = [item.waveforms[0] for item in made]
            asked = [clips[k].cls for k in other]
            found = judged(clips, asked, waves, pipe.timeline.sample_rate, classifier)
            yield {"scale": weighed, "value": value, "steers": figure, **found}


def dials(name: str, value: float, caption: str, negative: str, seed: int) -> Dials:
    """The negative caption is given where its scale turns alone."""
    if name == "negative_guidance_scale":
        return Dials(prompt=caption, negative_prompt=negative, seed=seed, own={name: value})
    return Dials(prompt=caption, seed=seed, **{name: value})


def judged(clips: Sequence[OwnSound], asked: Sequence[str], waves, rate: int, classifier: BankClassifier) -> dict:
    """{figure: {"value", "ci95", "n"}}; asked: the class of each caption."""
    heard = [describe(classifier, wave).probabilities for wave in waves]
    last = len(classifier.classes) - 1
    own = [clip.cls for clip in clips]
    ranks = {
        name: [(rank_of(p, classifier.classes, cls) - 1) / last for p, cls in zip(heard, classes, strict=True)]
        for name, classes in (("caption_rank", asked), ("negative_rank", own))
    }
    pairs = [
        (clip.heard_s, detect_onsets(wave, rate), len(clip.waveform) / rate)
        for clip, wave in zip(clips, waves, strict=True)
        if len(clip.heard_s)
    ]
    timing = gain(pairs, onset_frame_s()) if pairs else None
    return {
        **{name: mean(values) for name, values in ranks.items()},
        "onset_gain": timing and {"value": timing.gain, "ci95": timing.ci95 and list(timing.ci95), "n": timing.n},
    }


def markdown(rows: Sequence[dict]) -> str:
    """A line a row; what its scale should steer is bold."""
    titles = {
        "caption_rank": "rank of the caption's class ↓",
        "negative_rank": "rank of the clip's own class",
        "onset_gain": "onset gain ↑",
    }
    lines = [f"| scale | value | {' | '.join(titles.values())} |", "| --- | ---: |" + " ---: |" * len(titles)]
    for row in rows:
        cells = []
        for name in titles:
            found = row[name]
            if found is None:
                cells.append("–")
                continue
            low, high = found["ci95"] or (float("nan"),) * 2
            cell = f"{found['value']:.3f} ({low:.3f}–{high:.3f})"
            cells.append(f"**{cell}**" if name == row["steers"] else cell)
        lines.append(f"| {row['scale']} | {row['value']:g} | {' | '.join(cells)} |")
    return "\n".join(lines)
