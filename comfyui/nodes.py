"""The node: images [T, H, W, C] with their rate in, ComfyUI's audio out. Its fields are the package's dials."""

from __future__ import annotations

from typing import Any

from stav2a.dials import Dial, Dials, table
from stav2a.generation.engine import Engine
from stav2a.generation.settings import Settings, check_dials
from stav2a.media.audio import fit_loudness

FIELDS = ("prompt", "negative_prompt", "seed", "steps", "guidance_scale", "control_scale")
ENGINES: dict[str, Engine] = {}


def field(dial: Dial) -> tuple[str, dict]:
    """A dial as ComfyUI declares a widget; 0 stands for the checkpoint's own value."""
    note = {"tooltip": dial.text()}
    if dial.kind == "text":
        return "STRING", {"default": dial.default, "multiline": True, **note}
    low = 0 if dial.none else dial.low
    default = 0 if dial.default is None else dial.default
    bounds = {"default": default, "min": low, "max": dial.high, "step": dial.step, **note}
    return ("INT", {**bounds, "step": int(dial.step)}) if dial.kind == "whole" else ("FLOAT", bounds)


class STAV2ASound:
    """Sound for a silent clip that fits what is seen, when it is seen, steered by a caption."""

    CATEGORY = "audio"
    FUNCTION = "generate"
    RETURN_TYPES = ("AUDIO",)
    RETURN_NAMES = ("audio",)
    DESCRIPTION = __doc__

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        dials = {name: field(dial) for name, dial in table(Dials).items() if name in FIELDS}
        fps = ("FLOAT", {"default": 25.0, "min": 1.0, "max": 240.0, "step": 0.001, "tooltip": "Images a second."})
        model = (
            "STRING",
            {"default": Settings.model, "tooltip": "A name, a folder or a repository."},
        )
        return {"required": {"images": ("IMAGE",), "fps": fps, **dials}, "optional": {"model": model}}

    def generate(self, images: Any, fps: float, model: str = Settings.model, **dials: Any) -> tuple[dict]:
        """images: float [T, H, W, C] in [0, 1]. Returns ({"waveform": float Tensor[1, 1, S], "sample_rate": Hz},)."""
        import torch

        known = table(Dials)
        given = {name: None if known[name].none and value == 0 else value for name, value in dials.items()}
        settings = Settings.of({"model": model, **given})
        engine = ENGINES.setdefault(model, Engine(model))
        pipe = engine.pipeline(model)
        check_dials(settings, pipe.dials)
        made = pipe(
            images,
            settings.prompt,
            settings.negative_prompt,
            fps=fps,
            seed=settings.seed,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            controlnet_conditioning_scale=settings.control_scale,
        )
        sound = fit_loudness(made.waveforms[0], made.sample_rate, settings.loudness_lufs)
        return ({"waveform": torch.from_numpy(sound)[None, None].float(), "sample_rate": made.sample_rate},)


NODE_CLASS_MAPPINGS = {"STAV2ASound": STAV2ASound}
NODE_DISPLAY_NAME_MAPPINGS = {"STAV2ASound": "STA-V2A: sound for images"}
