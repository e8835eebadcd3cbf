"""Every dial once: name, accepted values and default. Importing it does not import torch.

`Dials` has the dials of the sound; `stav2a.generation.settings.Settings` adds those of a run. Checks, flags of the
command line, controls of the page, parameters of the API and texts of MCP are made from a field's `dial(...)`. A dial
of a single system is declared in the YAML file of that system, and its value is in `Dials.own`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


class Sampler(NamedTuple):
    """`kind`: the scheduler's class in diffusers; `options`: in place of the checkpoint's own."""

    label: str
    kind: str
    options: dict


SAMPLERS = {
    "dpm++2m": Sampler(
        "DPM-Solver++ 2M",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "timestep_spacing": "trailing"},
    ),
    "unipc": Sampler("UniPC", "UniPCMultistepScheduler", {"timestep_spacing": "trailing"}),
    "ddim": Sampler("DDIM", "DDIMScheduler", {"set_alpha_to_one": False}),
    "ddpm": Sampler("DDPM (the paper's, many steps)", "DDPMScheduler", {}),
}


@dataclass(frozen=True)
class Dial:
    """Declaration of a dial.

    label: on the page   said: its name within a sentence, by default the label   help: one or two sentences
    kind: "number", "whole", "text", "choice", "names" (of the choices), "model", "file", "times" or "layout"
    low, high: of numbers; `step`: of sliders
    none: meaning of None; empty if None is not accepted   choices: value -> label
    neutral: the value without effect, which models without the dial accept too
    flag: of the command line   bare: value of the flag without an argument
    everywhere: every model has it; else those whose system names it, or has the dial that it `needs`
    config: field of the system's configuration with a checkpoint's own value
    """

    label: str
    help: str
    kind: str = "number"
    said: str = ""
    default: Any = None
    low: float | None = None
    high: float | None = None
    step: float = 0.1
    unit: str = ""
    none: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    neutral: Any = None
    flag: str = ""
    bare: str = ""
    everywhere: bool = True
    needs: str = ""
    config: str = ""

    @property
    def noun(self) -> str:
        """Name of the dial within a sentence."""
        return self.said or self.label[:1].lower() + self.label[1:]

    def text(self) -> str:
        """Help text with range, unit and default."""
        facts = []
        if self.low is not None:
            facts.append(f"{self.low:.10g} to {self.high:.10g}{' ' if self.unit else ''}{self.unit}")
        if self.choices:
            facts.append(f"{', '.join(map(str, self.choices))} {self.unit}".strip())
        if self.none and self.default is not None:
            facts[-1] += f", or {self.none}"
        default = self.none if self.default is None else f"{self.default:g}" if self.low is not None else self.default
        facts.append(f"default: {default}" if default else "")
        return f"{self.help} ({'; '.join(filter(None, facts))})" if any(facts) else self.help


OWN = "the checkpoint's own"


def dial(default: Any, label: str, help: str, **declared: Any) -> Any:
    """A dataclass field that is a dial."""
    return field(default=default, metadata={"dial": Dial(label, help, default=default, **declared)})


@dataclass(frozen=True)
class Dials:
    """Dials of the sound. None means the checkpoint's own value.

    own: values of the dials that the model's system declares, by name
    """

    prompt: str = dial(
        "", "Caption", "What should be heard; empty lets the picture decide.", kind="text", flag="--prompt"
    )
    negative_prompt: str = dial(
        "", "Negative caption", "What should not be heard.", kind="text", flag="--negative-prompt"
    )
    guidance_scale: float | None = dial(
        None, "Guidance scale",
        "How closely the sound follows the caption. 1 follows it loosely; values above 6 can sound harsh.",
        low=1.0, high=10.0, none=OWN, flag="--guidance",
    )  # fmt: skip
    video_guidance_scale: float | None = dial(
        None, "Video guidance",
        "How closely the sound follows the picture, apart from the caption. 1 is off, as in the paper.",
        said="video guidance scale", low=0.0, high=10.0, none=OWN, neutral=1.0, flag="--video-guidance",
        everywhere=False,
    )  # fmt: skip
    steps: int | None = dial(
        None, "Steps", "Denoising steps. More steps take longer and can refine the sound.", kind="whole",
        said="number of steps", low=1, high=200, step=1, none=OWN, flag="--steps",
    )  # fmt: skip
    sampler: str | None = dial(
        None, "Sampler", "The method that removes the noise step by step.", kind="choice",
        choices={name: sampler.label for name, sampler in SAMPLERS.items()}, none=OWN, flag="--sampler",
    )  # fmt: skip
    seed: int = dial(
        0, "Seed", "The same seed and settings give the same sound. Each further take adds 1 to it.", kind="whole",
        low=0, high=2**31 - 1, step=1, flag="--seed",
    )  # fmt: skip
    takes: int = dial(
        1, "Takes", "Number of variants, made with consecutive seeds.", kind="whole", said="number of takes",
        low=1, high=4, step=1, flag="--takes",
    )  # fmt: skip
    control_scale: float = dial(
        1.0, "Timing strength",
        "How strongly the onsets set the timing. At 0 they have no effect, and the sound is faint.",
        said="temporal control strength", low=0.0, high=2.0, step=0.05, neutral=1.0, flag="--control",
        everywhere=False,
    )  # fmt: skip
    onsets_s: tuple[float, ...] | None = dial(
        None, "Onsets", "Times that the sound follows, from the start of the used part.", kind="times",
        low=0.0, high=86_400.0, unit="s", none="predicted from the picture", everywhere=False,
    )  # fmt: skip
    onset_threshold: float | None = dial(
        None, "Onset threshold", "How sure the model must be of an onset. A lower value finds more onsets.",
        low=0.05, high=0.95, step=0.05, none=OWN, flag="--onset-threshold", everywhere=False, needs="onsets_s",
    )  # fmt: skip
    layout: tuple[tuple[float, ...], ...] | None = dial(
        None, "Audio layout", "Rows of loudness by band in [0, 1] that the sound follows.", kind="layout",
        none="predicted from the picture", everywhere=False,
    )  # fmt: skip
    strength: float | None = dial(
        None, "Strength",
        "How much is generated: 0 plays recordings found by the caption, 1 uses no recording.",
        low=0.0, high=1.0, step=0.05, none=OWN, neutral=0.0, flag="--strength", everywhere=False,
    )  # fmt: skip
    reference: str | None = dial(
        None, "Reference sound", "A sound file that the new sound starts from.", kind="file",
        none="recordings found by the caption", flag="--reference", everywhere=False,
    )  # fmt: skip
    own: Mapping[str, float] = field(default_factory=dict, hash=False)

    def over(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults of a checkpoint, overridden by the dials of the same names that are not None."""
        return {name: value if (own := getattr(self, name, None)) is None else own for name, value in defaults.items()}


def table(kind: type) -> dict[str, Dial]:
    """The dials that the fields of a dataclass declare, by name."""
    return {f.name: f.metadata["dial"] for f in fields(kind) if "dial" in f.metadata}
