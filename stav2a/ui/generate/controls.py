"""The controls of Generate: one component a field of `Settings`, and the way back to `Settings`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import gradio as gr

from stav2a import systems
from stav2a.generation.settings import BUILT_IN, DESCRIBERS, LOUDNESS_LUFS, Settings
from stav2a.media.limits import InputError
from stav2a.models.defaults import model_defaults, no_video_guidance

if TYPE_CHECKING:
    from stav2a.ui.shared import Shared

SAMPLERS = [
    ("DPM-Solver++ 2M", "dpm++2m"),
    ("UniPC", "unipc"),
    ("DDIM", "ddim"),
    ("DDPM (the paper's, many steps)", "ddpm"),
]
ORIGINAL = [
    ("Replace it, and compare with it", "reference"),
    ("Replace it unread", "replace"),
    ("Mix it in", "mix"),
]
SUGGESTIONS = [
    "a hammer strikes metal",
    "footsteps on a hard floor",
    "hands play a drum",
    "a ball bounces on wood",
    "a dog barks",
    "glass breaks",
    "water splashes",
    "birds chirp outdoors",
]
TAV2A_SCALE = 2.5  # the paper's, of all three
SEED_CEILING = 2**31 - 1


def part(shared: Shared) -> dict[str, gr.components.Component]:
    """Start and length."""
    with gr.Row():
        start = gr.Number(
            0, label="Start (s)", minimum=0, step=0.1, precision=None, elem_id="start", info="0: from the beginning.",
        )  # fmt: skip
        length = gr.Number(
            None, label="Length (s)", minimum=0, step=0.1, elem_id="length", placeholder="to the end",
            info=f"0: to the end. At most {shared.limits.duration_s:g} s.",
        )  # fmt: skip
    return {"start_s": start, "length_s": length}


def main(shared: Shared) -> dict[str, gr.components.Component]:
    """The two dials that everybody turns: guidance and steps."""
    own = shared.engine.defaults(shared.engine.default_model)
    with gr.Row(elem_id="main-dials"):
        guidance = gr.Slider(
            1, 10, value=own["guidance_scale"], step=0.1, label="Guidance", elem_id="guidance", min_width=150,
        )  # fmt: skip
        count = gr.Slider(
            1, 200, value=own["steps"], step=1, label="Steps", elem_id="steps", min_width=150,
        )  # fmt: skip
    return {"guidance_scale": guidance, "steps": count}


def model(shared: Shared) -> dict[str, gr.components.Component]:
    choices = [name for name, why in models(shared.engine) if why is None]
    missing = [f"{name}: {why}" for name, why in models(shared.engine) if why is not None]
    default = shared.engine.default_model
    name = gr.Dropdown(
        choices or [default], value=default if default in choices else (choices or [default])[0],
        label="Model", info=" ".join([systems.about(default), *missing]).strip() or None, elem_id="model",
    )  # fmt: skip
    own = shared.engine.defaults(default)
    sampler = gr.Dropdown(SAMPLERS, value=own["sampler"], label="Sampler", elem_id="sampler")
    with gr.Row(equal_height=False):
        seed = gr.Number(
            0, label="Seed", precision=0, minimum=0, maximum=SEED_CEILING, elem_id="seed", scale=3,
            info="The same seed and settings give the same sound. It stays until you roll it.",
        )  # fmt: skip
        dice = gr.Button("Roll", elem_id="dice", size="md", scale=0, min_width=72)
    takes = gr.Slider(
        1, 4, value=1, step=1, label="Takes", elem_id="takes-count", info="Variants of one run, from seeds one apart."
    )
    dice.click(
        lambda: secrets.randbelow(SEED_CEILING), None, seed,
        queue=False, api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    return {
        "model": name,
        "sampler": sampler,
        "seed": seed,
        "takes": takes,
    }


def control(shared: Shared) -> dict[str, gr.components.Component]:
    strength = gr.Slider(
        0, 2, value=1, step=0.05, label="Temporal control strength", elem_id="control",
        info="How strongly the onsets time the sound. 0 leaves the timing to chance.",
    )  # fmt: skip
    video = gr.Slider(
        0, 10, step=0.1, label="Video guidance", elem_id="video-guidance",
        **video_guidance(shared.engine.default_model),
    )  # fmt: skip
    own = is_composed(shared.engine.default_model)
    negative = gr.Slider(
        0, 10, value=TAV2A_SCALE, step=0.1, label="Negative caption's scale", elem_id="negative-guidance", visible=own,
        info="How far the sound keeps from the negative caption, if there is one.",
    )  # fmt: skip
    alignment = gr.Slider(
        0, 100, value=0, step=1, label="Alignment guidance", elem_id="alignment-guidance", visible=own,
        info="How strongly a classifier of sound and picture steers. 0: not at all; the paper takes 50.",
    )  # fmt: skip
    return {
        "control_scale": strength,
        "video_guidance_scale": video,
        "negative_guidance_scale": negative,
        "alignment_guidance_scale": alignment,
    }


def is_composed(name: str) -> bool:
    """Whether caption, negative caption and picture have a scale each (TA-V2A)."""
    return name == "ta-v2a"


def video_guidance(name: str) -> dict:
    """The dial of the picture alone: the model's own value at first, not to be moved where it has no use for it."""
    why = no_video_guidance(name)
    own = model_defaults(name)["video_guidance_scale"]
    info = why or f"A second dial for the picture alone. 0: the model's own value, {own:g}. 1: none, as in the paper."
    return {"value": 0, "interactive": why is None, "info": info}


def follow_model(shared: Shared, fields: dict[str, gr.components.Component]) -> None:
    """Choosing a model brings its own values to those of these fields that are there."""
    dials = [name for name in ("steps", "guidance_scale", "sampler", "video_guidance_scale") if name in fields]

    def chosen(name):
        try:
            own = shared.engine.defaults(name)
        except InputError as refusal:
            raise gr.Error(str(refusal), print_exception=False) from None
        seen = gr.update(visible=is_composed(name))
        updates = {
            "video_guidance_scale": gr.update(**video_guidance(name)),
            "model": gr.update(info=systems.about(name) or None),
            "negative_guidance_scale": seen,
            "alignment_guidance_scale": seen,
        }
        return {fields[dial]: updates[dial] if dial in updates else own[dial] for dial in all_dials}

    of_systems = ("model", "negative_guidance_scale", "alignment_guidance_scale")
    all_dials = [*dials, *(name for name in of_systems if name in fields)]
    outputs = [fields[dial] for dial in all_dials]
    fields["model"].input(
        chosen, fields["model"], outputs, queue=False, api_visibility="private", show_progress="hidden"
    )


def sound() -> dict[str, gr.components.Component]:
    original = gr.Radio(ORIGINAL, value="reference", label="Original audio", elem_id="original")
    gain = gr.Slider(
        -40, 12, value=-12, step=0.5, label="Gain of the original (dB)", visible=False, elem_id="gain",
        info="Used when the original is mixed in.",
    )  # fmt: skip
    level = gr.Checkbox(True, label="Set the loudness", elem_id="level")
    lufs = gr.Slider(
        -40, -8, value=LOUDNESS_LUFS, step=0.5, label="Loudness (LUFS)", elem_id="lufs",
        info="−18 is about the level of clips on the web, −23 of broadcasts, −14 of streaming services.",
    )  # fmt: skip
    quiet = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
    original.change(lambda mode: gr.update(visible=mode == "mix"), original, gain, **quiet)
    level.change(lambda on: gr.update(visible=bool(on)), level, lufs, **quiet)
    return {"original_audio": original, "original_gain_db": gain, "level": level, "loudness_lufs": lufs}


def settings_of(values: dict, onsets_s: tuple[float, ...] | None = None) -> Settings:
    """`Settings` of the page's values, checked; `InputError` names both numbers where one is out of range."""
    values = dict(values)
    level = values.pop("level", True)
    if not level:
        values["loudness_lufs"] = None
    if not values.get("video_guidance_scale"):
        values["video_guidance_scale"] = None
    if not is_composed(values.get("model", "")):
        values["negative_guidance_scale"] = values["alignment_guidance_scale"] = None
    if not values.get("length_s"):
        values["length_s"] = None
    values["start_s"] = values.get("start_s") or 0.0
    if values.get("describe", BUILT_IN) not in DESCRIBERS:  # no repository that a stranger names is fetched
        raise InputError(f"The describer must be one of {', '.join(DESCRIBERS)}.")
    settings = Settings(**values, onsets_s=onsets_s).validated()
    if settings.video_guidance_scale not in (None, 1.0) and (why := no_video_guidance(settings.model)):
        raise InputError(f"The video guidance scale is {settings.video_guidance_scale:g} and must be 0. {why}")
    return settings


def values_of(settings: dict) -> dict:
    """The page's values that `settings_of` turns into these settings, as far as they are given."""
    values = {name: value for name, value in settings.items() if name not in ("onsets_s", "layout", "loudness_lufs")}
    for dial, own in (("negative_guidance_scale", TAV2A_SCALE), ("alignment_guidance_scale", 0)):
        values[dial] = own if settings.get(dial) is None else settings[dial]
    values["video_guidance_scale"] = settings.get("video_guidance_scale") or 0
    values["level"] = settings.get("loudness_lufs") is not None
    if values["level"]:
        values["loudness_lufs"] = settings["loudness_lufs"]
    return values


def models(engine) -> list[tuple[str, str | None]]:
    """(name, why it cannot be used or None) of every model."""
    return list(engine.models().items())
