"""The authors' release: one state dict of everything, beside a summary of the training's arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from stav2a import presets
from stav2a.condition.attentive_pool import AttentivePooling
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.onset import LocalFeatures
from stav2a.denoise.control import TemporalControlNet

from . import shapes
from .errors import WeightsError, listed
from .load import load_strict
from .read import read_state

PREFIXES = {  # the authors' submodules -> our parts; what follows the prefix is our key, unless kept whole
    "unet.": "unet",
    "controlnet.": "controlnet",
    "extract_cavp.stage1_model.": "video_encoder",
    "global_video_feature.": "attentive_pool",
    "text_encoder.": "text_encoder",
    "trans_cvap_feature.": "local_features",
    "pre_onset.": "local_features",
}
UNET_CONFIG = "diffusion_model_config*.json"  # the name of the argument file in the code that the authors build on
KEPT_WHOLE = ("trans_cvap_feature.", "pre_onset.")
UNUSED = ("spec_encoder.", "logit_scale")  # CAVP's audio half, which generation does not need


@dataclass
class Release:
    """Files of a release, found by name wherever they lie in its folder, and what was assumed about it."""

    weights: Path
    summary: dict = field(default_factory=dict)
    unet_config: dict | None = None
    scheduler_config: dict | None = None
    assumptions: list[str] = field(default_factory=list)

    @classmethod
    def find(cls, folder: str | Path) -> Release:
        """`summary.jsonl`, `pytorch_model_2.bin` (or another single weight file), U-Net and scheduler configs."""
        folder = Path(folder)
        if not folder.is_dir():
            raise WeightsError(f"There is no folder {folder}; give the folder of the authors' release.")
        candidates = [p for p in sorted(folder.rglob("*")) if p.suffix in (".bin", ".safetensors", ".pt", ".ckpt")]
        weights = [p for p in candidates if p.name == "pytorch_model_2.bin"] or [
            p for p in candidates if p.parent.name not in ("unet", "text_encoder", "vae", "vocoder")
        ]
        if len(weights) > 1:  # one an epoch, of which the authors' script takes the best
            weights = [p for p in weights if p.parent.name == "best"] or weights
        if len(weights) != 1:
            found = listed(str(p.relative_to(folder)) for p in weights) if weights else "none"
            raise WeightsError(
                f"{folder} must hold one weight file, as best/pytorch_model_2.bin of the release; found: {found}."
            )
        return cls(
            weights=weights[0],
            summary=_read_json(_first(folder, "summary.jsonl"), lines=True) or {},
            unet_config=_read_json(
                _first(folder, "unet/config.json") or next(iter(sorted(folder.rglob(UNET_CONFIG))), None)
            ),
            scheduler_config=_read_json(_first(folder, "scheduler_config.json")),
        )

    def states(self, ignore: tuple[str, ...] = ()) -> dict[str, dict[str, Tensor]]:
        """State dict by part. Keys of no known part are refused, except those that `ignore` begins."""
        parts: dict[str, dict[str, Tensor]] = {}
        unknown = []
        for key, value in read_state(self.weights).items():
            key = key.replace("module.", "")
            prefix = next((p for p in PREFIXES if key.startswith(p)), None)
            if prefix is None:
                if not key.startswith(ignore or ("\0",)):
                    unknown.append(key)
                continue
            name = key if prefix in KEPT_WHOLE else key[len(prefix) :]
            if PREFIXES[prefix] != "video_encoder" or not name.startswith(UNUSED):
                parts.setdefault(PREFIXES[prefix], {})[name] = value
        if unknown:
            raise WeightsError(
                f"{self.weights} has {len(unknown)} keys of no known part ({listed(unknown)}); leave them out with "
                "`--ignore PREFIX` if they are not needed."
            )
        missing = {"unet", "controlnet", "local_features", "attentive_pool"} - parts.keys()
        if missing:
            raise WeightsError(f"{self.weights} has no weights of {listed(missing)}; it is not the whole release.")
        return parts

    def assume(self, sentence: str) -> None:
        self.assumptions.append(sentence)

    def unet_arguments(self, found: Mapping, overrides: Mapping) -> dict:
        """Shapes first, then the release's own config for what they cannot tell, else defaults; then overrides."""
        config = {**shapes.UNET_DEFAULTS, **found}
        if self.unet_config is None:
            self.assume(
                f"There is no unet/config.json: number of heads {config['attention_head_dim']}, "
                f"upcast_attention {config['upcast_attention']} are assumed"
            )
        else:
            for key, value in self.unet_config.items():
                value = tuple(value) if isinstance(value, list) else value
                if key.startswith("_") or value is None:
                    continue
                if key in found and value != found[key]:
                    self.assume(f"unet/config.json says {key} {value}, the weights say {found[key]}, which is taken")
                elif key not in found:
                    config[key] = value
        return {**config, **overrides}

    def scheduler(self, overrides: Mapping) -> DDPMScheduler:
        if self.scheduler_config is None:
            named = self.summary.get("scheduler_name")
            self.assume(
                "There is no scheduler_config.json: v_prediction and scaled-linear betas from 0.00085 to 0.012, "
                f"those of stable-diffusion-2-1, are assumed{f' (summary.jsonl names {named})' if named else ''}"
            )
        config = self.scheduler_config or presets.SCHEDULER["paper"]
        return DDPMScheduler.from_config({**config, **overrides})

    def build(
        self,
        states: Mapping[str, Mapping[str, Tensor]],
        unet: Mapping | None = None,
        scheduler: Mapping | None = None,
        dtype: torch.dtype | None = None,
    ) -> dict[str, nn.Module | DDPMScheduler]:
        """U-Net, ControlNet, scheduler, local features, pooling, and the video encoder if the release has it.

        `unet` and `scheduler` override single arguments, as {"attention_head_dim": 8} or
        {"prediction_type": "epsilon"}.
        """
        found = shapes.unet_config(shapes.shapes_of(states["unet"]))
        arguments = self.unet_arguments(found, unet or {})
        channels = shapes.control_channels(shapes.shapes_of(states["controlnet"]))

        def controlnet() -> TemporalControlNet:
            return TemporalControlNet.from_unet(
                UNet2DConditionModel(**arguments), conditioning_channels=channels, load_weights_from_unet=False
            )

        makers: dict[str, Callable[[], nn.Module]] = {
            "unet": lambda: UNet2DConditionModel(**arguments),
            "controlnet": controlnet,
            "local_features": _maker(LocalFeatures, shapes.local_features_config, states, "local_features"),
            "attentive_pool": _maker(AttentivePooling, shapes.attentive_pool_config, states, "attentive_pool"),
        }
        if "video_encoder" in states:
            makers["video_encoder"] = _maker(CAVPVideoEncoder, shapes.video_encoder_config, states, "video_encoder")
        modules = {part: load_strict(make, states[part], part, self.weights, dtype) for part, make in makers.items()}
        return {**modules, "scheduler": self.scheduler(scheduler or {})}


def load_cavp(file: str | Path, dtype: torch.dtype | None = None) -> CAVPVideoEncoder:
    """The video encoder alone, from Diff-Foley's checkpoint."""
    state = {}
    for key, value in read_state(file).items():
        key = key.replace("module.", "")
        if key.startswith(("video_encoder.", "video_project_head.")):
            state[key] = value
    if not state:
        raise WeightsError(f"{file} has no keys video_encoder.*; it is not Diff-Foley's cavp_epoch66.ckpt.")
    config = shapes.video_encoder_config(shapes.shapes_of(state))
    return load_strict(lambda: CAVPVideoEncoder(**config), state, "video_encoder", file, dtype)


def _maker(kind: Callable, reader: Callable, states: Mapping, part: str) -> Callable[[], nn.Module]:
    config = reader(shapes.shapes_of(states[part]))
    return lambda: kind(**config)


def _first(folder: Path, name: str) -> Path | None:
    return next((p for p in sorted(folder.rglob(name.split("/")[-1])) if str(p).endswith(name)), None)


def _read_json(path: Path | None, lines: bool = False) -> dict | None:
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    try:
        return json.loads(text.splitlines()[0] if lines else text)
    except (ValueError, IndexError) as error:
        raise WeightsError(f"{path} is not JSON; delete it and fetch it again.") from error
