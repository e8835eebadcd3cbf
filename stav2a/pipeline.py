"""The whole way on one page: frames and a caption -> conditions -> latents -> mel -> waveform."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

# diffusers takes a checkpoint's parts only from modules that have been imported, hence these three
import stav2a.condition.attentive_pool
import stav2a.condition.cavp
import stav2a.condition.eyes.pool
import stav2a.condition.pretrained
import stav2a.denoise.control  # noqa: F401
from stav2a.condition import eyes, text
from stav2a.condition.chunks import in_chunks
from stav2a.condition.in_time import fitted, stretched
from stav2a.condition.onset import onset_probability, pick_onsets
from stav2a.denoise.conditions import Conditions, concatenated
from stav2a.denoise.request import Prepared, Request, passes
from stav2a.denoise.sample import Guidance, denoise, make_sampler
from stav2a.dials import Dial, Dials
from stav2a.media.in_memory import clips_of, for_model
from stav2a.models.defaults import DEFAULTS, dials_of
from stav2a.models.pretrained import Pretrained
from stav2a.output import OnsetPrediction, Progress, STAV2AOutput, Stopwatch, VideoFeatures
from stav2a.recordings.compose import motion_of
from stav2a.recordings.start import FromRecordings
from stav2a.sound import vae as mel_vae
from stav2a.sound.equalise import equalised
from stav2a.sound.mel import N_FFT, log_mel
from stav2a.sound.vocoder import vocode
from stav2a.systems.base import Steering, System
from stav2a.systems.sta_v2a import STAV2A
from stav2a.timeline import Timeline
from stav2a.weights.faithful import mode_defaults

VIDEO_HALO = 24  # frames of context on either side of a chunk of video; the compact encoder sees 23
NEVER = 20.0  # onset logit of a latent frame that holds none for certain
DECODE_HALO = 8  # latent frames of context on either side of a chunk of sound
BATCH_SIZE = 8  # takes in one pass of the network, where more are asked for; guidance doubles or triples them


class STAV2APipeline(FromRecordings, Pretrained):
    """Video-to-audio with semantic and temporal alignment (STA-V2A).

    `timeline` is the checkpoint's `Timeline` as a dict, `defaults` its own sampling defaults, `provenance` what
    its model card says of where it comes from. A `system` conditions in another way, on the same generator
    (`stav2a/systems`); it then stands in place of `attentive_pool` and `controlnet`, which are None. With an `eye_pool`
    the pretrained eyes look at the frames too, and their tokens join the global ones.
    """

    model_cpu_offload_seq = "text_encoder->video_encoder->local_features->attentive_pool->eye_pool->unet->vae->vocoder"

    # some of its convolutions run as 2-D ones on the weight itself, past the hooks that fetch offloaded weights
    _exclude_from_cpu_offload = ["video_encoder", "system"]
    _optional_components = [
        "local_features",
        "attentive_pool",
        "controlnet",
        "system",
        "eye_pool",
        "unet",
        "vae",
        "vocoder",
        "scheduler",
    ]
    _mode: dict = {}  # settings that win over the checkpoint's own

    def __init__(  # type: ignore[no-untyped-def]  # diffusers reads the annotations of parts and warns of most
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
    def dials(self) -> dict[str, Dial]:
        """The dials that this checkpoint has beyond those that every one has."""
        config = {} if self.system is None else self.system.config
        return dials_of(self.conditioner.name, self.config.provenance.get("model"), config)

    @property
    def has_onset_channel(self) -> bool:
        """Whether the ControlNet takes an onset curve beside the local features: onsets can be edited."""
        control = self.controlnet
        return control is not None and control.config.conditioning_channels > self.local_features.config.local_dim

    @property
    def conditioner(self) -> System:
        """What makes conditions of features and caption: the checkpoint's `system`, or STA-V2A's own parts."""
        if self.system is not None:
            return self.system
        step_s = self.timeline.step_s if self.has_onset_channel else None
        return STAV2A(self.attentive_pool, step_s, self.eye_pool)

    # ---- 1. frames -> features --------------------------------------------------------------------

    @torch.no_grad()
    def encode_video(self, frames: np.ndarray | Tensor | VideoFeatures) -> VideoFeatures:
        """frames: uint8 [T_v, H, W, 3], RGB at the timeline's fps and size; features pass through."""
        if isinstance(frames, VideoFeatures):
            return frames
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
        local, logits = self.see_onsets(features)
        steps = min(timeline.latent_length(len(frames) / timeline.fps), local.shape[1])
        curve = onset_probability(logits.float())[0, :steps].cpu().numpy()
        onsets_s = pick_onsets(curve, timeline.step_s, self.defaults["onset_threshold"])
        onset = OnsetPrediction(curve, onsets_s, timeline.step_s)
        seen = self.frame_features(frames, features[0, : len(frames)])[None]
        expected = self.conditioner.layout(seen)
        layout = None if expected is None else expected[0].float().cpu().numpy()
        motion = motion_of(frames.numpy())
        eyed = self.eye_features(frames)
        return VideoFeatures(features, local, onset, len(frames) / timeline.fps, seen, layout, eyed, motion)

    def eye_features(self, frames: Tensor) -> Tensor | None:
        """What the pretrained eyes see: uint8 Tensor[T_v, H, W, 3] -> Tensor[1, N, 1280], where the model has them."""
        if self.eye_pool is None:
            return None
        device, own = self._execution_device, self.eye_pool.config
        looked = eyes.shared_eyes(own.eyes, str(device))(frames, self.timeline.fps, own.looks_per_s)
        return looked.features[None].to(device, self.eye_pool.dtype)

    def see_onsets(self, cavp_features: Tensor) -> tuple[Tensor, Tensor]:
        """Tensor[1, T_v, D] -> local features Tensor[1, T, C] and onset logits Tensor[1, T, 2].

        A system may come without them (`local_features` is None): no channels, and no onset anywhere.
        """
        if self.local_features is not None:
            return self.local_features(cavp_features)
        timeline = self.timeline
        steps = round(cavp_features.shape[1] * timeline.latent_rate / timeline.fps)
        steps += timeline.latent_frames - timeline.local_frames
        none = cavp_features.new_tensor([NEVER, -NEVER])
        return cavp_features.new_zeros(1, steps, 0), none.expand(1, steps, 2)

    def features_of(self, request: Request) -> VideoFeatures:
        """Of its frames, or of no picture at all."""
        if request.frames is not None:
            video = self.encode_video(request.frames)
            return video if request.duration_s is None else replace(video, duration_s=request.duration_s)
        if request.duration_s is None:
            raise ValueError("Without frames the duration is needed.")
        return self.encode_nothing(request.duration_s)

    def encode_nothing(self, duration_s: float) -> VideoFeatures:
        """Features of no picture at all, for a caption alone: those of black, no onsets, no motion."""
        timeline = self.timeline
        shape = (max(1, math.ceil(duration_s * timeline.fps)), timeline.frame_size, timeline.frame_size, 3)
        black = self.encode_video(torch.zeros(shape, dtype=torch.uint8))
        nothing = OnsetPrediction(np.zeros_like(black.onset.curve), [], black.onset.step_s)
        return replace(black, onset=nothing, motion=None, duration_s=float(duration_s))

    def frame_features(self, frames: Tensor, cavp_features: Tensor) -> Tensor:
        """What the system sees: uint8 Tensor[T_v, H, W, 3], Tensor[T_v, D] -> Tensor[T, C], a row a latent frame."""
        timeline = self.timeline
        place = torch.arange(len(frames))

        def seen(rows: Tensor) -> Tensor:
            return self.conditioner.look(frames[rows], cavp_features[rows], self.video_encoder)

        features = in_chunks(seen, place, timeline.video_frames, VIDEO_HALO, 1)
        if timeline.is_framewise:
            return features
        steps = timeline.latent_length(len(frames) / timeline.fps)
        return fitted(stretched(features[None], timeline.latent_rate / timeline.fps), steps)[0]

    def predict_onsets(self, frames: np.ndarray | Tensor) -> OnsetPrediction:
        return self.encode_video(frames).onset

    def with_threshold(self, video: VideoFeatures, threshold: float) -> VideoFeatures:
        """The features with the onsets that reach another threshold than the checkpoint's own."""
        if threshold == self.defaults["onset_threshold"]:
            return video
        onset = video.onset
        return replace(video, onset=replace(onset, onsets_s=pick_onsets(onset.curve, onset.step_s, threshold)))

    # ---- 2. features and caption -> conditions ----------------------------------------------------

    def encode_prompt(self, prompt: str, negative_prompt: str = "") -> Conditions:
        """The captions alone, a batch of one."""
        captions = [self.defaults["prompt_prefix"] + prompt, negative_prompt]
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, captions, self._execution_device)
        if self.defaults["null_text"] == "zeros" and not negative_prompt:
            return Conditions(tokens[:1], mask[:1], torch.zeros_like(tokens[:1]), mask[:1])
        return Conditions(tokens[:1], mask[:1], tokens[1:], mask[1:])

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Tensor:
        """The mean of each caption's tokens: Tensor[N, D]."""
        tokens, mask = text.encode(self.tokenizer, self.text_encoder, captions, self._execution_device)
        return Conditions(tokens, mask, tokens, mask).pooled_text()

    def caption(self, video: VideoFeatures, prompt: str = "") -> str:
        """The caption that the system makes of a prompt; TA-V2A finds one where there is none."""
        return self.conditioner.caption(prompt, video, self.embed)

    @torch.no_grad()
    def conditions(
        self, video: VideoFeatures, text_tokens: Conditions, dials: Dials, own: Mapping | None = None
    ) -> Conditions:
        """All that steers the denoising, a batch of one, padded to a length the U-Net can halve.

        own: the defaults it is sampled with, the checkpoint's unless given; they hold the switches of an ablation.
        """
        own = own or self.defaults
        switches = (own["use_control"], own["use_onsets"], own["use_global_tokens"])
        steering = Steering(dials.onsets_s, dials.layout, *switches)
        made = self.conditioner.conditions(video, text_tokens, self.padded_length(video), steering)
        if video.motion is None:  # no picture: as where training dropped it
            made = made.null_video()
        return made.to(self._execution_device, self.unet.dtype)

    def padded_length(self, video: VideoFeatures) -> int:
        """Latent frames of a clip, up to the next length that the U-Net can halve at every level but the last."""
        multiple = 2 ** (len(self.unet.config.block_out_channels) - 1)
        return -(-video.local_features.shape[1] // multiple) * multiple

    # ---- 3. recordings and noise -> latents -------------------------------------------------------

    @torch.no_grad()
    def denoise(self, group: Sequence[Prepared], on_step: Callable | None = None) -> Iterator[Tensor]:
        """Yield latents Tensor[K, C, T, F] after each step, one item a take; noise is drawn on the CPU.

        group: requests of one `pass_key`. on_step: see `stav2a.denoise.sample.denoise`.
        """
        first, timeline = group[0], self.timeline
        generators = [generator for item in group for generator in item.generators]
        length = self.padded_length(first.video)
        shape = (timeline.latent_channels, length, timeline.latent_bins)
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        start = None
        if first.strength < 1:
            start = self.encode_sound(np.concatenate([item.recording.waveforms for item in group]), length).to(
                self.unet.dtype
            )
        yield from denoise(
            self.unet,
            self.controlnet,
            make_sampler(first.own["sampler"], self.scheduler),
            noise.to(self._execution_device, self.unet.dtype),
            concatenated([item.conditions.repeat(item.takes) for item in group if item.conditions is not None]),
            self.guidance(group),
            first.own["steps"],
            self.defaults.get("window_steps") or timeline.latent_frames,
            generators,
            first.own["timestep_power"],
            on_step,
            start,
            first.strength,
        )

    def guidance(self, group: Sequence[Prepared]) -> Guidance:
        """The guidance of a pass; the text's scale is each request's own."""
        first, dials = group[0], group[0].request.dials
        scales = tuple(item.own["guidance_scale"] for item in group for _ in range(item.takes))
        made = Guidance(
            text=scales[0] if len(set(scales)) == 1 else scales,
            video=first.own["video_guidance_scale"],
            control=dials.control_scale,
            mask_control=first.own["mask_control"],
            guided_share=first.own["guided_share"],
            rescale=first.own["guidance_rescale"],
        )
        return self.conditioner.guidance(made, self.scheduler, dials.own)

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
        self, requests: Sequence[Request], batch_size: int = BATCH_SIZE, on_step: Callable | None = None
    ) -> Iterator[Progress | STAV2AOutput]:
        """Yield progress after every step, and each result when it is ready. Closing the generator stops within a step.

        Requests that differ only in clip, captions, onsets, seed and text guidance (see `Prepared.pass_key`) share a
        pass of the network, up to `batch_size` takes of them; passes of few steps come first. `STAV2AOutput.index` says
        which request a result belongs to.
        """
        prepared = yield from self.prepare(requests)
        for item in prepared:
            if item.strength == 0 and item.recording is not None:
                yield self._placed(item, item.recording.waveforms)
        groups = passes([item for item in prepared if item.strength > 0], batch_size)
        done, total = 0, sum(group[0].passes_of_network for group in groups)
        for group in groups:
            watch = Stopwatch()
            yield Progress("denoise", done, total)
            for step, latents in enumerate(watch.each("denoise", self.denoise(group, on_step)), done + 1):
                yield Progress("denoise", step, total, latents)
            done += group[0].passes_of_network
            yield Progress("decode")
            yield from self._decoded(group, latents, watch.seconds["denoise"])

    def prepare(self, requests: Sequence[Request]) -> Generator[Progress, None, list[Prepared]]:
        """Encode clips and captions, each once: yields progress and returns the requests as they are denoised."""
        features, texts, prepared = {}, {}, []
        for index, request in enumerate(requests):
            watch, own = Stopwatch(), request.dials.over({**self.defaults, **request.defaults})
            yield Progress("video", index, len(requests))
            with watch.stage("video"):
                if request.clip_key not in features:
                    features[request.clip_key] = self.features_of(request)
                video = self.with_threshold(features[request.clip_key], own["onset_threshold"])
            yield Progress("text", index, len(requests))
            with watch.stage("text"):
                captions = self.caption(video, request.dials.prompt), request.dials.negative_prompt
                strength, conditions = self.strength(request, own), None
                if strength > 0:
                    if captions not in texts:
                        texts[captions] = self.encode_prompt(*captions)
                    conditions = self.conditions(video, texts[captions], request.dials, own)
            recording = None
            if strength < 1:
                yield Progress("recordings", index, len(requests))
                with watch.stage("recordings"):
                    recording = self.place_recordings(video, captions[0], request.dials, request.reference)
            encoded = (video, captions[0], conditions, watch.seconds, strength, recording)
            prepared.append(Prepared(index, request, own, *encoded))
        return prepared

    def _placed(self, item: Prepared, recording: np.ndarray) -> STAV2AOutput:
        """The result of a request of strength 0: the recording as it is placed."""
        mels = log_mel(torch.from_numpy(np.pad(recording, ((0, 0), (0, N_FFT)))), self.timeline).numpy()
        return self._output(item, recording, mels, item.seconds)

    def _decoded(self, group: list[Prepared], latents: Tensor, denoise_s: float) -> Iterator[STAV2AOutput]:
        """The results of a pass; on a CPU, where a batch is no faster, each when it is ready."""
        takes = len(latents)
        for items in [[item] for item in group] if latents.device.type == "cpu" else [group]:
            watch, count = Stopwatch(), sum(item.takes for item in items)
            with watch.stage("decode"):
                waveforms, mels = self.decode(latents[:count])
            latents = latents[count:]
            for item in items:
                seconds = {"denoise": denoise_s / takes, "decode": watch.seconds["decode"] / count}
                seconds = {**item.seconds, **{stage: share * item.takes for stage, share in seconds.items()}}
                yield self._output(item, waveforms[: item.takes], mels[: item.takes], seconds)
                waveforms, mels = waveforms[item.takes :], mels[item.takes :]

    def _output(self, item: Prepared, waveforms: np.ndarray, mels: np.ndarray, seconds: dict) -> STAV2AOutput:
        """The result of one request from what was decoded for it, cut to the clip's length."""
        video, dials, rate = item.video, item.request.dials, self.timeline.sample_rate
        samples = round(video.duration_s * rate)
        return STAV2AOutput(
            waveforms=waveforms[:, :samples],
            sample_rate=rate,
            mels=mels[:, : -(-samples // self.timeline.hop_length)],
            onset_curve=video.onset.curve,
            predicted_onsets_s=video.onset.onsets_s,
            onsets_s=list(video.onset.onsets_s if dials.onsets_s is None else dials.onsets_s),
            seeds=[generator.initial_seed() for generator in item.generators],
            duration_s=video.duration_s,
            settings=item.settings(),
            dtype=str(self.dtype).removeprefix("torch."),
            layout=video.layout if dials.layout is None else np.asarray(dials.layout, np.float32),
            predicted_layout=video.layout,
            index=item.index,
            seconds=seconds,
            credits=() if item.recording is None else item.recording.credits,
        )

    def __call__(
        self,
        frames: Any,
        prompt: str | list[str] = "",
        negative_prompt: str | list[str] = "",
        *,
        fps: float | list[float] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | list[float] | None = None,
        video_guidance_scale: float | None = None,
        controlnet_conditioning_scale: float = 1.0,
        sampler: str | None = None,
        seed: int | list[int] = 0,
        takes: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        onsets_s: Sequence[float] | None = None,
        onset_threshold: float | None = None,
        layout: np.ndarray | None = None,
        strength: float | None = None,
        reference: np.ndarray | None = None,
        duration_s: float | None = None,
        use_control: bool | None = None,
        use_onsets: bool | None = None,
        use_global_tokens: bool | None = None,
        mode: str | None = None,
        callback_on_step_end: Callable | None = None,
        return_dict: bool = True,
        **own_dials: float | None,
    ) -> STAV2AOutput | list[STAV2AOutput] | tuple:
        """`stream` to its end: the result of a clip, or a list of them where `frames` is a list of clips.

        Args:
            frames: a clip as `stav2a.media.in_memory.for_model` takes it: [T, H, W, C] or [T, C, H, W], uint8 or floats
                in [0, 1], a list of pictures, or a file; features of `encode_video`; or a list of clips, with which
                prompts, guidance scales, seeds and rates may be lists, too.
            fps: pictures a second of the frames; the timeline's where None.
            prompt: what should be heard.
            negative_prompt: what should not be heard.
            num_inference_steps: sampling steps; the checkpoint's own where None, as with all that follow.
            guidance_scale: w of eq. 7, how closely the sound follows the caption.
            video_guidance_scale: guidance by the picture alone; 1 is none.
            controlnet_conditioning_scale: how strongly the onsets time the sound.
            sampler: a name of `stav2a.denoise.sample.SAMPLERS`.
            seed: take k is drawn with the seed `seed + k`, on the CPU.
            takes: sounds of one clip, K.
            generator: in place of the seeds: one on the CPU, or one a take.
            onsets_s: times in seconds that replace the predicted ones, where the model has an onset channel.
            onset_threshold: probability from which on an onset is predicted; lower gives more of them.
            strength: 0 gives recordings found by caption, placed at the onsets; 1 begins with noise; between them the
                recording, with noise added, is where denoising begins.
            reference: a sound of one's own in place of the recordings, float32 [S] at the timeline's sample rate.
            duration_s: of the sound where `frames` is None: it is made of the caption alone.
            layout: float32 [rows, bands] in [0, 1] in place of the predicted audio layout (TiVA).
            use_control, use_onsets, use_global_tokens: leave out the ControlNet, the onset curve or the global tokens
                (rows of the paper's Table III).
            mode: "faithful" samples as the authors' script does, whatever the checkpoint's own defaults are.
            callback_on_step_end: called as `callback(pipe, step, timestep, {"latents": latents})` after every step; the
                latents that it returns in a dict are gone on with.
            return_dict: False returns the tuple (waveforms,) instead of an output.
            own_dials: those that the checkpoint's system declares, such as `negative_guidance_scale` of TA-V2A.
        """
        switches = {"use_control": use_control, "use_onsets": use_onsets, "use_global_tokens": use_global_tokens}
        own = {name: value for name, value in switches.items() if value is not None}
        shared: dict[str, Any] = {
            "video_guidance_scale": video_guidance_scale,
            "steps": num_inference_steps,
            "sampler": sampler,
            "takes": takes,
            "control_scale": controlnet_conditioning_scale,
            "onsets_s": onsets_s,
            "onset_threshold": onset_threshold,
            "layout": layout,
            "strength": strength,
            "own": self._own_dials(own_dials),
        }
        each: dict[str, Any] = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "guidance_scale": guidance_scale,
            "seed": seed,
        }
        clips, requests = clips_of(frames), []
        many = clips is frames
        for k, clip in enumerate(clips):
            dials = Dials(**shared, **{name: _of(value, k) for name, value in each.items()})
            length_s = duration_s if clip is None else None
            if clip is not None and not isinstance(clip, VideoFeatures):
                clip, length_s = for_model(clip, self.timeline, _of(fps, k))
            requests.append(Request(clip, dials, own, generator, reference, length_s))

        def on_step(step: int, timestep: Tensor, latents: Tensor) -> Tensor:
            assert callback_on_step_end is not None
            return (callback_on_step_end(self, step, timestep, {"latents": latents}) or {}).get("latents", latents)

        stream = self.in_mode(mode).stream(requests, on_step=on_step if callback_on_step_end is not None else None)
        found = sorted((item for item in stream if isinstance(item, STAV2AOutput)), key=lambda item: item.index)
        if return_dict:
            return found if many else found[0]
        return ([item.waveforms for item in found] if many else found[0].waveforms,)

    def _own_dials(self, given: Mapping[str, float | None]) -> dict[str, float]:
        if unknown := [name for name in given if name not in self.dials]:
            raise TypeError(f"The system {self.conditioner.name} has no dial {unknown[0]!r}.")
        return {name: value for name, value in given.items() if value is not None}

    def compile(self, backend: str = "inductor", mode: str | None = None) -> None:
        """`torch.compile` what a clip spends its time in, in place; the first clip of a length then takes minutes.

        mode: torch's, such as "reduce-overhead", which runs the steps as CUDA graphs.
        """
        for part in (self.unet, self.controlnet, self.vae and self.vae.decoder):
            if part is not None:
                part.compile(backend=backend, mode=mode)


def _of(value: Any, index: int) -> Any:
    """What a clip of a batch is given: its own item of a list, or what all share."""
    return value[index] if isinstance(value, list) else value
