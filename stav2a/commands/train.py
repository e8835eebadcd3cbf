"""`python -m stav2a train STAGE --config FILE [key=value ...]`."""

from __future__ import annotations

import argparse
import os

from stav2a.generation.processes import Processes
from stav2a.media.limits import InputError
from stav2a.train.registry import OF_SYSTEMS, STAGES, make_stage, systems_trained
from stav2a.train.runtime.options import read_options


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
            from stav2a.train.assemble import assemble_checkpoint

            print(assemble_checkpoint(config))
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
