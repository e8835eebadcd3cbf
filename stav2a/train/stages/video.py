"""Stage `video`: contrastive audio-visual pre-training of the video encoder (CAVP of Diff-Foley, Luo et al. 2023;
paper §II-B).

Two contrasts of frame features with sound features, each an InfoNCE in both directions:

semantic   the clip's features, max-pooled over time, against those of the other clips of the batch: what is it?
temporal   features of one moment against those of other moments of the same clip: when does it happen?

    L = L_semantic + λ L_temporal,   λ = 1 in Diff-Foley
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from stav2a.condition.in_time import fitted, stretched
from stav2a.models.build import build
from stav2a.sound.audio_encoder import MelEncoder, at_moments
from stav2a.sound.mel import log_mel
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.parts import trained
from stav2a.train.runtime.stage import Stage, seed_of
from stav2a.train.sources.clip_source import ClipOptions, clip_sources
from stav2a.train.sources.clips import varied
from stav2a.weights.digest import digest

COLDEST = 100.0  # bound of the inverse temperature, as in CLIP


@dataclass
class VideoOptions(ClipOptions):
    temporal_weight: float = 1.0  # λ
    moment_s: float = 0.32  # length of a moment
    audio_width: int = 32
    frozen_trunk: bool = False  # convolutions of the encoder rest; its temporal blocks and head learn


class VideoStage(Stage):
    """Negatives of the semantic contrast are the clips that all processes hold at once: batch_size divided by the
    accumulation steps.
    """

    name = "video"
    Options = VideoOptions
    options: VideoOptions

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.timeline = config.timeline
        self.temporal_weight = self.options.temporal_weight
        self.semantic_weight = 1.0
        self.moments = round(config.crop_s / self.options.moment_s)
        if self.moments < 2:
            raise ValueError(
                f"crop_s is {config.crop_s}; temporal contrast needs two moments of options.moment_s or more."
            )
        found = (Path(config.parts) / "video_encoder" / "config.json").is_file()
        self.video_encoder = trained(config.parts, "video_encoder") if found else build("video_encoder", config.model)
        self.video_encoder.train()
        if self.options.frozen_trunk:
            self.freeze(self.video_encoder.video_encoder)
        dim = self.video_encoder.config.feature_dim
        self.audio_encoder = MelEncoder(dim, self.options.audio_width, self.timeline.mel_per_latent)
        self.logit_scales = nn.Parameter(torch.full((2,), float(np.log(1 / 0.07))))  # semantic, temporal; as in CLIP
        self.worlds = clip_sources(config, self.options, self.timeline)

    def sample(self, split: str, index: int) -> dict:
        world = self.worlds[split]
        plan = world.plan(index)
        sound = world.sound(index, plan=plan)
        frames, waveform, caption = world.frames(index, plan), sound.waveform, sound.caption
        if split == "train":
            frames = varied(frames, np.random.default_rng(seed_of(self.config.seed, "light", index)))
        pixels = torch.from_numpy(np.ascontiguousarray(frames))
        return {"frames": pixels, "waveform": torch.from_numpy(waveform), "caption": caption}

    def features(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """-> features of picture and sound at every latent frame, Tensor[B, T, D] both, neither normalised."""
        pixels = batch["frames"].permute(0, 4, 1, 2, 3).float() / 255
        heard = self.audio_encoder(log_mel(batch["waveform"], self.timeline))
        seen = self.video_encoder(pixels, normalize=False)
        return fitted(stretched(seen, self.timeline.latent_rate / self.timeline.fps), heard.shape[1]), heard

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        return self.contrasts(*self.features(batch))

    def contrasts(self, seen: Tensor, heard: Tensor) -> dict[str, Tensor]:
        """Losses of what is seen and heard, Tensor[B, T, D] both."""
        scales = self.logit_scales.exp().clamp(max=COLDEST)
        semantic, semantic_top1 = info_nce(unit(seen.amax(1))[None], unit(heard.amax(1))[None], scales[0], shared=True)
        moments = (unit(at_moments(features, self.moments)) for features in (seen, heard))
        temporal, temporal_top1 = info_nce(*moments, scales[1])
        return {
            "loss": self.semantic_weight * semantic + self.temporal_weight * temporal,
            "semantic": semantic.detach(),
            "temporal": temporal.detach(),
            "semantic_top1": semantic_top1,
            "temporal_top1": temporal_top1,
        }

    @torch.no_grad()
    def listen(self, folder: Path) -> dict[str, float]:
        """A picture of the mean similarity of moments seen (rows) and heard (columns): bright where they agree."""
        samples = [self.sample("val", index) for index in range(min(8, self.config.batch_size))]
        device = self.video_encoder.device
        batch = {key: torch.stack([s[key] for s in samples]).to(device) for key in ("frames", "waveform")}
        seen, heard = (unit(at_moments(features, self.moments)) for features in self.features(batch))
        similarity = torch.einsum("bsd,bhd->bsh", seen, heard).mean(0).cpu().numpy()
        folder.mkdir(parents=True, exist_ok=True)
        figure = Figure(figsize=(4, 4))
        axes = figure.subplots()
        axes.imshow(similarity, cmap="viridis")
        axes.set(xlabel="moment heard", ylabel="moment seen", title="mean cosine")
        figure.savefig(folder / "moments.png", dpi=100)
        return {}

    def export(self, folder: Path) -> None:
        self.video_encoder.save_pretrained(folder / "video_encoder")
        self.audio_encoder.register_to_config(seen_with=digest(self.video_encoder))
        self.audio_encoder.save_pretrained(folder / "audio_encoder")


def unit(features: Tensor) -> Tensor:
    return functional.normalize(features, dim=-1)


def info_nce(seen: Tensor, heard: Tensor, scale: Tensor, shared: bool = False) -> tuple[Tensor, Tensor]:
    """Symmetric InfoNCE of unit features, Tensor[G, N, D] each: item n of a group against the group's N items.

    `shared`: the one group continues on the other processes, whose items are negatives too. Returns the loss and
    the share of items seen whose own sound is the most alike; averaged over processes both equal those of one
    process with the whole batch.
    """
    all_seen, all_heard, first = (*map(over_processes, (seen, heard)), own_first(seen)) if shared else (seen, heard, 0)
    wanted = torch.arange(seen.shape[1], device=seen.device) + first
    wanted = wanted.expand(seen.shape[:2])
    to_heard = scale * torch.einsum("gnd,gmd->gnm", seen, all_heard)
    to_seen = scale * torch.einsum("gnd,gmd->gnm", heard, all_seen)
    loss = sum(functional.cross_entropy(logits.flatten(0, 1), wanted.flatten()) for logits in (to_heard, to_seen)) / 2
    top1 = (to_heard.detach().argmax(-1) == wanted).float().mean()
    return loss, top1


def is_parallel() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class Gathered(torch.autograd.Function):
    """Tensor[1, N, D] of every process in order of rank: Tensor[1, processes * N, D]; gradients flow back.

    torch.distributed.nn's own all_gather gives wrong gradients under gloo where they are not contiguous.
    """

    @staticmethod
    def forward(ctx, features: Tensor) -> Tensor:
        parts = [torch.empty(features.shape).to(features) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, features.contiguous())
        return torch.cat(parts, 1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(gradient)  # what every process's loss owes to these features
        own = gradient.shape[1] // torch.distributed.get_world_size()
        first = torch.distributed.get_rank() * own
        return gradient[:, first : first + own]


def over_processes(features: Tensor) -> Tensor:
    """The features of all processes, or as they are where there is one."""
    return Gathered.apply(features) if is_parallel() else features


def own_first(features: Tensor) -> int:
    """Where this process's items begin among all."""
    return torch.distributed.get_rank() * features.shape[1] if is_parallel() else 0
