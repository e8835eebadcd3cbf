"""The folder of parts that the stages of a training fill one after another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from diffusers import DDPMScheduler

from stav2a import presets
from stav2a.condition.text import load_minilm, untrained_text_parts
from stav2a.models import licences
from stav2a.models.build import CLASSES, OPTIONAL, open_video_encoder
from stav2a.models.card import card
from stav2a.models.distilled import is_of, open_distilled, write_distilled
from stav2a.models.tiny import tiny_components
from stav2a.models.weightless import is_weightless, weightless_part, weightless_text_parts
from stav2a.pipeline import STAV2APipeline
from stav2a.timeline import Timeline
from stav2a.weights.check import DISTILLED
from stav2a.weights.others import load_named, load_text_encoder, text_config
from stav2a.weights.stored import folded, halved


def text_parts(model: str, *folders: str | Path | None, name: str | None = None):
    """-> (tokenizer, text_encoder): MiniLM for `compact`, an untrained one for narrow sizes.

    name: another one, of `weights.sources.TEXT`, a repository of the hub or a folder, in place of the model's own; else
    the one that the folders' training was started with.
    For `paper` the one that the first of `folders` (of parts) holds, as a converted release does; else that of the
    release converted here; else mT5-large, fetched from the hub.
    """
    if is_weightless():
        return weightless_text_parts(model, name)
    if model == "tiny":
        parts = tiny_components()
        return parts["tokenizer"], parts["text_encoder"]
    name = name or next(filter(None, (noted_source(each, "text_encoder") for each in folders if each)), None)
    if model in presets.NARROW:
        width = text_config(name).hidden_size if name else presets.UNET[model]["cross_attention_dim"]
        return untrained_text_parts(width)
    if name:
        return load_named(name)
    if model == "paper":
        from stav2a.weights import fetch

        for folder in (*(Path(each) for each in folders if each), fetch.home() / "paper"):
            if (folder / "text_encoder" / "config.json").is_file() and (folder / "tokenizer").is_dir():
                return load_text_encoder(folder / "text_encoder", tokenizer=folder / "tokenizer")
        fetch.fetch("mt5")  # tokenizer and configuration; the weights lie beside them
        return load_text_encoder(fetch.fetch("mt5-weights"))
    return load_minilm()


def note_source(folder: str | Path, part: str, name: str) -> None:
    """Note which published encoder a training uses that is not in its folder of parts."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"{part}.json").write_text(json.dumps({"source": name}))


def noted_source(folder: str | Path, part: str) -> str | None:
    file = Path(folder) / f"{part}.json"
    return json.loads(file.read_text())["source"] if file.is_file() else None


def trained(folder: str | Path, name: str):
    """A part that an earlier stage wrote; `ValueError` says which stage must run first."""
    if not (Path(folder) / name / "config.json").is_file():
        raise ValueError(f"{folder} has no {name} yet: train the stage that makes it first.")
    if is_weightless():  # its shapes alone are asked for
        return weightless_part(Path(folder) / name, {**CLASSES, **OPTIONAL}[name])
    if name == "video_encoder":
        return open_video_encoder(Path(folder) / name)
    if name == DISTILLED:
        return open_distilled(folder)
    single = {"dtype": torch.float32} if name == "vocoder" else {}  # transformers would keep a stored fp16
    return {**CLASSES, **OPTIONAL}[name].from_pretrained(Path(folder) / name, **single)


def part_names(folder: str | Path) -> list[str]:
    """Parts of a checkpoint made of this folder: the required ones, and the optional ones that exist."""
    return [*CLASSES, *(name for name in OPTIONAL if (Path(folder) / name / "config.json").is_file())]


def note_default(folder: str | Path, name: str, value: float | int | str) -> None:
    """Note a sampling default found by a stage, for the checkpoint of these parts."""
    noted = noted_defaults(folder)
    (Path(folder) / "defaults.json").write_text(json.dumps({**noted, name: value}, indent=1))


def noted_defaults(folder: str | Path) -> dict:
    """Sampling defaults of a folder of parts; a folder that started as a checkpoint has those of the checkpoint."""
    noted = {}
    for name, key in (("model_index.json", "defaults"), ("defaults.json", None)):
        file = Path(folder) / name
        if file.is_file():
            values = json.loads(file.read_text())
            noted |= values if key is None else values.get(key, {})
    return noted


def licences_of(folder: str | Path, names: Iterable[str], model: str) -> dict:
    """`licence` and `licences` of the provenance of a checkpoint made of these parts and the model's text encoder."""
    found = licences.of_parts(folder, names, model)
    text = licences.noted(folder).get("text_encoder", licences.OURS if model in presets.NARROW else "Apache-2.0")
    found["text_encoder"] = text
    return {"licence": licences.overall(found.values()), "licences": found}


def assemble(
    folder: str | Path,
    model: str,
    out: str | Path,
    defaults: dict | None = None,
    half: bool = False,
    notes: str = "",
    timeline: Timeline | None = None,
    low_rank: float | None = None,
) -> Path:
    """Write the trained parts as one checkpoint that `STAV2APipeline.from_pretrained` opens, with a model card.

    `half` stores fp16, which is half the size; `notes` (Markdown) joins the card. MiniLM, the text encoder of
    `compact`, stays out of it: it comes with its pip package. `timeline` is the model's own unless given.
    `low_rank`: the share of the distilled U-Net's difference that is kept, of its squared norm; None: all of it.
    Raises `ValueError` where a weight would not be finite.
    """
    tokenizer, text_encoder = text_parts(model, folder)
    names = part_names(folder)
    parts = {name: trained(folder, name) for name in names}
    if DISTILLED in parts and not is_of(folder, parts["unet"]):  # trained on since
        parts[DISTILLED] = None
    pipe = STAV2APipeline(
        **parts,
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        scheduler=DDPMScheduler(**presets.SCHEDULER[model]),
        timeline=(timeline or presets.TIMELINES[model]).to_dict(),
        defaults={**noted_defaults(folder), **(defaults or {})},
        provenance={"model": model, **licences_of(folder, names, model)},
    )
    own = noted_source(folder, "text_encoder") is not None
    return write_whole(pipe, out, half, notes, text=own or model != "compact", low_rank=low_rank)


def write_whole(
    pipe: STAV2APipeline, out: str | Path, half: bool, notes: str, text: bool, low_rank: float | None = None
) -> Path:
    """Write every part of a pipeline, its text encoder only where `text` says so, and the model card."""
    out = Path(out)
    for name in (*CLASSES, *OPTIONAL, "system"):
        part = getattr(pipe, name)
        if name == DISTILLED and part is not None:
            write_distilled(part, pipe.unet, out, half, low_rank)
        elif part is not None:
            (halved(part, name) if half else folded(part)).save_pretrained(out / name)
    pipe.scheduler.save_pretrained(out / "scheduler")
    pipe.save_config(out)
    if text:
        pipe.text_encoder.save_pretrained(out / "text_encoder")
        pipe.tokenizer.save_pretrained(out / "tokenizer")
    (out / "README.md").write_text(card(pipe, notes), encoding="utf-8")
    return out
