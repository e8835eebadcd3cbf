"""Assemble the checkpoint of a system from a folder of parts, without the parts of its base checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from diffusers import DDPMScheduler

from stav2a import presets
from stav2a.models.lean import base_folder, write_lean
from stav2a.pipeline import STAV2APipeline
from stav2a.sound.audio_encoder import MelEncoder
from stav2a.systems import find
from stav2a.systems.base import System
from stav2a.timeline import Timeline
from stav2a.train.runtime.parts import licences_of, noted_defaults, noted_source, text_parts, trained, write_whole
from stav2a.weights.digest import digest
from stav2a.weights.stored import halved

NAMES = ("video_encoder", "unet", "vae", "vocoder")


def assemble_system(
    folder: str | Path,
    model: str,
    out: str | Path,
    system: str,
    base: str | None = "compact",
    half: bool = True,
    notes: str = "",
    timeline: Timeline | None = None,
    low_rank: float | None = None,
    **defaults,
) -> Path:
    """Write the checkpoint of `system` from the parts in `folder`. It needs `base`; with None it is complete.

    Of the U-Net only what differs from the base's is written (`options.trained_unet`), with `low_rank` (see
    `write_lean`) in less.
    `defaults` override those found in training, the system's own and the base's. The onset head is included if it was
    trained on this video encoder.
    """
    kind, folder = find(system), Path(folder)
    kept = folder / system
    if not (kept / "config.json").is_file() and any(True for _ in kind.sized(model).parameters()):
        raise ValueError(f"{folder} has no {system} yet: train {system} first.")
    own = kind.from_pretrained(kept) if (kept / "config.json").is_file() else kind.sized(model)
    index = {}
    if base is not None:
        index = json.loads((base_folder(Path(out), base) / "model_index.json").read_text(encoding="utf-8"))
    tokenizer, text_encoder = text_parts(model, folder)
    parts = {name: trained(folder, name) for name in NAMES}
    has_head = (folder / "local_features" / "config.json").is_file()
    names = (*NAMES, *(["local_features"] if has_head else []), "system")
    pipe = STAV2APipeline(
        **parts,
        local_features=trained(folder, "local_features") if has_head else None,
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        attentive_pool=None,
        controlnet=None,
        scheduler=DDPMScheduler(**presets.SCHEDULER[model]),
        system=own.eval(),
        timeline=(timeline or presets.TIMELINES[model]).to_dict(),
        defaults={
            **(index.get("defaults") or {}),
            "strength": 1.0,  # noise alone: what the system itself can do
            **own.sampling_defaults(),
            **noted_defaults(folder),
            **defaults,
        },
        provenance={"model": system, **licences_of(folder, names, model)},
    )
    if base is None:
        named = noted_source(folder, "text_encoder") is not None
        written = write_whole(pipe, out, half, notes, text=named or model != "compact")
    else:
        written = write_lean(pipe, out, base, half, notes, low_rank)
    copy_sound_encoder(folder, own, written, half)
    return written


def copy_sound_encoder(folder: Path, system: System, out: Path, half: bool) -> None:
    """Write the sound encoder of TA-V2A's space beside the parts of a checkpoint, if `folder` has that of `system`.

    Making sound does not need it; retrieval does.
    """
    if "video_encoder" not in system.encoders or not (folder / "audio_encoder" / "config.json").is_file():
        return
    encoder = MelEncoder.from_pretrained(folder / "audio_encoder")
    if encoder.config.seen_with == digest(system.video_encoder):
        (halved(encoder, "audio_encoder") if half else encoder).save_pretrained(out / "audio_encoder")
