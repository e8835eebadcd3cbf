"""Features of frozen parts for rendered clips, computed once and stored beside them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from stav2a.generation.processes import Processes
from stav2a.train.sources.clips import CachedClips
from stav2a.weights.digest import digest


class ClipFeatures:
    """`cavp_features` float16 [n, T_v, D] and `local_features` float16 [n, T, C] of a cache's clips.

    File names have a digest of the weights, so that a new encoder never reads old features. `in_bf16`: computed in
    mixed precision.
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
        """Each process encodes its share of the clips and writes it into shared files."""
        processes = Processes()
        folder.mkdir(exist_ok=True)
        mark = processes.gather(os.getpid())[0]  # another training may be about the same at this moment
        parts = {name: folder / f"{name}-{mark}.part" for name in ("cavp", "local")}
        widths = {"cavp": video_encoder.config.feature_dim, "local": local_features.config.local_dim}
        if processes.is_first:
            shape = (len(clips), len(clips.world.frames(0)))
            for name, part in parts.items():
                np.lib.format.open_memmap(part, "w+", np.float16, (*shape, widths[name]))
        processes.wait()  # the files are there
        written = {name: np.lib.format.open_memmap(part, "r+") for name, part in parts.items()}
        device = next(video_encoder.parameters()).device
        for k in processes.share(range(len(clips))):
            frames = torch.from_numpy(np.array(clips.world.frames(k))).to(device)
            cavp = video_encoder(frames.permute(3, 0, 1, 2)[None].float() / 255)
            local = local_features(cavp)[0][:, : cavp.shape[1]]
            written["cavp"][k], written["local"][k] = (values[0].half().cpu().numpy() for values in (cavp, local))
            if k % 500 == 0:
                print(f"features: {k} of {len(clips)} clips", flush=True)
        for values in written.values():
            values.flush()
        processes.wait()  # all shares are written
        if processes.is_first:
            for name, part in parts.items():  # the one that is looked for comes last
                part.replace(folder / f"{name}.npy")
        processes.wait()
