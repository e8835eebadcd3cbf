"""From a caption, a picture's onsets and motion to the sound of recordings, a take a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stav2a.output import Recorded
from stav2a.recordings.compose import Score, soundtrack
from stav2a.recordings.retrieve import Embed, by_caption
from stav2a.recordings.shelf import Shelf
from stav2a.recordings.voice import Voice

UNNAMED = "an object is hit"  # what is played where neither a caption nor a describer names anything


def perform(
    shelf: Shelf,
    prompt: str,
    embed: Embed,
    score: Score,
    seeds: Sequence[int],
    sample_rate: int,
    reference: Voice | None = None,
) -> Recorded:
    """One take a seed. A reference takes the place of what the caption names first.

    embed: captions -> float32 [N, D] of unit length, as the shelf's own.
    """
    hits_wanted = None if score.motion is None else bool(len(score.onsets_s))
    takes, credits = [], []
    for seed in seeds:
        if reference is not None:
            voices = [reference, *by_caption(shelf, prompt, embed, seed, sample_rate, hits_wanted)[1:]]
        elif prompt.strip():
            voices = by_caption(shelf, prompt, embed, seed, sample_rate, hits_wanted)
        else:
            voices = by_caption(shelf, UNNAMED, embed, seed, sample_rate, hits_wanted)
        takes.append(soundtrack(voices, score, sample_rate, seed))
        credits.append(tuple(recording.credit() for voice in voices for recording in voice.recordings))
    return Recorded(np.stack(takes), tuple(credits))
