"""The whole way with the tiny model: same seed, same bytes; every dial changes the sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stav2a import presets
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.chunks import in_chunks, in_windows
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.request import Request
from stav2a.denoise.sample import SAMPLERS, Guidance, ramp, windows
from stav2a.dials import Dials
from stav2a.output import STAV2AOutput
from stav2a.pipeline import STAV2APipeline
from stav2a.pipeline.video import VIDEO_HALO


@pytest.fixture(scope="module")
def pipe(tiny_pipeline):
    return tiny_pipeline


def moving_frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def frames():
    return moving_frames(40)


def test_output_covers_the_clip(pipe, frames):
    out = pipe(frames, "a dog barks")
    assert out.waveforms.shape == (1, round(40 / 25 * 16000)) and out.waveforms.dtype == np.float32
    assert out.mels.shape == (1, 160, 64)
    assert out.onset_curve.shape == (40,)
    assert np.isfinite(out.waveforms).all() and np.abs(out.waveforms).max() <= 1
    assert out.duration_s == pytest.approx(1.6)


def test_same_seed_same_bytes_and_takes_equal_their_own_runs(pipe, frames):
    two = pipe(frames, "rain", seed=5, takes=2)
    again = pipe(frames, "rain", seed=5)
    second = pipe(frames, "rain", seed=6)
    assert two.seeds == [5, 6]
    assert np.array_equal(again.waveforms, pipe(frames, "rain", seed=5).waveforms)
    np.testing.assert_allclose(two.waveforms[0], again.waveforms[0], atol=1e-4)
    np.testing.assert_allclose(two.waveforms[1], second.waveforms[0], atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a cat"},
        {"negative_prompt": "music"},
        {"num_inference_steps": 6},
        {"guidance_scale": 6.0},
        {"video_guidance_scale": 2.0},
        {"controlnet_conditioning_scale": 0.3},
        {"seed": 1},
        {"onsets_s": [0.5, 1.0]},
        {"use_control": False},
        {"use_global_tokens": False},
        *({"sampler": name} for name in SAMPLERS if name != "dpm++2m"),
    ],
    ids=lambda change: "-".join(map(str, [*change, *change.values()])),
)
def test_every_dial_changes_the_sound(pipe, frames, change):
    settings = {"prompt": "a dog barks", "onsets_s": [0.2]}
    one, other = pipe(frames, **settings), pipe(frames, **{**settings, **change})
    assert one.waveforms.shape == other.waveforms.shape
    assert np.abs(one.waveforms - other.waveforms).max() > 1e-4


def test_a_lower_threshold_gives_more_onsets_and_another_sound(pipe, frames):
    few, more = (pipe(frames, onset_threshold=threshold) for threshold in (0.95, 0.05))
    assert set(few.predicted_onsets_s) < set(more.predicted_onsets_s) == set(more.onsets_s)
    assert np.abs(few.waveforms - more.waveforms).max() > 1e-4


def test_the_video_changes_the_sound(pipe, frames):
    one, other = pipe(frames, onsets_s=[0.2]), pipe(moving_frames(40, 1), onsets_s=[0.2])
    assert np.abs(one.waveforms - other.waveforms).max() > 1e-4


def test_stream_yields_each_step_and_stops_when_closed(pipe, frames):
    requests = [Request(frames, Dials(steps=5))]
    stream = pipe.stream(requests)
    seen = [next(stream) for _ in range(4)]
    stream.close()
    assert [item.stage for item in seen] == ["video", "text", "denoise", "denoise"]
    items = list(pipe.stream(requests))
    assert [i.step for i in items if getattr(i, "stage", "") == "denoise"] == list(range(6))
    assert isinstance(items[-1], STAV2AOutput)


@pytest.mark.parametrize("count", [1, 5, 64, 65, 150])
def test_any_length(pipe, count):
    out = pipe(moving_frames(count), num_inference_steps=2)
    assert out.waveforms.shape[1] == round(count / 25 * 16000)
    assert out.onset_curve.shape == (count,)


def test_round_trip_is_exact(pipe, frames, tmp_path):
    pipe.save_pretrained(tmp_path)
    assert not list(tmp_path.rglob("*.bin")) and list(tmp_path.rglob("*.safetensors"))
    again = STAV2APipeline.from_pretrained(tmp_path)
    assert again.timeline == pipe.timeline and again.defaults == pipe.defaults
    assert np.array_equal(pipe(frames, "rain").waveforms, again(frames, "rain").waveforms)


def test_compiled_networks_are_whole_graphs_and_sound_the_same(frames):
    pipe = STAV2APipeline.from_pretrained("tiny")
    pipe.set_progress_bar_config(disable=True)
    plain = pipe(frames, "a drum", num_inference_steps=2).waveforms
    torch._dynamo.utils.counters.clear()
    pipe.compile(backend="eager")  # traces as the real compiler does, which would take minutes
    np.testing.assert_allclose(pipe(frames, "a drum", num_inference_steps=2).waveforms, plain, atol=1e-5)
    assert (
        torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 3 and not torch._dynamo.utils.counters["graph_break"]
    )


def test_untrained_controlnet_changes_nothing(pipe):
    from stav2a.denoise.control import TemporalControlNet
    from stav2a.denoise.sample import predict

    fresh = TemporalControlNet.from_unet(pipe.unet, conditioning_channels=17).eval()
    g = torch.Generator().manual_seed(0)
    text = torch.randn(1, 3, 32, generator=g)
    mask = torch.ones(1, 3, dtype=torch.bool)
    conditions = Conditions(text, mask, text, mask, None, torch.randn(1, 16, 16, generator=g), torch.rand(1, 16))
    latents = torch.randn(1, 8, 16, 16, generator=g)
    with torch.no_grad():
        without = predict(pipe.unet, None, latents, torch.tensor(10), conditions, Guidance())
        with_control = predict(pipe.unet, fresh, latents, torch.tensor(10), conditions, Guidance())
    assert torch.equal(without, with_control)


def test_guidance_follows_equation_7():
    nothing, video, full = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(5.0)
    assert Guidance(3.0).combine((video, full)) == 3 * full + (1 - 3) * video
    assert Guidance(3.0, 1.0).combine((nothing, video, full)) == Guidance(3.0).combine((video, full))


def test_windows_cover_and_blend_to_one():
    for length in (10, 64, 65, 100, 257):
        spans = windows(length, 64)
        total = torch.zeros(length)
        for start, stop in spans:
            weight = ramp((start, stop), length, 16)
            assert (weight > 0).all()
            total[start:stop] += weight
        assert spans[0][0] == 0 and spans[-1][1] == length and (total > 0).all()


def test_chunks_with_context_equal_the_whole():
    x = torch.randn(100, generator=torch.Generator().manual_seed(0))
    kernel = torch.tensor([[[1.0, 2.0, 3.0]]])

    def smooth(part):
        return torch.nn.functional.conv1d(part[None, None], kernel, padding=1)[0, 0]

    torch.testing.assert_close(in_chunks(smooth, x, 16, 2, 1), smooth(x))


@pytest.mark.parametrize("length", [7, 16, 17, 30, 100, 101])
def test_windows_have_one_size_and_change_nothing(length):
    x, seen = torch.randn(length, 2, 3, generator=torch.Generator().manual_seed(0)), set()

    def smooth(part):  # [T, B, 3] -> [2 T, B, 3]: looks at two rows on either side
        seen.add(len(part))
        rows = torch.nn.functional.avg_pool1d(part.permute(1, 2, 0), 5, 1, 2, count_include_pad=False).permute(2, 0, 1)
        return rows.repeat_interleave(2, 0)

    whole = smooth(x)
    seen.clear()
    torch.testing.assert_close(in_windows(smooth, x, 16, 2, 2, most=3), whole)
    assert seen == {min(length, 16)}


def test_the_halo_covers_what_the_compact_video_encoder_sees():
    """Features of a long video in chunks are those of the whole."""
    torch.manual_seed(0)
    encoder = CAVPVideoEncoder(**presets.VIDEO_ENCODER["compact"]).eval()
    for block in encoder.temporal:
        torch.nn.init.normal_(block.conv2.weight)
    frames = torch.rand(1, 3, 4 * VIDEO_HALO, 32, 32)
    changed = frames.clone()
    changed[:, :, 0] = 1 - changed[:, :, 0]
    with torch.no_grad():
        differs = (encoder(frames)[0] != encoder(changed)[0]).any(-1)
    reach = int(differs.nonzero().max())
    assert VIDEO_HALO / 2 < reach < VIDEO_HALO


@pytest.mark.parametrize(
    "bad", [np.zeros((0, 32, 32, 3), np.uint8), np.zeros((4, 32, 32), np.uint8), np.full((4, 32, 32, 3), 2.0)]
)
def test_unusable_frames_are_refused(pipe, bad):
    with pytest.raises(ValueError, match=r"(?i)frames"):
        pipe(bad)


def test_the_conditioner_is_built_once_and_follows_a_replaced_part(frames):
    pipe = STAV2APipeline.from_pretrained("tiny")
    first = pipe.conditioner
    assert pipe.conditioner is first and first.attentive_pool is pipe.attentive_pool
    pipe.attentive_pool = STAV2APipeline.from_pretrained("tiny").attentive_pool
    assert pipe.conditioner is not first and pipe.conditioner.attentive_pool is pipe.attentive_pool


def test_lists_of_another_length_than_the_clips_are_refused(pipe, frames):
    with pytest.raises(ValueError, match="2 clips and 3 values of prompt"):
        pipe([frames, frames], ["a", "b", "c"])


@pytest.mark.parametrize(
    ("change", "used"),
    [
        ({}, "silence"),
        ({"prompt": "a dog barks"}, ""),
        ({"negative_prompt": "music"}, "music"),
        ({"onsets_s": [0.5]}, ""),
    ],
    ids=["nothing", "caption", "negative caption", "onsets"],
)
def test_a_picture_without_caption_or_onset_is_kept_from_silence(pipe, frames, change, used):
    """The negative caption of a clip in whose picture no onset is seen."""
    plain = {"onset_threshold": 1.0}
    own = {**plain, "eventless_negative_prompt": "silence"}
    items = pipe.stream([Request(frames, Dials(**change), defaults) for defaults in (own, plain)])
    kept, left = (item for item in items if isinstance(item, STAV2AOutput))
    assert kept.settings["negative_prompt"] == used
    assert np.array_equal(kept.waveforms, left.waveforms) == (used != "silence")


def test_no_picture_and_no_caption_is_silence(pipe):
    items = pipe.stream([Request(None, Dials(), {"eventless_negative_prompt": "silence"}, duration_s=1.0)])
    assert next(item for item in items if isinstance(item, STAV2AOutput)).settings["negative_prompt"] == ""
