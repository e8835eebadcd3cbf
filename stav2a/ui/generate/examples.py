"""Examples with stored results: they open at once, without running the model.

`assets/examples/NAME/` has `clip.mp4` and what `python -m stav2a example NAME CLIP --prompt TEXT` writes: the files of
the run, and `run.json` with paths relative to the folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from html import escape
from pathlib import Path

import gradio as gr

from stav2a.assets import ASSETS
from stav2a.media.limits import InputError
from stav2a.media.probe import probe
from stav2a.ui.generate.controls import tracks
from stav2a.ui.generate.form import Form
from stav2a.ui.generate.inputs import tried
from stav2a.ui.generate.result_panel import show_run
from stav2a.ui.history import History, Run, StoredTake, clip_hash, record
from stav2a.ui.line import status
from stav2a.ui.own_folder import write_whole
from stav2a.ui.shared import WATCHING, Shared
from stav2a.ui.upload import summary
from stav2a.ui.widgets.player import file_data
from stav2a.ui.widgets.result_strip import strip_value
from stav2a.ui.widgets.widget import widget

HERE = Path(__file__).parent
FOLDER = ASSETS / "examples"
TEMPLATE = """
<div class="xs-row"><span class="xs-title">Examples</span><div class="xs" role="group" aria-label="Examples"></div>
</div>
"""


def load(folder: Path | None = None) -> list[Run]:
    """The examples in `folder` (`FOLDER` by default), sorted by name, with absolute paths of their files."""
    return [_read(path.parent) for path in sorted((folder or FOLDER).glob("*/run.json"))]


def shelf(runs: list[Run]) -> gr.HTML | None:
    """A row of examples to choose from; None if there are none."""
    if not runs:
        return None
    cards = [
        {"video": file_data(run.clip), "caption": run.settings.get("prompt") or "no caption", "seconds": run.duration_s}
        for run in runs
    ]
    return widget(HERE / "examples_shelf", TEMPLATE, value=cards, elem_id="examples")


def build() -> tuple[gr.HTML, list[Run]] | None:
    """The row of examples and what it shows; None if there are none."""
    runs = load()
    row = shelf(runs)
    return None if row is None else (row, runs)


def connect(row: gr.HTML, runs: list[Run], form: Form, shared: Shared) -> None:
    """Choosing an example fills the inputs, shows its result and its story, and makes it a result of the visit."""

    def choose(visit: str, evt: gr.EventData) -> dict:
        index = evt._data.get("index") if isinstance(evt._data, dict) else None
        if not isinstance(index, int) or not 0 <= index < len(runs):
            raise gr.Error("There is no such example.", print_exception=False)
        example = runs[index]
        hidden = gr.update(visible=False)
        around_it = {form.seen: hidden, form.preview: hidden, form.status: status.idle()}
        filled = {form.source: example.clip, form.fields["prompt"]: example.settings.get("prompt", "")}
        info = probe(Path(example.clip))
        filled |= {form.info: summary(info), form.fields["audio_track"]: tracks(info)}
        filled |= story(form, FOLDER / example.id)
        try:
            run = adopt(shared.history, visit, FOLDER / example.id)
        except InputError as refusal:  # no room for another result
            return {**filled, **around_it, form.status: status.error(str(refusal))}
        runs_now = shared.history.runs(visit)
        shown = {**show_run(form, run), form.strip: strip_value(runs_now, run), shared.runs: runs_now}
        return {**filled, **around_it, **shown}

    around = [form.source, form.info, form.seen, form.preview, form.status, form.story, form.tries]
    outputs = [*around, form.fields["audio_track"], *form.result, shared.runs]
    row.submit(choose, shared.visit, outputs, **WATCHING)


def adopt(history: History, visit: str, folder: Path) -> Run:
    """The example in `folder` as a run of this visit, so that it can be compared with others; made once a visit."""
    name = hashlib.sha256(folder.name.encode()).hexdigest()[:8]
    known = next((run for run in history.runs(visit) if run.id.endswith(f"-{name}")), None)
    if known is not None:
        return known
    target = history.new_folder(visit, name)
    shutil.copytree(folder, target, dirs_exist_ok=True)
    run = replace(_read(target), id=target.name, clip=f"{folder.name}.mp4", clip_key=clip_hash(folder / "clip.mp4"))
    write_whole(target / "run.json", json.dumps(asdict(run)))
    return run


def story(form: Form, folder: Path) -> dict:
    """Updates that show what to try with an example: its `story.json`, {"edit": a sentence, "caption": another one}.

    "credit" in it says whose clip it is, where somebody is to be named.
    """
    file = folder / "story.json"
    if not file.is_file():
        return {form.story: gr.update(visible=False), form.tries: tried()}
    written = json.loads(file.read_text(encoding="utf-8"))
    steps = (
        f"{written['edit']} Then press “Regenerate with these onsets”.",
        f"Change the caption to “{written['caption']}” and press “Generate”.",
        "Press “Compare” at an earlier result, below the video, to hear both in sync.",
    )
    listed = "".join(f"<li>{escape(step)}</li>" for step in steps)
    credit = f"<p>{escape(written['credit'])}</p>" if "credit" in written else ""
    shown = f'<div class="st story"><p>Try with this clip:</p><ol>{listed}</ol>{credit}</div>'
    return {form.story: gr.update(value=shown, visible=True), form.tries: tried(written["caption"])}


def write(name: str, clip: Path, settings, engine, folder: Path = FOLDER) -> Run:
    """Generate for `clip` and store the result as an example; a story that is there is kept."""
    from stav2a.generation.generate import generate

    target = folder / name
    for old in target.glob("*") if target.is_dir() else ():
        if old.name != "story.json" and old.resolve() != clip.resolve():
            old.unlink()
    target.mkdir(parents=True, exist_ok=True)
    own = target / "clip.mp4"
    if clip.resolve() != own.resolve():
        shutil.copy(clip, own)
    result = None
    for item in generate(engine, own, settings, target):
        result = item
    run = replace(record(result, target, "clip.mp4"), id=name)
    plain = json.loads(json.dumps(asdict(run)).replace(f"{target}/", ""))
    (target / "run.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")
    return run


def _read(folder: Path) -> Run:
    run = Run.from_json(json.loads((folder / "run.json").read_text(encoding="utf-8")))

    def whole(path: str | None) -> str | None:
        return None if path is None else str(folder / path)

    takes = [
        StoredTake(
            **{
                **asdict(take),
                "video": whole(take.video),
                "audio": whole(take.audio),
                "figure": {
                    **take.figure,
                    "wide": whole(take.figure["wide"]),
                    "narrow": whole(take.figure["narrow"]),
                },
            }
        )
        for take in run.takes
    ]
    return replace(
        run,
        clip=whole(run.clip),
        bundle=whole(run.bundle),
        thumb=whole(run.thumb) if run.thumb else "",
        original=whole(run.original),
        takes=takes,
    )
