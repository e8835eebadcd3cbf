"""Frames to features: `VideoFeatures` hold what every setting of a clip shares."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from stav2a.condition import image_features
from stav2a.condition.chunks import in_chunks
from stav2a.condition.in_time import fitted, stretched
from stav2a.condition.onset import onset_probability, pick_onsets
from stav2a.denoise.request import Request
from stav2a.output import OnsetPrediction, VideoFeatures
from stav2a.recordings.compose import motion_of

from .parts import Parts

VIDEO_HALO = 24  # frames of context on either side of a chunk of video; the compact encoder sees 23
NEVER = 20.0  # onset logit of a latent frame that holds none for certain


class VideoEncoding(Parts):
    """Encodes frames."""

    @torch.no_grad()
    def encode_video(self, frames: np.ndarray | Tensor | VideoFeatures) -> VideoFeatures:
        """uint8 [T_v, H, W, 3], RGB at the timeline's fps and size -> features. Features are returned as given."""
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

        halo = VIDEO_HALO if timeline.is_framewise else 0  # the paper encodes each 40 frames on their own
        features = in_chunks(encode, frames, timeline.video_frames, halo, 1)[None]
        if not timeline.is_framewise:  # the authors append zero rows up to a whole window
            missing = -features.shape[1] % timeline.video_frames
            features = torch.nn.functional.pad(features, (0, 0, 0, missing))
        local, logits = self.encode_local_features(features)
        steps = min(timeline.latent_length(len(frames) / timeline.fps), local.shape[1])
        curve = onset_probability(logits.float())[0, :steps].cpu().numpy()
        onsets_s = pick_onsets(curve, timeline.latent_frame_s, self.defaults["onset_threshold"])
        onset = OnsetPrediction(curve, onsets_s, timeline.latent_frame_s)
        of_system = self.encode_frames(frames, features[0, : len(frames)])[None]
        predicted = self.conditioner.layout(of_system)
        return VideoFeatures(
            cavp_features=features,
            local_features=local,
            onset=onset,
            duration_s=len(frames) / timeline.fps,
            features=of_system,
            layout=None if predicted is None else predicted[0].float().cpu().numpy(),
            image_features=self.encode_images(frames),
            motion=motion_of(frames.numpy()),
        )

    def encode_images(self, frames: Tensor) -> Tensor | None:
        """uint8 Tensor[T_v, H, W, 3] -> Tensor[1, N, 1280] of the pretrained image network, if there is one."""
        if self.image_pool is None:
            return None
        device, own = self._execution_device, self.image_pool.config
        network = image_features.shared_network(own.network, str(device))
        return network(frames, self.timeline.fps, own.frames_per_s).features[None].to(device, self.image_pool.dtype)

    def encode_local_features(self, cavp_features: Tensor) -> tuple[Tensor, Tensor]:
        """Tensor[1, T_v, D] -> local features Tensor[1, T, C] and onset logits Tensor[1, T, 2].

        Without a `local_features` part there are no channels, and no onset anywhere.
        """
        if self.local_features is not None:
            return self.local_features(cavp_features)
        timeline = self.timeline
        steps = round(cavp_features.shape[1] * timeline.latent_rate / timeline.fps)
        steps += timeline.latent_frames - timeline.local_frames
        none = cavp_features.new_tensor([NEVER, -NEVER])
        return cavp_features.new_zeros(1, steps, 0), none.expand(1, steps, 2)

    def encode_request(self, request: Request) -> VideoFeatures:
        """Features of a request's frames, or of a clip without a picture."""
        if request.frames is not None:
            video = self.encode_video(request.frames)
            return video if request.duration_s is None else replace(video, duration_s=request.duration_s)
        if request.duration_s is None:
            raise ValueError("Without frames the duration is needed.")
        return self.encode_blank(request.duration_s)

    def encode_blank(self, duration_s: float) -> VideoFeatures:
        """Features for a caption without a picture: black frames, no onsets, no motion."""
        timeline = self.timeline
        shape = (max(1, math.ceil(duration_s * timeline.fps)), timeline.frame_size, timeline.frame_size, 3)
        black = self.encode_video(torch.zeros(shape, dtype=torch.uint8))
        no_onsets = OnsetPrediction(np.zeros_like(black.onset.curve), [], black.onset.latent_frame_s)
        return replace(black, onset=no_onsets, motion=None, duration_s=float(duration_s))

    def encode_frames(self, frames: Tensor, cavp_features: Tensor) -> Tensor:
        """Features of the system itself: uint8 Tensor[T_v, H, W, 3], Tensor[T_v, D] -> Tensor[T, C]."""
        timeline = self.timeline

        def encode(rows: Tensor) -> Tensor:
            return self.conditioner.encode_frames(frames[rows], self.video_encoder, cavp_features[rows])

        features = in_chunks(encode, torch.arange(len(frames)), timeline.video_frames, VIDEO_HALO, 1)
        if timeline.is_framewise:
            return features
        steps = timeline.latent_length(len(frames) / timeline.fps)
        return fitted(stretched(features[None], timeline.latent_rate / timeline.fps), steps)[0]

    def predict_onsets(self, frames: np.ndarray | Tensor) -> OnsetPrediction:
        """Onsets of frames as in `encode_video`."""
        return self.encode_video(frames).onset

    def with_threshold(self, video: VideoFeatures, threshold: float) -> VideoFeatures:
        """The same features with the onsets that a threshold finds."""
        onset = video.onset
        return replace(video, onset=replace(onset, onsets_s=pick_onsets(onset.curve, onset.latent_frame_s, threshold)))
