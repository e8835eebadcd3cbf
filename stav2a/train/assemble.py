"""`train assemble`: the checkpoint of a folder of trained parts."""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.models.defaults import DEFAULTS
from stav2a.train.runtime.options import read_options

if TYPE_CHECKING:
    from stav2a.train.runtime.config import TrainConfig


@dataclass
class AssembleOptions:
    """Further options: sampling defaults of the checkpoint (`models.defaults.DEFAULTS`, and `window_steps`)."""

    half: bool = False  # fp16
    notes: str = ""  # file of Markdown for the card
    system: str | None = None  # a system; else STA-V2A
    base: str | None = "compact"  # base checkpoint of the system; null: none, all parts are written
    # share of a difference that is kept in two factors, to a base or of the distilled U-Net to the U-Net; null: all
    low_rank: float | None = None


def assemble_checkpoint(config: TrainConfig) -> Path:
    """Write the checkpoint of `config.parts`; returns its folder."""
    kinds = {"window_steps": int, **{name: type(value) for name, value in DEFAULTS.items()}}
    sampling = make_dataclass("Sampling", kinds.items())
    given = read_options(AssembleOptions, config.options, "assemble", (sampling,))
    own = {each.name for each in fields(given)}
    defaults = {name: value for name, value in config.options.items() if name not in own}
    notes = Path(given.notes).read_text(encoding="utf-8") if given.notes else ""
    if given.system is None:
        from stav2a.train.runtime.parts import assemble

        return assemble(
            config.parts, config.model, config.out, defaults, given.half, notes, config.timeline, given.low_rank
        )
    from stav2a.train.runtime.assemble_system import assemble_system

    return assemble_system(
        config.parts,
        config.model,
        config.out,
        given.system,
        given.base,
        given.half,
        notes,
        config.timeline,
        given.low_rank,
        **defaults,
    )
