"""Sampling defaults and dials of a checkpoint, read without opening its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from stav2a import systems
from stav2a.assets import ASSETS
from stav2a.dials import Dial

DEFAULTS = {
    "steps": 25,
    "distilled_steps": 2,  # in place of `steps` where there is a distilled U-Net (`with_distilled`)
    "guidance_scale": 3.0,
    "video_guidance_scale": 1.0,
    "sampler": "dpm++2m",
    "onset_threshold": 0.5,
    "mask_control": True,
    "null_text": "empty",  # unconditional text of guidance (`condition.text.NULLS`), as in training
    "guided_share": 1.0,  # share of the steps with guidance, from the first
    "guidance_rescale": 0.0,  # towards the deviation of the conditioned prediction, which keeps levels
    "timestep_power": 1.0,  # above 1 the steps crowd towards the end, where texture is decided
    "strength": 1.0,  # from a recording, 0, to noise alone, 1 (`stav2a.dials.Dials`)
    "prompt_prefix": "",
    "eventless_negative_prompt": "",  # of clips with neither a caption nor an onset
    "use_control": True,  # the ControlNet, the onset curve, the global tokens: rows of the paper's Table III
    "use_onsets": True,
    "use_global_tokens": True,  # a model trained without them (row of Table III) is sampled without them
    "equaliser_rounds": 0,  # of vocoded sound towards its mel; a checkpoint with a small vocoder asks for its own
}
TINY_DEFAULTS = {"steps": 4, "onset_threshold": 0.45}
COMPACT = ASSETS / "compact"


def model_defaults(name: str) -> dict:
    """`DEFAULTS`, overridden by the checkpoint's own if it is on disk."""
    if name == "tiny":
        return {**DEFAULTS, **TINY_DEFAULTS}
    if name == "paper":
        from stav2a.weights.faithful import FAITHFUL

        return {**DEFAULTS, **FAITHFUL}
    index = _read(name, "model_index.json")
    return with_distilled(
        {**DEFAULTS, **(index.get("defaults") or {})}, bool((index.get("distilled_unet") or [None])[0])
    )


def with_distilled(defaults: Mapping, there: bool) -> dict:
    """Defaults of a checkpoint: with a distilled U-Net the steps are its, and the others `undistilled_steps`."""
    if not there:
        return dict(defaults)
    return {**defaults, "steps": defaults["distilled_steps"], "undistilled_steps": defaults["steps"]}


def model_dials(name: str) -> dict[str, Dial]:
    """The dials of the model of that name or folder, that not every model has (`Dial.everywhere`)."""
    index, config = _read(name, "model_index.json"), _read(name, "system/config.json")
    module = (index.get("system") or [None])[0]  # "stav2a.systems.ta_v2a" in a checkpoint of that system
    system = systems.OWN if module is None else module.rpartition(".")[2].replace("_", "-")
    system = name if name in systems.names() else system  # its weights may not be here
    return dials_of(system, "paper" if name == "paper" else (index.get("provenance") or {}).get("model"), config)


def dials_of(system: str, model: str | None, config: Mapping) -> dict[str, Dial]:
    """The dials of a system with a checkpoint's own defaults, without those that a model was not trained for.

    config: of the checkpoint's system. Video guidance compares with a prediction that saw no picture, and the paper's
    training never leaves the picture out; its ControlNet takes no onset curve (docs/faithful.md).
    """
    lacks = ("video_guidance_scale", "onsets_s") if model == "paper" else ()
    found = {name: dial for name, dial in systems.declared(system).dials.items() if not {name, dial.needs} & set(lacks)}
    return {name: replace(dial, default=config.get(dial.config, dial.default)) for name, dial in found.items()}


def _read(name: str, file: str) -> dict:
    """A JSON file of a model's folder; empty if it does not exist."""
    place = systems.folder(name) if name in systems.names() else COMPACT if name == "compact" else Path(name)
    return json.loads((place / file).read_text(encoding="utf-8")) if (place / file).is_file() else {}
