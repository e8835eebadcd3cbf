"""Same seed, same sound: against what was stored (`same_sound.json`), and between the ways to one sound.

On the kind of processor that wrote the file the waveforms agree bit for bit; on others, whose sums are taken in another
order, the levels of twenty stretches of each agree within 2 %.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from same_sound import CASES, PROMPT, STORE, frames_of, machine, pipeline_of, summary, waveforms

from stav2a import systems

STORED = json.loads(STORE.read_text())
MODELS = list(dict.fromkeys(model for model, *_ in CASES.values()))


@pytest.fixture(scope="module", params=MODELS)
def opened(request):
    if request.param in systems.names() and (missing := systems.unavailable(request.param)) is not None:
        pytest.skip(missing)
    return request.param, pipeline_of(request.param)


def test_the_sound_is_the_stored_one(opened):
    model, pipe = opened
    for name in (name for name, case in CASES.items() if case[0] == model):
        made, stored = summary(waveforms(pipe, name)), STORED["cases"][name]
        assert made["shape"] == stored["shape"], name
        np.testing.assert_allclose(made["rms"], stored["rms"], rtol=0.02, atol=1e-4, err_msg=name)
        if machine() == STORED["machine"]:
            assert made["sha256"] == stored["sha256"], f"{name}: levels agree, bits do not"


@pytest.fixture(scope="module")
def moving():
    return frames_of(40, 32), frames_of(40, 32)[::-1].copy()


def test_clips_of_a_batch_sound_as_they_do_alone(tiny_pipeline, moving):
    """Each with its own caption, seed and guidance; clips of another length go in a pass of their own."""
    clips = [moving[0], moving[1], moving[0][:24]]
    own = {"prompt": ["a dog barks", "rain", ""], "guidance_scale": [1.0, 3.0, 5.0], "seed": [1, 2, 3]}
    together = tiny_pipeline(clips, **own)
    for k, clip in enumerate(clips):
        alone = tiny_pipeline(clip, **{name: values[k] for name, values in own.items()})
        assert together[k].waveforms.shape == alone.waveforms.shape
        np.testing.assert_allclose(together[k].waveforms, alone.waveforms, atol=2e-3)
        assert together[k].settings == alone.settings and together[k].index == k


def test_features_and_pictures_are_one_sound(tiny_pipeline, moving):
    video = tiny_pipeline.encode_video(moving[0])
    assert np.array_equal(tiny_pipeline(video, PROMPT).waveforms, tiny_pipeline(moving[0], PROMPT).waveforms)


def test_a_generator_is_the_seed_that_made_it(tiny_pipeline, moving):
    by_seed = tiny_pipeline(moving[0], PROMPT, seed=5)
    by_generator = tiny_pipeline(moving[0], PROMPT, generator=torch.Generator().manual_seed(5))
    assert np.array_equal(by_seed.waveforms, by_generator.waveforms) and by_generator.seeds == [5]
    two = [torch.Generator().manual_seed(seed) for seed in (5, 9)]
    assert tiny_pipeline(moving[0], PROMPT, generator=two, takes=2).seeds == [5, 9]


def test_the_callback_sees_every_step_and_may_change_the_latents(tiny_pipeline, moving):
    seen = []

    def look(pipe, step, timestep, given):
        seen.append((step, int(timestep), tuple(given["latents"].shape)))
        return {}

    plain = tiny_pipeline(moving[0], PROMPT)
    (told,) = tiny_pipeline(moving[0], PROMPT, callback_on_step_end=look, return_dict=False)
    assert np.array_equal(told, plain.waveforms)
    assert [step for step, *_ in seen] == [0, 1, 2, 3] and seen[0][2] == (1, 8, 40, 16)
    assert [timestep for _, timestep, _ in seen] == sorted((t for _, t, _ in seen), reverse=True)
    changed = tiny_pipeline(
        moving[0], PROMPT, callback_on_step_end=lambda pipe, step, timestep, given: {"latents": given["latents"] * 0.5}
    )
    assert np.abs(changed.waveforms - plain.waveforms).max() > 1e-3


def test_the_seconds_of_a_result_are_those_of_its_stages(tiny_pipeline, moving, monkeypatch):
    encode, encoded = tiny_pipeline.encode_request, []
    monkeypatch.setattr(tiny_pipeline, "encode_request", lambda request: encoded.append(1) or encode(request))
    found = tiny_pipeline([moving[0], moving[0]], PROMPT, seed=[1, 2])
    assert all(set(output.seconds) == {"video", "text", "denoise", "decode"} for output in found)
    assert len(encoded) == 1  # the same frames are encoded once
