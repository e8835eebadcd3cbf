"""Whether the parts on disk fit the configuration and each other. Only configurations and headers are read.

A part of another width is so told before a machine is rented, not by the first step on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from stav2a.models.build import CLASSES, OPTIONAL
from stav2a.sound.vocoder import vocoder_config
from stav2a.train.runtime.config import TrainConfig
from stav2a.weights.check import check_part
from stav2a.weights.errors import WeightsError

OF_SOUND = ("vae", "vocoder", "unet")  # what a stage of another system takes, with its vision encoder
OWN = ("vae", "vocoder", "video", "onset", "t2a", "v2a", "distill")  # stages of STA-V2A
PAIRS = (  # (part, its field, part, its field): one gives what the other takes
    ("local_features", "feature_dim", "video_encoder", "feature_dim"),
    ("attentive_pool", "feature_dim", "video_encoder", "feature_dim"),
    ("attentive_pool", "token_dim", "unet", "cross_attention_dim"),
    ("reference_pool", "token_dim", "unet", "cross_attention_dim"),
    ("controlnet", "cross_attention_dim", "unet", "cross_attention_dim"),
    ("text_encoder", "hidden_size", "unet", "cross_attention_dim"),
)


def check_parts(stage: str, config: TrainConfig) -> None:
    """`WeightsError` names the first part that does not fit, and both numbers.

    A part that is not there is no fault: an earlier stage makes it, or this one.
    """
    parts = places(stage, config)
    found = {name: _config(folder) for name, folder in parts.items()}
    timeline = config.timeline
    wanted = {
        "vae": {"in_channels": 1, "latent_channels": timeline.latent_channels},
        "vocoder": {"sampling_rate": timeline.sample_rate},
        "unet": {"out_channels": timeline.latent_channels},
        "local_features": {"steps_per_frame": timeline.latent_rate / timeline.fps},
    }
    bands, inputs = timeline.mel_bins, vocoder_config(config.model, timeline).model_in_dim
    if found.get("vocoder", {}).get("model_in_dim") != bands:  # bands alone, or with the noise of this size
        wanted["vocoder"]["model_in_dim"] = inputs
    for name, folder in parts.items():
        for key, value in wanted.get(name, {}).items():
            if (has := found[name].get(key, value)) != value:
                raise WeightsError(
                    f"The {name} in {folder} has {key} of {has:g}; the model {config.model} needs {value:g}."
                )
    for one, key, other, gives in PAIRS:
        if one in found and other in found:
            first, second = found[one].get(key), found[other].get(gives)
            if None not in (first, second) and first != second:
                raise WeightsError(
                    f"The {one} in {parts[one]} has {key} of {first}, and the {other} in {parts[other]} {gives} of "
                    f"{second}: they are not of one model."
                )
    for name, folder in parts.items():
        if name in (known := {**CLASSES, **OPTIONAL}) and not _pretrained(found[name]):
            check_part(folder, known[name])


def places(stage: str, config: TrainConfig) -> dict[str, Path]:
    """Where the parts lie that are there and that the stage may take: part -> folder, `parts` before `options.base`."""
    names = (*CLASSES, *OPTIONAL, "text_encoder") if stage in OWN else (*OF_SOUND, "video_encoder")
    options, found = config.options, {}
    for place in (options.get("base"), config.parts):
        for name in names:
            if place and (Path(place) / name / "config.json").is_file():
                found[name] = Path(place) / name
    if options.get("unet") not in (None, "new") and not Path(config.parts, "unet").exists():
        found["unet"] = Path(options["unet"])
    elif options.get("unet") == "new" and not Path(config.parts, "unet").exists():
        found.pop("unet", None)
    return {name: folder for name, folder in found.items() if (folder / "config.json").is_file()}


def found_parts(stage: str, config: TrainConfig) -> str:
    """A sentence about the parts on disk, for the report of a dry run."""
    parts = places(stage, config)
    if not parts:
        return f"none in {config.parts} yet; untrained ones stand in"
    return ", ".join(_listed(parts)) + " fit; untrained ones of few weights stand in for all"


def _listed(parts: dict[str, Path]) -> Iterator[str]:
    folders: dict[Path, list[str]] = {}
    for name, folder in parts.items():
        folders.setdefault(folder.parent, []).append(name)
    for folder, names in folders.items():
        yield f"{', '.join(names)} of {folder}"


def _config(folder: Path) -> dict:
    file = folder / "config.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{file} is not JSON; make or fetch the part again.") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{file} is no configuration of a part.")
    return {"hidden_size": values["d_model"], **values} if "d_model" in values else values  # T5's name of it


def _pretrained(config: dict) -> bool:
    """A vision encoder of transformers, whose class the part's name does not tell."""
    return config.get("_class_name") == "HubVideoEncoder"
