"""The whole way on one page: frames and a caption -> conditions -> latents -> mel -> waveform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

# diffusers takes a checkpoint's parts only from modules that have been imported, hence these three
import stav2a.condition.attentive_pool
import stav2a.condition.cavp
import stav2a.condition.eyes.pool
import stav2a.denoise.control  # noqa: F401
from stav2a.condition import eyes, text
from stav2a.condition.chunks import in_chunks
from stav2a.condition.in_time import fitted, stretched
from stav2a.condition.onset import onset_probability, pick_onsets
from stav2a.denoise.batch_guidance import BatchGuidance
from stav2a.denoise.conditions import Conditions
from stav2a.denoise.sample import Guidance, denoise, make_sampler
from stav2a.models.checkpoints import checkpoint_folder
from stav2a.models.defaults import DEFAULTS
from stav2a.models.lean import base_of, open_lean
from stav2a.output import OnsetPrediction, Progress, STAV2AOutput, VideoFeatures
from stav2a.sound import vae as mel_vae
from stav2a.sound.equalise import equalised
from stav2a.sound.vocoder import vocode
from stav2a.systems.base import Steering, System
from stav2a.systems.sta_v2a import STAV2A
from stav2a.timeline import Timeline
from stav2a.weights.faithful import mode_defaults

HUB_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")
UPLOAD_OPTIONS = ("repo_id", "token", "private", "commit_message", "create_pr")
VIDEO_HALO = 24  # frames of context on either side of a chunk of video; the compact encoder sees 23
DECODE_HALO = 8  # latent steps of context on either side of a chunk of sound


class STAV2APipeline(DiffusionPipeline):
    """Video-to-audio with semantic and temporal alignment (STA-V2A).

    `timeline` is the checkpoint's `Timeline` as a dict, `defaults` its own sampling defaults, `provenance` what
    its model card says of where it comes from. A `system` conditions in another way, on the same generator
    (`stav2a/systems`); it then stands in place of `attentive_pool` and `controlnet`, which are None. With an `eye_pool`
    the pretrained eyes look at the frames too, and their tokens join the global ones.
    """

    model_cpu_offload_seq = "text_encoder->video_encoder->local_features->attentive_pool->eye_pool->unet->vae->vocoder"

    # some of its convolutions run as 2-D ones on the weight itself, past the hooks that fetch offloaded weights
    _exclude_from_cpu_offload = ["video_encoder", "system"]
    _optional_components = ["attentive_pool", "controlnet", "system", "eye_pool"]
    _mode: dict = {}  # settings that win over the checkpoint's own

    def __init__(
        self,
        video_encoder,
        local_features,
        attentive_pool,
        tokenizer,
        text_encoder,
        unet,
        controlnet,
        scheduler,
        vae,
        vocoder,
        system=None,
        eye_pool=None,
        timeline: dict | None = None,
        defaults: dict | None = None,
        provenance: dict | None = None,
    ):
        super().__init__()
        self.register_modules(
            video_encoder=video_encoder,
            local_features=local_features,
            attentive_pool=attentive_pool,
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            unet=unet,
            controlnet=controlnet,
            scheduler=scheduler,
            vae=vae,
            vocoder=vocoder,
            system=system,
            eye_pool=eye_pool,
        )
        for part in filter(None, (self.unet, self.controlnet, self.vae)):  # a sixth less time for 2-D ones on CPU
            part.to(memory_format=torch.channels_last)
        self.register_to_config(
            timeline=dict(timeline or {}), defaults=dict(defaults or {}), provenance=dict(provenance or {})
        )

    @property
    def timeline(self) -> Timeline:
        return Timeline(**self.config.timeline)

    @property
    def defaults(self) -> dict:
        """What is sampled with unless told otherwise: `DEFAULTS`, the checkpoint's own, those of the mode."""
        return {**DEFAULTS, **self.config.defaults, **self._mode}

    def in_mode(self, mode: str | None) -> STAV2APipeline:
        """The same parts with the settings of a named mode, which every stage of the way then follows.

        "faithful" is the authors' script, whatever the checkpoint's own defaults are; None is the pipeline itself.
        """
        if mode is None:
            return self
        other = copy(self)
        other._mode = mode_defaults(mode, self.timeline)
        return other

    @property
    def has_onset_channel(self) -> bool:
        """Whether the ControlNet takes an onset curve beside the local features: onsets can be edited."""
        control = self.controlnet
        return control is not None and control.config.conditioning_channels > self.local_features.config.local_dim

    @property
    def way(self) -> System:
        """How frames and caption become conditions."""
        if self.system is not None:
            return self.system
        step_s = self.timeline.step_s if self.has_onset_channel else None
        return STAV2A(self.attentive_pool, step_s, self.eye_pool)

    @classmethod
    def from_pretrained(cls, name: str | Path = "compact", **options) -> STAV2APipeline:
        """Open "compact", "paper", "tiny", a system by its name, a folder, or a repository of the hub.

        "paper" is fetched and converted on first use (`python -m stav2a weights`). A folder without a text
        encoder (the built-in one) takes MiniLM from its pip package, or the hub. `options` are diffusers':
        `dtype` (fp32 unless given), `revision`, `token`, `local_files_only`, ….
        """
        if name == "tiny":
            from stav2a.models.tiny import tiny_components

            pipe, dtype = cls(**tiny_components()), options.get("dtype", options.get("torch_dtype"))
            for part in pipe.components.values():
                if dtype is not None and isinstance(part, torch.nn.Module):
                    torch.nn.Module.to(part, dtype)  # diffusers' own warns of parts to be kept in fp32, of none
            return pipe
        if not {"dtype", "torch_dtype"} & set(options):
            options["dtype"] = torch.float32  # files may hold fp16 to be small; transformers would keep it
        folder = checkpoint_folder(name, cls, **{key: options.pop(key) for key in HUB_OPTIONS if key in options})
        if (base := base_of(folder)) is not None:
            dtype = options.get("dtype", options.get("torch_dtype"))
            options = {**open_lean(folder, base, dtype), **options}
        if options.get("variant") is None:  # the libraries fill what is missing with noise
            from stav2a.weights.check import check_folder

            check_folder(folder, skip=options)
        if not (folder / "text_encoder").is_dir() and "text_encoder" not in options:
            tokenizer, text_encoder = text.load_minilm()
            options.setdefault("tokenizer", tokenizer)
            options.setdefault("text_encoder", text_encoder)
        return super().from_pretrained(str(folder), **options)

    def save_pretrained(self, save_directory: str | Path, *args, push_to_hub: bool = False, **options) -> None:
        """A folder of safetensors and its model card, which `from_pretrained` opens; a written card is kept."""
        from stav2a.models.card import upload, write_card

        hub = {key: options.pop(key) for key in UPLOAD_OPTIONS if key in options}
        whole = {key: value for key, value in self.config.provenance.items() if key != "base"}  # it leans on no other
        self.register_to_config(provenance=whole)
        super().save_pretrained(save_directory, *args, **options)
        write_card(self, save_directory)
        if push_to_hub:
            upload(save_directory, hub.pop("repo_id", Path(save_directory).name), **hub)

    def push_to_hub(self, repo_id: str, **options) -> str:
        """The same folder as a repository of the hub; returns its address. `options`: token, private, …."""
        from tempfile import TemporaryDirectory

        from stav2a.models.card import upload

        hub = {key: options.pop(key) for key in UPLOAD_OPTIONS if key in options}
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, **options)
            return upload(folder, repo_id, **hub)

    # ---- 1. frames -> features --------------------------------------------------------------------

    @torch.no_grad()
    def encode_video(self, frames: np.ndarray | Tensor) -> VideoFeatures:
        """frames: uint8 [T_v, H, W, 3], RGB at the timeline's fps and size."""
        frames = torch.as_tensor(np.asarray(frames))
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
            raise ValueError(f"frames must be uint8 [T, H, W, 3], got {frames.dtype} {list(frames.shape)}")
        timeline = self.timeline
        if not len(frames):
            raise ValueError("The clip has no frames.")

        def encode(part: Tensor) -> Tensor:
            pixels = part.permute(3, 0, 1, 2)[None].to(self._execution_device, self.video_encoder.dtype) / 255
            return self.video_encoder(pixels)[0]

        halo = VIDEO_HALO if timeline.is_framewise else 0  # the paper's clips of 40 frames know nothing of each other
        features = in_chunks(encode, frames, timeline.video_frames, halo, 1)[None]
        if not timeline.is_framewise:  # the authors append zero rows up to a whole window
            missing = -features.shape[1] % timeline.video_frames
            features = torch.nn.functional.pad(features, (0, 0, 0, missing))
        local, logits = self.local_features(features)
        steps = min(timeline.latent_length(len(frames) / timeline.fps), local.shape[1])
        curve = onset_probability(logits.float())[0, :steps].cpu().numpy()
        onsets_s = pick_onsets(curve, timeline.step_s, self.defaults["onset_threshold"])
        onset = OnsetPrediction(curve, onsets_s, timeline.step_s)
        seen = self.look(frames, features[0, : len(frames)])[None]
        layout = self.way.layout(seen)
        layout = None if layout is None else layout[0].float().cpu().numpy()
        eyed = self.eye_features(frames)
        return VideoFeatures(features, local, onset, len(frames) / timeline.fps, seen, layout, eyed)

    def eye_features(self, frames: Tensor) -> Tensor | None:
        """What the pretrained eyes see: uint8 Tensor[T_v, H, W, 3] -> Tensor[1, N, 1280], where the model has them."""
        if self.eye_pool is None:
            return None
        device, own = self._execution_device, self.eye_pool.config
        looked = eyes.shared_eyes(own.eyes, str(device))(frames, self.timeline.fps, own.looks_per_s)
        return looked.features[None].to(device, self.eye_pool.dtype)

    def look(self, frames: Tensor, cavp_features: Tensor) -> Tensor:
        """What the system sees: uint8 Tensor[T_v, H, W, 3], Tensor[T_v, D] -> Tensor[T, C], a row a latent step."""
        timeline = self.timeline
        place = torch.arange(len(frames))

        def seen(rows: Tensor) -> Tensor:
            return self.way.look(frames[rows], cavp_features[rows], self.video_encoder)

        features = in_chunks(seen, place, timeline.video_frames, VIDEO_HALO, 1)
        if timeline.is_framewise:
            return features
        steps = timeline.latent_length(len(frames) / timeline.fps)
        return fitted(stretched(features[None], timeline.latent_rate / timeline.fps), steps)[0]

    def predict_onsets(self, frames: np.ndarray | Tensor) -> OnsetPrediction:
        return self.encode_video(frames).onset

    def compile(self, backend: str = "inductor", mode: str | None = None) -> None:
        """`torch.compile` what a clip spends its time in, in place; the first clip of a length then takes minutes.

        mode: torch's, such as "reduce-overhead", which runs the steps as CUDA graphs.
        """
        for part in (self.unet, self.controlnet, self.vae.decoder):
            if part is not None:
                part.compile(backend=backend, mode=mode)

    # ---- 2. features and caption -> conditions ----------------------------------------------------

    @torch.no_grad()
    def extract(
        self,
        frames: np.ndarray | Tensor | VideoFeatures,
        prompt: str = "",
        negative_prompt: str = "",
        *,
        onsets_s: Sequence[float] | None = None,
        layout: np.ndarray | None = None,
        use_control: bool = True,
        use_onsets: bool = True,
        use_global_tokens: bool | None = None,
    ) -> Conditions:
        """Everything that steers the denoising, a batch of one, padded to a length the U-Net can halve.

        `onsets_s`: times that replace the predicted ones; `layout`: float32 [rows, bands] in place of the predicted
        audio layout, where the system has one. The switches leave out the ControlNet, the onset curve or the global
        tokens (rows of the paper's Table III).
        """
        if use_global_tokens is None:
            use_global_tokens = self.defaults["use_global_tokens"]
        video = frames if isinstance(frames, VideoFeatures) else self.encode_video(frames)
        prompt = self.caption(video, prompt)
        steering = Steering(onsets_s, layout, use_control, use_onsets, use_global_tokens)
        length = self.padded_length(video)
        conditions = self.way.conditions(video, self.words(prompt, negative_prompt), length, steering)
        return conditions.to(self._execution_device, self.unet.dtype)

    def words(self, prompt: str, negative_prompt: str = "") -> Conditions:
        """The captions alone, a batch of one."""
        captions = [self.defaults["prompt_prefix"] + prompt, negative_prompt]
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, captions, self._execution_device)
        if self.defaults["null_text"] == "zeros" and not negative_prompt:
            return Conditions(tokens[:1], mask[:1], torch.zeros_like(tokens[:1]), mask[:1])
        return Conditions(tokens[:1], mask[:1], tokens[1:], mask[1:])

    def caption(self, video: VideoFeatures, prompt: str = "") -> str:
        """The caption that the system makes of a prompt; TA-V2A finds one where there is none."""
        return self.way.caption(prompt, video, self.embed)

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Tensor:
        """The mean of each caption's tokens: Tensor[N, D]."""
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, captions, self._execution_device)
        return Conditions(tokens, mask, tokens, mask).pooled_text()

    def padded_length(self, video: VideoFeatures) -> int:
        """Latent steps of a clip, up to the next length that the U-Net can halve."""
        return -(-video.local_features.shape[1] // self.latent_multiple) * self.latent_multiple

    @property
    def latent_multiple(self) -> int:
        """Latent lengths must be a multiple of this: the U-Net halves them at every level but the last."""
        return 2 ** (len(self.unet.config.block_out_channels) - 1)

    # ---- 3. noise -> latents ----------------------------------------------------------------------

    @torch.no_grad()
    def denoise(
        self,
        conditions: Conditions,
        *,
        length: int,
        seeds: Sequence[int],
        steps: int | None = None,
        guidance: Guidance | None = None,
        sampler: str | None = None,
        timestep_power: float | None = None,
    ) -> Iterator[Tensor]:
        """Yield latents Tensor[K, C, T, F] after each step, one item a seed; noise is drawn on the CPU.

        `conditions` hold one item for all seeds, or one for each.
        """
        timeline = self.timeline
        generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        shape = (timeline.latent_channels, length, timeline.latent_bins)
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        yield from denoise(
            self.unet,
            self.controlnet,
            make_sampler(sampler or self.defaults["sampler"], self.scheduler),
            noise.to(self._execution_device, self.unet.dtype),
            conditions.repeat(len(seeds) // len(conditions)),
            guidance or self.guidance(),
            steps or self.defaults["steps"],
            self.defaults.get("window_steps") or timeline.latent_frames,
            generators,
            timestep_power=self.defaults["timestep_power"] if timestep_power is None else timestep_power,
        )

    def guidance(
        self,
        text: float | None = None,
        video: float | None = None,
        control: float = 1.0,
        scales: Sequence = (),
        guided_share: float | None = None,
        rescale: float | None = None,
        negative: float | None = None,
        alignment: float | None = None,
    ) -> Guidance:
        """The dials, the checkpoint's own where None.

        `scales` gives every item of a batch its text guidance.
        `negative`, the negative caption's own scale, and `alignment` are dials of TA-V2A alone.
        """
        own = self.defaults
        dials = {
            "text": own["guidance_scale"] if text is None else text,
            "video": own["video_guidance_scale"] if video is None else video,
            "control": control,
            "mask_control": own["mask_control"],
            "guided_share": own["guided_share"] if guided_share is None else guided_share,
            "rescale": own["guidance_rescale"] if rescale is None else rescale,
        }
        if scales:
            scales = tuple(own["guidance_scale"] if s is None else s for s in scales)
        made = BatchGuidance(**dials, scales=scales) if scales else Guidance(**dials)
        return self.way.guidance(made, self.scheduler, negative, alignment)

    # ---- 4. latents -> mel -> waveform ------------------------------------------------------------

    @torch.no_grad()
    def decode(self, latents: Tensor, samples: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Tensor[K, C, T, F] -> waveforms float32 [K, samples], log-mels float32 [K, M, mel_bins].

        Long sequences pass in chunks with context on both sides, so that memory does not grow with length.
        """
        timeline = self.timeline
        per_latent, hop = timeline.mel_per_latent, timeline.hop_length

        def to_wave(part: Tensor) -> Tensor:
            return vocode(self.vocoder, part.transpose(0, 1)).transpose(0, 1)

        # time comes first for in_chunks: latents [T, K, C, F] -> mel [M, K, mel_bins] -> waveform [S, K]
        def to_mel(part: Tensor) -> Tensor:
            return mel_vae.decode(self.vae, part.permute(1, 2, 0, 3))[:, 0].transpose(0, 1)

        sequence = latents.permute(2, 0, 1, 3)
        mel = in_chunks(to_mel, sequence, timeline.latent_frames, DECODE_HALO, per_latent)
        wave = in_chunks(to_wave, mel, timeline.mel_frames, DECODE_HALO * per_latent, hop)
        samples = samples or wave.shape[0]
        waves, mels = wave.transpose(0, 1).float(), mel.transpose(0, 1).float()
        waves = equalised(waves, mels, timeline, self.defaults["equaliser_rounds"])
        waveforms = waves.clamp(-1, 1).cpu().numpy()[:, :samples]
        frames = -(-samples // hop)
        return waveforms, mels.cpu().numpy()[:, :frames]

    # ---- the whole way ----------------------------------------------------------------------------

    def stream(
        self,
        frames: np.ndarray | Tensor | VideoFeatures,
        prompt: str = "",
        negative_prompt: str = "",
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        video_guidance_scale: float | None = None,
        negative_guidance_scale: float | None = None,
        alignment_guidance_scale: float | None = None,
        controlnet_conditioning_scale: float = 1.0,
        sampler: str | None = None,
        seed: int = 0,
        takes: int = 1,
        onsets_s: Sequence[float] | None = None,
        layout: np.ndarray | None = None,
        use_control: bool = True,
        use_onsets: bool = True,
        use_global_tokens: bool | None = None,
        mode: str | None = None,
    ) -> Iterator[Progress | STAV2AOutput]:
        """Yield progress after every step, and the result last. Closing the generator stops within a step.

        Take `k` uses the seed `seed + k`. `onsets_s` moves the hits where the model has an onset channel, `layout`
        replaces the predicted audio layout where the system has one; the scales for the negative caption and for
        alignment are of TA-V2A alone.
        `mode="faithful"` samples as the authors' script does, whatever the checkpoint's own defaults are.
        """
        pipe = self.in_mode(mode)
        defaults = pipe.defaults
        steps = num_inference_steps or defaults["steps"]
        pick = {
            "guidance_scale": guidance_scale,
            "video_guidance_scale": video_guidance_scale,
            "sampler": sampler,
        }
        chosen = {name: defaults[name] if value is None else value for name, value in pick.items()}
        seeds = [seed + take for take in range(takes)]

        yield Progress("video", 0, 1)
        video = frames if isinstance(frames, VideoFeatures) else pipe.encode_video(frames)
        yield Progress("text", 0, 1)
        prompt = pipe.caption(video, prompt)
        conditions = pipe.extract(
            video,
            prompt,
            negative_prompt,
            onsets_s=onsets_s,
            layout=layout,
            use_control=use_control,
            use_onsets=use_onsets,
            use_global_tokens=use_global_tokens,
        )
        length = pipe.padded_length(video)
        guidance = pipe.guidance(
            chosen["guidance_scale"],
            chosen["video_guidance_scale"],
            controlnet_conditioning_scale,
            negative=negative_guidance_scale,
            alignment=alignment_guidance_scale,
        )
        yield Progress("denoise", 0, steps)
        latents = None
        for step, latents in enumerate(
            pipe.denoise(
                conditions,
                length=length,
                seeds=seeds,
                steps=steps,
                guidance=guidance,
                sampler=chosen["sampler"],
            ),
            1,
        ):
            yield Progress("denoise", step, steps, latents)
        yield Progress("decode", 0, 1)
        waveforms, mels = pipe.decode(latents)
        used = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "num_inference_steps": steps,
            "controlnet_conditioning_scale": controlnet_conditioning_scale,
            "seed": seed,
            "takes": takes,
            **chosen,
        }
        yield pipe.output(video, waveforms, mels, onsets_s, seeds, used, layout)

    def output(
        self,
        video: VideoFeatures,
        waveforms: np.ndarray,
        mels: np.ndarray,
        onsets_s: Sequence[float] | None,
        seeds: list[int],
        settings: dict,
        layout: np.ndarray | None = None,
    ) -> STAV2AOutput:
        """The result of one clip from what was decoded for it, cut to the clip's length."""
        samples = round(video.duration_s * self.timeline.sample_rate)
        return STAV2AOutput(
            waveforms=waveforms[:, :samples],
            sample_rate=self.timeline.sample_rate,
            mels=mels[:, : -(-samples // self.timeline.hop_length)],
            onset_curve=video.onset.curve,
            predicted_onsets_s=video.onset.onsets_s,
            onsets_s=list(video.onset.onsets_s if onsets_s is None else onsets_s),
            seeds=seeds,
            duration_s=video.duration_s,
            settings=settings,
            dtype=str(self.unet.dtype).removeprefix("torch."),
            layout=video.layout if layout is None else np.asarray(layout, np.float32),
            predicted_layout=video.layout,
        )

    def __call__(self, frames, prompt: str = "", negative_prompt: str = "", **settings) -> STAV2AOutput:
        """`stream` to its end."""
        result = None
        for result in self.stream(frames, prompt, negative_prompt, **settings):  # noqa: B007
            pass
        return result
