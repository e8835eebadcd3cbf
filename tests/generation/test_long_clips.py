"""Clips of up to a minute: generated over overlapping windows, whole, in one progress and without seams."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from clips import make
from small_runs import engine_with

from stav2a.__main__ import main
from stav2a.denoise.sample import windows
from stav2a.generation.engine import Engine
from stav2a.media import probe
from stav2a.timeline import TINY
from stav2a.ui import work
from stav2a.ui.generate import controls
from stav2a.ui.history import History
from stav2a.ui.line import status
from stav2a.ui.line.jobs import Job
from stav2a.ui.page import LIMITS

LENGTH_S = 60.0
FRAME_S = 0.04
HOP_S = 0.1  # of the loudness that is compared


@pytest.fixture(scope="module")
def minute(tmp_path_factory):
    """Flashes all along, so that the picture has something to say in every window."""
    flashes = "drawbox=enable='lt(mod(t,1.3),0.2)':color=white:t=fill"
    return make(tmp_path_factory.mktemp("long") / "clip.mp4", duration_s=LENGTH_S, filters=flashes)


@pytest.fixture(scope="module")
def seen(minute, tiny_pipeline, tmp_path_factory):
    """(finished run, progress in order, lines the page showed) of the page's own way."""
    engine = engine_with(tiny_pipeline)
    settings = controls.settings_of({"model": "tiny", "steps": 3, "seed": 1, "prompt": "a hammer strikes metal"})
    stream = work.generation(engine, History(tmp_path_factory.mktemp("runs")), "v", minute, settings, LIMITS)
    job, progress, lines = Job(stream, "generate"), [], []
    for item in stream(lambda: False):
        job._note(item)
        if hasattr(item, "stage"):
            progress.append(item)
            lines.append(status.running(job))
    return job.outcome, progress, lines


def test_as_long_as_the_video(seen, minute):
    run, _, _ = seen
    wave, rate = soundfile.read(run.takes[0].audio)
    assert len(wave) / rate == pytest.approx(probe(minute).duration_s, abs=FRAME_S)
    assert probe(run.takes[0].video).duration_s == pytest.approx(probe(minute).duration_s, abs=FRAME_S)
    assert len(run.onset_curve) == pytest.approx(LENGTH_S / TINY.latent_frame_s, abs=1)


def test_one_progress_over_the_whole(seen):
    _, progress, lines = seen
    steps = [(item.step, item.total) for item in progress if item.stage == "denoise"]
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)], "windows are blended within a step, not done one by one"
    shares = [float(line.split('value="')[1].split('"')[0]) for line in lines if 'value="' in line]
    assert shares == sorted(shares) and shares[-1] > 0.9, "the bar never goes back"
    assert any("left" in line for line in lines)


def loudness_db(wave: np.ndarray, rate: int) -> np.ndarray:
    hop = round(HOP_S * rate)
    frames = wave[: len(wave) // hop * hop].reshape(-1, hop)
    return 20 * np.log10(np.sqrt((frames**2).mean(1)) + 1e-4)


def test_no_seams_in_loudness(seen):
    """Where a window begins or ends, the loudness moves no more than it does elsewhere."""
    run, _, _ = seen
    wave, rate = soundfile.read(run.takes[0].audio)
    jumps = np.abs(np.diff(loudness_db(wave, rate)))
    borders = [
        t * TINY.latent_frame_s
        for span in windows(round(LENGTH_S / TINY.latent_frame_s), TINY.latent_frames)
        for t in span
    ]
    borders = [t for t in borders if 0.5 < t < LENGTH_S - 0.5]
    at = np.zeros(len(jumps), bool)
    for t in borders:
        at[max(round(t / HOP_S) - 2, 0) : round(t / HOP_S) + 1] = True
    assert len(borders) > 20 and not at.all()
    assert jumps[at].mean() < 1.25 * jumps[~at].mean() + 0.5
    thirds = [np.sqrt((part**2).mean()) for part in np.array_split(wave, 12)]
    assert min(thirds) > 0.25 * max(thirds), "sound all along"


def test_no_clicks_where_chunks_are_joined(seen):
    run, _, _ = seen
    wave, _ = soundfile.read(run.takes[0].audio)
    steps = np.abs(np.diff(wave))
    joints = np.arange(TINY.samples, len(wave) - 1, TINY.samples)
    assert steps[joints - 1].max() <= np.quantile(steps, 0.999)


def test_events_near_borders_are_kept(tiny_pipeline):
    """An onset where windows meet changes the sound there, as much as one in the middle of a window does."""
    frames = np.random.default_rng(0).integers(0, 256, (150, 32, 32, 3), dtype=np.uint8)
    spans = [
        (start * TINY.latent_frame_s, stop * TINY.latent_frame_s)
        for start, stop in windows(len(frames), TINY.latent_frames)
    ]
    assert len(spans) == 3

    def mel(*onsets_s: float) -> np.ndarray:
        settings = {"num_inference_steps": 3, "controlnet_conditioning_scale": 2.0}
        return tiny_pipeline(frames, "a dog barks", onsets_s=list(onsets_s), **settings).mels[0]

    silent, near = mel(), {1: [], 2: []}
    for onset_s in (1.2, 1.8, 2.0, 2.2, 2.4, 3.0, 3.6, 3.8, 4.0, 4.2, 5.0):
        change = np.abs(mel(onset_s) - silent).mean(1)
        assert change.argmax() / 100 == pytest.approx(onset_s, abs=0.15)
        at = round(100 * onset_s)
        near[sum(start <= onset_s < stop for start, stop in spans)].append(change[at - 15 : at + 15].mean())
    assert len(near[2]) == 8
    assert np.mean(near[2]) > 0.5 * np.mean(near[1]) and min(near[2]) > 0.3 * np.mean(near[1])


def test_from_the_command_line(minute, tmp_path, capsys):
    asked = ["generate", str(minute), "--out", str(tmp_path), "--model", "tiny", "--steps", "1", "--json"]
    assert main([*asked, "--prompt", "rain"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["duration_s"] == pytest.approx(LENGTH_S, abs=FRAME_S)
    assert probe(told["out_video"]).duration_s == pytest.approx(LENGTH_S, abs=FRAME_S)
    assert soundfile.info(told["out_audio"]).duration == pytest.approx(LENGTH_S, abs=FRAME_S)


def test_a_shared_gpu_is_asked_for_longer(minute, tmp_path):
    engine = Engine("tiny", "cpu")
    short = make(tmp_path / "short.mp4", duration_s=2.0)

    def seconds(clip, **changes) -> int:
        here = work.Here(engine)
        return work.gpu_seconds(here, clip, controls.settings_of({"model": "tiny", **changes}))

    assert seconds(minute) > seconds(short)
    assert seconds(short, steps=100) > seconds(short, steps=10)
    assert seconds(short, steps=100, takes=3) > seconds(short, steps=100)
    assert seconds(minute, length_s=2.0) == seconds(short)
    assert seconds(minute, steps=200, takes=4) == work.MOST_GPU_S
