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
from pathlib import Path

import numpy as np
from torch import Tensor

from stav2a import presets
from stav2a.generation.processes import Processes
from stav2a.media.limits import InputError, disk_trouble
from stav2a.models.build import CLASSES
from stav2a.train.registry import make_stage
from stav2a.train.runtime.assemble_system import assemble_system
from stav2a.train.runtime.checkpoint import latest
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.fit import check_parts, found_parts
from stav2a.train.runtime.loop import train
from stav2a.train.runtime.parts import assemble

from . import stand_in
from .calls import Calls
from .cost import full_cost
from .narrow import narrowed, provide
from .report import Report


def dry_run(name: str, config: TrainConfig, stand_ins: str | Path | None = None, calculate: bool = True) -> Report:
    """Run the stage `name` of `config` dry. What it writes goes afterwards.

    `stand_ins`: a folder that keeps what stands in for absent parts and data, for other runs; `calculate`: reckon the
    cost at full size. All processes of a launcher call it together. `InputError` names the part that failed and why;
    its `report` is the report as far as it got.
    """
    processes = Processes()
    with _common_folder(processes) as work:
        report = Report(name, config)
        kept = Path(stand_ins) if stand_ins else work / "stand_ins"
        began = time.perf_counter()
        calls = Calls()
        try:
            _run(report, processes, work, kept, calls, calculate)
        except InputError as error:
            error.report = report
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            if calls.where or not isinstance(error, ValueError):  # which has a sentence of its own
                said = f"{calls.where[-1] if calls.where else f'stage {name}'}: {said}"
            refused = InputError(disk_trouble(error) or said)
            refused.report = report
            raise refused from error
        report.seconds = time.perf_counter() - began
        return report


def _run(report: Report, processes: Processes, work: Path, kept: Path, calls: Calls, calculate: bool) -> None:
    name, given = report.stage, report.config
    check_parts(name, given)
    report.parts = found_parts(name, given)
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
    with calls.of(stage):
        train(stage, config, until=1)
    report.shapes = shapes_of(calls)
    if calculate and processes.is_first:
        report.cost = full_cost(name, given, kept, stage, calls)
    report.done += ["shapes", "step"]
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


def shapes_of(calls: Calls) -> dict[str, tuple[int, ...]]:
    """Of a batch's tensors, and of what the networks were given and gave back, by name; first calls alone."""
    shapes = dict(calls.batch)
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
