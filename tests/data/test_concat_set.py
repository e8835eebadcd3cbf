"""The test set of joined clips: picture, sound and caption change at one moment, and a broken clip is named."""

from __future__ import annotations

import argparse
import csv

import numpy as np
import pytest

from stav2a.commands import data as cli
from stav2a.data.concat_set import SAMPLE_RATE
from stav2a.media.audio import read_audio
from stav2a.media.frames import read_frames
from stav2a.media.limits import InputError
from stav2a.media.write_clip import write_clip


def command(*words) -> int:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args(["concat", *map(str, words)]))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three clips of one grey and one tone each, two of them of one caption, and a broken one."""
    folder = tmp_path_factory.mktemp("videos")
    for k, (grey, hertz, caption) in enumerate(((20, 300, "rain"), (220, 3000, "a dog barks"), (220, 3000, "Rain"))):
        tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(4 * 16_000) / 16_000)
        write_clip(folder / f"{k}.mp4", np.full((100, 64, 64, 3), grey, np.uint8), 25.0, tone.astype(np.float32))
        (folder / f"{k}.txt").write_text(caption)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def test_everything_changes_at_the_cut(videos, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(videos, "--out", out, "--count", 3, "--duration", 4, "--size", 64) == 0
    assert "left out broken.mp4" in capsys.readouterr().out
    rows = list(csv.DictReader((out / "captions.csv").open()))
    assert [row["file"] for row in rows] == [f"concat_{k:05d}.mp4" for k in range(3)]
    for row in rows:
        cut_s = float(row["cut_s"])
        assert 1 <= cut_s <= 3 and {row["first"], row["second"]} != {"0.mp4", "2.mp4"}  # both are rain
        assert sorted(part.lower() for part in row["caption"].split(", then ")) == ["a dog barks", "rain"]
        clip = read_frames(out / row["file"], 25.0, 64)
        assert clip.duration_s == pytest.approx(4.0, abs=0.05)
        grey = clip.frames.mean((1, 2, 3)) > 120
        waveform = read_audio(out / row["file"], SAMPLE_RATE)
        high = np.array([abs(np.fft.rfft(part))[2500 * len(part) // SAMPLE_RATE :].max() > 50
                         for part in np.array_split(waveform[: 4 * SAMPLE_RATE], 100)])  # fmt: skip
        for bright in (grey, high) if row["first"] != row["second"] else ():
            if (first := row["first"] == "0.mp4") or row["second"] == "0.mp4":
                expected = (np.arange(100) / 25 >= cut_s) == first
                assert (bright[:100] != expected).sum() <= 4  # codecs smear the edge a little


def test_the_same_seed_makes_the_same_set(videos, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        command(videos, "--out", tmp_path / name, "--count", 2, "--duration", 2, "--size", 32, "--seed", seed)
    one, again, other = ((tmp_path / name / "captions.csv").read_text() for name in ("one", "again", "other"))
    assert one == again != other


def test_one_event_alone_is_refused(videos, tmp_path):
    (tmp_path / "t.csv").write_text("file,caption\n0.mp4,rain\n2.mp4,rain\n")
    with pytest.raises(InputError, match="Two usable videos with different captions"):
        command(tmp_path / "t.csv", "--videos", videos, "--out", tmp_path / "out")
    with pytest.raises(InputError, match="--count must be at least 1"):
        command(videos, "--out", tmp_path / "out", "--count", 0)
