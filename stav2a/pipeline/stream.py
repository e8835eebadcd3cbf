"""Requests to results: each clip and caption is encoded once, and requests that agree share a pass of the network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from stav2a.denoise.few_steps import MOST_STEPS
from stav2a.denoise.request import Prepared, Request, passes
from stav2a.output import Progress, STAV2AOutput, Stopwatch
from stav2a.sound.mel import N_FFT, log_mel

from .latents import Denoising
from .video import VideoEncoding

BATCH_SIZE = 8  # takes in one pass of the network, where more are asked for; guidance doubles or triples them


class Streaming(VideoEncoding, Denoising):
    """Runs all stages for a list of requests."""

    def stream(
        self, requests: Sequence[Request], batch_size: int = BATCH_SIZE, on_step: Callable | None = None
    ) -> Generator[Progress | STAV2AOutput, None, None]:
        """Yield progress after every step, and each result when it is ready. Closing the generator stops within a step.

        Requests that differ only in clip, captions, onsets, seed and text guidance (see `Prepared.pass_key`) share a
        pass of the network of up to `batch_size` takes. Passes of few steps come first. `STAV2AOutput.index` says
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
        """Encode each clip and each caption once. Yields progress, returns the requests ready for denoising."""
        features, texts, prepared = {}, {}, []
        for index, request in enumerate(requests):
            watch, sampling = Stopwatch(), request.dials.over({**self.defaults, **request.defaults})
            distilled = self.distilled_serves(request.dials, sampling)
            if sampling["steps"] <= MOST_STEPS and not distilled:  # so few are for the distilled U-Net alone
                sampling["steps"] = sampling.get("undistilled_steps", sampling["steps"])
            yield Progress("video", index, len(requests))
            with watch.stage("video"):
                if request.clip_key not in features:
                    features[request.clip_key] = self.encode_request(request)
                video = self.with_threshold(features[request.clip_key], sampling["onset_threshold"])
            yield Progress("text", index, len(requests))
            with watch.stage("text"):
                captions = self.captions(video, request.dials, sampling)
                strength, conditions = self.strength(request, sampling), None
                if strength > 0:
                    if captions not in texts:
                        texts[captions] = self.encode_prompt(*captions)
                    conditions = self.conditions(video, texts[captions], request.dials, sampling)
            recording = None
            if strength < 1 or (request.reference is not None and self.reference_pool is not None):
                yield Progress("recordings", index, len(requests))
                with watch.stage("recordings"):
                    recording = self.place_recordings(video, captions[0], request.dials, request.reference)
            encoded = (video, *captions, conditions, watch.seconds, strength, recording, distilled)
            prepared.append(Prepared(index, request, sampling, *encoded))
        return prepared

    def _placed(self, item: Prepared, recording: np.ndarray) -> STAV2AOutput:
        """The result of a request of strength 0: the placed recording itself."""
        mels = log_mel(torch.from_numpy(np.pad(recording, ((0, 0), (0, N_FFT)))), self.timeline).numpy()
        return self._output(item, recording, mels, item.seconds)

    def _decoded(self, group: list[Prepared], latents: Tensor, denoise_s: float) -> Iterator[STAV2AOutput]:
        """The results of a pass. On a CPU a batch is no faster, so each is decoded and yielded by itself."""
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
        """The result of one request: its decoded sound, cut to the clip's length."""
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
            video=video,
        )
