"""Examples with stored results: they open at once, without running the model.

`assets/examples/NAME/` has `clip.mp4` and what `python -m stav2a example NAME CLIP --prompt TEXT` writes: the files of
the run, and `run.json` with paths relative to the folder.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import gradio as gr

from stav2a.assets import ASSETS
from stav2a.media.probe import probe
from stav2a.ui.generate.controls import tracks
from stav2a.ui.generate.form import Form
from stav2a.ui.generate.result_panel import show_run
from stav2a.ui.history import Run, StoredTake, record
from stav2a.ui.line import status
from stav2a.ui.shared import QUICK
from stav2a.ui.upload import summary
from stav2a.ui.widgets.player import file_data

HERE = Path(__file__).parent
FOLDER = ASSETS / "examples"
TEMPLATE = """
<p class="xs-title">Examples, ready to play</p>
<div class="xs" role="group" aria-label="Examples"></div>
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
    return gr.HTML(
        value=cards,
        html_template=TEMPLATE,
        css_template=HERE.joinpath("examples_shelf.css").read_text(encoding="utf-8"),
        js_on_load=HERE.joinpath("examples_shelf.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        padding=False,
        elem_id="examples",
    )


def build(form: Form) -> None:
    """The row of examples; choosing one fills the inputs and shows its result."""
    runs = load()
    row = shelf(runs)
    if row is None:
        return

    def choose(evt: gr.EventData) -> dict:
        index = evt._data.get("index") if isinstance(evt._data, dict) else None
        if not isinstance(index, int) or not 0 <= index < len(runs):
            raise gr.Error("There is no such example.", print_exception=False)
        run = runs[index]
        filled = {form.source: run.clip, form.fields["prompt"]: run.settings.get("prompt", "")}
        hidden = gr.update(visible=False)
        around = {form.seen: hidden, form.preview: hidden, form.status: status.idle(), form.strip: None}
        info, track = probe(Path(run.clip)), form.fields["audio_track"]
        return {**filled, **around, form.info: summary(info), track: tracks(info), **show_run(form, run)}

    shown = [form.source, form.info, form.seen, form.preview, form.status, form.fields["audio_track"]]
    row.submit(choose, None, [*shown, *form.result], **QUICK)


def write(name: str, clip: Path, settings, engine, folder: Path = FOLDER) -> Run:
    """Generate for `clip` and store the result as an example."""
    from stav2a.generation.generate import generate

    target = folder / name
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    own = Path(shutil.copy(clip, target / "clip.mp4"))
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
