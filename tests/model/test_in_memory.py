"""The Python API takes clips at any rate and size, in every usual form; sounds last as long; ComfyUI's node."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import FLASH_S, flash_frame, make
from PIL import Image

from stav2a.generation.engine import Engine
from stav2a.media import InputError, read_for_model
from stav2a.media.in_memory import clips_of, for_model
from stav2a.timeline import PAPER, Timeline

MODEL = Timeline()
ROOT = Path(__file__).parents[2]


def flash(fps: float, length_s: float, size: int = 40) -> np.ndarray:
    """uint8 [T, H, W, 3], white from FLASH_S on; red before."""
    frames = np.zeros((round(fps * length_s), size, size * 2, 3), np.uint8)
    frames[..., 0] = 200
    frames[int(np.ceil(FLASH_S * fps)) :] = 255
    return frames


@pytest.mark.parametrize("fps", [4, 12, 16, 23.976, 25, 29.97, 60, 144])
def test_any_rate_keeps_times_and_length(fps):
    given = flash(fps, 1.6)
    frames, duration_s = for_model(given, MODEL, fps)
    assert duration_s == len(given) / fps
    assert frames.shape == (int(np.ceil(duration_s * 25 - 1e-6)), 96, 96, 3) and frames.dtype == np.uint8
    shown_s = np.ceil(FLASH_S * fps) / fps  # of the first white picture given
    assert flash_frame(frames[..., 1:2].repeat(3, -1)) == int(np.ceil(shown_s * 25 - 0.025 - 1e-9))


def test_forms_of_one_clip_are_one_clip():
    given = flash(25, 1.2)
    expected, _ = for_model(given, MODEL)
    floats = torch.from_numpy(given).float() / 255
    alpha = np.concatenate([given, np.full_like(given[..., :1], 255)], -1)
    forms = [
        torch.from_numpy(given), floats, floats.permute(0, 3, 1, 2), floats.double().numpy(), alpha,
        [Image.fromarray(picture) for picture in given], [Image.fromarray(picture) for picture in alpha],
        list(given), tuple(floats),
    ]  # fmt: skip
    for form in forms:
        assert clips_of(form)[0] is form
        assert np.array_equal(for_model(form, MODEL)[0], expected)
    assert clips_of([given, given]) != [given] and len(clips_of(["a.mp4", "b.mp4"])) == 2


def test_grey_and_clear_pictures():
    assert (for_model(np.full((3, 8, 8, 1), 7, np.uint8), MODEL)[0] == 7).all()
    clear = np.full((3, 8, 8, 4), 255, np.uint8)
    clear[..., 3] = 0
    assert not for_model(clear, MODEL)[0].any()


def test_a_file_is_read_as_everywhere(tmp_path):
    clip = make(tmp_path / "clip.mp4", rate=30)
    assert np.array_equal(for_model(clip, MODEL)[0], read_for_model(clip, MODEL).frames)
    assert for_model(str(clip), MODEL)[1] == pytest.approx(2.0)
    assert for_model(flash(25, 10.0), PAPER, 25)[0].shape == (40, 224, 224, 3)


@pytest.mark.parametrize(
    ("clip", "fps", "sentence"),
    [
        ([], None, "no frames"),
        (np.zeros((0, 8, 8, 3), np.uint8), None, "no frames"),
        (np.zeros((4, 8, 8, 2), np.uint8), None, "channels"),
        (np.zeros((4, 8, 8, 3), np.int64), None, "uint8 or floats"),
        (np.full((4, 8, 8, 3), 255.0), None, r"\[0, 1\]"),
        (np.full((4, 8, 8, 3), np.nan), None, r"\[0, 1\]"),
        (np.zeros((4, 8, 8, 3), np.uint8), 0, "between"),
        (np.zeros((4, 8, 8, 3), np.uint8), float("nan"), "between"),
        ((np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)), None, "differ in size"),
    ],
)
def test_what_is_no_clip_is_refused_in_a_sentence(clip, fps, sentence):
    with pytest.raises(InputError, match=sentence):
        for_model(clip, MODEL, fps)


def test_the_sound_lasts_as_long_as_the_frames():
    pipe = Engine("tiny").pipeline("tiny")
    for count, fps in ((19, 16), (31, 24), (40, 29.97)):
        made = pipe(flash(fps, count / fps + 1e-4)[:count], "a hit", fps=fps, num_inference_steps=1)
        assert made.waveforms.shape == (1, round(count / fps * made.sample_rate))
        assert made.duration_s == count / fps
    two = pipe([flash(16, 1.5), flash(50, 1.0)], ["a hit", "a dog"], fps=[16, 50], num_inference_steps=1)
    assert [item.duration_s for item in two] == [1.5, 1.0]


def test_node_of_comfyui():
    spec = importlib.util.spec_from_file_location("comfy_node", ROOT / "comfyui" / "__init__.py")
    package = sys.modules["comfy_node"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    node = package.NODE_CLASS_MAPPINGS["STAV2ASound"]
    assert set(package.NODE_DISPLAY_NAME_MAPPINGS) == set(package.NODE_CLASS_MAPPINGS)
    inputs = node.INPUT_TYPES()
    assert inputs["required"]["images"] == ("IMAGE",)
    values = {name: kind[1]["default"] for name, kind in inputs["required"].items() if name not in ("images", "fps")}
    images = torch.from_numpy(flash(16, 1.25)).float() / 255
    (audio,) = getattr(node(), node.FUNCTION)(images=images, fps=16.0, model="tiny", **{**values, "steps": 1})
    assert audio["waveform"].shape == (1, 1, 20_000) and audio["sample_rate"] == 16_000
    assert audio["waveform"].dtype == torch.float32
    again = node().generate(images, 16.0, "tiny", **{**values, "steps": 1})[0]["waveform"]
    assert torch.equal(audio["waveform"], again)
