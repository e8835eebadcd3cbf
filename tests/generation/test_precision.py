"""The type that networks compute in, as the device has instructions for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stav2a.generation.engine import Engine
from stav2a.models import precision
from stav2a.train.runtime.config import TrainConfig

ABLE = {
    "amx": {"amx_bf16": True, "avx512_bf16": False},
    "avx512": {"avx512_bf16": True},
    "avx2": {"avx2": True, "avx512_bf16": False, "amx_bf16": False},
    "arm": {},
}


@pytest.mark.parametrize("kind, fast", [("amx", True), ("avx512", True), ("avx2", False), ("arm", False)])
def test_processors_with_the_instructions_compute_in_bf16(monkeypatch, kind, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: ABLE[kind])
    assert precision.dtype_for("cpu") == (torch.bfloat16 if fast else torch.float32)


def test_other_devices(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: asked.append(1) or False)
    assert precision.dtype_for("cuda:1") == torch.float32 and asked
    assert precision.dtype_for("mps") == torch.float32


@pytest.mark.parametrize("name", precision.DTYPES)
def test_what_is_asked_for_is_taken(name):
    assert str(precision.dtype_for("cpu", name)) == f"torch.{precision.DTYPES[name]}"


@pytest.mark.parametrize("name, kind", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_an_engine_loads_in_it_and_makes_sound(name, kind):
    pipe = Engine("tiny", "cpu", name).pipeline()
    assert {pipe.unet.dtype, pipe.vae.dtype, pipe.video_encoder.dtype} == {kind}
    made = pipe(np.random.default_rng(0).integers(0, 255, (25, 32, 32, 3), np.uint8), "a knock", num_inference_steps=2)
    assert made.waveforms.dtype == np.float32 and np.isfinite(made.waveforms).all() and made.waveforms.std() > 0


@pytest.mark.parametrize("kind, wanted", [("avx512", "bf16"), ("avx2", "no")])
def test_training_takes_what_the_processor_has(monkeypatch, kind, wanted):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: ABLE[kind])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert TrainConfig.load(None, ["mixed_precision=auto"]).precision == wanted
    assert TrainConfig.load(None, ["mixed_precision=fp16"]).precision == "fp16"
