"""The ablation table over folders and over the switches of a pipeline; the paper's data filters."""

import argparse
import json

import numpy as np
import pytest
import soundfile

from stav2a.commands.measure import evaluate as command
from stav2a.data.filters import clip_av_align, judge, mentions_speech
from stav2a.evaluation.folders.ablation import SWITCHES, read_table


def arguments(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def table_folder(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("real", "good", "bad"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        waveform = 1e-3 * rng.standard_normal(64_000)
        for start in rng.integers(4_000, 56_000, 5):
            waveform[start : start + 2_000] += rng.standard_normal(2_000) * np.exp(-np.arange(2_000) / 400) * 0.3
        soundfile.write(tmp_path / "real" / f"{index}.wav", waveform, 16_000)
        soundfile.write(tmp_path / "good" / f"{index}.wav", 0.3 * waveform, 16_000)
        soundfile.write(tmp_path / "bad" / f"{index}.wav", np.roll(waveform, 23_000), 16_000)
    (tmp_path / "captions.json").write_text('{"0": "something is struck"}')
    return tmp_path


def write_table(folder, text):
    path = folder / "table.yaml"
    path.write_text(text)
    return path


def test_table_of_folders(table_folder, capsys):
    rows = "rows: [{name: Good, generated: good}, {name: Bad, generated: bad}]"
    path = write_table(table_folder, f"reference: real\n{rows}\n")
    assert command.run(arguments("--table", path, "--workers", 1, "--networks", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["GT", "Good", "Bad"]
    assert report["GT"]["metrics"]["aa_align"]["mean"] == 1.0
    gains = {name: report[name]["metrics"]["onset_f1_50ms"]["gain"] for name in report}
    assert gains["Good"] > 0.5 > 0.2 > gains["Bad"]
    text = (table_folder / "table" / "table.md").read_text()
    assert "| Good |" in text
    assert "aa_align ↑" in text
    assert "w_dis ↓" in text


class FakePipeline:
    """Stands for the model: remembers how it was called and sounds like its seed."""

    def __init__(self, timeline):
        self.timeline, self.calls = timeline, []

    def __call__(self, frames, prompt, **settings):
        self.calls.append((frames.shape, prompt, settings))
        waveform = 0.1 * np.random.default_rng(len(self.calls)).standard_normal(32_000).astype(np.float32)
        return argparse.Namespace(waveforms=waveform[None], sample_rate=16_000)


def test_table_generates_every_switch_setting_once(table_folder, capsys):
    import cv2

    from stav2a.timeline import TINY

    for index in range(2):
        video = cv2.VideoWriter(
            str(table_folder / "real" / f"{index}.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 64)
        )
        for frame in range(20):
            video.write(np.full((64, 64, 3), 10 * frame, np.uint8))
        video.release()
    pipe = FakePipeline(TINY)
    path = write_table(table_folder, "reference: real\ncaptions: captions.json\ncheckpoint: tiny\nsteps: 2\nseed: 5\n")
    args = arguments("--table", path, "--workers", 1, "--networks")
    assert command.run_table(args, load=lambda name: pipe) == 0
    assert len(pipe.calls) == 2 * len(SWITCHES)
    shape, prompt, settings = pipe.calls[0]
    assert shape[1:] == (TINY.frame_size, TINY.frame_size, 3)
    assert prompt == "something is struck"
    assert settings == {"num_inference_steps": 2, "seed": 5, **SWITCHES["Text only"]}
    assert command.run_table(args, load=lambda name: pytest.fail("nothing is left to generate")) == 0
    assert "+Control +Onset +Global tokens" in capsys.readouterr().out


def test_tiny_pipeline_obeys_the_switches(table_folder, tiny_pipeline):
    frames = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3), dtype=np.uint8)
    sounds = {
        name: tiny_pipeline(frames, "a knock", num_inference_steps=1, seed=1, **switches).waveforms
        for name, switches in SWITCHES.items()
    }
    names = list(sounds)
    for name in names:
        assert np.isfinite(sounds[name]).all()
    assert not np.allclose(sounds[names[2]], sounds[names[3]])  # global tokens reach the U-Net's attention


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: []\n", "reference"),
        ("reference: real\n", "rows"),
        ("reference: real\nrows: [{name: A}]\n", "generated"),
        ("reference: real\nrows: [{name: A, generated: good, colour: red}]\n", "colour"),
        ("reference: real\nfoo: 1\nrows: []\n", "foo"),
        ("reference: real\nrows: [{name: A, generated: good}, {name: A, generated: bad}]\n", "different"),
    ],
)
def test_wrong_tables_are_refused_by_name(table_folder, text, message, capsys):
    path = write_table(table_folder, text)
    with pytest.raises(ValueError, match=message):
        read_table(path)
    assert command.run(arguments("--table", path)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("caption", "speech"),
    [
        ("A man speaks and then fires a rifle.", True),
        ("Two women are talking in a kitchen", True),
        ("someone says hello", True),
        ("a narrator explains a game", True),
        ("Birds chatter in a tree", False),
        ("the wind whispers in the leaves", False),
        ("A dog barks at a man", False),
        ("a woman hits tennis balls", False),
        ("a saying", True),
        ("an essay is typed on a keyboard", False),
    ],
)
def test_speech_is_found_in_captions(caption, speech):
    assert mentions_speech(caption) is speech


def test_still_pictures_score_zero_only_with_the_fix():
    rng = np.random.default_rng(0)
    waveform = np.zeros(32_000, np.float32)
    for start in (8_000, 16_000, 24_000):
        waveform[start : start + 500] = rng.standard_normal(500)
    still = 0.01 * rng.random(50)  # compression noise
    assert clip_av_align(waveform, 16_000, still, 25.0) == 0.0
    assert clip_av_align(waveform, 16_000, still, 25.0, small_flow=0.0) > 0.0


def test_filters_keep_what_passes_all():
    def never():
        pytest.fail("asked for a score it does not need")

    assert [judge("a hammer strikes", lambda score=score: score).keep for score in (0.19, 0.2)] == [False, True]
    assert judge(None, lambda: 0.5, clap=never).keep and judge("a man talks", never, clap=never).reason
    assert judge("a man talks", lambda: 0.5, speech=True).keep and judge("rain", None).keep
    unlike = judge("rain", never, clap=lambda: 0.29)
    assert (unlike.keep, unlike.clap, unlike.reason) == (False, 0.29, "CLAP 0.290 is below 0.3")
    assert judge("rain", lambda: 0.5, clap=lambda: 0.3).clap == 0.3
    verdict = judge("a hammer strikes", lambda: 0.1)
    assert not verdict.keep
    assert "0.100 is below 0.2" in verdict.reason
