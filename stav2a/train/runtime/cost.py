"""What training a model costs, by calculation: `python -m stav2a.train.runtime.cost [paper|compact]`.

The networks are built without memory (PyTorch's meta device) and run once forwards and backwards; multiplications
and additions are counted as they would be done, and the activations that the backward pass needs as they would be
kept. Times follow from a device's rate, of which 30 % is assumed to be reached.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stav2a.denoise.sample import Guidance, predict
from stav2a.models.weightless import conditions, latents, networks
from stav2a.presets import TIMELINES

REACHED = 0.3
DEVICES = {"V100 fp16": 125e12, "A100 bf16": 312e12, "H100 bf16": 990e12}  # FLOP/s, dense, by their makers
# fp32 weight, its gradient, AdamW's two moments and the average: 4 bytes each
BYTES_A_PARAMETER = 20


@dataclass(frozen=True)
class Cost:
    """Of one sample's training step: FLOP, bytes of activations, and trained parameters."""

    flop: float
    activation_bytes: float
    parameters: int

    def memory_gb(self, samples: int) -> float:
        """A process that holds `samples` at once; frozen parts besides."""
        return (BYTES_A_PARAMETER * self.parameters + samples * self.activation_bytes) / 1e9

    def hours(self, samples: float, flops: float) -> float:
        return samples * self.flop / (REACHED * flops) / 3600


def v2a_cost(model: str, crop_s: float | None = None) -> Cost:
    """Stage `v2a` (U-Net and ControlNet forwards and backwards, the VAE's encoder forwards)."""
    timeline = TIMELINES[model]
    steps = timeline.latent_length(crop_s or timeline.window_s)
    parts = networks(model)
    unet, controlnet, vae = parts["unet"], parts["controlnet"], parts["vae"].requires_grad_(False)
    mel = torch.empty(1, 1, steps * timeline.mel_per_latent, timeline.mel_bins, device="meta")
    timesteps = torch.zeros(1, dtype=torch.long, device="meta")
    steering = conditions(model, 1, steps, controlnet.config.conditioning_channels)
    kept = Kept(nn.ModuleList([unet, controlnet]))
    with FlopCounterMode(display=False) as counter:
        vae.encode(mel)
        with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda packed: packed):
            loss = predict(unet, controlnet, latents(model, 1, steps), timesteps, steering, Guidance()).square().mean()
        loss.backward()
    parameters = sum(p.numel() for module in (unet, controlnet) for p in module.parameters())
    return Cost(counter.get_total_flops(), kept.bytes, parameters)


class Kept:
    """Adds up what the backward pass keeps, weights left out."""

    def __init__(self, module: nn.Module):
        self.weights = {id(p) for p in module.parameters()}
        self.seen: list[Tensor] = []
        self.bytes = 0

    def pack(self, tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in self.weights and all(base is not other for other in self.seen):
            self.seen.append(base)
            self.bytes += base.numel() * base.element_size()
        return tensor


def main(model: str = "paper", clips: float = 53_293, epochs: float = 40) -> None:
    cost = v2a_cost(model)
    print(f"{model}: {cost.parameters / 1e6:.0f} M parameters trained, {cost.flop / 1e9:.0f} GFLOP a sample and step")
    print(f"activations {cost.activation_bytes / 1e9:.2f} GB a sample in fp32, half of it in 16 bits")
    for samples in (1, 10, 20):
        print(f"  {samples:2d} samples a process: {cost.memory_gb(samples):.1f} GB in fp32")
    print(f"{clips:.0f} clips × {epochs:.0f} epochs at {REACHED:.0%} of the peak:")
    for name, flops in DEVICES.items():
        hours = cost.hours(clips * epochs, flops)
        print(f"  one {name}: {hours:.1f} h; eight: {hours / 8:.1f} h")


if __name__ == "__main__":
    main(*sys.argv[1:2])
