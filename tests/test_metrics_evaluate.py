"""Evaluation of folders: pairing, bad files, the store, the command line's JSON, the ablation table."""

import argparse
import json

import numpy as np
import pytest
import soundfile

from stav2a.metrics import evaluate as evaluation
from stav2a.metrics.pairs import find_pairs, read_captions, read_sound
from stav2a.metrics.summary import markdown
from stav2a.metrics.work import Plan, measure_pair

RATE = 16_000


def burst_sound(times_s, seed, duration_s=4.0, rate=RATE):
    rng = np.random.default_rng(seed)
    waveform = 1e-3 * rng.standard_normal(round(duration_s * rate))
    decay = np.exp(-np.arange(rate // 8) / (0.02 * rate))
    for time_s in times_s:
        part = waveform[round(time_s * rate) :][: len(decay)]
        part += 0.4 * rng.standard_normal(len(part)) * decay[: len(part)]
    return waveform.astype(np.float32)


@pytest.fixture
def folders(tmp_path):
    """Six clips: four aligned ones, of which one is stereo flac, one unrelated, one broken; and odd ones."""
    reference, generated = tmp_path / "real", tmp_path / "made"
    reference.mkdir()
    generated.mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        times_s = np.sort(rng.uniform(0.3, 3.6, 6))
        soundfile.write(reference / f"clip{index}.wav", burst_sound(times_s, index), RATE)
        if index == 3:
            stereo = np.stack([burst_sound(times_s, 90, rate=44_100)] * 2, axis=1)
            soundfile.write(generated / "clip3.flac", stereo, 44_100)
        elif index == 4:
            soundfile.write(generated / "clip4.wav", burst_sound(rng.uniform(0.3, 3.6, 6), 91, 3.0), RATE)
        elif index == 5:
            (generated / "clip5.wav").write_bytes(b"RIFF, but nothing else")
        else:
            soundfile.write(generated / f"clip{index}.wav", burst_sound(times_s, 50 + index), RATE)
    soundfile.write(reference / "lonely.wav", np.zeros(100), RATE)
    (generated / "notes.txt").write_text("not sound")
    return reference, generated


def arguments(*words):
    parser = argparse.ArgumentParser()
    evaluation.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def test_pairs_by_stem_and_says_what_is_left_out(folders):
    pairs, skipped = find_pairs(*folders)
    assert [pair.stem for pair in pairs] == [f"clip{i}" for i in range(6)]
    assert skipped == [{"file": "lonely.wav", "reason": "no generated file of this name"}]
    with pytest.raises(ValueError, match="no folder"):
        find_pairs(folders[0], folders[1] / "missing")


def test_json_of_the_command(folders, tmp_path, capsys):
    reference, generated = folders
    args = arguments(
        "--reference", reference, "--generated", generated, "--out", tmp_path / "out", "--json",
        "--workers", 1, "--networks",
    )  # fmt: skip
    assert evaluation.run(args) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["n"] == 5
    assert {item["file"] for item in output["skipped"]} == {"lonely.wav", "clip5"}
    assert output["remarks"]["clip4"] == ["lengths differ: reference 4.00 s, generated 3.00 s"]
    for name in (
        "aa_align", "aa_align_one_to_one", "onset_f1_50ms", "onset_f1_100ms", "envelope_correlation", "w_dis", "dtw_dis"
    ):  # fmt: skip
        entry = output["metrics"][name]
        assert entry["n"] == 5
        assert entry["ci95"][0] <= entry["mean"] <= entry["ci95"][1]
        assert entry["gain"] > 0, name
        assert 0 < entry["p"] < 0.05, name
    assert output["metrics"]["onset_f1_50ms"]["mean"] > 0.7
    clips = (tmp_path / "out" / "clips.csv").read_text().splitlines()
    assert len(clips) == 7
    assert clips[0].startswith("clip,")


def test_identical_folders_are_perfect(folders, tmp_path):
    pairs, _ = find_pairs(folders[0], folders[0])
    result = evaluation.evaluate(pairs, Plan(networks=(), cache=str(tmp_path)), workers=1)
    for name, best in {"aa_align": 1, "onset_f1_50ms": 1, "envelope_correlation": 1, "w_dis": 0, "dtw_dis": 0}.items():
        assert result.metrics[name]["mean"] == pytest.approx(best, abs=1e-6)


def test_second_run_reads_the_store_and_changed_files_are_measured_again(folders, tmp_path, monkeypatch):
    pairs, _ = find_pairs(*folders)
    plan = Plan(networks=(), cache=str(tmp_path / "store"))
    first = measure_pair(pairs[0], plan)
    monkeypatch.setattr("stav2a.metrics.work._measure", lambda *_: pytest.fail("was computed again"))
    assert measure_pair(pairs[0], plan).scores == first.scores
    monkeypatch.undo()
    soundfile.write(pairs[0].generated, burst_sound([1.0], 7), RATE)
    assert measure_pair(pairs[0], plan).scores != first.scores


def test_damaged_store_is_computed_again(folders, tmp_path):
    pairs, _ = find_pairs(*folders)
    plan = Plan(networks=(), cache=str(tmp_path / "store"))
    first = measure_pair(pairs[0], plan)
    (stored,) = (tmp_path / "store" / "pairs").glob("*.npz")
    stored.write_bytes(stored.read_bytes()[:200])
    assert measure_pair(pairs[0], plan).scores == first.scores


def test_worker_processes_give_the_same(folders, tmp_path):
    pairs, _ = find_pairs(*folders)
    alone = evaluation.evaluate(pairs, Plan(networks=()), workers=1)
    many = evaluation.evaluate(pairs, Plan(networks=()), workers=2)
    assert many.metrics == alone.metrics


@pytest.mark.parametrize("waveform", ["nan", "silent", "clipped"])
def test_remarks_on_odd_sounds(tmp_path, waveform):
    rng = np.random.default_rng(0)
    values = {
        "nan": np.where(np.arange(RATE) % 50 == 0, np.nan, 0.1 * rng.standard_normal(RATE)),
        "silent": np.zeros(RATE),
        "clipped": np.clip(5 * rng.standard_normal(RATE), -1, 1),
    }[waveform]
    soundfile.write(tmp_path / "a.wav", values.astype(np.float32), RATE, subtype="FLOAT")
    sound, rate, remarks = read_sound(tmp_path / "a.wav")
    assert rate == RATE
    assert np.isfinite(sound).all()
    assert len(remarks) == 1
    assert {"nan": "finite", "silent": "silent", "clipped": "clipped"}[waveform] in remarks[0]


def test_command_refuses_in_one_sentence(tmp_path, folders, capsys):
    assert evaluation.run(arguments("--reference", tmp_path)) == 2
    assert evaluation.run(arguments("--reference", tmp_path / "no", "--generated", folders[1])) == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    assert evaluation.run(arguments("--reference", folders[0], "--generated", empty)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert "in common" in lines[2]


def test_captions_from_csv_and_json(tmp_path):
    (tmp_path / "a.csv").write_text("file,caption,class\nclip0.mp4,a dog barks,dog_bark\n")
    (tmp_path / "a.json").write_text('{"clip0": "a dog barks"}')
    assert read_captions(tmp_path / "a.csv") == {"clip0": ("a dog barks", "dog_bark")}
    assert read_captions(tmp_path / "a.json") == {"clip0": ("a dog barks", None)}
    (tmp_path / "b.csv").write_text("x\n1\n")
    with pytest.raises(ValueError, match="column"):
        read_captions(tmp_path / "b.csv")


def test_table_marks_distances_and_leaves_unknown_cells_empty():
    entry = {"mean": 0.5, "ci95": (0.4, 0.6), "chance": None, "gain": None, "p": None, "n": 3}
    text = markdown({"w_dis": entry, "clap": entry})
    assert "| w_dis ↓ | 3 | 0.500 | 0.400 to 0.600 |  |  |  |" in text
    assert "| clap | 3 |" in text
