"""The page on a Space: front matter, and a shared GPU, whose work runs in another process.

`SharedGPU` does to a function what `spaces.GPU` does on ZeroGPU: arguments and all that is yielded are pickled, of a
failure only its class comes back, and closing the stream is the only way to stop it.
"""

from __future__ import annotations

import importlib
import pickle
import re
import sys
import types
from pathlib import Path

import gradio as gr
import pytest
import yaml
from safetensors.torch import load_file

from stav2a.generation.engine import Engine
from stav2a.generation.variants import along
from stav2a.media.limits import InputError
from stav2a.ui import page, work
from stav2a.ui.compare import entries
from stav2a.ui.generate import controls
from stav2a.ui.history import History, Run
from stav2a.ui.line.jobs import NO_MEMORY, OUR_FAULT, Jobs

ROOT = Path(__file__).parents[2]
QUICK = {"steps": 2, "seed": 7, "model": "tiny", "prompt": "a ball bounces"}


class SharedGPU:
    def __init__(self):
        self.asked: list[float] = []
        self.closed = 0

    def GPU(self, duration):
        def wrap(function):
            def handler(*args):
                self.asked.append(duration(*args))
                stream = function(*pickle.loads(pickle.dumps(args)))
                try:
                    for item in stream:
                        yield pickle.loads(pickle.dumps(item))
                except GeneratorExit:
                    self.closed += 1
                    stream.close()
                    raise
                except gr.Error:
                    raise
                except Exception as error:
                    raise gr.Error(type(error).__name__, title="ZeroGPU worker error") from None

            return handler

        return wrap


@pytest.fixture
def gpu(monkeypatch):
    """`stav2a.ui.work` as it is imported on a Space with a shared GPU."""
    shared = SharedGPU()
    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=shared.GPU))
    importlib.reload(work)
    yield shared
    monkeypatch.undo()
    importlib.reload(work)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("tiny", "cpu")


def run(job_work, kind: str = "generate"):
    job = Jobs().start("v", job_work, kind)
    job.join(200)
    assert job.done
    return job


def test_a_run_on_a_shared_gpu(gpu, engine, clip, tmp_path):
    settings = controls.settings_of(QUICK)
    job = run(work.generation(engine, History(tmp_path), "v", clip, settings, page.LIMITS))
    assert job.error is None and isinstance(job.outcome, Run)
    assert gpu.asked == [work.gpu_seconds(work.Here(engine), clip, settings)]
    assert 20 < gpu.asked[0] <= work.MOST_GPU_S


def test_onsets_and_sets_on_a_shared_gpu(gpu, engine, clip, tmp_path):
    settings = controls.settings_of(QUICK)
    job = run(work.prediction(engine, clip, settings, page.LIMITS), "onsets")
    assert job.error is None and len(job.outcome.curve) == 50
    variants = along("guidance_scale", settings, [1, 3])
    job = run(entries.rendering(engine, History(tmp_path), "v", clip, variants, page.LIMITS), "compare")
    assert job.error is None and len(entries.of_folder(job.outcome)) == 2
    assert len(gpu.asked) == 2 and gpu.asked[1] == work.gpu_seconds_of_variants(work.Here(engine), clip, variants)


def test_cancel_reaches_the_other_process(gpu, engine, clip, tmp_path):
    settings = controls.settings_of({**QUICK, "steps": 200})
    job = Jobs().start("v", work.generation(engine, History(tmp_path), "v", clip, settings, page.LIMITS), "generate")
    while not job.done and (job.progress is None or job.progress.step < 2):
        job.join(0.01)
    job.cancel()
    job.join(60)
    assert job.done and job.error is None and job.outcome is None and gpu.closed == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert engine.lock.acquire(timeout=1)
    engine.lock.release()


def test_a_refusal_is_a_sentence_from_there_too(gpu, engine, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video\n" * 100)
    for job_work in (
        work.generation(engine, History(tmp_path / "runs"), "v", bad, controls.settings_of(QUICK), page.LIMITS),
        work.prediction(engine, bad, controls.settings_of(QUICK), page.LIMITS),
    ):
        assert "text file" in run(job_work).error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (gr.Error("You have exceeded your <b>free GPU quota</b>"), "exceeded your free GPU quota): try fewer steps"),
        (MemoryError(), NO_MEMORY),
        (KeyError("secret"), "try fewer steps"),
    ],
)
def test_what_a_shared_gpu_says_is_told_without_its_html(gpu, engine, clip, monkeypatch, error, says):
    def fail(*_):
        raise error

    monkeypatch.setattr(engine, "pipeline", fail)
    said = run(work.prediction(engine, clip, controls.settings_of(QUICK), page.LIMITS), "onsets").error
    assert says in said and "<" not in said and "secret" not in said
    assert said != OUR_FAULT and said.endswith(".")


def test_elsewhere_nothing_is_wrapped(engine, clip):
    assert "spaces" not in sys.modules
    with pytest.raises(InputError, match="no model of that name"):
        settings = controls.settings_of({"model": "elsewhere/model"})
        list(work.prediction(engine, clip, settings, page.LIMITS)(lambda: False))


# ---- what a Space reads


# What ZeroGPU offers, as of September 2026; CPU Spaces take any. docs/deploy.md names the sources.
ZERO_GPU = {
    "python": ("3.10.13", "3.12.12"),
    "torch": ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0"),
}


def test_requirements_suit_a_space_with_a_shared_gpu():
    pinned = dict(re.findall(r"^(torch\w*)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert pinned["torch"] in ZERO_GPU["torch"] and pinned["torchaudio"] == pinned["torch"]
    table = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for versions in ZERO_GPU.values():
        assert all(version in table for version in versions)


def test_the_front_matter_is_what_is_installed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---")[1])
    pinned = re.search(r"^gradio\[mcp\]==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1]
    assert front["sdk"] == "gradio" and front["sdk_version"] == pinned == gr.__version__
    assert (ROOT / front["app_file"]).is_file()
    assert front["python_version"] in ZERO_GPU["python"]
    assert len(front["short_description"]) <= 60, "a Space refuses a longer one"
    assert (ROOT / "packages.txt").read_text().split() == ["ffmpeg"]


def test_a_slow_machine_is_said_and_a_quick_one_is_not(monkeypatch, engine):
    monkeypatch.setattr(page, "likely_accelerated", lambda: False)
    assert page.CPU_NOTICE in page.notices(engine)
    monkeypatch.setattr(page, "likely_accelerated", lambda: True)
    assert page.notices(engine) == []


@pytest.mark.parametrize("file", sorted((ROOT / "assets").glob("**/*.safetensors")), ids=lambda f: f.parent.name)
def test_shipped_weights_are_all_numbers(file):
    lost = [name for name, value in load_file(file).items() if not value.float().isfinite().all()]
    assert not lost, f"fp16 did not hold these: {lost}"
