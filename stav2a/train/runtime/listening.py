"""Samples of a validation: sounds, mel-spectrograms and onset curves, with onset F1 and its gain over chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import default_collate

from stav2a.condition.in_time import fitted
from stav2a.condition.onset import onset_curve, onset_probability, pick_onsets
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.sample import denoise
from stav2a.generation.figure import Tracks, clip_figure, to_png
from stav2a.metrics.chance import EDGE_S, shifted_scores
from stav2a.sound import vae as mel_vae
from stav2a.sound.mel import log_mel
from stav2a.sound.onsets import detect_onsets
from stav2a.sound.vocoder import vocode
from stav2a.train.runtime.parts import noted_defaults, trained


@torch.no_grad()
def listen(stage, folder: Path, count: int) -> dict[str, float]:
    """Generate the first `count` validation clips of a diffusion stage, as the pipeline would.

    Writes NN.wav (real, a pause, generated) and NN.png to `folder`. Returns `heard_onset_f1` (±50 ms against the
    real sound's onsets) and `heard_onset_gain` (minus its mean over shifts in time) for stages with
    video; empty without a vocoder.
    """
    has_vocoder = (Path(stage.config.parts) / "vocoder" / "config.json").is_file()
    if count < 1 or not has_vocoder:
        return {}
    device, timeline = stage.vae.device, stage.timeline
    controlnet = getattr(stage, "controlnet", None)
    sees_video = controlnet is not None or hasattr(stage, "heard_conditions")
    vocoder = trained(stage.config.parts, "vocoder").eval().to(device)
    batch = default_collate([stage.sample("val", index) for index in range(count)])
    batch = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
    if controlnet is not None:
        batch = stage.encode_batch(batch)
    length = stage.latents(batch["waveform"]).shape[2]
    conditions, curves = conditions_of(stage, batch, length)
    generators = [torch.Generator().manual_seed(index) for index in range(count)]
    shape = (timeline.latent_channels, length, timeline.latent_bins)
    noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)
    unet, sampler, guidance, steps, power = stage.sampled_by()
    *_, latents = denoise(
        unet, controlnet, sampler, noise, conditions, guidance, steps, timeline.latent_frames, generators, power
    )
    mels = mel_vae.decode(stage.vae, latents)[:, 0]
    waveforms = vocode(vocoder, mels, batch["waveform"].shape[1]).float().clamp(-1, 1).cpu().numpy()
    real = batch["waveform"].cpu().numpy()

    folder.mkdir(parents=True, exist_ok=True)
    pause = np.zeros(timeline.sample_rate // 2, np.float32)
    scores, gains = [], []
    for k in range(count):
        detected, wanted = (detect_onsets(wave, timeline.sample_rate) for wave in (waveforms[k], real[k]))
        duration_s = real.shape[1] / timeline.sample_rate
        edge_s = min(EDGE_S, duration_s / 8)
        own, chance = shifted_scores(wanted, detected, duration_s, edge_s=edge_s, trials=20)
        scores.append(own)
        gains.append(own - float(chance.mean()))
        sound = np.concatenate([real[k], pause, waveforms[k]]).clip(-1, 1)
        soundfile.write(folder / f"{k:02d}.wav", sound, timeline.sample_rate)
        seen = Tracks(
            duration_s,
            timeline.sample_rate,
            waveforms[k],
            mels[k].cpu().numpy(),
            None if curves is None else curves[k],
            timeline.latent_frame_s,
            generated_onsets_s=detected,
            original_waveform=real[k],
            original_mel=log_mel(torch.from_numpy(real[k : k + 1]), timeline)[0].numpy(),
            original_onsets_s=wanted,
        )
        (folder / f"{k:02d}.png").write_bytes(to_png(clip_figure(seen), scale=1.0))
    if not sees_video:  # without video there is no timing to measure
        return {}
    return {"heard_onset_f1": float(np.mean(scores)), "heard_onset_gain": float(np.mean(gains))}


def conditions_of(stage, batch: dict, steps: int) -> tuple[Conditions, np.ndarray | None]:
    """Conditions of a batch with predicted onsets, and the onset probabilities [B, T] of stages that see the video."""
    if hasattr(stage, "heard_conditions"):  # of another system than STA-V2A
        return stage.heard_conditions(batch, steps), None
    words = stage.encode_text(list(batch["caption"]))
    if not hasattr(stage, "controlnet"):
        return words, None
    timeline = stage.timeline
    local, logits = stage.local_features(batch["cavp_features"])
    curves = onset_probability(logits.float())[:, :steps].cpu().numpy()
    threshold = noted_defaults(stage.config.parts).get("onset_threshold", 0.5)
    frame_s = timeline.latent_frame_s
    used = np.stack([onset_curve(pick_onsets(curve, frame_s, threshold), steps, frame_s) for curve in curves])
    conditions = replace(
        words,
        global_tokens=torch.cat(stage.global_tokens(batch), 1),
        local_features=fitted(local, steps),
        onset_curve=torch.from_numpy(used).to(local) if stage.takes_curve else None,
    )
    return stage.left_out(conditions), curves
