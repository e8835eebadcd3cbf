"""A reel holds each video in its place, with its sound, in the size of the first."""

from __future__ import annotations

import numpy as np
import pytest
from clips import make

from stav2a.__main__ import main
from stav2a.listening.reel import write_reel
from stav2a.media.audio import read_audio
from stav2a.media.frames import read_frames
from stav2a.media.limits import InputError
from stav2a.media.probe import probe


def test_videos_follow_each_other_under_their_titles(tmp_path, capsys):
    loud = make(tmp_path / "loud.mp4", filters="drawbox=color=white:t=fill")
    silent = make(tmp_path / "silent.mp4", size="64x128", duration_s=1.0, sound=False, filters="null")
    out = tmp_path / "new" / "reel.mp4"
    assert main(["reel", str(loud), str(silent), "--titles", "six steps", "text alone", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 3.0 s\n"
    info = probe(out)
    assert (info.width, info.height) == (96, 72) and info.duration_s == pytest.approx(3.0, abs=0.1)
    sound = np.abs(read_audio(out, 16_000, 0, 3.0))
    assert sound[3200:28_800].max() > 0.08 and sound[35_200:].max() < 0.01
    frames = read_frames(out, 10, 72, 0, 3.0).frames
    lit = frames[:, 20:].mean((1, 2, 3))
    assert lit[:19].min() > 200 and lit[21:].max() < 30
    assert frames[:, :6].max() > 128  # the titles
    assert sorted(path.name for path in out.parent.iterdir()) == ["reel.mp4"]


def test_what_cannot_be_a_reel_is_told_in_a_sentence(tmp_path):
    clip = make(tmp_path / "clip.mp4", duration_s=0.5)
    (tmp_path / "text.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    for videos, out, titles, why in (
        ([clip, clip], tmp_path / "reel.mp4", ["one"], "1 titles for 2 videos"),
        ([clip], clip, [], "is one of the videos"),
        ([clip], tmp_path / "reel.avi", [], "does not end in .mp4"),
        ([clip], tmp_path / "reel.mp4", ["x" * 121], "longer than 120 characters"),
        ([clip, tmp_path / "text.mp4"], tmp_path / "reel.mp4", [], "text.mp4|video"),
    ):
        with pytest.raises(InputError, match=why):
            write_reel(videos, out, titles)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "text.mp4"]
