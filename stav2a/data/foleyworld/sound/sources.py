"""Sources of event sounds: a bank of recordings, or modal synthesis without one."""

from __future__ import annotations

import re
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass

import numpy as np

from stav2a.data.foleyworld.sound import modal
from stav2a.data.soundbank import SAMPLE_RATE, Entry, SoundBank

# If a split has no recording of a class, the most similar classes are used instead, in this order.
RELATED = {
    "keyboard_typing": ("switch_click", "plastic_hit"),
    "footsteps_metal": ("metal_hit",),
    "footsteps_wood": ("footsteps_hard", "wood_hit"),
    "footsteps_grass": ("footsteps_snow", "footsteps_gravel"),
    "footsteps_snow": ("footsteps_grass", "footsteps_gravel"),
    "footsteps_gravel": ("footsteps_hard",),
    "footsteps_hard": ("wood_hit", "thud"),
    "footsteps_water": ("water_splash",),
    "bow_shot": ("whoosh",),
    "hammering": ("metal_hit", "wood_hit"),
    "chopping": ("wood_hit",),
    "gunshot": ("explosion",),
    "fireworks": ("explosion", "gunshot"),
    "explosion": ("thunder", "gunshot"),
    "ball_bounce_hit": ("thud", "plastic_hit"),
    "hand_drum": ("tom_drum",),
    "snare_drum": ("tom_drum",),
    "glass_break": ("glass_clink",),
    "vehicle_engine": ("machine_hum",),
    "chainsaw": ("power_tool",),
    "sawing": ("power_tool",),
    "wind": ("sea_waves",),
}
MIN_SEGMENT_S = 0.10


@dataclass(frozen=True)
class EventSound:
    """The sound of one event; its attack is within 5 ms of the first sample. path: of its recording in the bank."""

    waveform: np.ndarray
    caption: str = ""
    path: str = ""


class ModalSource:
    """Synthesised sounds for every class; all sounds of a voice use one seed, so that an object keeps its timbre."""

    def voice(self, cls: str, rng: np.random.Generator, duration_s: float = 0.0) -> list[EventSound]:
        seed = int(rng.integers(2**31))
        return [EventSound(modal.one_shot(cls, np.random.default_rng(seed))) for _ in range(2)]

    def texture(self, cls: str, rng: np.random.Generator) -> EventSound:
        return EventSound(modal.texture(cls, rng))

    def apart_from(self, paths: Collection[str]) -> ModalSource:
        return self


class BankSource:
    """Recordings of one split of a bank; a voice is several takes of one instrument."""

    def __init__(self, bank: SoundBank):
        self.bank = bank
        self._modal = ModalSource()
        self._apart_from: frozenset[str] = frozenset()

    def apart_from(self, paths: Collection[str]) -> BankSource:
        """The same source without these recordings: in their place come those nearest to them.

        Nearest are other recordings of the same thing, then those with the same caption, then those of the same
        material, then any of the class. Where a class has no other recordings they stay.
        """
        other = copy(self)
        other._apart_from = frozenset(paths)
        return other

    def voice(self, cls: str, rng: np.random.Generator, duration_s: float = 0.0) -> list[EventSound]:
        entries = self._entries(cls, ("oneshot", "multi"))
        if not entries:
            return self._modal.voice(cls, rng, duration_s)
        first = entries[int(rng.integers(len(entries)))]
        family = [e for e in entries if e.group == first.group and e.caption == first.caption][:12]
        if len(family) > 4:
            family = [family[k] for k in rng.choice(len(family), 4, replace=False)]
        takes = [take for entry in family for take in self._cut(entry, duration_s)]
        if not takes:
            return self._modal.voice(cls, rng, duration_s)
        if len(takes) > 4:
            takes = [takes[k] for k in rng.choice(len(takes), 4, replace=False)]
        return takes

    def texture(self, cls: str, rng: np.random.Generator) -> EventSound:
        entries = self._entries(cls, ("texture",)) or self._entries(cls, ("multi",))
        if not entries:
            return self._modal.texture(cls, rng)
        entry = entries[int(rng.integers(len(entries)))]
        return EventSound(self.bank.load(entry), plain_caption(entry.caption), entry.path)

    def _entries(self, cls: str, kinds: tuple[str, ...]) -> list[Entry]:
        for name in (cls, *RELATED.get(cls, ())):
            found = [e for e in self.bank.by_class(name) if e.kind in kinds]
            if found:
                return self._others(found)
        return []

    def _others(self, entries: list[Entry]) -> list[Entry]:
        others = [e for e in entries if e.path not in self._apart_from]
        taken = [e for e in entries if e.path in self._apart_from]
        if not others or not taken:
            return entries
        near = [max(_nearness(e, one) for one in taken) for e in others]
        return [e for e, how in zip(others, near, strict=True) if how == max(near)]

    def _cut(self, entry: Entry, duration_s: float) -> list[EventSound]:
        """One-shots are kept whole; a recording with several attacks is cut at them, so that an event has one onset."""
        wave = self.bank.load(entry)
        caption = plain_caption(entry.caption)
        if not entry.onsets_s:
            return [EventSound(wave, caption, entry.path)]
        if entry.kind == "oneshot":
            return [EventSound(wave[round(entry.onsets_s[0] * SAMPLE_RATE) :], caption, entry.path)]
        ends = [*entry.onsets_s[1:], entry.duration_s]
        cuts = []
        for start, end in zip(entry.onsets_s, ends, strict=True):
            if end - start >= max(MIN_SEGMENT_S, 0.5 * duration_s):
                piece = wave[max(round((start - 0.004) * SAMPLE_RATE), 0) : round((end - 0.012) * SAMPLE_RATE)]
                cuts.append(EventSound(faded(piece), caption, entry.path))
        return cuts


class NotedSource:
    """A source that notes the recordings it gives: `paths`."""

    def __init__(self, source: BankSource | ModalSource):
        self.source = source
        self.paths: set[str] = set()

    def voice(self, cls: str, rng: np.random.Generator, duration_s: float = 0.0) -> list[EventSound]:
        takes = self.source.voice(cls, rng, duration_s)
        self.paths |= {take.path for take in takes if take.path}
        return takes

    def texture(self, cls: str, rng: np.random.Generator) -> EventSound:
        take = self.source.texture(cls, rng)
        self.paths |= {take.path} - {""}
        return take


def _nearness(one: Entry, other: Entry) -> tuple[bool, bool, bool]:
    same_material = bool(one.material) and one.material == other.material
    return one.group == other.group, one.caption == other.caption, same_material


def faded(wave: np.ndarray, out_s: float = 0.03) -> np.ndarray:
    """A copy with a short fade-out (and a fade-in of 1 ms), so that a cut does not click."""
    wave = wave.copy()
    n_in, n_out = min(16, len(wave)), min(int(out_s * SAMPLE_RATE), len(wave))
    wave[:n_in] *= np.linspace(0, 1, n_in, dtype=np.float32)
    if n_out:
        wave[-n_out:] *= np.linspace(1, 0, n_out, dtype=np.float32)
    return wave


_COUNT = re.compile(
    r"\s*\b(a single time|once|twice|(a few|several|many) times|again and again|over and over|repeatedly)\b"
)


def plain_caption(caption: str) -> str:
    """A recording's caption without the number of events, which the plan decides."""
    return _COUNT.sub("", caption).replace("a single ", "a ").strip()
