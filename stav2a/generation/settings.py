"""The settings of a run: checked, and stored so that they reproduce it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from typing import Any

from stav2a import systems
from stav2a.dials import Dial, Dials, dial, table
from stav2a.media.limits import InputError
from stav2a.media.markers import KINDS

ORIGINAL_AUDIO = {
    "replace": "Replace it",
    "mix": "Mix it with the new sound",
    "reference": "Replace it, and measure against it",
}
LOUDNESS_LUFS = -17.0  # default of the new sound, about that of real clips (docs/history.md)
BUILT_IN, OFF = DESCRIBERS = ("built-in", "off")  # who captions a clip that comes without a caption
STEMS = "stems"
TRACKS = "tracks"
EXPORTS = (*KINDS, STEMS, TRACKS)
AUDIO_FORMATS = ("wav", "flac")
AUDIO_RATES = (16_000, 44_100, 48_000)
MAX_PROMPT = 500  # characters
MAX_ONSETS = 2000
MOST_ROWS, MOST_BANDS = 8000, 128  # of an audio layout: more than ten minutes


@dataclass(frozen=True)
class Settings(Dials):
    """The dials of a run. None means the checkpoint's own default; for lengths and levels, no change."""

    model: str = dial(
        "compact", "Model", "compact (built in), paper, tiny, a system (vta-ldm, tiva, …), a folder or a repository.",
        kind="model", flag="--model",
    )  # fmt: skip
    start_s: float = dial(
        0.0, "Start", "Where the used part of the clip begins.", low=0.0, high=86_400.0, unit="s", flag="--start",
    )  # fmt: skip
    length_s: float | None = dial(
        None, "Length", "How long the used part is.", low=0.1, high=86_400.0, unit="s", none="to the end",
        flag="--length",
    )  # fmt: skip
    original_audio: str = dial(
        "reference", "Original audio", "What happens to the clip's own sound.",
        kind="choice", choices=ORIGINAL_AUDIO, flag="--original",
    )  # fmt: skip
    original_gain_db: float = dial(
        -12.0, "Gain of the original", "Level of the original sound where it is mixed in.",
        said="gain of the original audio", low=-60.0, high=20.0, step=0.5, unit="dB", flag="--original-gain",
    )  # fmt: skip
    audio_track: int | None = dial(
        None, "Audio track", "The audio track of the clip that is measured against or mixed in, counted from 1.",
        kind="whole", low=1, high=99, none="the default one", flag="--audio-track",
    )  # fmt: skip
    loudness_lufs: float | None = dial(
        LOUDNESS_LUFS, "Loudness",
        "Level of the new sound. −18 is about that of clips on the web, −23 of broadcasts, −14 of streaming services.",
        said="loudness target", low=-60.0, high=-5.0, step=0.5, unit="LUFS", none=OFF, flag="--loudness",
    )  # fmt: skip
    describe: str = dial(
        BUILT_IN, "Caption from the picture",
        "What captions a clip without a caption: built-in, off, or a vision-language model of the Hugging Face hub.",
        kind="model", said="describer", flag="--describe", bare=BUILT_IN,
    )  # fmt: skip

    exports: tuple[str, ...] = dial(
        (), "Export",
        "Files for other programs: markers at the onsets, single hits, an mkv with all of the clip's own tracks.",
        kind="names", choices={name: name for name in EXPORTS}, flag="--export",
    )  # fmt: skip
    audio_format: str = dial(
        "wav", "Audio format", "Format of the sound files.", kind="choice",
        choices={name: name for name in AUDIO_FORMATS}, flag="--audio-format",
    )  # fmt: skip
    audio_rate: int | None = dial(
        None, "Audio rate", "Sample rate of the sound files.", kind="whole", said="rate of the sound files", unit="Hz",
        choices={rate: f"{rate}" for rate in AUDIO_RATES}, none="the model's", flag="--audio-rate",
    )  # fmt: skip

    def validated(self) -> Settings:
        """These settings with plain numbers; `InputError` names what lies outside its range, and the range."""
        values = {name: checked(dial, getattr(self, name)) for name, dial in TABLE.items()}
        declared = systems.own_dials()
        if unknown := sorted(set(self.own) - set(declared)):
            raise InputError(f"There is no setting of the name {unknown[0][:80]!r}.")
        own = {name: checked(declared[name], value) for name, value in self.own.items() if value is not None}
        if self.reference is not None and self.strength == 1:
            raise InputError("At strength 1 the reference sound is not heard; choose less.")
        return replace(self, **values, own=own)

    def to_dict(self) -> dict:
        """Names and values, including the dials of the system."""
        values = asdict(self)
        own = values.pop("own")
        return {**values, **own}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Settings of names and values as `to_dict` gives them, checked; missing ones take their defaults."""
        known = {field.name for field in fields(cls)} - {"own"}
        own = {name: value for name, value in values.items() if name not in known}
        return cls(**{name: value for name, value in values.items() if name in known}, own=own).validated()

    @classmethod
    def from_json(cls, text: str | bytes) -> Settings:
        """Settings as `to_json` writes them; unknown ones are refused."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError("The settings are not valid JSON.") from error
        if not isinstance(values, Mapping):
            raise InputError("The settings must be a JSON object.")
        return cls.of(values)


TABLE = table(Settings)


def checked(dial: Dial, value: Any) -> Any:
    """The checked value of a dial; `InputError` says what the dial accepts."""
    if value is None and dial.none:
        return None
    name = f"The {dial.noun}"
    if dial.kind == "times":
        return check_onsets(value)
    if dial.kind == "layout":
        return check_layout(value)
    if dial.kind == "text":
        return _text(value, dial.noun)
    if dial.kind == "choice":
        return _choice(value, name, tuple(dial.choices))
    if dial.kind == "model":
        return _model(value, dial.noun)
    if dial.kind == "file":
        return _file(value, name)
    if dial.kind == "names":
        return tuple(_choice(one, f"An {dial.noun}", tuple(dial.choices)) for one in _names(value, name))
    if dial.choices and value not in dial.choices:
        raise InputError(f"{name} must be one of {', '.join(map(str, dial.choices))} {dial.unit}.")
    if dial.choices:
        return int(value)
    assert dial.low is not None and dial.high is not None
    return _number(value, name, dial.low, dial.high, dial.kind == "whole")


def check_onsets(onsets_s: Any, duration_s: float | None = None) -> tuple[float, ...]:
    """Ascending times without repetition; each inside the clip if its duration is known."""
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


def check_layout(layout: Any) -> tuple[tuple[float, ...], ...]:
    """Rows of numbers in [0, 1], all of one length. How many the model needs is checked when the clip has been read."""
    if not isinstance(layout, list | tuple) or not layout or len(layout) > MOST_ROWS:
        raise InputError(f"The layout must be a list of 1 to {MOST_ROWS} rows.")
    if not all(isinstance(row, list | tuple) for row in layout) or not 1 <= len(layout[0]) <= MOST_BANDS:
        raise InputError(f"Every row of the layout must be a list of 1 to {MOST_BANDS} values.")
    if any(len(row) != len(layout[0]) for row in layout):
        raise InputError("All rows of the layout must hold the same number of values.")
    return tuple(tuple(_number(value, "A value of the layout", 0.0, 1.0, False) for value in row) for row in layout)


def check_dials(settings: Settings, has: Collection[str]) -> None:
    """Raise `InputError` for a dial that has no effect on the model.

    has: names of its dials that not every model has
    """
    turned = {name: getattr(settings, name) for name, dial in TABLE.items() if not dial.everywhere}
    turned.update(settings.own)
    known = {**TABLE, **systems.own_dials()}
    for name, value in turned.items():
        if name not in has and value not in (None, known[name].neutral):
            *others, last = systems.having(name)
            those = f"{', '.join(others)} and {last}" if others else last
            raise InputError(f"The model {settings.model} cannot follow the {known[name].noun}; {those} can.")


def _number(given: Any, name: str, lowest: float, highest: float, whole: bool) -> float | int:
    if isinstance(given, bool) or not isinstance(given, Real):
        raise InputError(f"{name} must be a number between {lowest:g} and {highest:g}.")
    value: Any = given  # a `Real` of any library
    if not math.isfinite(value) or not lowest <= value <= highest:
        shown = f"{float(value):g}" if abs(value) < 1e300 else "not finite"
        raise InputError(f"{name} is {shown}; it must lie between {lowest:.10g} and {highest:.10g}.")
    if whole and value != int(value):
        raise InputError(f"{name} is {value:g}; it must be a whole number.")
    return int(value) if whole else float(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"The {name} must be text.")
    if len(value) > MAX_PROMPT:
        raise InputError(f"The {name} has {len(value)} characters; at most {MAX_PROMPT} are accepted.")
    # lone surrogates cannot be written to a file or fed to a tokenizer
    return value.encode("utf-8", "replace").decode().replace("\0", " ")


def _names(value: Any, name: str) -> Sequence:
    if not isinstance(value, tuple | list) or len(value) > 20:
        raise InputError(f"{name} must be a list of names.")
    return value


def _file(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 4096:
        raise InputError(f"{name} must be the name of a file.")
    return value


def _choice(value: Any, name: str, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}.")
    return value


def _model(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 4096:
        raise InputError(f"The {name} must be a name, a folder or a repository.")
    return value
