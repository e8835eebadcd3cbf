"""Many clips: failures, resuming, batches and processes change nothing of what each clip gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import make
from small_runs import engine_with

from stav2a.__main__ import main
from stav2a.generation.batch import Task, run_batch
from stav2a.generation.settings import Settings
from stav2a.pipeline import STAV2APipeline

FAST = Settings(model="tiny", steps=2, prompt="a dog barks")


@pytest.fixture(scope="module")
def engine(tiny_pipeline):
    return engine_with(tiny_pipeline)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips of two lengths, and a text that says it is one."""
    folder = tmp_path_factory.mktemp("clips")
    for name, seconds in (("a", 1.0), ("b", 1.0), ("c", 0.6)):
        make(folder / f"{name}.mp4", duration_s=seconds, filters="hue=h=0")
    (folder / "broken.mp4").write_text("no clip")
    return folder


def tasks_of(clips: Path, out: Path, **own) -> list[Task]:
    """Each clip with its own caption and seed, so that clips cannot be mistaken for each other."""
    found = sorted(clips.glob("*.mp4"))
    return [
        Task(clip, Settings(**{**vars(FAST), "prompt": f"sound {k}", "seed": k, **own}), out / clip.stem)
        for k, clip in enumerate(found)
    ]


def sounds(out: Path) -> dict[str, np.ndarray]:
    return {p.parent.name: soundfile.read(p)[0] for p in sorted(out.rglob("*.wav"))}


@pytest.fixture(scope="module")
def alone(engine, clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    return out, list(run_batch(engine, tasks_of(clips, out)))


def test_networks_of_another_type_make_nearly_the_same_sound(clips, tmp_path):
    clip = clips / "a.mp4"
    words = [str(clip), "--model", "tiny", "--steps", "2", "--device", "cpu", "--dtype"]
    for name in ("fp32", "bf16"):
        assert main(["generate", *words, name, "--out", str(tmp_path / name)]) == 0
    exact, rough = (soundfile.read(next((tmp_path / name).rglob("*.wav")))[0] for name in ("fp32", "bf16"))
    assert 0.9 < np.corrcoef(exact, rough)[0, 1] < 0.999999


def test_compiling_is_asked_of_the_pipeline_once(clips, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(STAV2APipeline, "compile", lambda self: asked.append(self))
    words = ["--model", "tiny", "--steps", "2", "--device", "cpu", "--out", str(tmp_path)]
    assert main(["generate", str(clips / "a.mp4"), *words, "--compile"]) == 0
    assert len(asked) == 1


def test_one_failure_never_stops_the_rest(alone):
    out, outcomes = alone
    errors = {o.task.clip.name: o.error for o in outcomes}
    assert errors.pop("broken.mp4") and set(errors.values()) == {None}
    assert sorted(sounds(out)) == ["a", "b", "c"]
    assert not (out / "broken").exists()


def test_finished_clips_are_skipped_and_changed_ones_are_not(alone, engine, clips):
    out, _ = alone
    again = {o.task.clip.stem: o for o in run_batch(engine, tasks_of(clips, out))}
    assert [again[name].skipped for name in "abc"] == [True] * 3
    (out / "b" / "b_sound.wav").unlink()
    again = {o.task.clip.stem: o for o in run_batch(engine, tasks_of(clips, out))}
    assert [again[name].skipped for name in "abc"] == [True, False, True]


@pytest.fixture
def passes(monkeypatch):
    """How many sounds each pass of the network made."""
    sizes, true = [], STAV2APipeline.denoise

    def counted(self, group, *rest):
        sizes.append(sum(item.takes for item in group))
        return true(self, group, *rest)

    monkeypatch.setattr(STAV2APipeline, "denoise", counted)
    return sizes


def test_a_batch_gives_each_clip_what_it_gets_alone(alone, engine, clips, tmp_path, passes):
    outcomes = list(run_batch(engine, tasks_of(clips, tmp_path), batch_size=4))
    assert sorted(passes) == [1, 2]  # the two of one length; the third is shorter and goes alone
    expected, found = sounds(alone[0]), sounds(tmp_path)
    assert expected.keys() == found.keys()
    for name, wave in expected.items():
        np.testing.assert_allclose(found[name], wave, atol=2e-3)
    assert np.abs(expected["a"] - expected["b"]).max() > 0.01
    records = {o.task.clip.stem: o.record for o in outcomes if o.record}
    originals = {o.task.clip.stem: o.record for o in alone[1] if o.record}
    assert all(records[n]["settings"] == originals[n]["settings"] for n in "abc")


def test_a_batch_that_fails_is_taken_one_by_one(engine, clips, tmp_path, monkeypatch):
    true = STAV2APipeline.denoise

    def fails(self, group, *rest):
        if len(group) > 1:
            raise MemoryError
        return true(self, group, *rest)

    monkeypatch.setattr(STAV2APipeline, "denoise", fails)
    outcomes = list(run_batch(engine, tasks_of(clips, tmp_path), batch_size=2))
    assert sum(o.error is None for o in outcomes) == 3
    assert not engine.lock.locked()


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        ({"steps": 3}, [1, 1]),
        ({"control_scale": 0.5}, [1, 1]),
        ({"guidance_scale": 5.0}, [2]),
        ({"negative_prompt": "music"}, [2]),
        ({"takes": 2}, [1, 2]),
    ],
)
def test_clips_share_a_pass_where_their_dials_allow(engine, clips, tmp_path, passes, change, sizes):
    first, second = tasks_of(clips, tmp_path)[:2]
    second = Task(second.clip, Settings(**{**vars(second.settings), **change}), second.out_dir)
    assert [o.error for o in run_batch(engine, [first, second], batch_size=2)] == [None, None]
    assert sorted(passes) == sizes


@pytest.mark.slow
def test_two_processes_make_the_same_files_as_one(alone, clips, tmp_path):
    captions = tmp_path / "captions.csv"
    captions.write_text("clip,caption\na.mp4,one\nb.mp4,two\nc.mp4,three\n")
    asked = ["generate", str(clips), "--model", "tiny", "--steps", "2", "--captions", str(captions), "--json"]
    asked += ["--dtype", "fp32"]  # in bf16 what two numbers of threads round otherwise can be heard with random weights
    assert main([*asked, "--out", str(tmp_path / "one")]) == 2  # for the broken clip
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "stav2a"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    two = subprocess.run(
        [*launched, *asked, "--out", str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert two.returncode != 0, two.stderr[-2000:]
    first, second = sounds(tmp_path / "one"), sounds(tmp_path / "two")
    assert sorted(first) == sorted(second) == ["a", "b", "c"]
    for name in first:
        np.testing.assert_allclose(first[name], second[name], atol=1e-4)  # other numbers of threads may round otherwise
