"""Data filters: clips with speech or out of time (the paper, §III-A), captions that do not fit (VTA-LDM, app. E)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stav2a.metrics.alignment import av_align
from stav2a.metrics.flow import SMALL_FLOW, flow_peaks
from stav2a.sound.onsets import detect_onsets

LEAST_AV_ALIGN = 0.2
LEAST_CLAP = 0.3  # VTA-LDM appendix E: sound and caption mean the same

# Words of captions that tell of a human voice speaking. Animals "call" and crowds "cheer" without speech, so
# only words of speaking count, and words that name a speaker only beside one of them.
SPEECH = re.compile(
    r"\b(speech\w*|speak(s|ing|er|ers)?|spoke|talk(s|ing|ed)?|says?|said|saying|narrat\w*|monolog\w*|dialog\w*|"
    r"conversation\w*|converse\w*|convers(es|ing)|chat(s|ting|ter)?|lectur\w+|announc\w+|commentat\w*|"
    r"interview\w*|preach\w*|whisper\w*|murmur\w*|discuss\w*|explain\w*|repl(y|ies|ied)|voice-?over|"
    r"tell(s|ing)?|asks?|asking|answers?|answering|counts? (down|up)|reads? (aloud|out))\b",
    re.IGNORECASE,
)
# "the engine chatters", "cutlery talks" do not occur; these do, and are no speech
NO_SPEECH = re.compile(
    r"\b(teeth|birds?|monkeys?|squirrels?|geese|leaves|water|stream|brook|wind|crowd)\W+(\w+\W+)?"
    r"(chatter\w*|murmur\w*|whisper\w*|chat\w*|talk\w*|speak\w*)|answering machine\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Verdict:
    """Whether a clip is kept; reason: why not, empty where it is; scores that were asked for."""

    keep: bool
    reason: str = ""
    av_align: float | None = None
    clap: float | None = None


def mentions_speech(caption: str) -> bool:
    """Whether a caption mentions human speech."""
    return bool(SPEECH.search(NO_SPEECH.sub(" ", caption)))


def clip_av_align(
    waveform: np.ndarray, sample_rate: int, flow_magnitude: np.ndarray, fps: float, small_flow: float = SMALL_FLOW
) -> float:
    """AV-Align of a clip with the small-flow fix; a picture without motion peaks scores 0, as in the paper.

    flow_magnitude: [T], of `metrics.flow.flow_magnitude`. Without the paper's fix (`small_flow=0`) still
    pictures score by the tiny maxima of their compression noise.
    """
    peaks_s = flow_peaks(flow_magnitude, fps, small_flow)
    if not peaks_s.size:
        return 0.0
    return av_align(detect_onsets(waveform, sample_rate, "librosa"), peaks_s, fps)


def judge(
    caption: str | None,
    av_align: Callable[[], float] | None = None,
    least_av_align: float = LEAST_AV_ALIGN,
    clap: Callable[[], float] | None = None,
    least_clap: float = LEAST_CLAP,
    speech: bool = False,
) -> Verdict:
    """All filters, the cheapest first; a score is asked for only where those before it pass.

    av_align, clap: give the clip's scores; None leaves that filter out. speech: captions of speech pass.
    """
    if caption and not speech and mentions_speech(caption):
        return Verdict(False, "the caption tells of speech")
    likeness = clap() if clap and caption else None
    if likeness is not None and likeness < least_clap:
        return Verdict(False, f"CLAP {likeness:.3f} is below {least_clap:g}", clap=likeness)
    value = av_align() if av_align else None
    if value is not None and value < least_av_align:
        return Verdict(False, f"AV-Align {value:.3f} is below {least_av_align:g}", value, likeness)
    return Verdict(True, "", value, likeness)
