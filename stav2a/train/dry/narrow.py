"""The configuration of a dry run: narrow networks, two steps, and data that stand in for what is not there."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

import torch

from stav2a import presets
from stav2a.train.registry import OF_SYSTEMS, STAGES, systems_trained
from stav2a.train.runtime.config import TrainConfig

from . import stand_in

SAMPLES = 2  # of a step
FEW = {"heard_clips": 1, "audio_width": 4, "discriminator_channels": 4, "width": 4}  # options that only cost time


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
    return replace(
        given,
        model=presets.narrow(given.model),
        parts=str(work / "parts"),
        out=str(work / "out"),
        steps=2,
        warmup=1,
        # a stage that accumulates has the same loss on any number of processes: samples do not see each other
        batch_size=max(SAMPLES, processes) if accumulates else SAMPLES * processes,
        micro_batch_size=0,
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
    from stav2a.train.stages.systems import SystemStage

    if name in systems_trained():
        return {each.name for each in fields(SystemStage.Options)}
    module, kind = {**STAGES, **OF_SYSTEMS}[name]
    return {each.name for each in fields(getattr(import_module(module), kind).Options)}


def provide(name: str, given: TrainConfig, config: TrainConfig, work: Path, kept: Path) -> str:
    """Point `config` at the data that `given` names where it is there, else at a stand-in; says which of both."""
    timeline, options, used = given.timeline, config.options, []
    size = f"{given.model}-{given.crop_s:g}-{timeline.fps:g}-{timeline.frame_size}"

    def shards(place: str | None) -> str:
        folder = kept / f"shards-{size}"
        if not (folder / "dataset.json").is_file():
            stand_in.write_shards(folder, given.model, timeline, given.crop_s, kept / config.model)
        prepared = f"rendered clips stand in, prepared as `data prepare --model {given.model}` does"
        used.append(f"{place} is not here: {prepared}" if place else prepared)
        return str(folder)

    if options.get("shards"):
        if Path(options["shards"]).exists():
            used.append(f"the clips of {options['shards']}")
        else:
            options["shards"] = shards(options["shards"])
    if options.get("cache"):
        place, folder = Path(options["cache"]), work / "cache"
        if place.exists():
            if not (place / "world.json").is_file():
                raise ValueError(f"There is no FoleyWorld cache at {place}: world.json is missing.")
            used.append(f"the first clips of {place}")
        else:
            used.append(f"{place} is not here: two clips rendered as `data cache` does stand in")
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
            used.append(f"recordings of {place}" if key == "bank" else f"pictures of {place}")
    if name == "classifier":
        bank = kept / "bank"
        if config.bank:  # its export measures whole splits
            bank = work / "bank"
            stand_in.few_recordings(Path(config.bank), bank)
        else:
            used.append(f"{given.bank or 'a sound bank'} is not here: twelve tones stand in")
            if not bank.is_dir():
                stand_in.write_bank(bank, timeline.sample_rate)
        config.bank = str(bank)
    if name in ("vae", "vocoder") and not config.bank and not options.get("shards"):
        config.bank = shards(given.bank)
    return "; ".join(used) or "clips rendered when they are needed, as the configuration asks"
