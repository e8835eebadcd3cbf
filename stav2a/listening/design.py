"""The plan of a blind test: which sounds are heard in which trial, in which order, under which names.

A plan is made on the server and never leaves it. What a listener's page gets is `Trial.public()`: random ids
and nothing else. Every trial has new ids, so that two trials cannot be linked.

Test methods:
    rating  all sounds of a clip side by side, each on the paper's four scales (Table II); after ITU-R BS.1534
            with the original as a hidden reference and degraded originals as anchors
    mos     the same on the five-point scale of ITU-T P.800, 1 "Bad" to 5 "Excellent" (TA-V2A and TiVA, Table II)
    ab      two sounds, which one is better
    abx     two sounds and a third that equals one of them: which?
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations

TESTS = ("rating", "mos", "ab", "abx")
RATED = {"rating": 100, "mos": 5}  # tests whose sounds get scores, and the best score of each; the worst is 1


@dataclass(frozen=True)
class Scale:
    """One question of the rating tests, answered from 1 to the test's best score."""

    key: str
    name: str
    question: str


# Names and order of the paper's Table II; §IV-A defines them as overall quality, audio quality, video-audio
# semantic alignment and video-audio temporal alignment, "with scores ranging from 1 to 100".
SCALES = (
    Scale("AQ", "Audio quality", "How good is the sound itself, whatever the picture shows?"),
    Scale("SA", "Video-audio semantic alignment", "Do the sounds belong to what is seen?"),
    Scale("TA", "Video-audio temporal alignment", "Do the sounds happen when they are seen to happen?"),
    Scale("OQ", "Overall quality", "How good is it altogether, as the sound of this clip?"),
)
SCALE_KEYS = tuple(scale.key for scale in SCALES)
GRADES = ("Bad", "Poor", "Fair", "Good", "Excellent")  # BS.1534: 1-20, 21-40, 41-60, 61-80, 81-100

SYSTEM, REFERENCE, LOW_PASS, SHIFTED = "system", "reference", "low_pass", "shifted"
ANCHORS = (LOW_PASS, SHIFTED)
ROLE_NAMES = {REFERENCE: "original", LOW_PASS: "anchor: 3.5 kHz low-pass", SHIFTED: "anchor: shifted in time"}


def opaque_id() -> str:
    """128 random bits: tells nothing and cannot be guessed."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Presented:
    """One sound as it is heard in one trial. `system` says whose it is; the page sees the `id` alone."""

    id: str
    system: str
    role: str = SYSTEM


@dataclass(frozen=True)
class Trial:
    """One screen of a test. `presented` is in the order shown; for abx it is (A, B, X)."""

    clip: str
    test: str
    presented: tuple[Presented, ...]
    id: str = field(default_factory=opaque_id)
    open_reference: str | None = None  # id of the original where it is shown as such
    repeat_of: str | None = None  # id of the trial that this one repeats

    def public(self) -> dict:
        """All that the listener's page may know before the answer."""
        return {
            "trial": self.id,
            "test": self.test,
            "sounds": [presented.id for presented in self.presented],
            "reference": self.open_reference,
        }

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(stored: dict) -> Trial:
        presented = tuple(Presented(**each) for each in stored["presented"])
        return Trial(**{**stored, "presented": presented})


@dataclass(frozen=True)
class Design:
    """How a test is laid out."""

    test: str = "rating"
    hidden_reference: bool = True  # the original among the systems, where the clip has one
    open_reference: bool = False  # the original shown by name, to compare with
    anchors: tuple[str, ...] = ()
    repeats: float = 0.0  # share of the trials that come twice, to measure each listener's consistency
    trials_per_pair: int = 1  # ab and abx: how often each pair comes per clip

    def __post_init__(self) -> None:
        if self.test not in TESTS:
            raise ValueError(f"unknown test {self.test!r}; known are {', '.join(TESTS)}")
        unknown = [name for name in self.anchors if name not in ANCHORS]
        if unknown:
            raise ValueError(f"unknown anchor {unknown[0]!r}; known are {', '.join(ANCHORS)}")
        if not 0 <= self.repeats <= 1:
            raise ValueError(f"repeats is a share of the trials from 0 to 1, not {self.repeats:g}")
        if not 1 <= self.trials_per_pair <= 100:
            raise ValueError(f"trials_per_pair is from 1 to 100, not {self.trials_per_pair}")


def plan_trials(
    clips: Sequence[tuple[str, Sequence[str], bool]], design: Design, seed: int | None = None
) -> list[Trial]:
    """The trials of one listener, shuffled.

    `clips`: (clip, its systems, whether it has an original sound) each. Clips come in random order, the
    sounds in a new random order in every trial. A repeated trial is a new trial (new ids, new order) that
    comes after its first time, not right after it where that can be avoided. `seed` fixes order, never ids.
    """
    rng = random.Random(seed) if seed is not None else random.SystemRandom()
    make = _rating_trials if design.test in RATED else _pair_trials
    trials = [trial for clip in clips for trial in make(*clip, design, rng)]
    rng.shuffle(trials)
    if design.test in RATED:
        trials = _with_repeats(trials, round(design.repeats * len(trials)), rng)
    return trials


def _rating_trials(
    clip: str, systems: Sequence[str], has_original: bool, design: Design, rng: random.Random
) -> list[Trial]:
    sounds = [(system, SYSTEM) for system in systems]
    if has_original:
        sounds += [(ROLE_NAMES[REFERENCE], REFERENCE)] * design.hidden_reference
        sounds += [(ROLE_NAMES[anchor], anchor) for anchor in design.anchors]
    rng.shuffle(sounds)
    shown = opaque_id() if design.open_reference and has_original else None
    presented = tuple(Presented(opaque_id(), *each) for each in sounds)
    return [Trial(clip, design.test, presented, open_reference=shown)]


def _pair_trials(
    clip: str, systems: Sequence[str], has_original: bool, design: Design, rng: random.Random
) -> list[Trial]:
    """Every pair (the original is one more system); the sides of A and B and what X is, by fair coins."""
    shown = design.open_reference and has_original
    sounds = [(system, SYSTEM) for system in systems]
    sounds += [(ROLE_NAMES[REFERENCE], REFERENCE)] * (design.hidden_reference and has_original)
    trials = []
    for pair in combinations(sounds, 2):
        for _ in range(design.trials_per_pair):
            sides = list(pair)
            rng.shuffle(sides)
            if design.test == "abx":
                sides.append(rng.choice(pair))
            presented = tuple(Presented(opaque_id(), *each) for each in sides)
            reference = opaque_id() if shown else None
            trials.append(Trial(clip, design.test, presented, open_reference=reference))
    return trials


def _with_repeats(trials: list[Trial], count: int, rng: random.Random) -> list[Trial]:
    trials = list(trials)
    for first in rng.sample(trials[:-1] if count < len(trials) else trials, count):
        again = [Presented(opaque_id(), each.system, each.role) for each in first.presented]
        rng.shuffle(again)
        shown = opaque_id() if first.open_reference else None
        repeat = Trial(first.clip, first.test, tuple(again), open_reference=shown, repeat_of=first.id)
        after = trials.index(first) + 2  # one trial between the two
        trials.insert(rng.randint(min(after, len(trials)), len(trials)), repeat)
    return trials
