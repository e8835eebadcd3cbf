"""What a checkpoint samples with unless told otherwise, read without opening its weights."""

from __future__ import annotations

import json
from pathlib import Path

from stav2a import systems
from stav2a.assets import ASSETS

DEFAULTS = {
    "steps": 25,
    "guidance_scale": 3.0,
    "video_guidance_scale": 1.0,
    "sampler": "dpm++2m",
    "onset_threshold": 0.5,
    "mask_control": True,
    "null_text": "empty",  # what guidance compares with (`condition.text.NULLS`): what training dropped captions to
    "guided_share": 1.0,  # share of the steps, the noisiest first, that guidance is paid for
    "guidance_rescale": 0.0,  # towards the deviation of the conditioned prediction, which keeps levels
    "timestep_power": 1.0,  # above 1 the steps crowd towards the end, where texture is decided
    "strength": 1.0,  # from a recording, 0, to noise alone, 1 (`stav2a.request.Dials`)
    "prompt_prefix": "",
    "use_control": True,  # the ControlNet, the onset curve, the global tokens: rows of the paper's Table III
    "use_onsets": True,
    "use_global_tokens": True,  # a model trained without them (row of Table III) is sampled without them
    "equaliser_rounds": 0,  # of vocoded sound towards its mel; a checkpoint with a small vocoder asks for its own
}
TINY_DEFAULTS = {"steps": 4, "onset_threshold": 0.45}
COMPACT = ASSETS / "compact"


def model_defaults(name: str) -> dict:
    """`DEFAULTS` with what the checkpoint of that name sets itself; just `DEFAULTS` where it is not on disk."""
    if name == "tiny":
        return {**DEFAULTS, **TINY_DEFAULTS}
    if name == "paper":
        from stav2a.weights.faithful import FAITHFUL

        return {**DEFAULTS, **FAITHFUL}
    place = systems.folder(name) if name in systems.names() else COMPACT if name == "compact" else Path(name)
    index = place / "model_index.json"
    if not index.is_file():
        return dict(DEFAULTS)
    return {**DEFAULTS, **(json.loads(index.read_text(encoding="utf-8")).get("defaults") or {})}


def no_video_guidance(name: str) -> str | None:
    """Why the picture has no guidance dial of its own with this model, or None where it has one.

    Such guidance compares with a prediction that saw no picture, which a model must have met in training. The
    paper's training never leaves the picture out (see docs/faithful.md).
    """
    if name == "paper":
        return "This model was never trained without the picture, so it has no such dial."
    if name in systems.names() and not systems.find(name).video_dial:
        return f"With {name} the picture has no dial of its own."
    return None
