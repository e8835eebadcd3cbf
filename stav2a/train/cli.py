"""`python -m stav2a train STAGE --config FILE [key=value ...]`."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field, fields, make_dataclass
from importlib import import_module
from pathlib import Path

from stav2a import systems
from stav2a.generation.processes import Processes
from stav2a.media.limits import InputError
from stav2a.models.defaults import DEFAULTS
from stav2a.train.runtime.options import read_options

STAGES = {
    "vae": ("stav2a.train.stages.vae", "VAEStage"),
    "vocoder": ("stav2a.train.stages.vocoder", "VocoderStage"),
    "video": ("stav2a.train.stages.video", "VideoStage"),
    "onset": ("stav2a.train.stages.onset", "OnsetStage"),
    "t2a": ("stav2a.train.stages.diffusion", "T2AStage"),
    "v2a": ("stav2a.train.stages.table_three", "VariedV2A"),
    "classifier": ("stav2a.train.stages.classifier", "ClassifierStage"),
}
OF_SYSTEMS = {  # what a system trains before or after its diffusion stage, which bears the system's name
    "tiva-layout": ("stav2a.train.stages.tiva_layout", "TiVALayoutStage"),
    "cvalp": ("stav2a.train.stages.cvalp", "CVALPStage"),
    "alignment": ("stav2a.train.stages.alignment", "AlignmentStage"),
}


def make_stage(name: str, config):
    """The stage of that name. Its options choose the source of clips (`clip_source.py`).

    New weights follow the setting `seed`.
    """
    import torch

    torch.manual_seed(config.seed)
    if name in systems_trained():
        from stav2a.train.stages.systems import SystemStage

        return SystemStage(config, name)
    module, kind = {**STAGES, **OF_SYSTEMS}[name]
    return getattr(import_module(module), kind)(config)


def systems_trained() -> list[str]:
    """Systems whose training stage has their name. STA-V2A's is `v2a`, T2A's `t2a`; `recorded` has none."""
    others = [name for name in systems.names() if name != systems.OWN and name not in STAGES]
    return [name for name in others if systems.declared(name).generates]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "stage",
        choices=[*STAGES, *systems_trained(), *OF_SYSTEMS, "threshold", "average", "assemble", "all"],
        help="what to train; threshold: choose that of onsets on prepared clips; average: mean weights of several "
        "trainings; assemble: a checkpoint of trained parts; all: every stage, with --dry-run",
    )
    parser.add_argument("--config", help="YAML file of settings; of all: a folder of them (default: those shipped)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="two steps at the real layout with narrow networks, and what the real ones would cost; nothing is kept",
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings that win over the file's")


def run(args: argparse.Namespace) -> int:
    from stav2a.train.runtime.config import TrainConfig
    from stav2a.train.runtime.fit import check_parts

    try:
        if args.stage == "all":
            return run_all(args)
        config = TrainConfig.load(args.config, args.settings)
        if args.stage == "threshold":
            from stav2a.train.stages.onset_threshold import ThresholdOptions, calibrate

            given = read_options(ThresholdOptions, config.options, "threshold")
            print(calibrate(config.parts, given, config.timeline))
            return 0
        if args.stage == "average":
            from stav2a.train.runtime.average import AverageOptions, average

            given = read_options(AverageOptions, config.options, "average")
            print(*average(given.of, given.names, config.parts), sep="\n")
            return 0
        if args.stage == "assemble":
            print(put_together(config))
            return 0
        if config.stage not in ("", args.stage):
            raise ValueError(f"{args.config} holds settings of the stage {config.stage}, not of {args.stage}.")
        if args.dry_run:
            from stav2a.train.dry.report import text
            from stav2a.train.dry.run import dry_run

            report = dry_run(args.stage, config)
            processes = Processes()
            if processes.is_first:
                print(text(report, processes.count))
            return 0
        check_parts(args.stage, config)
        stage = make_stage(args.stage, config)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    from stav2a.train.runtime.loop import train

    train(stage, config)
    return 0


def run_all(args: argparse.Namespace) -> int:
    """Every configuration dry, a row of a table each; 1 where one of them fails."""
    if not args.dry_run:
        raise ValueError("`train all` is for --dry-run alone: stages are trained one by one.")
    from stav2a.train.dry.every import HEAD, rows

    os.environ.setdefault("TQDM_DISABLE", "1")
    print(HEAD, flush=True)
    whole = True
    for line, done in rows(args.config, args.settings):
        print(line, flush=True)
        whole &= done
    return 0 if whole else 1


@dataclass
class AssembleOptions:
    """Besides: sampling defaults of the checkpoint (`models.defaults.DEFAULTS`, and `window_steps`)."""

    half: bool = False  # fp16
    notes: str = ""  # file of Markdown for the card
    system: str | None = None  # a system; else STA-V2A
    base: str | None = "compact"  # checkpoint that the system leans on; null: it is written whole
    shared_unet: list = field(default_factory=list)


def put_together(config) -> Path:
    """Write the checkpoint that `assemble` is configured for."""
    kinds = {"window_steps": int, **{name: type(value) for name, value in DEFAULTS.items()}}
    sampling = make_dataclass("Sampling", kinds.items())
    given = read_options(AssembleOptions, config.options, "assemble", (sampling,))
    own = {each.name for each in fields(given)}
    defaults = {name: value for name, value in config.options.items() if name not in own}
    notes = Path(given.notes).read_text(encoding="utf-8") if given.notes else ""
    if given.system is None:
        from stav2a.train.runtime.parts import assemble

        return assemble(config.parts, config.model, config.out, defaults, given.half, notes, config.timeline)
    from stav2a.train.runtime.assemble_system import assemble_system

    return assemble_system(
        config.parts,
        config.model,
        config.out,
        given.system,
        given.base,
        given.shared_unet,
        given.half,
        notes,
        config.timeline,
        **defaults,
    )
