"""What every model sounds like for fixed seeds: runs whose waveforms are stored as small summaries and as hashes.

`PYTHONPATH=. python tests/generation/same_sound.py` writes `same_sound.json` anew; do that only for a change that means
to change the sound (new weights, another sampler), and say why in the commit.

The hash of a waveform holds only for one kind of processor, number of threads and version of torch, which are stored
with it. The summaries hold everywhere within a tolerance.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

STORE = Path(__file__).with_name("same_sound.json")
PARTS = 20  # stretches of a waveform whose levels are stored
PROMPT = "a dog barks"

CASES = {  # name: (model, frames, what the pipeline is called with)
    "tiny": ("tiny", 40, {"prompt": PROMPT, "negative_prompt": "music", "seed": 3, "takes": 2}),
    "tiny over two windows": ("tiny", 100, {"prompt": PROMPT, "sampler": "ddpm", "seed": 4}),
    "tiny moved": ("tiny", 40, {"onsets_s": [0.3, 0.9], "video_guidance_scale": 2.0, "guidance_scale": 5.0}),
    "tiny parts": ("tiny", 40, {"prompt": PROMPT, "use_onsets": False, "use_global_tokens": False}),
    "compact": ("compact", 40, {"prompt": PROMPT, "num_inference_steps": 4, "seed": 1, "strength": 1.0}),
    "compact in two steps": ("compact", 40, {"prompt": PROMPT, "seed": 1, "strength": 1.0}),
    "compact moved": (
        "compact",
        40,
        {
            "prompt": "",
            "negative_prompt": "speech",
            "onsets_s": [0.4, 1.0],
            "num_inference_steps": 4,
            "guidance_scale": 3.0,
            "video_guidance_scale": 2.0,
            "controlnet_conditioning_scale": 0.7,
            "sampler": "unipc",
        },
    ),
    "t2a": ("t2a", 40, {"prompt": PROMPT, "num_inference_steps": 3}),
    "vta-ldm": ("vta-ldm", 80, {"prompt": PROMPT, "num_inference_steps": 3}),
    "tiva": ("tiva", 40, {"num_inference_steps": 3}),
    "tiva painted": ("tiva", 40, {"num_inference_steps": 3, "layout": np.linspace(0, 1, 16 * 5).reshape(16, 5)}),
    "ta-v2a": ("ta-v2a", 40, {"prompt": PROMPT, "num_inference_steps": 3, "seed": 2, "takes": 2}),
    "ta-v2a scales": (
        "ta-v2a",
        80,
        {
            "negative_prompt": "music",
            "num_inference_steps": 3,
            "guidance_scale": 3.0,
            "video_guidance_scale": 1.5,
            "negative_guidance_scale": 1.0,
            "alignment_guidance_scale": 20.0,
        },
    ),
}


def frames_of(count: int, size: int) -> np.ndarray:
    """A bright square that falls and bounces on noise: uint8 [T, size, size, 3]."""
    pictures = np.random.default_rng(0).integers(0, 60, (count, size, size, 3), dtype=np.uint8)
    side = size // 4
    for k, picture in enumerate(pictures):
        top = round(abs(np.cos(k / 6)) * (size - side))
        picture[top : top + side, side : 2 * side] = (240, 180, 60)
    return pictures


def pipeline_of(model: str):
    from stav2a.pipeline import STAV2APipeline

    pipe = STAV2APipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def waveforms(pipe, name: str) -> np.ndarray:
    """float32 [K, S] of a case, on one thread, so that sums are taken in one order."""
    _, count, options = CASES[name]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return pipe(frames_of(count, pipe.timeline.frame_size), **options).waveforms
    finally:
        torch.set_num_threads(threads)


def machine() -> str:
    """What the bits of a sum depend on."""
    return f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__.split('+')[0]}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return " ".join(named.get(key, "?") for key in ("vendor_id", "cpu family", "model", "stepping"))


def summary(waves: np.ndarray) -> dict:
    """Shape, the levels (RMS) of `PARTS` stretches a waveform, and a hash of all samples."""
    stretches = [[float(np.sqrt(np.mean(p.astype(float) ** 2))) for p in np.array_split(w, PARTS)] for w in waves]
    return {
        "shape": list(waves.shape),
        "rms": [[round(level, 5) for level in levels] for levels in stretches],
        "sha256": hashlib.sha256(np.ascontiguousarray(waves, np.float32).tobytes()).hexdigest(),
    }


def _lines(data: dict) -> str:
    """JSON with a case a line, so that a difference names its case."""
    cases = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in data["cases"].items())
    return f'{{"machine": {json.dumps(data["machine"])}, "cases": {{\n{cases}\n}}}}\n'


if __name__ == "__main__":
    made = {}
    for model in dict.fromkeys(model for model, *_ in CASES.values()):
        opened = pipeline_of(model)
        made |= {name: summary(waveforms(opened, name)) for name, case in CASES.items() if case[0] == model}
    STORE.write_text(_lines({"machine": machine(), "cases": made}))
