"""Data preparation: the same bytes however it is run, filters, and what training reads of it."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
import soundfile
import torch
from tiny_clap import write_clap

from stav2a.data.listing import MediaSource, list_sources
from stav2a.data.prepare import Maker, PrepareSettings, Rendered, prepare
from stav2a.data.shards import ShardClip, Shards, decode_frames, encode_frames, index_of, write_shard
from stav2a.media.write_clip import write_clip
from stav2a.models.hub_describer import HubDescriber, hub_describer
from stav2a.timeline import TINY
from stav2a.train.sources.prepared import PreparedWorld

RATE = TINY.sample_rate


def clicks(times_s, duration_s) -> np.ndarray:
    """Decaying tones at the times, float32 [S]."""
    wave = np.zeros(round(duration_s * RATE), np.float32)
    decay = (np.sin(np.arange(1600) * 0.7) * np.exp(-np.arange(1600) / 250)).astype(np.float32)
    for time in times_s:
        part = wave[round(time * RATE) :][:1600]
        part += 0.5 * decay[: len(part)]
    return wave


def jumps(times_s, duration_s, fps=25.0, size=64) -> np.ndarray:
    """A textured square that darts aside and stops at each time, uint8 [T, H, W, 3]."""
    texture = np.random.default_rng(0).integers(60, 255, (24, 24, 3), dtype=np.uint8)
    frames = np.full((round(duration_s * fps), size, size, 3), 30, np.uint8)
    for k, frame in enumerate(frames):
        # three pictures of motion up to the moment, fastest in the middle: one peak of optical flow
        x = 4 + sum(int(np.clip(round(3 * (k - round(t * fps)) + 6), 0, 9)) * (-1) ** n for n, t in enumerate(times_s))
        frame[20:44, x : x + 24] = texture
    return frames


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder with a clip in time, a still one, one told to be speech, a silent one, and no video at all."""
    folder = tmp_path_factory.mktemp("videos")
    beats = [0.6, 1.2, 1.8]
    write_clip(folder / "a_good.mp4", jumps(beats, 3.0), 25.0, clicks(beats, 3.0))
    write_clip(folder / "b_still.mp4", jumps([], 2.0), 25.0, clicks([0.5, 1.0], 2.0))
    write_clip(folder / "c_speech.mp4", jumps(beats, 2.0), 25.0, clicks(beats, 2.0))
    write_clip(folder / "d_silent.mp4", jumps(beats, 2.0), 25.0, np.zeros(2 * RATE, np.float32))
    (folder / "e_broken.mp4").write_bytes(b"no video")
    (folder / "a_good.txt").write_text("a block knocks\n")
    (folder / "c_speech.txt").write_text("a man is talking")
    return folder


def made(videos, out, **changes) -> Shards:
    settings = PrepareSettings(**{"model": "tiny", "per_shard": 2, "keep_filtered": True, **changes})
    list(prepare(out, list_sources(videos), settings))
    return Shards(out, filtered=False)


@pytest.fixture(scope="module")
def shards(videos, tmp_path_factory):
    return made(videos, tmp_path_factory.mktemp("prepared") / "one")


def test_clips_are_cut_labelled_and_judged(shards):
    notes = [shards.note(k) for k in range(len(shards))]
    assert [n["source"] for n in notes] == ["a_good.mp4", "b_still.mp4", "c_speech.mp4"]
    good, still, speech = notes  # the rest of a_good after a window of 2.56 s is shorter than a second
    assert good["reason"] == "" and good["av_align"] >= 0.2 and good["caption"] == "a block knocks"
    np.testing.assert_allclose(good["onsets_s"], [0.6, 1.2, 1.8], atol=0.06)
    assert still["av_align"] == 0 and "below 0.2" in still["reason"]
    assert speech["av_align"] is None and "speech" in speech["reason"]
    assert shards.frames(0).shape == (64, 32, 32, 3) and len(shards.waveform(0)) == round(2.56 * RATE)
    rows = (shards.folder / "skipped.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["d_silent.mp4", "e_broken.mp4"] and "silent" in rows[0]
    summary = json.loads((shards.folder / "summary.json").read_text())
    assert summary["clips"] == 3 and summary["marked"] == 2 and sum(summary["skipped"].values()) == 2


def test_a_stopped_run_goes_on_to_the_same_bytes_and_marks_are_left_out(videos, shards, tmp_path):
    def contents(folder):
        return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}

    whole = contents(shards.folder)
    again = tmp_path / "again"
    settings = PrepareSettings(model="tiny", per_shard=2, keep_filtered=True)
    sources = list_sources(videos)
    steps = prepare(again, sources, settings)
    next(steps), next(steps)  # one shard of three, then stopped
    steps.close()
    (again / "shard-00001.part").write_bytes(b"half")
    assert [done for done, _ in prepare(again, sources, settings)] == [1, 2, 3]
    (again / "shard-00001.part").unlink(missing_ok=True)
    assert contents(again) == whole
    assert len(Shards(again)) == 1
    with pytest.raises(ValueError, match="another list or of other settings"):
        list(prepare(again, sources, PrepareSettings(model="tiny", per_shard=3)))


@pytest.mark.slow
def test_workers_change_nothing(tmp_path):
    """FoleyWorld in the same format, with one process and with two."""
    world = {"duration_s": 0.64, "fps": 25.0, "size": 32, "split": "train"}
    sources = [Rendered(index, "train") for index in range(2)]
    for name, workers in (("one", 1), ("two", 2)):
        list(prepare(tmp_path / name, sources, PrepareSettings(model="tiny", per_shard=1, world=world), workers))
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two and len(one) == 3 * 2 + 4
    note = Shards(tmp_path / "one").note(0)
    assert note["caption"] and note["duration_s"] == 0.64


def test_shards_are_webdataset(shards):
    """Members of a clip lie together under one key, and the index points at their bytes."""
    shard = sorted(shards.folder.glob("*.tar"))[0]
    with tarfile.open(shard) as tar:
        names = tar.getnames()
        stored = {name: tar.extractfile(name).read() for name in names}
    assert names[:3] == ["0000000_000.jpg", "0000000_000.flac", "0000000_000.json"]
    assert all(shards.read(0, name.partition(".")[2]) == stored[name] for name in names[:3])
    index_of(shard).rename(index_of(shard).with_suffix(".hidden"))
    try:  # a shard made elsewhere has no index
        assert Shards(shards.folder, filtered=False).read(0, "jpg") == stored["0000000_000.jpg"]
    finally:
        index_of(shard).with_suffix(".hidden").rename(index_of(shard))
    webdataset = pytest.importorskip("webdataset")
    sample = next(iter(webdataset.WebDataset(str(shard), shardshuffle=False)))
    assert json.loads(sample["json"])["caption"] == "a block knocks"


def wavs(folder, count, seconds=2.0):
    folder.mkdir(parents=True)
    for k in range(count):
        soundfile.write(folder / f"{k}.wav", np.full(round(seconds * 22_050), 0.1 * (k % 9 + 1), np.float32), 22_050)
        (folder / f"{k}.txt").write_text(f"sound {k}")
    return folder


def test_captioned_sound_alone_is_prepared_for_text_to_audio(tmp_path):
    folder = wavs(tmp_path / "wavs", 3)
    soundfile.write(folder / "2.wav", np.zeros(22_050), 22_050)
    soundfile.write(folder / "3.wav", np.full(3 * 22_050, 0.5), 22_050)  # longer than a window of 2.56 s
    (folder / "4.wav").write_bytes(b"no sound")
    (folder / "1.txt").write_text("a woman is speaking")
    shards = made(folder, tmp_path / "out")
    notes = [shards.note(k) for k in range(len(shards))]
    assert [(n["source"], n["caption"], n["duration_s"]) for n in notes] == [
        ("0.wav", "sound 0", 2.0), ("1.wav", "a woman is speaking", 2.0), ("3.wav", "", 2.56),
    ]  # fmt: skip
    assert notes[1]["reason"] == "the caption tells of speech" and not shards.has(0, "jpg")
    np.testing.assert_allclose(shards.waveform(0)[100:-100], 0.1, atol=0.01)
    assert len(shards.waveform(0)) == 2 * RATE
    rows = (shards.folder / "skipped.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["2.wav", "4.wav"] and "no sound that can be read" in rows[1]
    world = PreparedWorld(shards.folder, "train", TINY, 1.28, 0, filtered=False)
    assert world.sound(0).waveform.shape == (round(1.28 * RATE),)
    with pytest.raises(ValueError, match=r"3 of 3 clips of .* are sound alone"):
        world.must_see()


def test_of_videos_the_sound_alone(videos, tmp_path):
    shards = made(videos, tmp_path / "out", sound_only=True, keep_speech=True)
    assert [shards.note(k)["reason"] for k in range(len(shards))] == ["", "", ""] and shards.blind == 3


def test_validation_is_drawn_among_what_was_accepted(tmp_path):
    """Whatever is refused takes no place in the draw: half of the clips are silent."""
    folder = wavs(tmp_path / "wavs", 40, 1.2)
    for k in range(0, 40, 2):
        soundfile.write(folder / f"{k}.wav", np.zeros(round(1.2 * RATE)), RATE)
    sources = list_sources(folder)
    out = tmp_path / "out"
    for order in (sources, sources[::-1]):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        list(prepare(out, order, PrepareSettings(model="tiny"), validation=0.2))
    val, train = Shards(out, "val"), Shards(out, "train")
    assert (len(val), len(train)) == (4, 16)
    chosen = {Shards(tmp_path / "out1", "val").note(k)["source"] for k in range(4)}
    assert chosen == {val.note(k)["source"] for k in range(4)}  # in any order
    assert json.loads((out / "summary.json").read_text())["splits"] == {"train": 16, "val": 4}
    list(prepare(out, sources[::-1], PrepareSettings(model="tiny"), validation=0.5))  # drawn anew, made once
    assert len(Shards(out, "val")) == 10


def test_a_split_of_the_list_stays(tmp_path):
    folder = wavs(tmp_path / "wavs", 2)
    sources = [
        MediaSource(str(folder / f"{k}.wav"), f"{k}.wav", split=split) for k, split in enumerate(("val", "train"))
    ]
    list(prepare(tmp_path / "out", sources, PrepareSettings(model="tiny"), validation=0.5))
    assert Shards(tmp_path / "out", "val").note(0)["source"] == "0.wav"


def test_captions_that_do_not_fit_are_refused_by_clap(tmp_path, monkeypatch):
    """With transformers' own CLAP, tiny and random, from a folder."""
    write_clap(tmp_path / "clap")
    folder = wavs(tmp_path / "wavs", 4)
    (folder / "3.txt").unlink()  # without a caption there is nothing to compare
    shards = made(folder, tmp_path / "low", least_clap=-1.0, clap_model=str(tmp_path / "clap"))
    scores = [shards.note(k)["clap"] for k in range(4)]
    assert scores[3] is None and all(-1 <= score <= 1 for score in scores[:3])
    bound = sorted(scores[:3])[1]
    shards = made(folder, tmp_path / "high", least_clap=bound, clap_model=str(tmp_path / "clap"))
    refused = [k for k in range(4) if "CLAP" in shards.note(k)["reason"]]
    assert refused == [k for k in range(3) if scores[k] < bound]


def test_a_model_of_the_hub_captions_what_has_no_caption(videos, tmp_path, monkeypatch):
    """What it says goes through the filters like any caption."""
    asked = []

    def says(self, clip, start_s=0.0, length_s=None):
        asked.append((clip.name, start_s, round(length_s, 1)))
        return "a man is talking" if clip.name.startswith("b") else "a ball"

    monkeypatch.setattr(HubDescriber, "parts", ())
    monkeypatch.setattr(HubDescriber, "__call__", says)
    shards = made(videos, tmp_path / "out", describer="some/model")
    notes = {(n["source"], n["start_s"]): n for n in map(shards.note, range(len(shards)))}
    assert asked == [("b_still.mp4", 0.0, 2.0)]  # the others have captions, or no sound
    assert notes["b_still.mp4", 0.0]["reason"] == "the caption tells of speech"
    assert notes["a_good.mp4", 0.0]["caption"] == "a block knocks"


def test_a_describer_that_cannot_be_had_is_one_sentence(videos, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub_describer.cache_clear()
    with pytest.raises(ValueError, match="nobody/nothing"):
        made(videos, tmp_path / "out", describer="nobody/nothing")


def test_only_some_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr("stav2a.data.shards.MOST_OPEN", 3)
    folder = wavs(tmp_path / "wavs", 6, 1.2)
    shards = made(folder, tmp_path / "out", per_shard=1)
    for k in (0, 5, 2, 4, 1, 3, 0):
        assert shards.note(k)["source"] == f"{k}.wav" and shards.waveform(k).any()
        assert len(shards._open) <= 3


def test_frames_survive_their_coding():
    frames = np.kron(np.random.default_rng(1).integers(0, 255, (5, 4, 4, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
    back = decode_frames(encode_frames(frames))
    assert back.shape == frames.shape and np.abs(back.astype(int) - frames).mean() < 2
    with pytest.raises(ValueError, match="65,500"):
        encode_frames(np.zeros((700, 100, 100, 3), np.uint8))


def numbered(folder, clips=6, seconds=2.0, features=None) -> None:
    """Shards of clips whose brightness, level and features tell clip and frame."""
    count = round(seconds * TINY.fps)
    made = []
    for k in range(clips):
        frames = np.full((count, 32, 32, 3), 20 * k, np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]
        wave = np.full(round(seconds * RATE), 0.1 * (k + 1), np.float32)
        cavp = None
        if features:
            cavp = np.stack([np.full(count, k), np.arange(count)], -1).astype(np.float16)
        note = {"source": f"{k}.mp4", "split": "train" if k < 5 else "val", "start_s": 0.0, "duration_s": seconds}
        note |= {"caption": f"clip {k}", "reason": "", "av_align": 0.3, "onsets_s": [0.5, 1.5]}
        made.append(ShardClip(f"{k:03d}", frames, wave, RATE, note, cavp))
    folder.mkdir(parents=True)
    write_shard(folder / "shard-00000.tar", made, [])
    note = {"settings": {}, "timeline": TINY.to_dict(), "features": features, "sources": ""}
    (folder / "dataset.json").write_text(json.dumps(note))


def test_stretches_keep_picture_sound_features_and_onsets_together(tmp_path):
    numbered(tmp_path / "clips", features="abc")
    world = PreparedWorld(tmp_path / "clips", "train", TINY, 1.28, 0)
    firsts = []
    for index in range(10):
        stretch = world[index]
        piece = stretch.pieces[0]
        features = world.cavp_features(stretch)
        assert stretch.frames.shape == (32, 32, 32, 3) and len(stretch.waveform) == round(1.28 * RATE)
        np.testing.assert_array_equal(features[:, 0], piece.clip)
        np.testing.assert_array_equal(features[:, 1], piece.first + np.arange(32))
        np.testing.assert_allclose(stretch.frames.mean((1, 2, 3)), 20 * piece.clip + features[:, 1], atol=1)
        np.testing.assert_allclose(stretch.waveform, 0.1 * (piece.clip + 1), atol=1e-4)
        expected = [t - piece.first / TINY.fps for t in (0.5, 1.5) if piece.first <= t * TINY.fps < piece.first + 32]
        np.testing.assert_allclose(stretch.onsets_s, expected, atol=1e-9)
        firsts.append(piece)
    assert {p.clip for p in firsts[:5]} == {p.clip for p in firsts[5:]} == set(range(5))  # each pass takes every clip
    assert world.plan(3) == PreparedWorld(tmp_path / "clips", "train", TINY, 1.28, 0).plan(3)


def test_two_clips_are_joined_at_one_moment_everywhere(tmp_path):
    numbered(tmp_path / "clips", features="abc")
    world = PreparedWorld(tmp_path / "clips", "train", TINY, 1.28, 0, concat=1.0)
    index = next(i for i in range(20) if len({p.clip for p in world.plan(i).pieces}) == 2)
    stretch = world[index]
    first, second = stretch.pieces
    cut = first.count
    assert cut + second.count == 32 and stretch.caption == f"clip {first.clip}, then clip {second.clip}"
    clips = np.repeat([first.clip, second.clip], [cut, second.count])
    np.testing.assert_array_equal(world.cavp_features(stretch)[:, 0], clips)
    sound = stretch.waveform.reshape(32, -1).mean(1)
    np.testing.assert_allclose(sound, 0.1 * (clips + 1), atol=1e-3)
    for time in stretch.onsets_s:  # an onset lies at its place in the piece it belongs to
        frame = round(time * TINY.fps)
        piece, start = (first, 0) if frame < cut else (second, cut)
        assert min(abs((frame - start + piece.first) / TINY.fps - t) for t in (0.5, 1.5)) < 0.03


def test_stretched_time_moves_onsets_and_sound_alike(tmp_path):
    folder = tmp_path / "clips"
    numbered(folder, clips=6)
    wave = clicks([1.0], 2.0)
    note = {"source": "x", "split": "train", "start_s": 0.0, "duration_s": 2.0, "caption": "", "reason": ""}
    clip = ShardClip("x", np.zeros((50, 32, 32, 3), np.uint8), wave, RATE, {**note, "av_align": 1.0, "onsets_s": [1.0]})
    write_shard(folder / "shard-00000.tar", [clip], [])
    world = PreparedWorld(folder, "train", TINY, 1.28, 0, stretch=1.0)
    rates = set()
    for index in range(12):
        stretch = world[index]
        rates.add(stretch.pieces[0].rate)
        assert 0.69 <= stretch.pieces[0].rate <= 1.41
        for time in stretch.onsets_s:
            if time < 1.15:
                assert abs(np.abs(stretch.waveform).argmax() / RATE - time) < 0.06
    assert len(rates) == 12


def test_short_clips_end_in_their_last_picture_and_silence(tmp_path):
    numbered(tmp_path / "clips", seconds=0.8)
    stretch = PreparedWorld(tmp_path / "clips", "val", TINY, 1.28, 0)[0]
    assert (stretch.frames[20:] == stretch.frames[19]).all()
    assert not stretch.waveform[round(0.8 * RATE) :].any() and stretch.waveform[: round(0.8 * RATE)].all()


def test_other_rates_are_refused(tmp_path):
    from stav2a.timeline import COMPACT

    numbered(tmp_path / "clips")
    with pytest.raises(ValueError, match="frame_size of 32; this model needs 96"):
        PreparedWorld(tmp_path / "clips", "train", COMPACT, 1.28, 0)
    with pytest.raises(ValueError, match=r"dataset\.json is missing"):
        Shards(tmp_path)


def test_features_are_those_of_the_encoder(tmp_path):
    from stav2a.condition.cavp import CAVPVideoEncoder
    from stav2a.presets import VIDEO_ENCODER
    from stav2a.train.sources.features import digest

    torch.manual_seed(0)
    encoder = CAVPVideoEncoder(**VIDEO_ENCODER["tiny"]).eval()
    encoder.save_pretrained(tmp_path / "parts" / "video_encoder")
    world = {"duration_s": 0.64, "fps": 25.0, "size": 32, "split": "train"}
    maker = Maker(PrepareSettings(model="tiny", parts=str(tmp_path / "parts"), world=world))
    report: list[dict] = []
    (clip,) = maker.clips(0, Rendered(0, "train"), report)
    assert not report and maker.encoder.digest == digest(encoder)
    with torch.no_grad():
        wanted = encoder(torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None].float() / 255)[0]
    np.testing.assert_allclose(clip.cavp_features.astype(np.float32), wanted.numpy(), atol=2e-3)
    assert soundfile.read(io.BytesIO(clip.files()["flac"]))[1] == RATE
