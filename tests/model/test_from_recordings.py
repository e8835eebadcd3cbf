"""Recordings as sound and as the start of denoising, a reference sound, and a caption without a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from knocks import RATE, knock
from prepared import prepared

from stav2a.denoise.request import Request
from stav2a.denoise.sample import SAMPLERS, make_sampler, set_steps
from stav2a.denoise.strength import steps_from
from stav2a.dials import Dials
from stav2a.metrics.alignment import onset_f1
from stav2a.models.defaults import model_defaults
from stav2a.output import Progress, STAV2AOutput
from stav2a.pipeline import STAV2APipeline
from stav2a.pipeline.recordings import START_PEAK
from stav2a.recordings.reference import REFERENCE_STRENGTH
from stav2a.recordings.shelf import SHELF
from stav2a.sound.onsets import detect_onsets

pytestmark = pytest.mark.skipif(not (SHELF / "index.csv").is_file(), reason="the shelf is not here")
ROOT = Path(__file__).parents[2]
ONSETS = [0.4, 0.9, 1.3]


@pytest.fixture(scope="module")
def pipe(tiny_pipeline):
    return tiny_pipeline


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def recorded():
    return STAV2APipeline.from_pretrained("recorded")


def test_recorded_plays_recordings_at_the_onsets_that_a_person_edits(recorded):
    frames = np.random.default_rng(0).integers(0, 256, (75, 96, 96, 3), dtype=np.uint8)
    for onsets in ([0.5, 1.1, 2.0], [0.8, 1.9], [2.5]):
        out = recorded(frames, "a snare drum is hit", onsets_s=onsets, seed=1)
        assert out.onsets_s == onsets and out.waveforms.shape == (1, 3 * RATE)
        assert onset_f1(onsets, detect_onsets(out.waveforms[0], RATE)) == 1.0
    assert out.mels.shape == (1, 300, 64) and out.settings["strength"] == 0 and "denoise" not in out.seconds


def test_recorded_has_no_generator_and_leans_on_the_encoder_of_compact(recorded):
    compact = STAV2APipeline.from_pretrained("compact")
    assert recorded.unet is None and recorded.vae is None and recorded.vocoder is None
    assert recorded.defaults["onset_threshold"] == compact.defaults["onset_threshold"]
    assert recorded.timeline.to_dict() == compact.timeline.to_dict()
    recorded.compile()  # nothing to compile


def test_silence_without_onsets_and_with_a_caption_of_silence(recorded):
    frames = np.random.default_rng(0).integers(0, 256, (50, 96, 96, 3), dtype=np.uint8)
    assert not recorded(frames, "a dog barks", onsets_s=[]).waveforms.any()
    assert not recorded(frames, "silence", onsets_s=[0.5]).waveforms.any()


def test_takes_are_their_own_seeds_and_differ(pipe, frames):
    two = pipe(frames, "a dog barks", seed=3, takes=2, strength=0.0, onsets_s=ONSETS).waveforms
    assert np.array_equal(two[1], pipe(frames, "a dog barks", seed=4, strength=0.0, onsets_s=ONSETS).waveforms[0])
    assert not np.array_equal(two[0], two[1])


def test_strength_goes_from_the_recording_to_noise(pipe, frames):
    """Latents of the recording at 0, today's from noise at 1, and ever further from the recording between."""
    item = prepared(pipe, frames, "a dog barks", strength=0.5, onsets_s=tuple(ONSETS))
    start = pipe.encode_sound(item.recording.waveforms, pipe.padded_length(item.video))
    distances = []
    for strength in (0.05, 0.4, 0.7, 1.0):
        made = prepared(pipe, frames, "a dog barks", strength=strength, onsets_s=tuple(ONSETS), steps=8)
        *_, latents = pipe.denoise([made])
        distances.append(float((latents - start).square().mean()))
    assert distances == sorted(distances) and distances[0] < 0.5 * distances[-1]
    noise = pipe(frames, "a dog barks", onsets_s=ONSETS).waveforms
    np.testing.assert_array_equal(pipe(frames, "a dog barks", onsets_s=ONSETS, strength=1.0).waveforms, noise)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("strength", [0.3, 0.7])
def test_every_sampler_begins_at_the_strength(pipe, frames, sampler, strength):
    steps = make_sampler(sampler, pipe.scheduler)
    timesteps = set_steps(steps, 10, "cpu", strength=strength)
    last = steps.config.num_train_timesteps - 1
    assert len(timesteps) == steps_from(10, strength) == round(10 * strength)
    assert abs(int(timesteps[0]) - strength * last) <= (1 if sampler == "dpm++2m" else 0.1 * last)
    made = pipe(frames, "rain", sampler=sampler, strength=strength, num_inference_steps=4).waveforms
    assert np.isfinite(made).all() and not np.array_equal(made, pipe(frames, "rain", sampler=sampler).waveforms)


@pytest.mark.parametrize(
    ("steps", "strength", "gone"), [(6, 1.0, 6), (6, 0.7, 5), (6, 0.5, 3), (6, 0.01, 1), (6, 0.0, 0), (10, 0.7, 7)]
)
def test_steps_from_a_recording(steps, strength, gone):
    assert steps_from(steps, strength) == gone


def test_progress_counts_the_steps_that_are_gone(pipe, frames):
    requests = [Request(frames, Dials(prompt="rain", strength=s, steps=4)) for s in (0.0, 0.5, 1.0)]
    items = list(pipe.stream(requests))
    steps = [(item.step, item.total) for item in items if isinstance(item, Progress) and item.stage == "denoise"]
    assert steps[-1] == (6, 6)
    results = [item for item in items if isinstance(item, STAV2AOutput)]
    assert [item.index for item in results] == [0, 1, 2]
    assert [item.settings["strength"] for item in results] == [0.0, 0.5, 1.0]


def test_encoded_sound_comes_back_at_the_level_of_training(pipe):
    waves = np.stack([np.tile(knock(), 4), np.zeros(2 * RATE, np.float32)])
    latents = pipe.encode_sound(waves, 48)
    assert latents.shape == (2, 8, 48, 16) and torch.isfinite(latents).all()
    louder = pipe.encode_sound(3 * waves, 48)
    np.testing.assert_allclose(latents, louder, atol=1e-4)
    assert START_PEAK < 1
    long = pipe.encode_sound(np.tile(waves, (1, 8)), 400)  # in chunks
    assert long.shape == (2, 8, 400, 16)
    np.testing.assert_allclose(long[:, :, 8:40], latents[:, :, 8:40], atol=0.1)


def test_without_a_caption_the_way_begins_with_noise_unless_asked_otherwise(pipe, frames):
    own = {"strength": 0.6}
    strengths = [
        next(
            item.settings["strength"]
            for item in pipe.stream([Request(frames, Dials(prompt=prompt, strength=asked, steps=1), own)])
            if isinstance(item, STAV2AOutput)
        )
        for prompt, asked in (("rain", None), ("", None), ("", 0.3))
    ]
    assert strengths == [0.6, 1.0, 0.3]


def test_a_reference_sound_takes_the_recordings_place(pipe, frames):
    bell = (np.sin(np.arange(RATE) * 0.9) * np.exp(-np.arange(RATE) / 4000)).astype(np.float32)
    placed = pipe(frames, "a dog barks", onsets_s=ONSETS, reference=bell, strength=0.0).waveforms[0]
    spectrum = np.abs(np.fft.rfft(placed))
    assert np.fft.rfftfreq(len(placed), 1 / RATE)[spectrum.argmax()] == pytest.approx(0.9 * RATE / 2 / np.pi, rel=0.05)
    assert onset_f1(ONSETS, detect_onsets(placed, RATE)) == 1.0
    made = pipe(frames, "a dog barks", onsets_s=ONSETS, reference=bell)
    assert made.settings["strength"] == REFERENCE_STRENGTH
    assert not np.array_equal(made.waveforms, pipe(frames, "a dog barks", onsets_s=ONSETS).waveforms)


def test_a_caption_alone_gives_a_sound_of_the_chosen_length(pipe, recorded):
    for one, strength in ((pipe, 1.0), (pipe, 0.6), (recorded, None)):
        out = one(None, "a dog barks", duration_s=1.5, strength=strength)
        assert out.waveforms.shape == (1, round(1.5 * RATE)) and out.waveforms.any()
        assert out.onsets_s == [] and out.predicted_onsets_s == [] and not out.onset_curve.any()
    dog, rain = (pipe(None, prompt, duration_s=1.5, strength=1.0).waveforms for prompt in ("a dog barks", "rain"))
    assert np.abs(dog - rain).max() > 1e-4


def test_without_a_picture_the_picture_is_dropped_as_in_training(pipe, frames):
    made = prepared(pipe, pipe.encode_blank(1.6), "a dog barks")
    seen = prepared(pipe, frames, "a dog barks")
    assert seen.conditions.local_features.any() and not made.conditions.local_features.any()
    assert not made.conditions.global_tokens.any()


def test_the_documents_state_the_strength_of_compact():
    strength = model_defaults("compact")["strength"]
    assert f"that of `compact` is {strength:g}" in (ROOT / "docs" / "recordings.md").read_text(encoding="utf-8")
    card = (ROOT / "assets" / "compact" / "README.md").read_text(encoding="utf-8")
    assert f"strength {strength:g}," in card
