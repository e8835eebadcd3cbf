"""What a run keeps for the next run of the same clip, and that the sound comes before its measures."""

from __future__ import annotations

import copy
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from clips import make
from small_runs import engine_with, outcome

from stav2a.condition import text
from stav2a.generation import read
from stav2a.generation.generate import generate
from stav2a.generation.settings import Settings
from stav2a.media import memory as memory_of_runs
from stav2a.media.ffmpeg import identity
from stav2a.media.limits import DEFAULT_LIMITS, InputError
from stav2a.media.memory import Memory, size_mb

FAST = Settings(prompt="a hammer strikes metal", model="tiny", steps=2)


@pytest.fixture
def engine(tiny_pipeline):
    return engine_with(tiny_pipeline)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make(tmp_path_factory.mktemp("clips") / "clip.mp4", duration_s=1.2)


@pytest.fixture
def work(engine, monkeypatch):
    """Names of the costly calls of a run, in their order."""
    done, pipeline = [], engine.pipeline()

    def noted(name, function):
        return lambda *args, **options: done.append(name) or function(*args, **options)

    monkeypatch.setattr(read, "read_for_model", noted("frames", read.read_for_model))
    monkeypatch.setattr(read, "read_audio", noted("sound", read.read_audio))
    monkeypatch.setattr(pipeline.video_encoder, "forward", noted("features", pipeline.video_encoder.forward))
    import stav2a.metrics.flow as flow

    monkeypatch.setattr(flow, "flow_magnitude", noted("flow", flow.flow_magnitude))
    return done


def test_after_an_edit_only_what_depends_on_it_runs(engine, clip, work, tmp_path):
    outcome(engine, clip, FAST, tmp_path / "first")
    assert sorted(work) == ["features", "flow", "frames", "sound"]
    work.clear()
    for changed in ({"onsets_s": (0.3, 0.9)}, {"prompt": "rain"}, {"guidance_scale": 5.0}, {"seed": 1}, {"takes": 2}):
        outcome(engine, clip, replace(FAST, **changed), tmp_path / "edited")
    outcome(engine, clip, replace(FAST, onset_threshold=0.1), tmp_path / "edited")
    assert work == []
    outcome(engine, clip, replace(FAST, start_s=0.2), tmp_path / "part")
    assert sorted(work) == ["features", "flow", "frames", "sound"]


def test_a_remembered_clip_sounds_as_a_new_one(engine, clip, tiny_pipeline, tmp_path):
    """Also after a run with another onset threshold, whose onsets are not the next one's."""
    fresh = engine_with(tiny_pipeline)
    outcome(engine, clip, replace(FAST, onset_threshold=0.9), tmp_path / "before")
    again, alone = (outcome(one, clip, FAST, tmp_path / name) for one, name in ((engine, "again"), (fresh, "alone")))
    assert again.onsets_s == alone.onsets_s and again.measures == alone.measures
    assert np.array_equal(again.takes[0].waveform, alone.takes[0].waveform)


def test_another_file_of_the_same_name_is_read_and_the_same_bytes_of_another_name_are_not(engine, clip, work, tmp_path):
    """As when a program uploads its clip with every request."""
    copy = tmp_path / "clip.mp4"
    copy.write_bytes(clip.read_bytes())
    outcome(engine, copy, FAST, tmp_path / "first")
    work.clear()
    again = tmp_path / "again.mp4"
    again.write_bytes(clip.read_bytes())
    outcome(engine, again, FAST, tmp_path / "second")
    assert work == []
    copy.write_bytes(clip.read_bytes() + b"\0\0\0\x08free")
    outcome(engine, copy, FAST, tmp_path / "third")
    assert "frames" in work


def test_a_large_file_is_known_by_what_the_system_says_of_it(clip, tmp_path, monkeypatch):
    copy = tmp_path / "clip.mp4"
    copy.write_bytes(clip.read_bytes())
    assert identity(copy, DEFAULT_LIMITS) == identity(clip, DEFAULT_LIMITS)
    monkeypatch.setattr(memory_of_runs, "HASHED_BYTES", 100)
    before = identity(copy, DEFAULT_LIMITS)
    assert before == identity(copy, DEFAULT_LIMITS) != identity(clip, DEFAULT_LIMITS)
    os.utime(copy, ns=(1, 1))
    assert identity(copy, DEFAULT_LIMITS) != before


def test_a_caption_is_encoded_once(tiny_pipeline, monkeypatch):
    encoded = []
    encode = text.encode
    monkeypatch.setattr(text, "encode", lambda *given: encoded.append(given[2]) or encode(*given))
    first, again = (tiny_pipeline.encode_prompt("an owl hoots", "wind") for _ in range(2))
    other = tiny_pipeline.encode_prompt("an owl hoots")
    assert encoded == [["an owl hoots", "wind"], ["an owl hoots", ""]]
    assert torch.equal(first.text_tokens, again.text_tokens)
    assert not torch.equal(first.null_text_tokens[:, :1], other.null_text_tokens[:, :1])
    with torch.inference_mode():
        assert tiny_pipeline.encode_prompt("an owl hoots").text_tokens.is_inference()
    assert not tiny_pipeline.encode_prompt("an owl hoots").text_tokens.is_inference()
    pipe = copy.deepcopy(tiny_pipeline)
    before = pipe.encode_prompt("an owl hoots").text_tokens
    changed = next(pipe.text_encoder.parameters())
    with torch.no_grad():
        changed.mul_(1.5)
    assert not torch.equal(pipe.encode_prompt("an owl hoots").text_tokens, before)


def test_a_clip_that_changes_while_it_is_read_is_refused_and_not_kept(engine, clip, tmp_path, monkeypatch):
    place = tmp_path / "clip.mp4"
    place.write_bytes(clip.read_bytes())
    other = make(tmp_path / "other.mp4", duration_s=0.8)
    frames = read.read_for_model

    def replaced(*given):
        place.write_bytes(other.read_bytes())
        return frames(*given)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="changed while it was read"):
        patch.setattr(read, "read_for_model", replaced)
        outcome(engine, place, FAST, tmp_path / "first")
    assert outcome(engine, clip, FAST, tmp_path / "second").duration_s == pytest.approx(1.2, abs=0.05)


def test_the_sound_can_be_played_before_it_is_measured(engine, clip, tmp_path):
    items = generate(engine, clip, FAST, tmp_path / "out")
    playable = next(item for item in items if hasattr(item, "takes"))
    take = playable.takes[0]
    assert take.video.stat().st_size and take.audio.stat().st_size and not playable.measures
    before = take.video.read_bytes()
    *_, complete = items
    assert complete.measures and complete.bundle.is_file() and complete.takes[0].figure.is_file()
    assert take.video.read_bytes() == before and np.array_equal(complete.takes[0].waveform, take.waveform)
    assert 0 < complete.playable_s == playable.seconds < complete.seconds
    assert complete.seconds == pytest.approx(sum(complete.stages.values()), abs=0.1)


def test_memory_is_bounded_and_forgets_what_was_unused_for_longest():
    memory = Memory(most_mb=2.0)
    for name in "abc":
        memory.keep(name, np.zeros(900_000, np.uint8))
        memory.get("a")
    assert memory.get("b") is None and memory.get("a") is not None and memory.get("c") is not None
    assert memory.held_mb == pytest.approx(1.8)
    memory.keep("large", np.zeros(3_000_000, np.uint8))  # more than there is room for
    assert memory.get("large") is None and memory.held_mb == pytest.approx(1.8)
    assert size_mb({"a": [np.zeros(1000), (np.zeros(500),)], "b": "text"}) == pytest.approx(0.012)


def test_what_failed_is_not_kept():
    memory = Memory()
    with pytest.raises(ZeroDivisionError):
        memory.once("key", lambda: 1 / 0)
    assert memory.once("key", lambda: 3) == 3 and memory.once("key", lambda: 4) == 3
    assert memory.once("none", lambda: None) is None and memory.once("none", lambda: 5) is None
