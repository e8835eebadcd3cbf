"""Stage `cvalp`: TA-V2A's contrastive pre-training of video, sound and captions (its eq. 1-5).

    L = L_AL + λ L_AVS + μ L_AVT

Each is a symmetric InfoNCE with the sound in it: sound and caption (AL), sound and picture of whole clips (AVS), and
of the moments of one clip (AVT). The last two are those of the stage `video`.

The sound encoder is the part `audio_encoder`. With `options.sound_alone` only it learns, in the space of a trained
system: pictures and captions stay where they are, and features of pictures are computed once for each clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stav2a import presets
from stav2a.condition import text
from stav2a.condition.in_time import fitted, stretched
from stav2a.denoise.conditions import Conditions
from stav2a.sound.mel import log_mel
from stav2a.systems.base import Widths
from stav2a.systems.ta_v2a import TAV2A
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.options import read_options
from stav2a.train.runtime.parts import text_parts
from stav2a.train.runtime.start import StartOptions, begin
from stav2a.train.sources.clips import CachedClips
from stav2a.train.sources.system_clips import SystemClips
from stav2a.train.stages.video import COLDEST, VideoOptions, VideoStage, info_nce, unit
from stav2a.weights.digest import digest


@dataclass
class CVALPOptions(VideoOptions, StartOptions):
    sound_alone: bool = False  # video encoder and text head are those in `parts`, and rest


class CVALPStage(VideoStage):
    """Further options: those of TA-V2A, such as `semantic_weight` (λ) and `temporal_weight` (μ).

    The video encoder begins as CAVP's.
    """

    name = "cvalp"
    Options = CVALPOptions
    options: CVALPOptions

    def __init__(self, config: TrainConfig):
        begin(config, read_options(self.Options, config.options, "Stage cvalp", self.others_options()))
        super().__init__(config)
        kept = Path(config.parts) / "ta-v2a"
        found = (kept / "config.json").is_file()
        named = self.options.text_encoder
        self.tokenizer, text_encoder = text_parts(config.model, config.parts, self.options.base, name=named)
        self.text_encoder = self.freeze(text_encoder)
        system = TAV2A.from_pretrained(kept) if found else self.new_system()
        if found:
            self.video_encoder.load_state_dict(system.video_encoder.state_dict())
        self.text_head = system.text_head.train()
        self.system = [system]  # in a list: it is written at the end, and no part of what learns here
        self.semantic_weight = float(system.config.semantic_weight)
        self.temporal_weight = float(system.config.temporal_weight)
        self.caption_scale = torch.nn.Parameter(self.logit_scales.detach()[:1].clone())
        self.clips = None
        if self.options.sound_alone:
            if not found:
                raise ValueError(f"options.sound_alone needs a trained ta-v2a in {config.parts}.")
            self.freeze(self.video_encoder)
            self.freeze(self.text_head)
            if isinstance(self.worlds["train"], CachedClips):
                made_of = f"{self.name}-{digest(self.video_encoder)}"
                self.clips = SystemClips(self.worlds["train"], self.seen, made_of)

    def new_system(self) -> TAV2A:
        """An untrained system around this stage's video and text encoders."""
        encoder = {k: v for k, v in self.video_encoder.config.items() if not k.startswith("_")}
        context = self.options.context_width or presets.UNET[self.config.model]["cross_attention_dim"]
        widths = Widths(encoder["feature_dim"], 0, self.text_encoder.config.hidden_size, context)
        return TAV2A.sized(self.config.model, self.config.options, widths, encoder)

    def others_options(self) -> tuple[type, ...]:
        return (TAV2A.Options,)

    def sample(self, split: str, index: int) -> dict:
        return self.clips.sample(index) if split == "train" and self.clips is not None else super().sample(split, index)

    @torch.no_grad()
    def seen(self, frames: Tensor) -> Tensor:
        """uint8 Tensor[T_v, H, W, 3] -> E_v of a clip at every latent frame, before the norm: Tensor[T, C]."""
        pixels = frames.permute(3, 0, 1, 2)[None].to(self.video_encoder.device).float() / 255
        rate = self.timeline.latent_rate / self.timeline.fps
        return stretched(self.video_encoder(pixels, normalize=False), rate)[0]

    def features(self, batch: dict) -> tuple[Tensor, Tensor]:
        """E_v and E_a of every moment, unit norm as the generator sees them: Tensor[B, T, C] both."""
        if "features" in batch:
            heard = self.audio_encoder(log_mel(batch["waveform"], self.timeline))
            seen = fitted(batch["features"], heard.shape[1])
        else:
            seen, heard = super().features(batch)
        return unit(seen), unit(heard)

    def captions(self, captions: list[str]) -> Tensor:
        """E_l: Tensor[B, C], unit norm."""
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, captions, self.video_encoder.device)
        return self.text_head(Conditions(tokens, mask, tokens, mask).pooled_text())

    def forward(self, batch: dict, phase: str = "main") -> dict[str, Tensor]:
        seen, heard = self.features(batch)
        losses = self.contrasts(seen, heard)
        scale = self.caption_scale.exp().clamp(max=COLDEST)
        captions = self.captions(list(batch["caption"]))
        caption, top1 = info_nce(captions[None], unit(heard.amax(1))[None], scale, shared=True)
        return {**losses, "loss": losses["loss"] + caption, "caption": caption.detach(), "caption_top1": top1}

    def export(self, folder: Path) -> None:
        (system,) = self.system
        system.video_encoder.load_state_dict(self.video_encoder.state_dict())
        system.text_head.load_state_dict(self.text_head.state_dict())
        system.save_pretrained(folder / "ta-v2a")
        self.audio_encoder.register_to_config(seen_with=digest(self.video_encoder))
        self.audio_encoder.save_pretrained(folder / "audio_encoder")
