"""The controls of Generate: one component per dial, made from its declaration, and their conversion to `Settings`."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any

import gradio as gr

from stav2a import systems
from stav2a.dials import Dial
from stav2a.generation.settings import BUILT_IN, DESCRIBERS, TABLE, Settings
from stav2a.media.limits import InputError
from stav2a.media.probe import ClipInfo
from stav2a.ui.shared import QUICK, Shared
from stav2a.ui.upload import Sound

ELEMENTS = {"takes": "takes-count", "original_gain_db": "gain", "loudness_lufs": "lufs"}  # ids that are not the flag
LONG_RANGE = 1000  # longer ranges get a number field instead of a slider
NOTE = "A short sound is played at each onset, a steady one through the whole clip. Only its first 30 s are used."
TRACK_OF_PLAYERS = "The one that players choose"
EXPORTED = {
    "audacity": "Audacity labels", "reaper": "Reaper markers", "midi": "MIDI notes", "edl": "EDL (DaVinci Resolve)",
    "stems": "each hit as a sound file (in the zip)", "tracks": "a video (mkv) that keeps all tracks of the clip",
}  # fmt: skip


def declared() -> dict[str, Dial]:
    """All dials by name: those of every model, and those that systems declare."""
    return {**TABLE, **systems.own_dials()}


def component(name: str, value: Any = None, prefix: str = "", **more) -> gr.components.Component:
    """A dial's component: a slider, a number field for a long range, or a dropdown. `more` overrides its arguments."""
    dial = declared()[name]
    value = dial.default if value is None else value
    value = dial.low if value is None and not dial.choices and dial.high <= LONG_RANGE else value
    more = {
        "label": f"{dial.label} ({dial.unit})" if dial.unit else dial.label,
        "info": dial.help,
        "elem_id": prefix + ELEMENTS.get(name, dial.flag.strip("-")),
        **more,
    }
    if dial.kind == "choice":
        return gr.Dropdown(options(dial), value=value, **more)
    whole = {"precision": 0} if dial.kind == "whole" else {}
    if prefix or dial.high > LONG_RANGE:
        lowest = 0 if dial.none else dial.low  # 0 stands for None, e.g. a length to the end
        high = {"maximum": dial.high} if dial.high <= LONG_RANGE or dial.kind == "whole" else {}
        return gr.Number(value, minimum=lowest, step=dial.step, **high, **whole, **more)
    return gr.Slider(dial.low, dial.high, value=value, step=dial.step, **more)


def options(dial: Dial) -> list[tuple[str, str]]:
    """The choices of a dial as (label, value)."""
    return [(label, value) for value, label in dial.choices.items()]


def part(shared: Shared) -> dict[str, gr.components.Component]:
    """Start and length."""
    with gr.Row():
        start = component("start_s", info="0: from the beginning.")
        most = f"0: to the end. At most {shared.limits.duration_s:g} s."
        length = component("length_s", placeholder="to the end", info=most)
    return {"start_s": start, "length_s": length}


def main(shared: Shared) -> dict[str, gr.components.Component]:
    """The two main dials: guidance and steps."""
    own = shared.engine.defaults(shared.engine.default_model)
    short = {"info": None, "min_width": 150}
    with gr.Row(elem_id="main-dials"):
        guidance = component("guidance_scale", own["guidance_scale"], label="Guidance", **short)
        steps = component("steps", own["steps"], **short)
    return {"guidance_scale": guidance, "steps": steps}


def model(shared: Shared) -> dict[str, gr.components.Component]:
    choices = [name for name, why in models(shared.engine) if why is None]
    missing = [name for name, why in models(shared.engine) if why is not None]
    absent = [f"Not on this server: {', '.join(missing)}."] if missing else []
    default = shared.engine.default_model
    name = gr.Dropdown(
        choices or [default], value=default if default in choices else (choices or [default])[0],
        label="Model", info=" ".join([systems.about(default), *absent]).strip() or None, elem_id="model",
    )  # fmt: skip
    sampler = component("sampler", shared.engine.defaults(default)["sampler"], info=None)
    with gr.Row(equal_height=False):
        still = "The same seed and settings give the same sound. It stays until you press Roll."
        seed = component("seed", scale=3, info=still)
        dice = gr.Button("Roll", elem_id="dice", size="md", scale=0, min_width=72)
    takes = component("takes", info="Number of variants, made with consecutive seeds.")
    dice.click(lambda: secrets.randbelow(TABLE["seed"].high), None, seed, **QUICK)
    return {"model": name, "sampler": sampler, "seed": seed, "takes": takes}


def control(shared: Shared) -> dict[str, gr.components.Component]:
    """Dials that not every model has; only those of the chosen model are shown."""
    dials = [name for name, dial in declared().items() if not dial.everywhere and dial.kind in ("number", "whole")]
    return {dial: _of_model(shared, dial) for dial in dials if dial != "strength"}


def by_example(shared: Shared) -> dict[str, gr.components.Component]:
    """A reference sound, and how far the result may differ from it."""
    has = shared.engine.dials(shared.engine.default_model)
    reference = Sound(
        label="A sound of your own", sources=["upload", "microphone"], type="filepath", elem_id="reference",
        visible="reference" in has,
    )  # fmt: skip
    gr.Markdown(NOTE, elem_classes="note")
    strength = _of_model(shared, "strength")

    def given(sound, strength):
        """A strength below 1 for a new reference: at 1, nothing of it would be heard."""
        from stav2a.recordings.reference import REFERENCE_STRENGTH

        return REFERENCE_STRENGTH if sound is not None and strength == 1 else gr.skip()

    reference.change(given, [reference, strength], strength, **QUICK)
    return {"reference": reference, "strength": strength}


def files() -> dict[str, gr.components.Component]:
    """Output files: markers, single hits, and the format of sound files."""
    exports = gr.CheckboxGroup(
        [(label, kind) for kind, label in EXPORTED.items()], value=[], label="Also write",
        elem_id="export",
    )  # fmt: skip
    with gr.Row():
        audio_format = component("audio_format", info=None, min_width=140)
        rates = [("as the model", 0), *((f"{rate / 1000:g} kHz", rate) for rate in TABLE["audio_rate"].choices)]
        audio_rate = gr.Dropdown(rates, value=0, label="Sample rate", elem_id="audio-rate", min_width=140)
    return {"exports": exports, "audio_format": audio_format, "audio_rate": audio_rate}


def _of_model(shared: Shared, name: str) -> gr.components.Component:
    """A dial that not every model has, with the default model's value; hidden if that model lacks it."""
    model = shared.engine.default_model
    own, has = shared.engine.defaults(model), shared.engine.dials(model)
    return component(name, _own(name, own, has), visible=name in has)


def _own(dial: str, defaults: Mapping, has: Mapping[str, Dial]) -> Any:
    """The model's default for a dial, None if it has none."""
    return defaults.get(dial, has[dial].default if dial in has else None)


def follow_model(shared: Shared, fields: dict[str, gr.components.Component]) -> None:
    """On a choice of model, set these fields to its defaults and show only the dials that it has."""
    known = declared()

    def chosen(name):
        try:
            own, has = shared.engine.defaults(name), shared.engine.dials(name)
        except InputError as refusal:
            raise gr.Error(str(refusal), print_exception=False) from None
        updates = {fields["model"]: gr.update(info=systems.about(name) or None)}
        for dial in followed:
            value = {} if (own_value := _own(dial, own, has)) is None else {"value": own_value}
            updates[fields[dial]] = gr.update(visible=known[dial].everywhere or dial in has, **value)
        return updates

    of_model = ("steps", "guidance_scale", "sampler")
    followed = [dial for dial in fields if dial in of_model or (dial in known and not known[dial].everywhere)]
    fields["model"].input(chosen, fields["model"], [fields["model"], *(fields[dial] for dial in followed)], **QUICK)


def sound() -> dict[str, gr.components.Component]:
    dial = TABLE["original_audio"]
    original = gr.Radio(options(dial), value=dial.default, label=dial.label, elem_id="original")
    track = gr.Dropdown([(TRACK_OF_PLAYERS, 0)], value=0, label="Audio track", visible=False, elem_id="audio-track")
    gain = component("original_gain_db", visible=False)
    level = gr.Checkbox(True, label="Set the loudness", elem_id="level")
    lufs = component("loudness_lufs")
    original.change(lambda mode: gr.update(visible=mode == "mix"), original, gain, **QUICK)
    level.change(lambda on: gr.update(visible=bool(on)), level, lufs, **QUICK)
    fields = {"original_audio": original, "audio_track": track, "original_gain_db": gain}
    return {**fields, "level": level, "loudness_lufs": lufs}


def tracks(info: ClipInfo | None, chosen: int | None = None) -> dict:
    """Update of the menu of audio tracks, which is shown for a clip with more than one."""
    audio = () if info is None else info.audio
    names = {1: "mono", 2: "stereo"}
    listed = [
        (f"Track {k}: {names.get(track.channels, f'{track.channels} channels')}, {track.rate / 1000:g} kHz", k)
        for k, track in enumerate(audio, 1)
    ]
    return gr.update(choices=[(TRACK_OF_PLAYERS, 0), *listed], value=chosen or 0, visible=len(audio) > 1)


def settings_of(
    values: dict, onsets_s: tuple[float, ...] | None = None, has: Collection[str] | None = None
) -> Settings:
    """Checked `Settings` from the page's values; `InputError` if a value is out of range.

    has: the dials of this model that not every model has; values of other such dials are ignored.
    """
    values = dict(values)
    if not values.pop("level", True):
        values["loudness_lufs"] = None
    if has is not None:
        known = declared()
        values = {name: value for name, value in values.items() if known[name].everywhere or name in has}
    values["length_s"] = values.get("length_s") or None
    values["start_s"] = values.get("start_s") or 0.0
    for name in ("audio_rate", "audio_track"):
        values[name] = values.get(name) or None
    if values.get("describe", BUILT_IN) not in DESCRIBERS:  # never fetch a repository named by a visitor
        raise InputError(f"The describer must be one of {', '.join(DESCRIBERS)}.")
    return Settings.of({**values, "onsets_s": onsets_s})


def values_of(settings: dict) -> dict:
    """The page's values for these settings, the inverse of `settings_of`; only for the settings given."""
    given = {name: value for name, value in settings.items() if value is not None or name in ("length_s", "reference")}
    values = {name: value for name, value in given.items() if name not in ("onsets_s", "layout")}
    menus = {name: settings.get(name) or 0 for name in ("audio_rate", "audio_track")}
    menus["exports"] = list(settings.get("exports") or ())
    return {**values, **menus, "level": settings.get("loudness_lufs") is not None}


def models(engine) -> list[tuple[str, str | None]]:
    """Every model as (name, reason why it cannot be used or None)."""
    return list(engine.models().items())
