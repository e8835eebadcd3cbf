"""The model card of a checkpoint folder: its content, use and origin; and uploading it to the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .licences import NONE_STATED, NOT_NOTED

HEADER = """---
library_name: diffusers
pipeline_tag: text-to-audio
license: {licence}
tags:
- video-to-audio
- foley
- stav2a
---
"""


def card(pipeline: Any, notes: str = "") -> str:
    """Markdown. `notes` is Markdown that is appended: training data, commands, figures.

    The pipeline's `provenance` has `model`, `licence` (of the whole), `licences` (by part),
    `origin` (a sentence), `sources`
    (name -> repository and revision) and `assumptions` (sentences without their full stop).
    """
    timeline, facts, system = pipeline.timeline, pipeline.config.provenance, pipeline.system
    about = []
    if system is not None:
        about = ["", f"Conditioned by `{system.name}`: {system.title}; the generator is STA-V2A's."]
    if base := facts.get("base"):
        about += ["", f"What is not in this folder lies in `{base['model']}`, which must be there to open it."]
    licences = facts.get("licences") or {}
    used = pipeline.defaults
    names = [*pipeline.config.defaults, *(["undistilled_steps"] if "undistilled_steps" in used else [])]
    defaults = ", ".join(f"{name} {used[name]}" for name in names)
    lines = [
        HEADER.format(licence=facts.get("licence", "apache-2.0")),
        "# STA-V2A" + (f" ({facts['model']})" if facts.get("model") else ""),
        "",
        "Video to audio with semantic and temporal alignment: sound for silent clips "
        "([paper](https://arxiv.org/abs/2409.08601)).",
        *about,
        "",
        "```python",
        "from stav2a import STAV2APipeline",
        "",
        'pipe = STAV2APipeline.from_pretrained("THIS_FOLDER_OR_REPOSITORY")',
        'out = pipe("clip.mp4", "a dog barks", seed=0)  # out.waveforms: float32 [takes, samples]',
        "```",
        "",
        f"Video at {timeline.fps:g} frames a second, {timeline.frame_size}x{timeline.frame_size}; sound at "
        f"{timeline.sample_rate} Hz, windows of {timeline.window_s:g} s. Defaults: {defaults}.",
        "",
        *part_table(pipeline.components, licences),
    ]
    lines += limits(licences)
    if facts.get("origin"):
        lines += ["", facts["origin"]]
    if sources := facts.get("sources"):
        lines += ["", "| source | repository | revision |", "|---|---|---|"]
        lines += [f"| {name} | {s.get('repository', '')} | {s.get('revision', '')} |" for name, s in sources.items()]
    if assumptions := facts.get("assumptions"):
        lines += ["", "Assumed, because the files do not say:", "", *(f"- {sentence}." for sentence in assumptions)]
    if notes:
        lines += ["", notes.strip()]
    return "\n".join(lines) + "\n"


def part_table(components: dict, licences: dict[str, str]) -> list[str]:
    """Class, number of parameters and, if known, licence of every part with weights."""
    columns = ["part", "class", "parameters", *(["licence"] if licences else [])]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, part in components.items():
        if hasattr(part, "parameters"):
            size = sum(p.numel() for p in part.parameters()) / 1e6
            cells = [f"`{name}`", type(part).__name__, f"{size:.2f} M", *([licences.get(name, "")] if licences else [])]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def limits(licences: dict[str, str]) -> list[str]:
    """Terms of the parts' licences, as lines of Markdown."""

    def of(*wanted: str) -> str:
        return ", ".join(f"`{name}`" for name, licence in licences.items() if any(w in licence for w in wanted))

    sentences = []
    if bound := of("-NC"):
        sentences.append(f"Not for commercial use: {bound} are under a licence that forbids it.")
    if unknown := of(NONE_STATED, NOT_NOTED):
        sentences.append(f"Nobody has stated a licence for {unknown}: ask whoever published the weights.")
    return ["", *sentences] if sentences else []


def write_card(pipeline: Any, folder: str | Path, notes: str = "") -> Path:
    """Write `README.md` unless there is one."""
    path = Path(folder) / "README.md"
    if not path.exists():
        path.write_text(card(pipeline, notes), encoding="utf-8")
    return path


def upload(
    folder: str | Path,
    repo_id: str,
    token: str | bool | None = None,
    private: bool | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
) -> str:
    """Send a checkpoint folder to the hub, creating the repository if needed; returns its address."""
    from huggingface_hub import HfApi

    from stav2a.weights.fetch import hub_errors

    api = HfApi(token=token)
    with hub_errors(repo_id):
        repo = api.create_repo(repo_id, private=private, exist_ok=True)
        message = commit_message or "Upload STA-V2A checkpoint"
        api.upload_folder(repo_id=repo.repo_id, folder_path=folder, commit_message=message, create_pr=create_pr)
    return str(repo)
