"""What frozen parts see in rendered clips, computed once and kept beside them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch

from .clips import CachedClips


class ClipFeatures:
    """`cavp_features` float16 [n, T_v, D] and `local_features` float16 [n, T, C] of a cache's clips.

    Files carry a digest of the weights, so that a newly trained encoder never meets old features. `in_bf16`: computed
    as a training in mixed precision computes them.
    """

    def __init__(self, clips: CachedClips, video_encoder, local_features, in_bf16: bool = False):
        folder = clips.world.folder / f"features-{digest(video_encoder, local_features)}"
        done = folder / "local.npy"
        if not done.is_file() or len(np.load(done, mmap_mode="r")) < len(clips):
            device = next(video_encoder.parameters()).device
            with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
                self._write(folder, clips, video_encoder, local_features)
        self.cavp = np.load(folder / "cavp.npy", mmap_mode="r")
        self.local = np.load(folder / "local.npy", mmap_mode="r")

    def __call__(self, clip: int, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`count` steps from `first`: Tensor[count, D], Tensor[count, C]."""
        span = slice(first, first + count)
        return tuple(torch.from_numpy(array[clip, span].astype(np.float32)) for array in (self.cavp, self.local))

    @staticmethod
    @torch.no_grad()
    def _write(folder: Path, clips: CachedClips, video_encoder, local_features) -> None:
        folder.mkdir(exist_ok=True)
        mine = os.getpid()  # several processes of a training may come here at once; each writes the same
        device = next(video_encoder.parameters()).device
        writers: dict[str, np.memmap] = {}
        for k in range(len(clips)):
            frames = torch.from_numpy(np.array(clips.world.frames(k))).to(device)
            cavp = video_encoder(frames.permute(3, 0, 1, 2)[None].float() / 255)
            local = local_features(cavp)[0][:, : cavp.shape[1]]
            for name, values in (("cavp", cavp[0]), ("local", local[0])):
                if name not in writers:
                    shape = (len(clips), *values.shape)
                    writers[name] = np.lib.format.open_memmap(folder / f"{name}-{mine}.part", "w+", np.float16, shape)
                writers[name][k] = values.half().cpu().numpy()
            if k % 500 == 0:
                print(f"features: {k} of {len(clips)} clips", flush=True)
        for name, writer in writers.items():  # the one that is looked for comes last
            writer.flush()
            (folder / f"{name}-{mine}.part").replace(folder / f"{name}.npy")


def digest(*modules: torch.nn.Module) -> str:
    """Twelve hexadecimal digits of the modules' weights."""
    total = hashlib.sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            total.update(name.encode())
            total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:12]
