"""The same denoising in other common ways, measured in the same run so that ratios hold on busy machines."""

from __future__ import annotations

import torch

from stav2a.bench.measure import Cost, cost
from stav2a.bench.networks import CAPTION
from stav2a.condition import text
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.sample import Guidance, guided, predict


@torch.no_grad()
def denoising_rivals(pipe, conditions: Conditions, latents: torch.Tensor, frames, runs: int) -> dict[str, Cost]:
    """Seconds of one guided step: ours; the naive loop; and without ControlNet, as AudioLDM's pipeline works.

    The naive loop is what a first script does: two passes a step, text and video encoded again at each.
    AudioLDM (diffusers) has one batched pass a step of a U-Net of this size and no temporal control.
    """
    device = str(pipe.device)
    guidance, timestep = Guidance(), torch.tensor(500, device=device)
    # without a ControlNet, whose residuals are the cost of temporal control
    plain = Conditions(
        conditions.text_tokens,
        conditions.text_mask,
        conditions.null_text_tokens,
        conditions.null_text_mask,
        layout=conditions.layout,  # TiVA's U-Net has a channel for it
    )

    def naive() -> torch.Tensor:
        text.encode(pipe.tokenizer, pipe.text_encoder, [CAPTION, ""])
        pipe.encode_video(frames)
        predictions = tuple(
            predict(pipe.unet, pipe.controlnet, latents, timestep, branch, guidance)
            for branch in guidance.branches(conditions)
        )
        return guidance.combine(predictions)

    works = {
        "ours": lambda: guided(pipe.unet, pipe.controlnet, latents, timestep, conditions, guidance),
        "naive loop": naive,
        "AudioLDM-class U-Net alone": lambda: guided(pipe.unet, None, latents, timestep, plain, guidance),
    }
    return {name: cost(work, device, runs, count=False) for name, work in works.items()}
