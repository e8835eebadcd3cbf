"""Files of runs with a reference sound, without a clip, of a picture, and for other programs."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import make
from knocks import RATE, knock
from PIL import Image
from small_runs import engine_with, outcome

from stav2a.__main__ import main
from stav2a.generation.engine import Engine
from stav2a.generation.settings import EXPORTS, Settings
from stav2a.media import InputError, probe
from stav2a.media.audio import loudness_lufs
from stav2a.recordings.shelf import SHELF, shipped

pytestmark = pytest.mark.skipif(not (SHELF / "index.csv").is_file(), reason="the shelf is not here")
FAST = Settings(prompt="a hammer strikes metal", model="tiny", steps=2, describe="off")


@pytest.fixture(scope="module")
def engine(tiny_pipeline):
    return engine_with(tiny_pipeline)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clips") / "clip.mp4", duration_s=1.2)


def test_a_caption_alone(engine, tmp_path):
    result = outcome(engine, None, replace(FAST, length_s=1.5, strength=1.0), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a hammer strikes metal_sound.wav", "a hammer strikes metal_sound.zip", "figure.png", "onsets.json",
        "settings.json",
    ]  # fmt: skip
    wave, rate = soundfile.read(result.takes[0].audio)
    assert (rate, len(wave)) == (16_000, 24_000) and np.abs(wave).max() > 0.01
    said = result.to_json()
    assert said["clip"] is None and said["out_video"] is None and said["duration_s"] == 1.5
    assert outcome(engine, None, FAST, tmp_path / "b").duration_s == 5.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prompt": " "}, "a caption is needed"),
        ({"original_audio": "mix"}, "no original audio"),
        ({"length_s": 4000.0}, "at most"),
        ({"onsets_s": (9.0,)}, "An onset is 9"),
    ],
)
def test_what_a_caption_alone_cannot_have(engine, tmp_path, change, sentence):
    with pytest.raises(InputError, match=sentence):
        outcome(engine, None, replace(FAST, **change), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_picture_is_a_clip_that_stands_still(engine, tmp_path):
    Image.new("RGB", (64, 48), "green").save(tmp_path / "view.png")
    result = outcome(engine, tmp_path / "view.png", replace(FAST, length_s=1.0), tmp_path / "out")
    assert result.takes[0].video.name == "view_sound.mp4" and result.duration_s == pytest.approx(1.0, abs=0.05)
    assert (probe(result.takes[0].video).width, result.clip.name) == (64, "view.png")


def test_recorded_at_the_level_of_all(tmp_path, clip):
    engine = Engine("recorded", "cpu")
    settings = Settings(prompt="a wood block is struck", model="recorded", onsets_s=(0.3, 0.8), loudness_lufs=-20.0)
    result = outcome(engine, clip, settings, tmp_path)
    assert loudness_lufs(result.takes[0].waveform, RATE) == pytest.approx(-20.0, abs=1.0)
    assert result.measures[0]["onset_f1"] == 1.0
    again = Settings.from_json((tmp_path / "settings.json").read_text())
    repeated = outcome(engine, clip, again, tmp_path / "again")
    np.testing.assert_array_equal(repeated.takes[0].waveform, result.takes[0].waveform)
    with pytest.raises(
        InputError, match="recorded cannot follow the strength; sta-v2a, t2a, ta-v2a, tiva and vta-ldm can"
    ):
        outcome(engine, clip, replace(settings, strength=0.5), tmp_path / "b")


def test_a_reference_sound_and_bad_ones(engine, clip, tmp_path):
    soundfile.write(tmp_path / "mine.wav", knock(hz=1500.0), RATE)
    settings = replace(FAST, reference=str(tmp_path / "mine.wav"), onsets_s=(0.5,), strength=0.0)
    result = outcome(engine, clip, settings, tmp_path / "a")
    spectrum = np.abs(np.fft.rfft(result.takes[0].waveform))
    assert np.fft.rfftfreq(len(result.takes[0].waveform), 1 / RATE)[spectrum.argmax()] == pytest.approx(1500, rel=0.05)
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    for file, sentence in (("silent.wav", "is silent"), ("none.wav", "no file that can be opened")):
        with pytest.raises(InputError, match=sentence):
            outcome(engine, clip, replace(settings, reference=str(tmp_path / file)), tmp_path / "b")
        assert not (tmp_path / "b").exists()
    with pytest.raises(InputError, match="At strength 1 the reference sound is not heard"):
        replace(settings, strength=1.0).validated()


def test_files_for_other_programs(engine, clip, tmp_path):
    settings = replace(
        FAST, onsets_s=(0.3, 0.8), strength=0.0, exports=EXPORTS, audio_format="flac", audio_rate=48_000, takes=2
    )
    result = outcome(engine, clip, settings, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    for take in ("clip_sound_1", "clip_sound_2"):
        assert {f"{take}_onsets{suffix}" for suffix in (".txt", ".csv", ".mid", ".edl")} <= names
        assert {f"{take}_hit_001.flac", f"{take}_hit_002.flac", f"{take}.flac", f"{take}.mp4"} <= names
    made_of = {credit for take in result.takes for credit in take.credits}
    assert made_of and set((tmp_path / "credits.txt").read_text().splitlines()[1:]) == made_of
    assert made_of <= {recording.credit() for recording in shipped().recordings if recording.cls == "hammering"}
    assert result.to_json()["takes"][1]["credits"] == list(result.takes[1].credits)
    info = soundfile.info(result.takes[0].audio)
    assert (info.samplerate, info.format, info.subtype) == (48_000, "FLAC", "PCM_24")
    assert Settings.from_json((tmp_path / "settings.json").read_text()).exports == EXPORTS


@pytest.mark.parametrize(
    "change", [{"exports": ("aaf",)}, {"exports": "midi"}, {"audio_format": "mp3"}, {"audio_rate": 1}]
)
def test_what_cannot_be_exported_is_refused(change):
    with pytest.raises(InputError):
        replace(FAST, **change).validated()


def test_the_command_line(tmp_path, capsys):
    words = ["generate", "--no-clip", "--model", "recorded", "--prompt", "a dog barks", "--length", "2", "--json"]
    assert main([*words, "--out", str(tmp_path / "a"), "--export", "midi", "--audio-rate", "48000"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["duration_s"] == 2.0 and soundfile.info(said["out_audio"]).samplerate == 48_000
    assert (tmp_path / "a" / "a dog barks_sound_onsets.mid").is_file()
    (tmp_path / "labels.txt").write_text("0.5\t0.5\tone\n1.2\t1.2\ttwo\n")
    assert main([*words, "--out", str(tmp_path / "b"), "--onsets", str(tmp_path / "labels.txt")]) == 0
    assert json.loads(capsys.readouterr().out)["onsets_s"] == pytest.approx([0.53, 1.23])
    assert main(["generate", "--out", str(tmp_path)]) == 2
    assert "Give clips, or --no-clip" in capsys.readouterr().err


def test_commands_of_the_document_run(tmp_path, monkeypatch, capsys):
    """Those of the first block, with the tiny model in place of the built-in one."""
    text = (Path(__file__).parents[2] / "docs" / "recordings.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "clip.mp4", duration_s=1.2)
    soundfile.write("my_hammer.wav", knock(), RATE)
    commands = text.split("```")[1].strip().splitlines()
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)[3:]
        assert main(words if "--model" in words else [*words, "--model", "tiny", "--steps", "2"]) == 0
        assert list((tmp_path / "out").rglob("*.wav"))
        shutil.rmtree(tmp_path / "out")
    capsys.readouterr()
