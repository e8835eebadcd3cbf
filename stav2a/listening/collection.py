"""Sounds of several systems for the same clips: what a listening test is about.

As a folder, systems are folders and equal names (without suffix) are the same clip:

    DIR/ours/dog.wav        DIR/theirs/dog.mp4      a system: sound files, or videos with their sound
    DIR/original/dog.wav                            optional: the clips' own sound, the reference
    DIR/video/dog.mp4                               optional: the pictures; its sound is the original's, if any

Without `video`, the pictures are those of a system that has videos; without any, only the sound is judged.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stav2a.listening import stimuli
from stav2a.listening.design import LOW_PASS, REFERENCE, SHIFTED, SYSTEM, Design, Trial, opaque_id, plan_trials
from stav2a.media.limits import InputError

SOUND_ENDINGS = {".wav", ".flac", ".ogg"}
VIDEO_ENDINGS = {".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v"}
ORIGINAL_FOLDERS = {"original", "reference", "gt", "groundtruth", "ground_truth", "ground truth"}
VIDEO_FOLDERS = {"video", "videos"}
HIGHEST_RATE = 48_000
ANCHOR_MAKERS = {LOW_PASS: stimuli.low_pass, SHIFTED: stimuli.shift}


@dataclass(frozen=True)
class ListeningClip:
    """One clip. Paths are sound files, or videos whose sound counts."""

    name: str
    systems: dict[str, Path]
    original: Path | None = None
    video: Path | None = None


@dataclass(frozen=True)
class Collection:
    """What a study is about; `name` is what its answers are filed under."""

    name: str
    clips: tuple[ListeningClip, ...]
    sample_rate: int = 16_000
    _silent: dict[str, Path] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def clip(self, name: str) -> ListeningClip:
        for clip in self.clips:
            if clip.name == name:
                return clip
        raise InputError("This test uses a clip that no longer exists; begin a new one.")

    def plan(self, design: Design, seed: int | None = None) -> list[Trial]:
        clips = [(clip.name, list(clip.systems), clip.original is not None) for clip in self.clips]
        return plan_trials(clips, design, seed)

    def sounds(self, trial: Trial) -> list[np.ndarray]:
        """What `trial` presents, in its order, the open reference last: equally loud, equally long, float [S].

        All are cut to the shortest, as in the paper's test, because a length could identify a system.
        """
        clip = self.clip(trial.clip)
        raw = {name: read_sound(path, self.sample_rate) for name, path in clip.systems.items()}
        original = None if clip.original is None else read_sound(clip.original, self.sample_rate)
        made = [self._make(each.role, raw.get(each.system), original) for each in trial.presented] + (
            [original] if trial.open_reference else []
        )
        present = [each for each in made if each is not None]
        if len(present) < len(made):
            raise InputError("This test uses a sound that no longer exists; begin a new one.")
        shortest = min(len(each) for each in [*raw.values(), *([] if original is None else [original])])
        return stimuli.match_levels([each[:shortest] for each in present], self.sample_rate).waveforms

    def _make(self, role: str, system: np.ndarray | None, original: np.ndarray | None) -> np.ndarray | None:
        if role == SYSTEM:
            return system
        if role == REFERENCE or original is None:
            return original
        return ANCHOR_MAKERS[role](original, self.sample_rate)

    def silent_video(self, name: str, folder: Path) -> Path | None:
        """The clip's pictures with a silent track, in `folder` under a random name; made once."""
        from stav2a.media.mux import mux

        source = self.clip(name).video
        if source is None:
            return None
        with self._lock:
            made = self._silent.get(name)
            if made is None or not made.exists():
                made = folder / f"{opaque_id()}.mp4"
                mux(source, np.zeros(1, np.float32), self.sample_rate, made)
                self._silent[name] = made
        return made


def read_folder(root: str | Path, name: str | None = None, original: str | None = None) -> Collection:
    """The collection of a folder as described above. `original` names the reference's folder.

    Clips that a system lacks are left out: every listener hears every system equally often.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"There is no folder {root}.")
    folders = [each for each in sorted(root.iterdir()) if each.is_dir() and not each.name.startswith(".")]
    if original is not None and original not in {each.name for each in folders}:
        raise InputError(f"There is no folder {original} in {root}.")
    originals, videos, systems = {}, {}, {}
    for folder in folders:
        files = _media_files(folder)
        if folder.name == original or (original is None and folder.name.lower() in ORIGINAL_FOLDERS):
            originals = files
        elif folder.name.lower() in VIDEO_FOLDERS:
            videos = files
        elif files:
            systems[folder.name] = files
    if not systems:
        raise InputError(f"{root} holds no folder with sounds or videos: one folder a system is expected.")
    common = sorted(set.intersection(*(set(files) for files in systems.values())))
    if not common:
        raise InputError(f"No clip is there from each of the systems: {', '.join(systems)}.")
    clips = tuple(
        _clip(stem, {system: files[stem] for system, files in systems.items()}, originals.get(stem), videos)
        for stem in common
    )
    return Collection(name or root.resolve().name, clips, _sample_rate(clips))


def left_out(root: str | Path, collection: Collection) -> list[str]:
    """Names of clips in `root` that some system lacks."""
    used = {clip.name for clip in collection.clips}
    systems = {system for clip in collection.clips for system in clip.systems}
    return sorted({stem for system in systems for stem in _media_files(Path(root) / system)} - used)


def read_sound(path: Path, sample_rate: int) -> np.ndarray:
    """Mono float32 [S] at `sample_rate`, of a sound file or of a video's sound."""
    from stav2a.media import audio, sound_files

    if path.suffix.lower() in SOUND_ENDINGS:
        try:
            return sound_files.read_sound(path, sample_rate)
        except InputError as refusal:
            raise InputError(f"{path.name}: {refusal}") from refusal
    waveform = audio.read_audio(path, sample_rate)
    if waveform is None:
        raise InputError(f"{path.name} has no sound.")
    return waveform


def _clip(stem: str, systems: dict[str, Path], original: Path | None, videos: dict[str, Path]) -> ListeningClip:
    from stav2a.media.probe import probe

    video = videos.get(stem)
    if original is None and video is not None and probe(video).has_audio:
        original = video
    if video is None:
        pictures = [path for path in (original, *systems.values()) if path and _is_video(path)]
        video = pictures[0] if pictures else None
    return ListeningClip(stem, systems, original, video)


def _media_files(folder: Path) -> dict[str, Path]:
    """Files by stem; a sound file goes before a video of the same name."""
    files = {}
    for path in sorted(folder.iterdir(), key=lambda path: (not _is_video(path), path.name)):
        if path.is_file() and path.suffix.lower() in SOUND_ENDINGS | VIDEO_ENDINGS:
            files[path.stem] = path
    return files


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_ENDINGS


def _sample_rate(clips: Sequence[ListeningClip]) -> int:
    """The highest rate among the systems' sounds, so that none is degraded; 48 kHz where videos are among them."""
    import soundfile

    rates = []
    for path in clips[0].systems.values():
        rates.append(HIGHEST_RATE if _is_video(path) else soundfile.info(path).samplerate)
    return min(max(rates), HIGHEST_RATE)
