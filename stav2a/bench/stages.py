"""Time of each stage from a clip on disk to the clip with sound."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from stav2a.bench.measure import Cost, cost, peak_memory
from stav2a.condition import text
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.sample import Guidance, guided
from stav2a.dials import Dials
from stav2a.media import mux, read_for_model
from stav2a.sound import vae as mel_vae
from stav2a.sound.vocoder import vocode

CAPTION = "a wooden stick hits a table several times"


def test_clip(folder: Path, seconds: float, width: int = 640, height: int = 360, fps: float = 25.0) -> Path:
    """An H.264 clip of a moving square: the work of decoding without a file to ship."""
    import cv2

    from stav2a.media.write_clip import write_clip

    rng = np.random.default_rng(0)
    background = cv2.resize(rng.integers(0, 255, (9, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    count = round(seconds * fps)
    frames = np.repeat(background[None], count, 0)
    for k in range(count):
        x = int((width - 80) * (0.5 + 0.5 * np.sin(k / 6)))
        frames[k, 100:180, x : x + 80] = (240, 230, 90)
    path = folder / "clip.mp4"
    write_clip(path, frames, fps, np.zeros(round(seconds * 16_000), np.float32))
    return path


def time_stages(pipe, clip: Path, out: Path, settings: dict) -> dict[str, float]:
    """Seconds of each stage of one generation, as a user waits for it."""
    stages: dict[str, float] = {}
    clock = time.perf_counter

    def done(name: str, since: float) -> float:
        now = clock()
        stages[name] = stages.get(name, 0.0) + now - since
        return now

    now = clock()
    frames = read_for_model(clip, pipe.timeline)
    now = done("decode", now)
    output = pipe(frames.frames, CAPTION, **settings)
    names = {
        "video": "video features",
        "text": "text and conditions",
        "recordings": "recordings",
        "denoise": "denoise",
        "decode": "VAE and vocoder",
    }
    stages |= {names[stage]: seconds for stage, seconds in output.seconds.items()}
    now = clock()
    mux(clip, output.waveforms[0], output.sample_rate, out)
    done("mux", now)
    return stages


def timed_clip(pipe, seconds: float, settings: dict, runs: int) -> dict:
    """{"rtf", "seconds", "stages", "first_seconds", "peak_memory_mb"} of a clip of `seconds`; the median run."""
    with tempfile.TemporaryDirectory() as folder:
        clip = test_clip(Path(folder), seconds)
        results = []
        with peak_memory(str(pipe.device)) as memory:
            for _ in range(runs + 1):
                results.append(time_stages(pipe, clip, Path(folder) / "out.mp4", settings))
    totals = [sum(r.values()) for r in results]
    order = sorted(range(1, len(totals)), key=totals.__getitem__)
    middle = order[len(order) // 2]
    return {
        "rtf": totals[middle] / seconds,
        "seconds": totals[middle],
        "first_seconds": totals[0],
        "stages": results[middle],
        "peak_memory_mb": memory["mb"],
    }


@torch.no_grad()
def inputs(pipe, seconds: float, batch: int = 1) -> tuple[np.ndarray, Conditions, torch.Tensor]:
    """Frames of a clip of `seconds`, up to one window, with the conditions and the noise of `batch` such clips."""
    timeline = pipe.timeline
    count = round(min(seconds, timeline.video_window_s) * timeline.fps)
    frames = np.random.default_rng(0).integers(0, 255, (count, timeline.frame_size, timeline.frame_size, 3), np.uint8)
    video = pipe.encode_video(frames)
    conditions = pipe.conditions(video, pipe.encode_prompt(CAPTION), Dials()).repeat(batch)
    shape = (batch, timeline.latent_channels, pipe.padded_length(video), timeline.latent_bins)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(pipe.device, pipe.unet.dtype)
    return frames, conditions, latents


@torch.no_grad()
def part_costs(
    pipe, seconds: float, batch: int = 1, guidance: Guidance | None = None, runs: int = 3
) -> dict[str, Cost]:
    """Cost of each network on `batch` clips of `seconds`: one call each, one guided step for the U-Net."""
    device = str(pipe.device)
    frames, conditions, latents = inputs(pipe, seconds, batch)
    mel = mel_vae.decode(pipe.vae, latents)[:, 0]
    guidance = guidance or Guidance()
    parts = {
        "video features": lambda: pipe.encode_video(frames),
        "text": lambda: text.encode(pipe.tokenizer, pipe.text_encoder, [CAPTION, ""]),
        "guided step": lambda: guided(
            pipe.unet, pipe.controlnet, latents, torch.tensor(500, device=device), conditions, guidance
        ),
        "VAE": lambda: mel_vae.decode(pipe.vae, latents),
        "vocoder": lambda: vocode(pipe.vocoder, mel),
    }
    return {name: cost(work, device, runs) for name, work in parts.items()}
