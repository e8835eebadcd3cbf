"""The model card of a checkpoint folder: what it is, how to use it, what it was made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

HEADER = """---
library_name: diffusers
pipeline_tag: text-to-audio
license: {licence}
tags:
- video-to-audio
- foley
- stav2a
---
"""


def card(pipeline, model: str = "", assumptions: Iterable[str] = (), notes: str = "", licence: str = "") -> str:
    """Markdown. `notes` is added as it is: training data, commands, figures."""
    timeline = pipeline.timeline
    paper = model == "paper"
    sizes = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in pipeline.components.items()
        if hasattr(part, "parameters")
    }
    rows = "\n".join(
        f"| `{name}` | {type(pipeline.components[name]).__name__} | {n / 1e6:.2f} M |" for name, n in sizes.items()
    )
    lines = [
        HEADER.format(licence=licence or ("cc-by-nc-sa-4.0" if paper else "apache-2.0")),
        "# STA-V2A" + (f" ({model})" if model else ""),
        "",
        "Video to audio with semantic and temporal alignment: sound for silent clips "
        "([paper](https://arxiv.org/abs/2409.08601)).",
        "",
        "```python",
        "from stav2a import STAV2APipeline",
        "from stav2a.media.frames import read_frames",
        "",
        'pipe = STAV2APipeline.from_pretrained("THIS_FOLDER_OR_REPOSITORY")',
        f'clip = read_frames("clip.mp4", fps={timeline.fps:g}, size={timeline.frame_size})',
        'out = pipe(clip.frames, "a dog barks", seed=0)  # out.waveforms: float32 [takes, samples]',
        "```",
        "",
        f"Video at {timeline.fps:g} frames a second, {timeline.frame_size}x{timeline.frame_size}; sound at "
        f"{timeline.sample_rate} Hz, windows of {timeline.window_s:g} s. Defaults: "
        + ", ".join(f"{name} {value}" for name, value in pipeline.defaults.items())
        + ".",
        "",
        "| part | class | parameters |",
        "|---|---|---|",
        rows,
    ]
    if paper:
        lines += [
            "",
            "Converted from the authors' release (y-ren16/STAV2A, no licence stated), Diff-Foley's CAVP (MIT), "
            "google/mt5-large (Apache-2.0) and AudioLDM's VAE and HiFi-GAN (CC-BY-NC-SA-4.0): not for commercial use.",
        ]
    if assumptions := list(assumptions):
        lines += ["", "Assumed, because the release does not say:", "", *(f"- {s}." for s in assumptions)]
    if notes:
        lines += ["", notes.strip()]
    return "\n".join(lines) + "\n"


def write_card(pipeline, folder: str | Path, **facts) -> Path:
    """Write `README.md` unless somebody has written one."""
    path = Path(folder) / "README.md"
    if not path.exists():
        path.write_text(card(pipeline, **facts), encoding="utf-8")
    return path
