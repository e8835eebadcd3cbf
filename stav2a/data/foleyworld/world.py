"""FoleyWorld: an endless, seeded dataset of short clips with exactly timed sound events.

`world[i]` is the same clip in every process and order. `world.plan(i)` decides what happens; `world.sound(i)` only
mixes the sound, `world.frames(i)` only draws the frames.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stav2a.data.foleyworld.picture.art import Art
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.camera import Backdrop, Camera, Film
from stav2a.data.foleyworld.picture.staging import WHOLE, Actor, Place, anywhere, beside, framed
from stav2a.data.foleyworld.scenes.table import SCENES, SILENT
from stav2a.data.foleyworld.sound import mix as mixing
from stav2a.data.foleyworld.sound.sources import BankSource, ModalSource

from ..soundbank import SPLITS, SoundBank
from .plan import Bed, Event, Score, onset_times, smooth_curve
from .scene import Scene

cv2.setNumThreads(1)  # the data loader's processes share the cores
AMBIENT = ("rain", "wind", "crowd", "machine_hum", "running_water", "insects")


@dataclass(frozen=True)
class Sample:
    """frames: uint8 [T, H, W, 3] RGB; waveform: float32 [S] at 16 kHz."""

    frames: np.ndarray
    waveform: np.ndarray
    events: list[Event]
    caption: str
    cls: str
    scene: str

    @property
    def onsets_s(self) -> list[float]:
        """Times of the visible contacts of audible events, sorted; contacts within 30 ms count once."""
        return onset_times(e.time_s for e in self.events if e.audible)


@dataclass(frozen=True)
class ClipPlan:
    score: Score
    actors: list[Actor]
    cuts_s: tuple[float, ...]
    name: str


Shot = tuple[list[tuple[Scene, Place]], Backdrop, Camera]


class FoleyWorld:
    """Clips of one split.

    `bank`: a `SoundBank`, its folder, or None for modal synthesis; `sprites`: a folder of cut-out pictures or None.
    `test` clips use recordings, pictures and (if `held_out_captions`) wordings that are never used in training.
    """

    def __init__(
        self,
        bank: SoundBank | str | Path | None = None,
        sprites: str | Path | None = None,
        split: str = "train",
        seed: int = 0,
        duration_s: float = 10.24,
        fps: float = 25.0,
        size: int = 112,
        length: int = 1_000_000,
        held_out_captions: bool = False,
        scenes: tuple[str, ...] | None = None,
    ):
        if split not in SPLITS:
            raise ValueError(f"The split is {split!r}; FoleyWorld has {', '.join(SPLITS)}.")
        if isinstance(bank, (str, Path)):
            bank = SoundBank(bank, split)
        if bank is not None and bank.split != split:
            raise ValueError(f"The sound bank holds the {bank.split} split; this world is {split}.")
        unknown = set(scenes or ()) - set(SCENES) - set(SILENT)
        if unknown:
            raise ValueError(f"There is no scene {sorted(unknown)}; scenes are {sorted([*SCENES, *SILENT])}.")
        self.source = BankSource(bank) if bank is not None else ModalSource()
        self.art = Art(sprites, split)
        self.split, self.seed, self.length = split, seed, length
        self.duration_s, self.fps, self.size = duration_s, fps, size
        self.held_out_captions = held_out_captions
        self.scenes = scenes

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: int) -> Sample:
        if not 0 <= i < self.length:
            raise IndexError(f"Clip {i} of {self.length}.")
        plan = self.plan(i)
        sound = self.sound(i, plan=plan)
        return Sample(self.frames(i, plan), sound.waveform, sound.events, sound.caption, sound.cls, plan.name)

    def _rng(self, i: int, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, SPLITS.index(self.split), i, *stream])

    def plan(self, i: int) -> ClipPlan:
        """What happens in clip i. Planning takes milliseconds."""
        rng = self._rng(i, 0)
        if self.scenes:
            names, silent = list(self.scenes), []
        else:
            names, silent = list(SCENES), list(SILENT)
        only_silent = not self.scenes and rng.random() < 0.05
        weights = np.array([{**SCENES, **SILENT}[n][1] for n in names], float)
        shots = 1 if rng.random() < 0.88 else int(rng.integers(2, 4))
        cuts = np.sort(rng.uniform(0.2, 0.8, shots - 1)) * self.duration_s
        actors: list[Actor] = []
        titles = []
        score = Score(self.duration_s)
        edges = [0.0, *cuts, self.duration_s + 1]
        for shot in range(shots):
            count = 0 if only_silent else 1 + (rng.random() < 0.14)
            for k in range(count):
                name = str(rng.choice(names, p=weights / weights.sum()))
                scene = _make(name, rng, self.duration_s)
                titles.append(name)
                place = anywhere(rng) if count == 1 else beside(rng, k)
                actors.append(Actor(scene, place, shot))
                _merge(score, scene, edges[shot], edges[shot + 1], 100 * len(actors))
            if silent and (only_silent or rng.random() < 0.35):
                for _ in range(int(rng.integers(1, 3))):
                    name = str(rng.choice(silent))
                    scene = _make(name, rng, self.duration_s)
                    actors.append(Actor(scene, anywhere(rng), shot))
                    _merge(score, scene, edges[shot], edges[shot + 1], 100 * len(actors))
        if not self.scenes and score.events and rng.random() < 0.08:
            envelope = smooth_curve(rng, self.duration_s, 4.0, 0.4, 1.0)
            score.beds.append(Bed(str(rng.choice(AMBIENT)), envelope, level=float(rng.uniform(0.06, 0.2))))
        return ClipPlan(score.finish(), actors, tuple(cuts), "+".join(titles) or "silent")

    def sound(
        self, i: int, variant: int = 0, plan: ClipPlan | None = None, apart_from: Collection[str] = ()
    ) -> mixing.Sound:
        """The sound of clip i without its frames; variants differ in recordings, room and wording.

        apart_from: recordings (`Sound.recordings`) in whose place others come, where their classes have others
        """
        score = (plan or self.plan(i)).score
        loose = self._rng(i, 3, variant) if self.split == "train" and not self.held_out_captions else None
        source = self.source.apart_from(apart_from) if apart_from else self.source
        return mixing.render(score, source, self._rng(i, 2, variant), self.held_out_captions, loose)

    def frames(self, i: int, plan: ClipPlan | None = None) -> np.ndarray:
        """The frames of clip i: uint8 [T, size, size, 3] RGB; frame k shows the time k / fps."""
        plan = plan or self.plan(i)
        rng = self._rng(i, 1)
        canvas_size = max(round(self.size * 1.2), 16)
        film = Film(rng, self.size, self.art)
        shots = [self._shot(rng, plan, shot, film, canvas_size) for shot in range(len(plan.cuts_s) + 1)]
        source_fps = float(rng.choice([self.fps, 30.0, 24.0, 20.0, 15.0, 12.0], p=[0.5, 0.24, 0.1, 0.07, 0.06, 0.03]))
        blurred = rng.random() < 0.45
        shutter = rng.uniform(0.2, 0.9) / source_fps
        count = round(self.duration_s * self.fps)
        out = np.empty((count, self.size, self.size, 3), np.uint8)
        canvas = np.empty((canvas_size, canvas_size, 3), np.uint8)
        shown = -1.0
        for k in range(count):
            t = np.floor(k / self.fps * source_fps + 1e-6) / source_fps
            if t == shown:  # a film with a lower frame rate repeats its frames
                out[k] = out[k - 1]
                continue
            shown = t
            cast, backdrop, camera = shots[int(np.searchsorted(plan.cuts_s, t, side="right"))]
            picture = _shoot(canvas, cast, backdrop, t)
            if blurred:  # a camera's timestamp is the start of the exposure
                picture = cv2.addWeighted(picture.copy(), 0.5, _shoot(canvas, cast, backdrop, t + shutter), 0.5, 0)
            out[k] = film.develop(camera.frame(picture, t), t)
        return out

    def _shot(self, rng: np.random.Generator, plan: ClipPlan, shot: int, film: Film, canvas_size: int) -> Shot:
        """Scenes, backdrop and camera of one shot; the camera frames the scenes that make sound."""
        actors = [a for a in plan.actors if a.shot == shot]
        for actor in actors:
            actor.scene.shares_picture = actor.place.part != WHOLE
            actor.scene.prepare(rng, self.art)
        jolts = [j for a in actors for j in a.scene.jolts]
        camera = Camera(rng, self.duration_s, canvas_size, self.size, jolts)
        for actor in actors:
            if actor.scene.bob is not None:
                camera.jolt(actor.scene.bob)
        window = camera.window(film.bars)
        actors = sorted(actors, key=lambda a: a.scene.layer)
        cast = [(a.scene, framed(a.place, a.scene.focus, window) if a.scene.focus else a.place) for a in actors]
        return cast, Backdrop(rng, self.art, canvas_size), camera


def _make(name: str, rng: np.random.Generator, duration_s: float) -> Scene:
    make = {**SCENES, **SILENT}[name][0]
    return make(rng, duration_s)


def _shoot(canvas: np.ndarray, cast: list[tuple[Scene, Place]], backdrop: Backdrop, t: float) -> np.ndarray:
    backdrop.draw(canvas, t, sum(scene.scroll_rate for scene, _ in cast) * t)
    light = 0.0
    for scene, place in cast:
        scene.draw(Brush(canvas, place.scale, place.x, place.y, place.mirror), t)
        light += scene.light(t)
    return cv2.add(canvas, (float(light),) * 4) if light > 1 else canvas


def _merge(score: Score, scene: Scene, start_s: float, stop_s: float, voice: int) -> None:
    """Add the sounds of a scene for the time that it is in the picture."""
    for e in scene.score.events:
        if start_s <= e.time_s < stop_s:
            score.events.append(Event(e.time_s, e.cls, e.gain, voice + e.voice, e.pitch, e.duration_s, e.audible))
    for bed in scene.score.beds:
        t = np.arange(len(bed.envelope)) / 50.0
        inside = ((t >= start_s) & (t < stop_s)).astype(np.float32)
        if (inside * bed.envelope).max() > 0:
            score.beds.append(Bed(bed.cls, bed.envelope * inside, bed.speed, bed.level))
