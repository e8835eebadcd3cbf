"""The dry run: what `train STAGE --config FILE` would do, in well under a minute of two cores.

The timeline, every length and every channel that parts exchange are the configuration's own, and so is the way of its
data. Widths and depths are not: weights are random and few. Two steps are made, a validation, a resumed run, an export,
and a clip with sound from the checkpoint made of it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from stav2a import presets
from stav2a.generation.processes import Processes
from stav2a.media.limits import InputError
from stav2a.models.build import CLASSES
from stav2a.train.cli import OF_SYSTEMS, make_stage, systems_trained
from stav2a.train.runtime.assemble_system import assemble_system
from stav2a.train.runtime.checkpoint import latest
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.cost import Cost, step_cost
from stav2a.train.runtime.loop import on_device, train
from stav2a.train.runtime.parts import assemble
from stav2a.weights import vision

from . import stand_in
from .calls import Calls

SAMPLES = 2  # of the first batch, which is looked at
FEW = {"heard_clips": 1, "audio_width": 4, "discriminator_channels": 4, "width": 4}  # options that only cost time
CHECKS = ("shapes", "step", "validation", "resume", "export", "sample")


@dataclass
class Report:
    """What a dry run found. shapes: of tensors by name; losses: of the two steps; done: of `CHECKS`."""

    stage: str
    config: TrainConfig
    data: str
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    cost: Cost | None = None
    losses: list[float] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    seconds: float = 0.0


def dry_run(name: str, config: TrainConfig, stand_ins: str | Path | None = None, calculate: bool = True) -> Report:
    """Run the stage `name` of `config` dry. What it writes goes afterwards.

    `stand_ins`: a folder that keeps what stands in for absent parts and data, for other runs; `calculate`: reckon the
    cost at full size. All processes of a launcher call it together. `InputError` names the part that failed and why;
    its `report` is the report as far as it got.
    """
    processes = Processes()
    with _common_folder(processes) as work:
        report = Report(name, config, "")
        kept = Path(stand_ins) if stand_ins else work / "stand_ins"
        began = time.perf_counter()
        calls = Calls()
        try:
            _run(report, processes, work, kept, calls, calculate)
        except InputError as error:
            error.report = report
            raise
        except Exception as error:
            place = calls.where[-1] if calls.where else f"stage {name}"
            said = " ".join(str(error).split()) or type(error).__name__
            refused = InputError(f"{place}: {said}")
            refused.report = report
            raise refused from error
        report.seconds = time.perf_counter() - began
        return report


def _run(report: Report, processes: Processes, work: Path, kept: Path, calls: Calls, calculate: bool) -> None:
    name, given = report.stage, report.config
    base = kept / presets.narrow(given.model)
    config = narrowed(name, given, work, base, processes.count)
    if processes.is_first:
        if not base.is_dir():
            stand_in.write_parts(base, config.model)
        report.data = provide(name, given, config, work, kept)
    processes.wait()
    if not processes.is_first:
        report.data = provide(name, given, config, work, kept)
    elif "base" not in config.options:
        shutil.copytree(base, config.parts)
    processes.wait()
    stage = make_stage(name, config)
    if len(stage.phases) > 1:  # two optimisers in turn do not accumulate
        config.batch_size = config.micro_batch_size * processes.count

    samples = [{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(SAMPLES)]
    batch = default_collate(samples)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    stage.to(device).train()
    with calls.of(stage):
        for phase in stage.phases:
            losses = stage(on_device(batch, device), phase)
            losses["loss"].backward()
            if not torch.isfinite(losses["loss"]):
                raise InputError(f"The loss of stage {name} is {losses['loss'].item()} on its first batch.")
    stage.zero_grad(set_to_none=True)
    report.shapes = shapes_of(batch, calls)
    if calculate:
        report.cost = full_cost(name, given, kept, stage, calls)
    report.done.append("shapes")

    train(stage, config, until=1)
    report.done.append("step")
    again = make_stage(name, config)
    before = {file: file.stat().st_mtime_ns for file in Path(config.parts).rglob("*") if file.is_file()}
    report.measures = train(again, config)
    logs = Path(config.out) / again.name
    lines = [json.loads(line) for line in (logs / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    report.losses = [line[f"{again.phases[0]}/loss"] for line in lines if f"{again.phases[0]}/loss" in line]
    if not np.isfinite([report.measures["loss"], *report.losses]).all():
        raise InputError(f"The losses of stage {name} are {report.losses}, in validation {report.measures['loss']}.")
    report.done.append("validation")
    if [line["step"] for line in lines if "minutes" in line] != [1, 2] or latest(logs).name != "checkpoint-00000002":
        raise InputError(f"Stage {name} did not go on from step 1; its log tells of {[x['step'] for x in lines]}.")
    report.done.append("resume")
    if processes.is_first:
        written = [f for f in Path(config.parts).rglob("*") if f.is_file() and before.get(f) != f.stat().st_mtime_ns]
        if not written:
            raise InputError(f"Stage {name} exported nothing to {config.parts}.")
        report.done.append("export")
        sample_from(name, config, base, work, again)
        report.done.append("sample")
    processes.wait()


def narrowed(name: str, given: TrainConfig, work: Path, base: Path, processes: int) -> TrainConfig:
    """The configuration for two steps of narrow networks that begin with those of `base`, written to `work` alone."""
    options = {**given.options, **{key: few for key, few in FEW.items() if key in given.options}}
    if "heard_clips" in option_names(name):
        options["heard_clips"] = 1
    if options.get("adversarial_after"):
        options["adversarial_after"] = 1
    if options.get("base"):
        options["base"] = str(base)
    if options.get("unet") not in (None, "new"):
        options["unet"] = str(base / "unet")
    accumulates = given.micro_batch_size or given.gradient_accumulation_steps > 1
    at_once = 1 if accumulates else SAMPLES
    return replace(
        given,
        model=presets.narrow(given.model),
        parts=str(work / "parts"),
        out=str(work / "out"),
        steps=2,
        warmup=1,
        batch_size=max(2, processes) if accumulates else SAMPLES * processes,
        micro_batch_size=at_once,
        gradient_accumulation_steps=1,
        mixed_precision=given.mixed_precision if torch.cuda.is_available() else "no",
        compile=False,
        workers=0,
        log_every=1,
        validate_every=2,
        validation_batches=1,
        save_every=1,
        max_minutes=0.0,
        options=options,
    )


def option_names(name: str) -> set[str]:
    """Names of a stage's own options."""
    from importlib import import_module

    from stav2a.train.cli import STAGES
    from stav2a.train.stages.systems import SystemStage

    if name in systems_trained():
        return {each.name for each in fields(SystemStage.Options)}
    module, kind = {**STAGES, **OF_SYSTEMS}[name]
    return {each.name for each in fields(getattr(import_module(module), kind).Options)}


def provide(name: str, given: TrainConfig, config: TrainConfig, work: Path, kept: Path) -> str:
    """Point `config` at the data that `given` names where it is there, else at a stand-in; says which of both."""
    timeline, options, told = given.timeline, config.options, []
    size = f"{given.model}-{given.crop_s:g}-{timeline.fps:g}-{timeline.frame_size}"

    def shards(place: str | None) -> str:
        folder = kept / f"shards-{size}"
        if not (folder / "dataset.json").is_file():
            stand_in.write_shards(folder, given.model, timeline, given.crop_s, kept / config.model)
        prepared = f"rendered clips stand in, prepared as `data prepare --model {given.model}` does"
        told.append(f"{place} is not here: {prepared}" if place else prepared)
        return str(folder)

    if options.get("shards"):
        if (Path(options["shards"]) / "dataset.json").is_file():
            told.append(f"the clips of {options['shards']}")
        else:
            options["shards"] = shards(options["shards"])
    if options.get("cache"):
        place, folder = Path(options["cache"]), work / "cache"
        if (place / "world.json").is_file():
            told.append(f"the first clips of {place}")
        else:
            told.append(f"{place} is not here: two clips rendered as `data cache` does stand in")
            place = kept / f"cache-{size}"
            if not place.is_dir():
                stand_in.write_clips(place, timeline, given.crop_s)
        folder.mkdir(exist_ok=True)
        for child in place.iterdir():  # what is computed of them is written beside the links
            link = folder / child.name
            if not link.is_symlink():
                link.symlink_to(child.resolve())
        options |= {"cache": str(folder), "cache_clips": 2}
    for key in ("bank", "sprites"):
        place = getattr(config, key)
        if place and not Path(place).is_dir():
            setattr(config, key, "")
        elif place:
            told.append(f"recordings of {place}" if key == "bank" else f"pictures of {place}")
    if name == "classifier":
        bank = kept / "bank"
        if config.bank:  # its export measures whole splits
            bank = work / "bank"
            stand_in.few_recordings(Path(config.bank), bank)
        else:
            told.append(f"{given.bank or 'a sound bank'} is not here: twelve tones stand in")
            if not bank.is_dir():
                stand_in.write_bank(bank, timeline.sample_rate)
        config.bank = str(bank)
    if name in ("vae", "vocoder") and not config.bank and not options.get("shards"):
        config.bank = shards(given.bank)
    return "; ".join(told) or "clips rendered when they are needed, as the configuration asks"


def shapes_of(batch: dict, calls: Calls) -> dict[str, tuple[int, ...]]:
    """Of a batch's tensors, and of what the networks were given and gave back, by name; first calls alone."""
    shapes = {key: tuple(value.shape) for key, value in batch.items() if isinstance(value, Tensor) and key != "index"}
    for number, call in enumerate(calls.made):
        if any(call.name == other.name for other in calls.made[:number]):
            continue
        given = [*call.args, *call.kwargs.values()]
        tensors = [value for value in given if isinstance(value, Tensor) and value.ndim]
        for k, value in enumerate(tensors):
            shapes[f"{call.name} takes" + (f" ({k + 1})" if len(tensors) > 1 else "")] = tuple(value.shape)
        if call.out:
            shapes[f"{call.name} gives"] = call.out[0]
    return shapes


def full_cost(name: str, given: TrainConfig, kept: Path, stage, calls: Calls) -> Cost:
    """Of one sample's step with networks of the configuration's own size."""
    without = {"shards", "cache", "cache_clips", "base"} | ({"unet"} if given.options.get("unet") != "new" else set())
    options = {key: value for key, value in given.options.items() if key not in without}
    encoder = tuple(options.pop(key, None) for key in ("encoder", "encoder_layers", "encoder_levels"))
    folder = kept / f"full-{given.model}-{encoder[0]}"
    if not folder.is_dir():
        stand_in.write_parts(folder, given.model, weights=False)
        if encoder[0]:
            with torch.device("meta"):
                vision.untrained(encoder[0], encoder[1] or (), encoder[2] or ()).save_config(folder / "video_encoder")
    if options.get("unet") == "new":
        shutil.rmtree(folder / "unet", ignore_errors=True)
    places = {"parts": str(folder), "out": str(kept / "full"), "bank": stage.config.bank, "sprites": ""}
    config = replace(given, **places, options=options)
    if stage.config.options.get("shards") and not hasattr(stage, "worlds"):  # of sounds alone
        config.options["shards"] = stage.config.options["shards"]
    with torch.device("meta"):
        full = make_stage(name, config).train()
    if given.gradient_checkpointing:
        for module in full.children():
            if hasattr(module, "enable_gradient_checkpointing"):
                module.enable_gradient_checkpointing()
    return step_cost(full, stage, calls.made, SAMPLES)


def sample_from(name: str, config: TrainConfig, base: Path, work: Path, stage) -> None:
    """Assemble the exported parts, open the checkpoint and give one window of frames its sound; `InputError` if not."""
    from stav2a.pipeline import STAV2APipeline

    parts, timeline = Path(config.parts), config.timeline
    if name == "classifier":
        from stav2a.metrics.bank_classifier import BankClassifier

        BankClassifier.load(parts / "bank_classifier")
        return
    system = getattr(stage, "system_name", "ta-v2a" if name == "cvalp" else None)
    head = () if config.options.get("encoder") else ("local_features",)  # of another encoder: there is none
    for part in ("video_encoder", "unet", "vae", "vocoder", *head) if system else CLASSES:  # what later stages make
        if not (parts / part).is_dir():
            shutil.copytree(base / part, parts / part)
    if system is None:
        out = assemble(parts, config.model, work / "model", timeline=timeline)
    else:
        if hasattr(stage, "unet"):  # a stage of a part leaves its U-Net as it is, with the channels that it needs
            stage.unet.save_pretrained(parts / "unet")
        out = assemble_system(parts, config.model, work / "model", system, None, timeline=timeline)
    pipe = STAV2APipeline.from_pretrained(out)
    pipe.set_progress_bar_config(disable=True)
    seconds = min(config.crop_s, timeline.video_window_s)
    count = max(1, round(seconds * timeline.fps))
    frames = np.random.default_rng(0).integers(0, 255, (count, timeline.frame_size, timeline.frame_size, 3), np.uint8)
    sound = pipe(frames, "a dog barks", num_inference_steps=2)
    wanted = (1, round(count / timeline.fps * timeline.sample_rate))
    if sound.waveforms.shape != wanted or not np.isfinite(sound.waveforms).all():
        raise InputError(f"The checkpoint made {list(sound.waveforms.shape)} samples of sound; {list(wanted)} are due.")


@contextmanager
def _common_folder(processes: Processes) -> Iterator[Path]:
    """One temporary folder for all processes, removed by the first of them."""
    if processes.count == 1:
        with tempfile.TemporaryDirectory(prefix="stav2a-dry-") as made:
            yield Path(made)
        return
    from accelerate.utils import broadcast_object_list

    made = tempfile.TemporaryDirectory(prefix="stav2a-dry-") if processes.is_first else None
    (place,) = broadcast_object_list([made.name if made else ""])
    try:
        yield Path(place)
    finally:
        processes.wait()
        if made:
            made.cleanup()
