"""Evaluation of folders: pairing, bad files, the store, the command line's JSON, the ablation table."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from clips import black, run_ffmpeg

from stav2a.commands.measure import evaluate as command_line
from stav2a.evaluation.folders import evaluate as evaluation
from stav2a.evaluation.folders import pool
from stav2a.evaluation.folders.align_acc import AlignAcc
from stav2a.evaluation.folders.cavp_score import CAVPScore
from stav2a.evaluation.folders.pairs import find_pairs, read_captions, read_sound
from stav2a.evaluation.folders.store import identity
from stav2a.evaluation.folders.summary import markdown, summarise
from stav2a.evaluation.folders.work import Plan, Record, measure_pair, settings_of
from stav2a.metrics.alignment import onset_f1
from stav2a.metrics.classifier import Tagger, Unavailable
from stav2a.models.build import build
from stav2a.sound.audio_encoder import MelEncoder
from stav2a.sound.onsets import detect_onsets
from stav2a.weights import reach
from stav2a.weights.digest import digest

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
    command_line.add_arguments(parser)
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
    assert command_line.run(args) == 0
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
    monkeypatch.setattr("stav2a.evaluation.folders.work._measure", lambda *_: pytest.fail("was computed again"))
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


def test_a_process_that_dies_takes_only_its_own_pair_along(folders, monkeypatch):
    """A decoder that crashes: the pairs beside it are measured again, each in a process of its own."""
    pairs, _ = find_pairs(*folders)
    monkeypatch.setattr(pool, "_pool", lambda workers, plan: ThreadPoolExecutor(workers))

    def measure(pair, plan):
        if pair.stem == "clip2":
            raise BrokenProcessPool("gone")
        return Record(pair.stem)

    monkeypatch.setattr(pool, "measure_pair", measure)
    records = sorted(pool.measure_all(pairs, Plan(), 2), key=lambda record: record.stem)
    assert [record.stem for record in records] == [pair.stem for pair in pairs]
    assert [record.stem for record in records if record.error] == ["clip2"]


def test_no_pair_of_many_is_lost_on_the_way(folders, monkeypatch):
    monkeypatch.setattr(pool, "_pool", lambda workers, plan: ThreadPoolExecutor(workers))
    monkeypatch.setattr(pool, "measure_pair", lambda pair, plan: Record(pair.stem))
    pairs = [replace(find_pairs(*folders)[0][0], stem=f"clip{k}") for k in range(30)]
    assert {record.stem for record in pool.measure_all(pairs, Plan(), 2)} == {pair.stem for pair in pairs}


def test_workers_that_cannot_live_end_the_run_instead_of_going_on_for_ever(folders, monkeypatch):
    def die(pair, plan):
        raise BrokenProcessPool("gone")

    monkeypatch.setattr(pool, "_pool", lambda workers, plan: ThreadPoolExecutor(workers))
    monkeypatch.setattr(pool, "measure_pair", die)
    pairs = [replace(find_pairs(*folders)[0][0], stem=f"clip{k}") for k in range(30)]
    records = list(pool.measure_all(pairs, Plan(), 2))
    assert len(records) == 30 and all("died" in record.error for record in records)


def test_a_network_that_fails_leaves_the_other_scores_standing(folders, tmp_path, monkeypatch):
    def describe(waveform):
        raise RuntimeError("too short a sound")

    monkeypatch.setattr("stav2a.evaluation.folders.work.load_tagger", lambda name: Tagger(name, RATE, describe))
    pairs, _ = find_pairs(*folders)
    plan = Plan(networks=("bank",), cache=str(tmp_path / "store"))
    result = evaluation.evaluate(pairs[:2], plan, workers=1)
    assert {"file": "clip0", "reason": "bank: RuntimeError: too short a sound"} in result.skipped
    assert result.metrics["aa_align"]["n"] == 2 and "kl_bank" not in result.metrics
    assert not list((tmp_path / "store").glob("pairs/*"))  # tried again by the next run


def test_hubs_out_of_reach_are_asked_once_and_the_other_scores_stand(folders, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(reach, "reachable", lambda address: asked.append(address))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    plan, sentences = evaluation.available_plan(Plan(("bank", "ast"), clap=True))
    assert (plan.networks, plan.clap) == (("bank",), False)
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "The weights of MIT/ast-finetuned-audioset-10-10-0.4593 could not be loaded",
        "The weights of laion/clap-htsat-unfused could not be loaded",
    ]
    assert set(asked) == {"https://huggingface.co"}
    assert "Retrying" not in capsys.readouterr().err


def test_the_first_seconds_alone(folders, tmp_path, capsys):
    """Both sides are cut: what happens later counts for nothing (Table I, 4 s and 8 s)."""
    reference, generated = folders
    for folder, later in ((reference, 2.6), (generated, 3.3)):
        soundfile.write(folder / "clip0.wav", burst_sound([0.5, 1.2, later], 7), RATE)
    scores = {}
    for seconds in (None, 2.0):
        given = [] if seconds is None else ["--seconds", seconds]
        command = ["--reference", reference, "--generated", generated, "--networks", "--out", tmp_path / "out", *given]
        assert command_line.run(arguments(*command, "--workers", 1, "--json")) == 0
        capsys.readouterr()
        rows = (tmp_path / "out" / "clips.csv").read_text().splitlines()
        columns, values = rows[0].split(","), rows[1].split(",")
        scores[seconds] = dict(zip(columns, values, strict=True))
    assert float(scores[None]["onset_f1_50ms"]) < 1.0 == float(scores[2.0]["onset_f1_50ms"])
    assert float(scores[2.0]["onsets_reference"]) == 2
    assert command_line.run(arguments("--reference", reference, "--generated", generated, "--seconds", 0)) == 2
    assert "--seconds must lie between" in capsys.readouterr().err


def test_align_acc_judges_windows_and_stands_beside_its_chance(tmp_path):
    """The built-in classifier, and one that knows what it is given."""
    from stav2a.data.foleyworld.world import FoleyWorld
    from stav2a.media.write_clip import write_clip

    sample = FoleyWorld(duration_s=5.12, size=96)[0]
    write_clip(tmp_path / "clip.mp4", sample.frames, 25.0, sample.waveform)
    model = AlignAcc("ta-v2a")
    seen = model.encode_video(tmp_path / "clip.mp4", 5.12)
    scores, rolled = model(seen, sample.waveform, 3, 0)
    assert scores["align_acc"] in (0.0, 1.0) and set(rolled) <= {0.0, 1.0} and len(rolled) == 3
    asked = []

    def classifier(latents, times, pictures):
        asked.append((latents[:, 0, :, 0].clone(), list(latents.shape), list(pictures.shape), times.tolist()))
        return torch.ones(len(latents)) if len(asked) == 1 else -torch.ones(len(latents))

    model.pipe.system.aligner.forward = classifier
    scores, rolled = model(seen, sample.waveform, 2, 0)
    assert (scores, rolled.tolist()) == ({"align_acc": 1.0}, [0.0, 0.0])
    assert asked[0][1:] == ([2, 8, 64, 16], [2, 64, 256], [0.0, 0.0])  # windows of 2.56 s, as in training
    assert not torch.equal(asked[0][0], asked[1][0])
    with pytest.raises(Unavailable, match="compact has no alignment classifier"):
        AlignAcc("compact")


def test_the_cavp_score_is_that_of_two_encoders_that_belong_together(tmp_path):
    """On a clip whose features are known: sound and picture of one moment are alike, of others they are not."""
    torch.manual_seed(0)
    encoder = build("video_encoder", "tiny").eval()
    encoder.save_pretrained(tmp_path / "parts" / "video_encoder")
    with pytest.raises(Unavailable, match="has no audio_encoder; `train video` makes it"):
        CAVPScore(str(tmp_path / "parts"), "tiny")
    audio = MelEncoder(16, 4, seen_with=digest(encoder))
    audio.save_pretrained(tmp_path / "parts" / "audio_encoder")
    model = CAVPScore(str(tmp_path / "parts"), "tiny")
    times = torch.eye(16)[torch.arange(64) // 8 % 8 + 8 * (torch.arange(64) // 64)][None]
    model.audio_encoder.forward = lambda mel: times
    scores, rolled = model(times, np.zeros(round(2.56 * 16_000), np.float32), 5, 0)
    assert scores == pytest.approx({"cavp": 1.0, "cavp_moments": 1.0}) and (rolled < 0.1).all() and len(rolled) == 5
    build("video_encoder", "tiny").save_pretrained(tmp_path / "parts" / "video_encoder")
    with pytest.raises(Unavailable, match="was trained on since"):
        CAVPScore(str(tmp_path / "parts"), "tiny")


def test_new_weights_of_the_classifier_make_stored_results_old(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("stav2a.metrics.bank_classifier.ASSETS", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"one")
    pair = find_pairs(*folders)[0][0]
    of_one = identity(pair, settings_of(Plan()))
    alone = identity(pair, settings_of(Plan(networks=())))
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert identity(pair, settings_of(Plan())) != of_one
    assert identity(pair, settings_of(Plan(networks=()))) == alone


def test_chance_by_shuffled_pairs(folders, tmp_path, capsys):
    reference, generated = folders
    args = arguments(
        "--reference", reference, "--generated", generated, "--out", tmp_path / "out", "--json", "--workers", 1,
        "--chance", "shuffled", "--networks",
    )  # fmt: skip
    assert command_line.run(args) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    for name in ("aa_align", "onset_f1_50ms", "envelope_correlation", "w_dis"):
        entry = metrics[name]
        assert entry["gain"] > 0 and entry["p"] < 0.1, name
        sign = -1 if name == "w_dis" else 1
        assert entry["gain"] == pytest.approx(sign * (entry["mean_inside"] - entry["chance"]))
    assert len(list((tmp_path / "out" / "stored" / "pairs").glob("*.npz"))) == 5


@pytest.mark.parametrize("suffix", ["mp3", "mp4"])
def test_compressed_sound_and_containers_are_read(tmp_path, suffix):
    times_s = [0.5, 1.5, 3.0]
    soundfile.write(tmp_path / "a.wav", burst_sound(times_s, 0), RATE)
    if suffix == "mp3":
        soundfile.write(tmp_path / "a.mp3", burst_sound(times_s, 0), RATE)
    else:
        run_ffmpeg(*black(duration_s=4.0), "-i", tmp_path / "a.wav", "-c:v", "mpeg4", tmp_path / "a.mp4")
    waveform, rate, remarks = read_sound(tmp_path / f"a.{suffix}")
    assert remarks == []
    assert onset_f1(times_s, detect_onsets(waveform, rate, "attack"), 0.05) == 1.0


def test_a_clip_without_its_video_is_told(folders, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "clip0.mp4").write_bytes(b"no video")
    pairs, skipped = find_pairs(*folders, tmp_path / "videos")
    assert {"file": "clip1.wav", "reason": "no video of this name: no AV-Align"} in skipped
    result = evaluation.evaluate(pairs[:1], Plan(networks=()), workers=1)
    assert result.skipped[0]["file"] == "clip0" and "no video that can be read" in result.skipped[0]["reason"]
    assert "aa_align" in result.metrics and "av_align" not in result.metrics


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
    assert command_line.run(arguments("--reference", tmp_path)) == 2
    assert command_line.run(arguments("--reference", tmp_path / "no", "--generated", folders[1])) == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    assert command_line.run(arguments("--reference", folders[0], "--generated", empty)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert "in common" in lines[2]


def test_captions_from_csv_and_json(tmp_path):
    (tmp_path / "a.csv").write_text("file,caption,class\nclip0.mp4,a dog barks,dog_bark\n")
    (tmp_path / "a.json").write_text('{"clip0": "a dog barks"}')
    assert read_captions(tmp_path / "a.csv") == {"clip0": ("a dog barks", "dog_bark")}
    (tmp_path / "a.jsonl").write_text('{"file": "clip0.mp4", "caption": "a dog barks", "cls": "dog_bark"}\n\n')
    assert read_captions(tmp_path / "a.jsonl") == {"clip0": ("a dog barks", "dog_bark")}
    assert read_captions(tmp_path / "a.json") == {"clip0": ("a dog barks", None)}
    (tmp_path / "b.csv").write_text("x\n1\n")
    with pytest.raises(ValueError, match="column"):
        read_captions(tmp_path / "b.csv")


def test_metrics_of_sets_lie_inside_their_intervals():
    """The bootstrap alone would put FD of few clips below its own interval."""
    rng = np.random.default_rng(0)
    records = []
    for k in range(12):
        arrays = {f"bank_{side}_embeddings": rng.standard_normal((3, 16)) for side in ("reference", "generated")}
        arrays |= {f"bank_{side}_probabilities": rng.dirichlet(np.ones(5)) for side in ("reference", "generated")}
        records.append(Record(str(k), scores={"kl_bank": 0.0}, arrays=arrays))
    metrics = summarise(records)
    for name in ("fd_bank", "is_bank", "kl_bank"):
        low, high = metrics[name]["ci95"]
        assert low < metrics[name]["mean"] < high, name
    assert "few for 16 channels" in metrics["fd_bank"]["note"]
    assert metrics["kl_bank"]["p"] > 0.01  # nothing belongs together here


def test_table_marks_distances_and_leaves_unknown_cells_empty():
    entry = {"mean": 0.5, "ci95": (0.4, 0.6), "chance": None, "gain": None, "p": None, "n": 3}
    text = markdown({"w_dis": entry, "clap": entry})
    assert "| w_dis ↓ | 3 | 0.500 | 0.400 to 0.600 |  |  |  |" in text
    assert "| clap | 3 |" in text
