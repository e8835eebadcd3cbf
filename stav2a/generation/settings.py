"""What a person may choose for a run, as one value: checked, and written so that it reproduces the run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real

from stav2a.media.limits import InputError
from stav2a.media.markers import KINDS

SAMPLERS = ("dpm++2m", "unipc", "ddim", "ddpm")
ORIGINAL_AUDIO = ("replace", "mix", "reference")
LOUDNESS_LUFS = -18.0  # of the new sound unless told otherwise: about that of real clips (docs/describer.md)
BUILT_IN, OFF = DESCRIBERS = ("built-in", "off")  # who captions a clip that comes without a caption
STEMS = "stems"
EXPORTS = (*KINDS, STEMS)
AUDIO_FORMATS = ("wav", "flac")
AUDIO_RATES = (16_000, 44_100, 48_000)
MAX_PROMPT = 500  # characters
MAX_ONSETS = 2000

RANGES = {  # field: (name in sentences, lowest, highest, whole numbers only)
    "guidance_scale": ("The guidance scale", 1.0, 10.0, False),
    "video_guidance_scale": ("The video guidance scale", 0.0, 10.0, False),
    "negative_guidance_scale": ("The scale of the negative caption", 0.0, 10.0, False),
    "alignment_guidance_scale": ("The alignment guidance", 0.0, 100.0, False),
    "steps": ("The number of steps", 1, 200, True),
    "seed": ("The seed", 0, 2**31 - 1, True),
    "takes": ("The number of takes", 1, 4, True),
    "control_scale": ("The temporal control strength", 0.0, 2.0, False),
    "start_s": ("The start", 0.0, 86_400.0, False),
    "length_s": ("The length", 0.1, 86_400.0, False),
    "original_gain_db": ("The gain of the original audio", -60.0, 20.0, False),
    "loudness_lufs": ("The loudness target", -60.0, -5.0, False),
    "strength": ("The strength", 0.0, 1.0, False),
}
OPTIONAL = {
    "guidance_scale",
    "video_guidance_scale",
    "negative_guidance_scale",
    "alignment_guidance_scale",
    "steps",
    "length_s",
    "loudness_lufs",
    "strength",
}
LAYOUT_BANDS = 5
MOST_ROWS = 8000  # of an audio layout: more than ten minutes


@dataclass(frozen=True)
class Settings:
    """The dials of one run. None means the checkpoint's own default, or for lengths and levels: as it is.

    `onsets_s` counts from the start of the used part. `original_audio`: "replace" leaves the clip's own sound
    unread, "reference" compares with it (figure, measures), "mix" also keeps it under the new sound.
    `loudness_lufs` is the level of the new sound. Without a `prompt` the clip is captioned by what `describe` names:
    "built-in" (the pretrained eyes, silent when unsure), "off", or a vision-language model of the hub. `layout` holds
    rows of LAYOUT_BANDS values in [0, 1], a painted audio layout in place of the predicted one (TiVA); the scales of
    the negative caption and of alignment are TA-V2A's. `strength` is how much of the way from a recording to a new
    sound is gone: 0 the recording as it is placed, 1 from noise alone. `reference` is a file with a sound of one's own
    in place of the recordings of the shelf. `exports` are files for other programs: markers at the onsets, and single
    hits (EXPORTS); `audio_format` and `audio_rate` (Hz; None: the model's) those of the sound files.
    """

    prompt: str = ""
    negative_prompt: str = ""
    model: str = "compact"
    guidance_scale: float | None = None
    video_guidance_scale: float | None = None
    negative_guidance_scale: float | None = None
    alignment_guidance_scale: float | None = None
    steps: int | None = None
    sampler: str | None = None
    seed: int = 0
    takes: int = 1
    control_scale: float = 1.0
    start_s: float = 0.0
    length_s: float | None = None
    original_audio: str = "replace"
    original_gain_db: float = 0.0
    loudness_lufs: float | None = LOUDNESS_LUFS
    describe: str = BUILT_IN
    onsets_s: tuple[float, ...] | None = None
    layout: tuple[tuple[float, ...], ...] | None = None
    strength: float | None = None
    reference: str | None = None
    exports: tuple[str, ...] = ()
    audio_format: str = "wav"
    audio_rate: int | None = None

    def validated(self) -> Settings:
        """These settings with plain numbers; `InputError` names what lies outside its range, and the range."""
        values = {}
        for name, rule in RANGES.items():
            value = getattr(self, name)
            if value is not None or name not in OPTIONAL:
                values[name] = _number(value, *rule)
        for name in ("prompt", "negative_prompt"):
            values[name] = _text(getattr(self, name), "caption" if name == "prompt" else "negative caption")
        for value, name in ((self.model, "model"), (self.describe, "describer")):
            if not isinstance(value, str) or not value.strip() or len(value) > 4096:
                raise InputError(f"The {name} must be a name, a folder or a repository.")
        if self.reference is not None and (not isinstance(self.reference, str) or not 0 < len(self.reference) <= 4096):
            raise InputError("The reference sound must be the name of a file.")
        if self.reference is not None and self.strength == 1:
            raise InputError("At strength 1 the reference sound is not heard; choose less.")
        for kind in _names(self.exports):
            _choice(kind, "An export", EXPORTS)
        _choice(self.audio_format, "The audio format", AUDIO_FORMATS)
        if self.audio_rate not in (None, *AUDIO_RATES):
            raise InputError(f"The rate of the sound files must be one of {', '.join(map(str, AUDIO_RATES))} Hz.")
        _choice(self.original_audio, "The original audio", ORIGINAL_AUDIO)
        if self.sampler is not None:
            _choice(self.sampler, "The sampler", SAMPLERS)
        if self.onsets_s is not None:
            values["onsets_s"] = check_onsets(self.onsets_s)
        if self.layout is not None:
            values["layout"] = check_layout(self.layout)
        return replace(self, **values)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Settings:
        """Settings as `to_json` writes them; missing fields take their defaults, unknown ones are refused."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError("The settings are not valid JSON.") from error
        if not isinstance(values, Mapping):
            raise InputError("The settings must be a JSON object.")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise InputError(f"The settings hold unknown fields: {', '.join(unknown)[:200]}.")
        if isinstance(values.get("onsets_s"), list):
            values = {**values, "onsets_s": tuple(values["onsets_s"])}
        if isinstance(values.get("exports"), list):
            values = {**values, "exports": tuple(values["exports"])}
        return cls(**values).validated()


def check_onsets(onsets_s, duration_s: float | None = None) -> tuple[float, ...]:
    """Ascending times without repetition; each inside the clip where its duration is known."""
    if isinstance(onsets_s, (str, bytes, Mapping)):
        raise InputError("The onsets must be a list of times in seconds.")
    try:
        onsets = list(onsets_s)
    except TypeError as error:
        raise InputError("The onsets must be a list of times in seconds.") from error
    if len(onsets) > MAX_ONSETS:
        raise InputError(f"There are {len(onsets)} onsets; at most {MAX_ONSETS} are accepted.")
    highest = 86_400.0 if duration_s is None else duration_s
    return tuple(sorted({_number(onset, "An onset", 0.0, highest, False) for onset in onsets}))


def check_layout(layout) -> tuple[tuple[float, ...], ...]:
    """Rows of LAYOUT_BANDS numbers in [0, 1]; how many a clip needs is known when it has been read."""
    if not isinstance(layout, list | tuple) or not layout or len(layout) > MOST_ROWS:
        raise InputError(f"The layout must be a list of 1 to {MOST_ROWS} rows.")
    for row in layout:
        if not isinstance(row, list | tuple) or len(row) != LAYOUT_BANDS:
            raise InputError(f"Every row of the layout must hold {LAYOUT_BANDS} values.")
    return tuple(tuple(_number(value, "A value of the layout", 0.0, 1.0, False) for value in row) for row in layout)


def check_system(settings: Settings, system) -> None:
    """Refuse what a model's system (None: STA-V2A) cannot follow: nobody should wait for a dial that does nothing."""
    model = settings.model
    if settings.layout is not None and (system is None or not system.latent_channels):
        raise InputError(f"The model {model} follows no audio layout; tiva does.")
    for name, dial in (("negative_guidance_scale", "negative caption"), ("alignment_guidance_scale", "alignment")):
        if getattr(settings, name) is not None and (system is None or system.name != "ta-v2a"):
            raise InputError(f"The model {model} has no scale for the {dial}; ta-v2a has.")
    if system is None:
        return
    if not system.generates and settings.strength not in (None, 0.0):
        raise InputError(f"The model {model} plays recordings as they are; its strength is 0.")
    if settings.onsets_s is not None and not system.follows_onsets:
        raise InputError(f"The sound of {model} cannot be moved by onsets; that of compact can.")
    if settings.video_guidance_scale not in (None, 1.0) and not system.video_dial:
        raise InputError(f"The picture has no scale of its own with {model}; leave its guidance out.")
    if settings.control_scale != 1:
        raise InputError(f"The model {model} has no temporal control; leave its strength at 1.")


def _number(value, name: str, lowest: float, highest: float, whole: bool) -> float | int:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number between {lowest:g} and {highest:g}.")
    if not math.isfinite(value) or not lowest <= value <= highest:
        shown = f"{float(value):g}" if abs(value) < 1e300 else "not finite"
        raise InputError(f"{name} is {shown}; it must lie between {lowest:.10g} and {highest:.10g}.")
    if whole and value != int(value):
        raise InputError(f"{name} is {value:g}; it must be a whole number.")
    return int(value) if whole else float(value)


def _text(value, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"The {name} must be text.")
    if len(value) > MAX_PROMPT:
        raise InputError(f"The {name} has {len(value)} characters; at most {MAX_PROMPT} are accepted.")
    # lone surrogates cannot be written to a file or fed to a tokenizer
    return value.encode("utf-8", "replace").decode().replace("\0", " ")


def _names(value) -> tuple:
    if not isinstance(value, tuple) or len(value) > 20:
        raise InputError("The exports must be a list of names.")
    return value


def _choice(value, name: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}.")
