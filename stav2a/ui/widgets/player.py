"""The player component: several sounds of one clip on one transport.

The browser side is `transport.js` (sounds on one clock), `video_follower.js` (the muted video that follows
them) and `player.js` (the visible part). Python prepares and names the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from stav2a.listening.design import opaque_id
from stav2a.listening.stimuli import fit, match_levels, write_stimulus
from stav2a.ui.shares import room_of
from stav2a.ui.widgets.widget import widget

HERE = Path(__file__).parent
PLAYER = tuple(HERE / name for name in ("transport.js", "video_follower.js", "player.js", "player.css"))
MEL_FLOOR, MEL_CEILING = -11.0, 2.0  # natural-log mel: silence, loud


@dataclass(frozen=True)
class Sound:
    """One sound to listen to. `mel` [M, bins] and `onsets_s` are shown if given."""

    name: str
    waveform: np.ndarray
    note: str = ""
    mel: np.ndarray | None = None
    onsets_s: Sequence[float] | None = None


def sound_player(**kwargs) -> gr.HTML:
    """Shows and plays what `player_value` returns."""
    return widget(HERE / "player_main", '<div class="lp" hidden></div>', PLAYER, **kwargs)


def player_value(
    sounds: Sequence[Sound],
    sample_rate: int,
    video: str | Path | None = None,
    reference: Sound | None = None,
) -> dict:
    """Files and names for the page. The reference, if any, comes last and is called R.

    The files are copies with equal loudness and length, with random names in a new folder.
    """
    folder = public_folder()
    every = [*sounds, *([reference] if reference else [])]
    levelled = match_levels([each.waveform for each in every], sample_rate)
    samples = max(len(each.waveform) for each in every)
    shown = []
    for number, each in enumerate(every):
        path = write_stimulus(folder / f"{opaque_id()}.wav", fit(levelled.waveforms[number], samples), sample_rate)
        entry = {
            "id": opaque_id(),
            "name": each.name,
            "note": each.note,
            "file": file_data(path),
            "own_db": round(-levelled.gains_db[number], 2),
            "duration_s": len(each.waveform) / sample_rate,
        }
        if each.mel is not None:
            entry["mel"] = file_data(write_mel(folder / f"{opaque_id()}.png", each.mel))
        if each.onsets_s is not None:
            entry["onsets_s"] = [round(float(t), 3) for t in each.onsets_s]
        shown.append(entry)
    return {
        "key": opaque_id(),
        "duration_s": samples / sample_rate,
        "video": file_data(video) if video else None,
        "sounds": shown,
        "reference": len(sounds) if reference else None,
        "blind": False,
    }


def public_folder() -> Path:
    """A new folder whose files the page may fetch; `InputError` if there is no room.

    Gradio removes them when it cleans its cache.
    """
    files = Path(get_upload_folder())
    room_of(files).check()
    folder = files / opaque_id()
    folder.mkdir(parents=True)
    return folder


def file_data(path: str | Path) -> dict:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def write_mel(path: Path, mel: np.ndarray, height: int | None = None) -> Path:
    """A mel-spectrogram as an image without axes, one pixel per frame and bin."""
    from matplotlib import colormaps
    from PIL import Image

    level = np.clip((np.asarray(mel, np.float32).T[::-1] - MEL_FLOOR) / (MEL_CEILING - MEL_FLOOR), 0, 1)
    image = Image.fromarray(colormaps["magma"](level, bytes=True)[..., :3])
    if height is not None:
        image = image.resize((max(1, round(image.width * height / image.height)), height))
    image.save(path, compress_level=3)
    return path
