"""Ablation tables in the form of the paper's Table III: one row a system, one column a metric.

    python -m stav2a evaluate --table ablation.yaml

A table file (YAML); paths are relative to it:

    reference: real/              # folder of real sounds or clips
    videos: clips/                # for AV-Align, and where rows generate (default: reference)
    captions: captions.csv        # prompts
    steps: 15                     # and guidance_scale, seed: for all rows that generate
    rows:
      - {name: FoleyCrafter, generated: foleycrafter/}          # any folder of sounds
      - {name: CN w/o Filter, checkpoint: runs/unfiltered}      # generated here, once
      - {name: CN Frozen, checkpoint: runs/frozen, use_onsets: false, use_global_tokens: false}

With `checkpoint: compact` in place of `rows`, the rows are the four switch settings of `SWITCHES`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from stav2a.evaluation.folders.evaluate import Evaluation, evaluate, write_results
from stav2a.evaluation.folders.pairs import VIDEO_SUFFIXES, by_stem, find_pairs, read_captions
from stav2a.evaluation.folders.summary import is_lower_better
from stav2a.evaluation.folders.work import Plan

SWITCHES = {  # strength 1: placed recordings would time every row
    "Text only": {"use_control": False, "use_onsets": False, "use_global_tokens": False, "strength": 1.0},
    "+Control": {"use_control": True, "use_onsets": False, "use_global_tokens": False, "strength": 1.0},
    "+Control +Onset": {"use_control": True, "use_onsets": True, "use_global_tokens": False, "strength": 1.0},
    "+Control +Onset +Global tokens": {
        "use_control": True, "use_onsets": True, "use_global_tokens": True, "strength": 1.0,
    },
}  # fmt: skip
GENERATION = ("num_inference_steps", "guidance_scale", "video_guidance_scale", "seed", *SWITCHES["+Control"])
# the paper's order: quality, meaning, time; then the scores with a chance level
COLUMNS = (
    "fd_panns", "fd_bank", "fad_vggish", "kl_panns", "kl_bank", "is_panns", "is_bank", "pam_laion", "clap",
    "class_top1_bank", "cavp", "cavp_moments", "align_acc", "av_align", "aa_align", "aa_align_one_to_one",
    "onset_f1_50ms", "onset_f1_100ms", "envelope_correlation", "w_dis", "dtw_dis",
)  # fmt: skip


@dataclass
class Row:
    name: str
    generated: Path | None = None
    checkpoint: str | None = None
    settings: dict = field(default_factory=dict)  # of `pipe(...)`


@dataclass
class Table:
    reference: Path
    videos: Path | None
    captions: Path | None
    rows: list[Row]


def read_table(path: str | Path) -> Table:
    """A table file, checked: unknown words and rows without a source are refused by name."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no table file {path}.")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or "reference" not in values:
        raise ValueError(f"{path.name} needs at least `reference` and `rows` or `checkpoint`.")

    def folder(value) -> Path | None:
        return None if value is None else (path.parent / value)

    steps = values.pop("steps", None)
    common = {key: values.pop(key) for key in GENERATION if key in values}
    common |= {} if steps is None else {"num_inference_steps": steps}
    rows = values.get("rows")
    if rows is None:
        if "checkpoint" not in values:
            raise ValueError(f"{path.name} needs `rows` or `checkpoint`.")
        rows = [{"name": name, "checkpoint": values["checkpoint"], **on} for name, on in SWITCHES.items()]
    unknown = set(values) - {"reference", "videos", "captions", "rows", "checkpoint"}
    if unknown:
        raise ValueError(f"{path.name} has unknown words: {', '.join(sorted(unknown))}.")

    table = Table(folder(values["reference"]), folder(values.get("videos")), folder(values.get("captions")), [])
    for entry in rows:
        entry = dict(entry)
        name, made, checkpoint = (entry.pop(key, None) for key in ("name", "generated", "checkpoint"))
        if not name or (made is None) == (checkpoint is None):
            raise ValueError(f"{path.name}: a row needs `name`, and `generated` or `checkpoint`.")
        wrong = set(entry) - set(GENERATION)
        if wrong:
            raise ValueError(f"{path.name}: row {name} has unknown words: {', '.join(sorted(wrong))}.")
        # names of built-in models and hub repositories are no paths
        local = checkpoint and (path.parent / checkpoint).is_dir()
        checkpoint = str(path.parent / checkpoint) if local else checkpoint
        table.rows.append(Row(str(name), folder(made), checkpoint, common | entry))
    names = [row.name for row in table.rows]
    if len(set(names)) < len(names):
        raise ValueError(f"{path.name}: rows need different names.")
    return table


def generate_row(row: Row, table: Table, folder: Path, load=None) -> list[dict[str, str]]:
    """Write `<stem>.wav` of every clip that is not there yet; returns the clips that failed, with reasons.

    load: checkpoint name -> pipeline; the default is `STAV2APipeline.from_pretrained`.
    """
    from tqdm import tqdm

    from stav2a.media.audio import write_wav
    from stav2a.media.frames import read_for_model

    clips = by_stem(table.videos or table.reference, VIDEO_SUFFIXES)
    captions = read_captions(table.captions) if table.captions else {}
    folder.mkdir(parents=True, exist_ok=True)
    missing = {stem: path for stem, path in clips.items() if not (folder / f"{stem}.wav").is_file()}
    failed: list[dict[str, str]] = []
    pipe = None
    for stem, path in tqdm(sorted(missing.items()), desc=row.name, unit="clip", file=sys.stderr):
        if pipe is None:
            if load is None:
                from stav2a.pipeline import STAV2APipeline as Pipeline

                load = Pipeline.from_pretrained
            pipe = load(row.checkpoint)
        try:
            timeline = pipe.timeline
            clip = read_for_model(path, timeline)
            output = pipe(clip.frames, captions.get(stem, ("",))[0] or "", **row.settings)
            write_wav(folder / f"{stem}.wav", output.waveforms[0], output.sample_rate)
        except ValueError as error:  # a clip that cannot be read; the others go on
            failed.append({"file": path.name, "reason": str(error)})
    return failed


def identity(row: Row, table: Table) -> str:
    """Names the folder of a row's sounds: other settings or prompts never reuse them."""
    prompts = table.captions.read_text(encoding="utf-8") if table.captions else ""
    key = [row.name, row.checkpoint, row.settings, str(table.videos or table.reference), prompts]
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=4).hexdigest()
    return "".join(c if c.isalnum() else "_" for c in row.name)[:40] + "_" + digest


def table_markdown(results: dict[str, dict[str, dict]]) -> str:
    """{row: metrics} -> two Markdown tables: the published means, and the gains over chance."""
    columns = [name for name in COLUMNS if any(name in metrics for metrics in results.values())]
    timed = [name for name in columns if any(_gain(metrics, name) is not None for metrics in results.values())]
    return (
        "Means (± half the 95 % interval).\n\n"
        + _grid(results, columns, _mean)
        + "\nGain over chance, more is better (p).\n\n"
        + _grid(results, timed, _gain)
    )


def _grid(results: dict, columns: list[str], cell) -> str:
    heads = [f"{name} {'↓' if is_lower_better(name) and cell is _mean else '↑'}" for name in columns]
    lines = [f"| model | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(columns)]
    for row, metrics in results.items():
        lines.append(f"| {row} | {' | '.join(cell(metrics, name) or '–' for name in columns)} |")
    return "\n".join(lines) + "\n"


def _mean(metrics: dict, name: str) -> str | None:
    if name not in metrics:
        return None
    entry = metrics[name]
    half = f" ± {(entry['ci95'][1] - entry['ci95'][0]) / 2:.3f}" if entry["ci95"] else ""
    return f"{entry['mean']:.3f}{half}"


def _gain(metrics: dict, name: str) -> str | None:
    entry = metrics.get(name)
    if not entry or entry["gain"] is None:
        return None
    return f"{entry['gain']:+.3f} ({entry['p']:.2g})"


def evaluate_table(
    table: Table,
    out: Path,
    plan: Plan,
    workers: int | None = None,
    chance: str = "shifted",
    load: Callable | None = None,
) -> tuple[dict, str]:
    """(results by row, Markdown). Writes table.json, table.md and the results of each row to `out`.

    load: see `generate_row`
    """
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Evaluation] = {}
    for row in [Row("GT", generated=table.reference), *table.rows]:
        folder, failed = row.generated, []
        if folder is None:
            folder = out / identity(row, table)
            failed = generate_row(row, table, folder, load)
        pairs, skipped = find_pairs(table.reference, folder, table.videos, table.captions)
        if not pairs:
            raise ValueError(f"Row {row.name}: {folder} and {table.reference} have no file name in common.")
        results[row.name] = evaluate(pairs, plan, workers, [*failed, *skipped], True, chance)
        part = out / "rows" / identity(row, table)
        part.mkdir(parents=True, exist_ok=True)
        write_results(part, results[row.name])
    report = {name: result.to_json() for name, result in results.items()}
    text = table_markdown({name: result.metrics for name, result in results.items()})
    (out / "table.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(text, encoding="utf-8")
    return report, text
