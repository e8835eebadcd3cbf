"""From a clip to a clip with sound: files, settings, determinism, cancel, failure, two at once."""

import json
import threading
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
import soundfile
from clips import flash_frame, make
from small_runs import engine_with

from stav2a.generation.engine import Engine
from stav2a.generation.generate import generate
from stav2a.generation.result import written_together
from stav2a.generation.settings import Settings, check_onsets
from stav2a.media import Cancelled, InputError, Limits, probe, read_audio, read_frames
from stav2a.media.clip_files import safe_stem

FAST = Settings(
    original_audio="replace", prompt="a hammer strikes metal", model="tiny", steps=2
)  # guidance needs a caption
FILES = ["clip_sound.mp4", "clip_sound.wav", "clip_sound.zip", "figure.png", "onsets.json", "settings.json"]


@pytest.fixture(scope="module")
def engine(tiny_pipeline):
    return ready_engine(tiny_pipeline)


def ready_engine(pipeline) -> Engine:
    return engine_with(pipeline)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clips") / "clip.mp4", duration_s=1.2)


def outcome(engine, clip, settings, out, **options):
    *progress, result = generate(engine, clip, settings, out, **options)
    return result, progress


@pytest.fixture(scope="module")
def plain(engine, clip, tmp_path_factory):
    return outcome(engine, clip, FAST, tmp_path_factory.mktemp("plain"))


def contents(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# ---- a run ------------------------------------------------------------------------------------------------------


def test_files(plain):
    result, _ = plain
    assert sorted(p.name for p in result.bundle.parent.iterdir()) == FILES
    wave, rate = soundfile.read(result.takes[0].audio)
    assert (rate, len(wave)) == (16_000, round(1.2 * 16_000))
    assert np.abs(wave).max() > 0.001
    picture = read_frames(result.takes[0].video, 25.0, 32)
    assert picture.duration_s == pytest.approx(1.2, abs=0.04)
    assert flash_frame(picture.frames) == 25
    heard = read_audio(result.takes[0].video, 16_000, 0.0, 1.2)
    assert np.corrcoef(heard, wave)[0, 1] > 0.9


def test_bundle_holds_the_files_of_the_run(plain):
    result, _ = plain
    with zipfile.ZipFile(result.bundle) as bundle:
        assert sorted(bundle.namelist()) == sorted(set(FILES) - {"clip_sound.zip"})
        assert bundle.read("settings.json") == (result.bundle.parent / "settings.json").read_bytes()


def test_a_run_may_leave_out_what_is_drawn(plain, engine, clip, tmp_path):
    whole, _ = plain
    *progress, result = generate(engine, clip, whole.settings, tmp_path, drawn=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip_sound.mp4", "clip_sound.wav"]
    assert result.bundle is None and result.takes[0].figure is None
    assert result.measures == whole.measures and result.takes[0].onsets_s == whole.takes[0].onsets_s
    assert not {getattr(item, "stage", "") for item in progress} & {"figure", "bundle"}


def test_progress_tells_stages_in_order(plain):
    _, progress = plain
    told = [getattr(item, "stage", "playable") for item in progress]
    assert list(dict.fromkeys(told)) == [
        "load", "read", "video", "text", "denoise", "decode", "level", "mux", "playable", "measure", "figure", "bundle"
    ]  # fmt: skip
    assert [(p.step, p.total) for p in progress if getattr(p, "stage", "") == "denoise"] == [(0, 2), (1, 2), (2, 2)]


def test_result_is_told_in_full(plain, engine):
    result, _ = plain
    told = json.loads(json.dumps(result.to_json()))
    assert {"clip", "out_video", "out_audio", "duration_s", "sample_rate", "seed", "steps", "guidance"} <= set(told)
    assert {"onsets_s", "seconds", "rtf", "stages", "measures"} <= set(told)
    assert f"torch.{told['dtype']}" == str(engine.pipeline().unet.dtype)
    assert told["steps"] == 2 and told["guidance"] == 3.0 and told["duration_s"] == 1.2
    assert told["rtf"] == pytest.approx(told["seconds"] / 1.2, abs=1e-3)
    assert {"read", "video", "denoise", "decode", "mux", "measure", "figure"} <= set(told["stages"])
    assert set(result.measures[0]) >= {"onset_f1", "av_align", "loudness_lufs"}
    assert "aa_align" not in result.measures[0]  # the clip's own sound was not asked for
    onsets = json.loads((result.bundle.parent / "onsets.json").read_text())
    assert onsets["onsets_s"] == told["onsets_s"]
    assert len(onsets["onset_curve"]) == 30 and onsets["step_s"] == 0.04


def test_stored_settings_are_complete_and_reproduce_the_run(plain, engine, clip, tmp_path):
    first, _ = plain
    stored = Settings.from_json((first.bundle.parent / "settings.json").read_text())
    assert stored == first.settings
    assert None not in (stored.steps, stored.guidance_scale, stored.video_guidance_scale, stored.sampler)
    again, _ = outcome(engine, clip, stored, tmp_path)
    assert contents(tmp_path) == contents(first.bundle.parent)
    assert again.settings == stored


CHANGES = {
    "prompt": {"prompt": "a dog barks"},
    "negative_prompt": {"negative_prompt": "music"},
    "guidance_scale": {"guidance_scale": 7.0},
    "video_guidance_scale": {"video_guidance_scale": 3.0},
    "steps": {"steps": 3},
    "sampler": {"sampler": "ddpm"},
    "seed": {"seed": 1},
    "takes": {"takes": 2},
    "control_scale": {"control_scale": 0.3},
    "start_s": {"start_s": 0.2},
    "length_s": {"length_s": 0.8},
    "loudness_lufs": {"loudness_lufs": -30.0},
    "onsets_s": {"onsets_s": (0.5,)},
    "original_audio": {"original_audio": "mix"},
    "strength": {"strength": 0.5},
    "audio_rate": {"audio_rate": 48_000},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_setting_changes_the_result(plain, engine, clip, tmp_path, name):
    first, _ = plain
    other, _ = outcome(engine, clip, replace(FAST, **CHANGES[name]), tmp_path)
    if name == "takes":
        assert [t.seed for t in other.takes] == [0, 1]
        assert not np.array_equal(other.takes[0].waveform, other.takes[1].waveform)
    elif name == "original_audio":
        assert other.takes[0].video.read_bytes() != first.takes[0].video.read_bytes()
        assert "aa_align" in other.measures[0] and other.original_onsets_s is not None
    else:
        assert other.takes[0].audio.read_bytes() != first.takes[0].audio.read_bytes()


def test_every_setting_is_covered():
    tested = {*CHANGES, "model", "original_gain_db"}  # the gain: test_gain_of_the_original
    tested |= {"layout", "own"}  # of one system each: test_systems.py
    tested |= {"describe"}  # without a caption alone: test_describe.py
    tested |= {"reference", "exports", "audio_format"}  # test_recordings_to_files.py
    tested |= {"onset_threshold", "audio_track"}  # test_pipeline.py, test_tracks.py
    assert tested == {field.name for field in fields(Settings)}


def test_gain_of_the_original(engine, clip, tmp_path):
    levels = []
    for gain in (0.0, -20.0):
        settings = replace(FAST, original_audio="mix", original_gain_db=gain, loudness_lufs=-60.0)
        result, _ = outcome(engine, clip, settings, tmp_path / str(gain))
        levels.append(np.abs(read_audio(result.takes[0].video, 16_000)[2000:16_000]).mean())
    assert levels[0] / levels[1] == pytest.approx(10, rel=0.2)


def test_reference_is_compared_and_not_heard(plain, engine, clip, tmp_path):
    first, _ = plain
    other, _ = outcome(engine, clip, replace(FAST, original_audio="reference"), tmp_path)
    assert other.takes[0].video.read_bytes() == first.takes[0].video.read_bytes()
    assert other.original_waveform.shape == (19_200,)
    assert other.takes[0].figure.read_bytes() != first.takes[0].figure.read_bytes()
    assert "aa_align" in other.measures[0]


def test_edited_onsets_are_those_followed(engine, clip, tmp_path):
    result, _ = outcome(engine, clip, replace(FAST, onsets_s=(0.3, 0.9)), tmp_path)
    assert result.onsets_s == [0.3, 0.9]
    with pytest.raises(InputError, match=r"5.*1\.2"):
        outcome(engine, clip, replace(FAST, onsets_s=(5.0,)), tmp_path)


@pytest.mark.parametrize("duration_s", [0.2, 4.1, 7.04])
def test_any_length_is_kept_to_the_frame(engine, tmp_path, duration_s):
    """The tiny model's window is 2.56 s."""
    source = make(tmp_path / "clip.mp4", duration_s=duration_s)
    result, _ = outcome(engine, source, FAST, tmp_path / "out")
    assert probe(result.takes[0].video).duration_s == pytest.approx(duration_s, abs=0.04)
    wave = result.takes[0].waveform
    assert len(wave) == pytest.approx(duration_s * 16_000, abs=640)
    quarters = [np.abs(part).mean() for part in np.array_split(wave, 4)]
    assert min(quarters) > 0.05 * max(quarters)  # sound to the end


# ---- breaking off -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["read", "video", "denoise", "decode", "mux", "measure", "figure", "bundle"])
def test_cancel_leaves_nothing_and_frees_the_device(engine, clip, tmp_path, stage):
    stop = threading.Event()
    seen = []
    with pytest.raises(Cancelled):
        for item in generate(engine, clip, FAST, tmp_path / "out", stop.is_set):
            seen.append(item)
            if getattr(item, "stage", None) == stage:
                stop.set()
    assert [getattr(s, "stage", "playable") for s in seen].count(stage) == 1  # stopped within the step
    assert list(tmp_path.iterdir()) == []
    assert not engine.lock.locked()


@pytest.mark.parametrize("stage", ["video", "denoise", "mux", "bundle"])
def test_closing_the_generator_does_the_same(engine, clip, tmp_path, stage):
    run = generate(engine, clip, FAST, tmp_path / "out")
    for item in run:
        if getattr(item, "stage", None) == stage:
            break
    run.close()
    assert list(tmp_path.iterdir()) == []
    assert not engine.lock.locked()


@pytest.mark.parametrize(
    "part",
    ["stav2a.generation.write.mux", "stav2a.generation.write.write_sound", "stav2a.generation.figure.to_png"],
)
def test_failure_while_writing_leaves_nothing(engine, clip, tmp_path, monkeypatch, part):
    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(part, fail)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(OSError):
        outcome(engine, clip, FAST, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_files_move_out_together_or_not_at_all(tmp_path, monkeypatch):
    import os

    moves = []
    real = os.replace

    def second_fails(source, target):
        moves.append(target)
        if len(moves) == 2:
            raise OSError("disk")
        real(source, target)

    monkeypatch.setattr("stav2a.generation.result.os.replace", second_fails)
    with pytest.raises(OSError), written_together(tmp_path / "out") as folder:
        for name in "abc":
            (folder.hidden / name).write_text(name)
    assert list(tmp_path.iterdir()) == []


class Broken:
    """A pipeline whose stream fails at first and then works."""

    def __init__(self, pipeline, error):
        self.pipeline, self.error = pipeline, error

    def __getattr__(self, name):
        return getattr(self.pipeline, name)

    def stream(self, *args, **options):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        yield from self.pipeline.stream(*args, **options)


def test_out_of_memory_frees_the_device_and_the_next_run_works(tiny_pipeline, clip, tmp_path):
    import torch

    engine = ready_engine(Broken(tiny_pipeline, torch.OutOfMemoryError("no memory")))
    with pytest.raises(torch.OutOfMemoryError):
        outcome(engine, clip, FAST, tmp_path / "out")
    assert not engine.lock.locked() and list(tmp_path.iterdir()) == []
    outcome(engine, clip, FAST, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES


def test_sound_that_is_no_number_is_refused(tiny_pipeline, clip, tmp_path):
    class Nan(Broken):
        def stream(self, *args, **options):
            for item in self.pipeline.stream(*args, **options):
                yield item if hasattr(item, "stage") else replace(item, waveforms=item.waveforms * np.nan)

    with pytest.raises(InputError, match="no usable sound"):
        outcome(ready_engine(Nan(tiny_pipeline, None)), clip, FAST, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_limits_reach_the_reader(engine, clip, tmp_path):
    with pytest.raises(InputError, match=r"1\.2 s.*1 s"):
        outcome(engine, clip, FAST, tmp_path / "out", limits=Limits(duration_s=1.0))


# ---- many at once ---------------------------------------------------------------------------------------------------


def test_two_at_once_get_what_they_get_alone(plain, engine, clip, tmp_path):
    first, _ = plain
    results, waits = {}, []

    def work(name):
        for item in generate(engine, clip, replace(FAST, seed=name % 2), tmp_path / str(name)):
            waits.append(getattr(item, "stage", None) == "wait")
            results[name] = item

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = first.takes[0].audio.read_bytes()
    assert [results[n].takes[0].audio.read_bytes() == alone for n in range(4)] == [True, False, True, False]


def test_who_waits_can_be_cancelled(engine, clip, tmp_path):
    stop = threading.Event()
    with engine.lock, pytest.raises(Cancelled):
        for item in generate(engine, clip, FAST, tmp_path / "out", stop.is_set):
            if item.stage == "wait":
                stop.set()
    assert list(tmp_path.iterdir()) == []


def test_engine_loads_a_model_once(monkeypatch):
    loads = []

    def load(self, name):
        loads.append(name)
        return object()

    monkeypatch.setattr(Engine, "_load", load)
    engine = Engine("tiny", "cpu")
    threads = [threading.Thread(target=engine.pipeline) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["tiny"] and engine.has("tiny")


@pytest.mark.parametrize("name", ["/etc", "../..", "someone/some-repository", "COMPACT", ""])
def test_engine_opens_only_the_models_it_names(name):
    engine = Engine("tiny", "cpu")
    if name:
        with pytest.raises(InputError, match="no model of that name"):
            engine.pipeline(name)
    assert "tiny" in engine.models()


# ---- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"guidance_scale": 11}, r"guidance scale is 11.*1 and 10"),
        ({"guidance_scale": float("nan")}, r"not finite.*1 and 10"),
        ({"guidance_scale": "3"}, "number between"),
        ({"guidance_scale": True}, "number between"),
        ({"video_guidance_scale": -1}, r"-1.*0 and 10"),
        ({"steps": 0}, r"steps is 0.*1 and 200"),
        ({"steps": 1e9}, r"1e\+09.*1 and 200"),
        ({"steps": 2.5}, r"2\.5.*whole"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**31}, "2147483647"),
        ({"seed": None}, "seed must be a number"),
        ({"takes": 5}, r"5.*1 and 4"),
        ({"control_scale": 2.1}, r"2\.1.*0 and 2"),
        ({"start_s": -0.1}, r"-0\.1"),
        ({"start_s": float("inf")}, "not finite"),
        ({"length_s": 0}, r"length is 0"),
        ({"loudness_lufs": 3}, r"3.*-60 and -5"),
        ({"original_gain_db": 100}, r"100.*-60 and 20"),
        ({"original_audio": "duet"}, "replace, mix, reference"),
        ({"original_audio": ["mix"]}, "replace, mix, reference"),
        ({"sampler": "euler"}, "dpm"),
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"prompt": "x" * 501}, r"501.*500"),
        ({"prompt": 3}, "text"),
        ({"onsets_s": "0.5"}, "list of times"),
        ({"onsets_s": 0.5}, "list of times"),
        ({"onsets_s": [0.5, None]}, "onset must be a number"),
        ({"onsets_s": [float("nan")]}, "not finite"),
        ({"onsets_s": [-1.0]}, "-1"),
        ({"onsets_s": [0.0] * 2001}, r"2001.*2000"),
    ],
)
def test_unusable_settings_are_refused_with_both_numbers(change, sentence):
    with pytest.raises(InputError, match=sentence):
        replace(Settings(), **change).validated()


def test_settings_survive_json():
    settings = Settings(prompt='é "quoted"\n', onsets_s=(0.5, 0.1, 0.5), steps=30.0, loudness_lufs=-23).validated()
    assert settings.onsets_s == (0.1, 0.5)
    assert isinstance(settings.steps, int)
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"colour": 1}', '{"steps": "x"}', "[" * 100_000])
def test_unusable_json_is_refused(text):
    with pytest.raises(InputError):
        Settings.from_json(text)


def test_text_that_cannot_be_written_is_made_plain():
    assert Settings(prompt="a\ud800b\0c").validated().prompt == "a?b c"


def test_onsets_are_sorted_and_single():
    assert check_onsets([1, 0.5, 1.0]) == (0.5, 1.0)
    with pytest.raises(InputError, match=r"3.*2"):
        check_onsets([3], duration_s=2.0)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("clip.mp4", "clip"),
        ("..mp4", "clip"),
        ("a/b.mp4", "b"),
        ("a\nb$(x).mp4", "ab_(x)"),
        ("é.mov", "é"),
        (".mp4", "mp4"),
    ],
)
def test_names_of_results(name, stem):
    from pathlib import Path

    assert safe_stem(Path(name)) == stem
