"""The page below the browser: controls, endpoints, refusals, visits and their files."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from page_server import make_clip, served

from stav2a.__main__ import main
from stav2a.generation.engine import Engine
from stav2a.media.limits import InputError
from stav2a.output import Progress
from stav2a.ui import work
from stav2a.ui.generate import controls
from stav2a.ui.history import History, Run
from stav2a.ui.line import status
from stav2a.ui.line.jobs import NO_MEMORY, OUR_FAULT, Early, Job, Jobs, explain, watch
from stav2a.ui.page import LIMITS
from stav2a.ui.serve.launch import launch_options
from stav2a.ui.widgets.onset_editor import editor_value, onsets_of

QUICK = {"steps": 2, "seed": 7, "model": "tiny", "prompt": "a ball bounces"}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("tiny")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def page(tmp_path_factory, engine):
    root = tmp_path_factory.mktemp("runs")
    with served(root, engine) as (url, demo):
        yield Client(url, verbose=False), demo, root


def generate(engine: Engine, root: Path, clip: Path, onsets=None, **changes) -> Run:
    settings = controls.settings_of({**QUICK, **changes}, onsets)
    history = History(root)
    return list(work.generation(engine, history, history.visit(None), clip, settings, LIMITS)(lambda: False))[-1]


def heard(run: Run, take: int = 0) -> np.ndarray:
    return soundfile.read(run.takes[take].audio)[0]


# ---- what a run is made of: `test_form.py` asks which settings a control sets, `test_generate.py` what these do


@pytest.fixture(scope="module")
def plain(engine, tmp_path_factory, clip) -> Run:
    return generate(engine, tmp_path_factory.mktemp("plain"), clip)


def test_same_settings_same_sound(engine, tmp_path, clip, plain):
    assert np.array_equal(heard(plain), heard(generate(engine, tmp_path, clip)))


def test_the_bundle_reproduces_the_run_from_the_command_line(engine, tmp_path, clip):
    asked = {"takes": 2, "negative_prompt": "speech", "original_audio": "mix", "loudness_lufs": -20.0, "start_s": 0.2}
    run = generate(engine, tmp_path / "page", clip, onsets=(0.3, 0.9), **asked)
    with zipfile.ZipFile(run.bundle) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    (tmp_path / "settings.json").write_bytes(files["settings.json"])
    again = ["generate", str(clip), "--out", str(tmp_path / "again"), "--settings", str(tmp_path / "settings.json")]
    assert main([*again, "--device", "cpu"]) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "again" / clip.stem).iterdir()}
    assert sum(name.endswith((".wav", ".mp4")) for name in files) == 4
    assert [name for name in files if made.get(name) != files[name]] == [], "bit for bit"


def test_edited_onsets_change_the_sound(engine, tmp_path, clip, plain):
    edited = generate(engine, tmp_path, clip, onsets=(0.2, 1.2))
    assert edited.onsets_s == [0.2, 1.2]
    assert not np.allclose(heard(plain), heard(edited), atol=1e-4)


def test_takes_differ_and_count_up_from_the_seed(engine, tmp_path, clip, plain):
    run = generate(engine, tmp_path, clip, takes=2)
    assert [take.seed for take in run.takes] == [7, 8]
    assert not np.allclose(heard(run, 0), heard(run, 1), atol=1e-4)
    assert all(Path(t.figure["wide"]).exists() and Path(t.figure["narrow"]).exists() for t in run.takes)


@pytest.mark.parametrize("mode", ["replace", "mix", "reference"])
def test_original_audio_is_handled_as_asked(engine, tmp_path, clip, mode):
    run = generate(engine, tmp_path, clip, original_audio=mode)
    assert (run.original_onsets_s is None) == (mode == "replace")


def test_original_gain_is_heard_in_the_mix(engine, tmp_path, clip):
    videos = [
        Path(generate(engine, tmp_path, clip, original_audio="mix", original_gain_db=gain).takes[0].video)
        for gain in (-30.0, 0.0)
    ]
    assert videos[0].read_bytes() != videos[1].read_bytes()


def test_page_values_become_settings():
    values = {
        "level": False,
        "loudness_lufs": -23,
        "length_s": None,
    }
    one = controls.settings_of(values)
    assert (one.loudness_lufs, one.video_guidance_scale, one.length_s, one.start_s) == (None, None, None, 0.0)
    assert controls.settings_of({"seed": 5, "level": True, "loudness_lufs": -23}).seed == 5


# ---- endpoints


def test_generate_endpoint_gives_clip_audio_and_facts(page, clip):
    client, _, _ = page
    settings = {**QUICK, "takes": 2}
    video, audio, facts, files = client.predict(video=handle_file(clip), **settings, api_name="/generate")
    path = video["video"] if isinstance(video, dict) else video
    assert Path(path).stat().st_size > 1000
    assert soundfile.info(audio).duration == pytest.approx(2.0, abs=0.05)
    assert facts["seed"] == 7
    assert facts["settings"]["steps"] == 2
    assert [Path(file).suffix for file in files] == [".mp4", ".wav"] * 2
    first, second = (soundfile.read(file)[0] for file in files[1::2])
    assert (first == soundfile.read(audio)[0]).all() and (first != second).any()
    assert "/" not in json.dumps({k: v for k, v in facts.items() if k != "label"}), "a path of this machine leaks"


def test_predict_onsets_endpoint(page, clip):
    client, _, _ = page
    found = client.predict(video=handle_file(clip), model="tiny", api_name="/predict_onsets")
    assert found["duration_s"] == pytest.approx(2.0, abs=0.05)
    assert len(found["curve"]) == 50
    assert all(0 <= t <= 2.0 for t in found["onsets_s"])


def test_only_the_named_endpoints_are_public_and_documented(page):
    client, _, _ = page
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {"/generate", "/predict_onsets"} <= set(named)
    assert not [name for name in named if re.match(r"/(start|cancel|look|restore|enter|choose|lambda)", name)]
    assert "onset" in named["/predict_onsets"].get("description", "").lower()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("guidance_scale", 11, ("11", "1", "10")),
        ("guidance_scale", 0, ("0", "1", "10")),
        ("steps", 1e9, ("1e+09", "200")),
        ("steps", 2.5, ("2.5", "whole")),
        ("takes", -1, ("-1", "4")),
        ("seed", -5, ("-5", "0")),
        ("control_scale", 3, ("3", "0", "2")),
        ("steps", "many", ("number",)),
        ("sampler", "euler; rm", ("sampler",)),
        ("model", "../../etc", ("model",)),
        ("original_audio", "drop", ("original audio",)),
        ("onsets_s", ["x"], ("onset",)),
        ("onsets_s", {"a": 1}, ("onsets",)),
        ("start_s", 1e6, ("start",)),
    ],
)
def test_values_out_of_range_are_refused_in_a_sentence(page, clip, name, value, says):
    client, _, root = page
    before = sorted(root.rglob("*"))
    with pytest.raises(Exception) as refusal:
        client.predict(video=handle_file(clip), **{**QUICK, name: value}, api_name="/generate")
    sentence = str(refusal.value).lower()
    assert all(word.lower() in sentence for word in says), sentence
    assert "traceback" not in sentence
    assert sorted(root.rglob("*")) == before, "a refused request left files"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_what_json_calls_a_number_and_is_none_is_refused_on_the_wire(page, clip, number):
    """Python's JSON reads `NaN`; the client sends none, so this one writes the request itself."""
    client, _, root = page
    before = sorted(root.rglob("*"))
    url = client.src.rstrip("/")
    sent = httpx.post(f"{url}/gradio_api/upload", files={"files": ("clip.mp4", clip.read_bytes(), "video/mp4")})
    path = sent.raise_for_status().json()[0]
    given = client.view_api(return_format="dict", print_info=False)["named_endpoints"]["/generate"]["parameters"]
    values = {each["parameter_name"]: each.get("parameter_default") for each in given}
    values |= {**QUICK, "video": {"path": path, "meta": {"_type": "gradio.FileData"}}, "guidance_scale": 12345.5}
    body = json.dumps({"data": list(values.values())}).replace("12345.5", number)
    headers = {"content-type": "application/json"}
    asked = httpx.post(f"{url}/gradio_api/call/generate", content=body, headers=headers)
    if asked.status_code != 200:  # refused before any of our code saw it
        assert asked.status_code in (400, 422)
        return
    answer = httpx.get(f"{url}/gradio_api/call/generate/{asked.json()['event_id']}", timeout=120).text
    assert "event: error" in answer and "guidance scale" in answer, answer
    assert "Traceback" not in answer and sorted(root.rglob("*")) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "NaN", True, [1]])
def test_what_is_no_finite_number_is_refused(value):
    for name in ("guidance_scale", "steps", "seed", "takes", "control_scale", "start_s"):
        with pytest.raises(InputError):
            controls.settings_of({name: value})


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "http://127.0.0.1:9/clip.mp4", "https://example.com/clip.mp4", "../../etc/passwd"]
)
@pytest.mark.parametrize("endpoint", ["/generate", "/predict_onsets", "/compare"])
def test_paths_and_addresses_are_refused(page, path, endpoint):
    client, _, root = page
    before = sorted(root.rglob("*"))
    outside = {"path": path, "meta": {"_type": "gradio.FileData"}}
    settings = QUICK if endpoint == "/generate" else {"model": "tiny"}
    with pytest.raises(Exception) as refusal:
        client.predict(video=outside, **settings, api_name=endpoint)
    assert "root:" not in str(refusal.value) and "Traceback" not in str(refusal.value)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mp4", b""),
        ("text.mp4", b"not a video at all\n" * 20),
        ("cut.mp4", None),
        ("image.mp4", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_unusable_files_get_a_sentence_and_the_next_request_works(page, clip, tmp_path, name, content):
    client, _, root = page
    bad = tmp_path / name
    bad.write_bytes(clip.read_bytes()[:2000] if content is None else content)
    with pytest.raises(Exception) as refusal:
        client.predict(video=handle_file(bad), **QUICK, api_name="/generate")
    assert str(refusal.value).strip().endswith(".")
    assert str(root) not in str(refusal.value)
    found = client.predict(video=handle_file(clip), model="tiny", api_name="/predict_onsets")
    assert found["curve"]


def test_served_for_this_machine_only_and_never_shared():
    options = launch_options()
    assert options["share"] is False
    assert options["max_file_size"] == "200mb"
    assert all(path.endswith("assets/examples") for path in options["allowed_paths"])


def test_the_results_of_a_server_go_with_it(tmp_path):
    code = "from stav2a.ui.serve.machine import temporary_folder as made; path = made('x-'); print(path, path.is_dir())"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert told[1] == "True" and not Path(told[0]).exists()


# ---- jobs and visits


class Step:
    def __init__(self, step: int):
        self.stage, self.step, self.total = "denoise", step, 10_000


def endless(cancelled):
    for k in range(10_000):
        yield Step(k)
        time.sleep(0.01)


def test_cancel_stops_within_a_step_and_only_this_visit():
    jobs = Jobs()
    mine, theirs = jobs.start("mine", endless, "generate"), jobs.start("theirs", endless, "generate")
    time.sleep(0.1)
    assert jobs.cancel("mine")
    mine.join(2)
    assert mine.done
    assert mine.cancelled
    assert not theirs.done
    assert not jobs.cancel("mine"), "there is nothing left to cancel"
    jobs.cancel("theirs")
    theirs.join(2)


def test_a_second_run_of_a_window_replaces_the_first():
    jobs = Jobs()
    first = jobs.start("mine", endless, "generate", page="window")
    second = jobs.start("mine", endless, "generate", page="window")
    first.join(2)
    assert first.cancelled and first.replaced
    assert not second.done
    second.cancel()
    second.join(2)


def test_two_windows_of_a_visitor_share_the_line():
    jobs = Jobs()
    first, second = (jobs.start("mine", endless, "generate", page=page) for page in "ab")
    assert (first.ahead, second.ahead) == (0, 1) and not first.cancelled
    assert jobs.cancel("mine", "b")
    assert second.done and not first.done, "a window stops its own run alone"
    third = jobs.start("mine", endless, "generate", page="c")
    jobs.start("mine", endless, "generate", page="d")
    with pytest.raises(InputError, match="already have 3 runs"):
        jobs.start("mine", endless, "generate", page="e")
    assert jobs.cancel("mine") and third.done
    first.join(2)
    assert first.done


def test_a_window_that_is_open_keeps_its_run():
    jobs = Jobs()
    jobs.opened("a")
    job = jobs.start("mine", endless, "generate", page="a")
    assert jobs.orphan("mine") is None, "another window leaves it alone"
    jobs.closed("a")
    assert jobs.orphan("mine") is job, "a reloaded one takes it over"
    jobs.cancel("mine")
    job.join(2)


def test_a_cancelled_run_leaves_no_files(engine, tmp_path, clip):
    history = History(tmp_path)
    settings = controls.settings_of({**QUICK, "steps": 200})
    job = Jobs().start("v", work.generation(engine, history, "v", clip, settings, LIMITS), "generate")
    while not job.done and (job.progress is None or job.progress.step < 2):
        time.sleep(0.01)
    job.cancel()
    job.join(20)
    assert job.done
    assert job.outcome is None
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(("error", "sentence"), [(MemoryError(), NO_MEMORY), (RuntimeError("secret"), OUR_FAULT)])
def test_failure_is_a_sentence_and_the_next_run_works(engine, tmp_path, clip, monkeypatch, error, sentence):
    def fail(*_):
        raise error
        yield

    history = History(tmp_path)
    settings = controls.settings_of(QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(work, "generate_on_device", fail)
        job = Jobs().start("v", work.generation(engine, history, "v", clip, settings, LIMITS), "generate")
        job.join(20)
    assert job.error == sentence
    assert not list(tmp_path.rglob("*.mp4"))
    job = Jobs().start("v", work.generation(engine, history, "v", clip, settings, LIMITS), "generate")
    job.join(120)
    assert job.error is None
    assert isinstance(job.outcome, Run)


def test_a_missing_model_is_named(engine, clip):
    settings = controls.settings_of({"model": "elsewhere/model"})
    job = Job(work.prediction(engine, clip, settings, LIMITS), "onsets")
    job._run()
    assert "model" in job.error


def test_a_finished_run_is_found_again_and_others_do_not_see_it(engine, tmp_path, clip):
    history = History(tmp_path)
    mine = history.visit(None)
    settings = controls.settings_of(QUICK)
    run = list(work.generation(engine, history, mine, clip, settings, LIMITS)(lambda: False))[-1]
    assert History(tmp_path).runs(mine) == [run]
    assert history.runs(history.visit(None)) == []
    assert mine not in str(run.takes[0].video), "the token shows in a file's address"


def test_forged_visits_get_a_new_token(tmp_path):
    history = History(tmp_path)
    own = history.visit(None)
    assert history.visit(own) == own
    for forged in ("", "../../etc", "x" * 500, 5, None, {"a": 1}):
        assert history.visit(forged) not in ("", forged)


def test_runs_beyond_a_share_and_old_ones_are_swept(tmp_path):
    history = History(tmp_path, runs_a_visit=2)
    for _ in range(4):
        (history.new_folder("v") / "run.json").write_text("{}")
    history.sweep()
    assert len(list(history.folder("v").iterdir())) == 2
    history.keep_s = -1
    history.sweep()
    assert not list(tmp_path.iterdir())


def test_two_visitors_at_once_get_what_they_get_alone(engine, tmp_path, clip):
    alone = [heard(generate(engine, tmp_path / f"{seed}", clip, seed=seed)) for seed in (1, 2)]
    together: dict[int, np.ndarray] = {}

    def run(seed: int) -> None:
        together[seed] = heard(generate(engine, tmp_path / f"t{seed}", clip, seed=seed))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(alone[0], together[1])
    assert np.array_equal(alone[1], together[2])


def test_watching_ends_with_the_job():
    job = Jobs().start("v", lambda cancelled: iter([Step(1), "made"]), "generate")

    async def last() -> Job:
        return [seen async for seen in watch(job, every_s=0.01)][-1]

    assert asyncio.run(last()).outcome == "made"


def test_who_watches_hears_of_a_sound_and_of_the_end_at_once():
    """Not only at the next look: `every_s` is longer than the test may take."""
    heard, rest = threading.Event(), threading.Event()

    def work(cancelled):
        yield Progress("denoise")
        heard.wait(10)
        yield Early("sound")
        rest.wait(10)
        yield "made"

    job = Jobs().start("v", work, "generate")

    async def seen() -> list:
        stages = []
        async for each in watch(job, every_s=3600.0):
            stages.append((each.early, each.outcome))
            (heard if each.early is None else rest).set()
        return stages

    assert asyncio.run(asyncio.wait_for(seen(), 30)) == [(None, None), ("sound", None), ("sound", "made")]


# ---- words and hostile input

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "$(id)",
    "'; DROP TABLE",
    "../../x",
    "\u202eltr",
    "${alert(1)}",
    "{{x}}",
    "`x`",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_sentences_and_measures_are_escaped(text):
    assert "<img" not in status.error(text)
    assert "<img" not in status.measures_table({text: 1.0}, 1.0, 1.0)


@pytest.mark.parametrize("text", ["../../x", " ".join(HOSTILE), "x" * 300])
def test_hostile_captions_and_names_are_data(engine, tmp_path, text):
    name = re.sub(r"[/\0]", "_", text)[:200] + ".mp4"
    clip = make_clip(tmp_path / name, seconds=0.4)
    run = generate(engine, tmp_path / "runs", clip, prompt=text, steps=1)
    assert run.settings["prompt"] == text
    assert Path(run.takes[0].video).stat().st_size > 0


@pytest.mark.parametrize(
    "value",
    [None, {}, [], "x", {"onsets_s": None}, {"onsets_s": "1,2"}, {"onsets_s": [1, "2"]}, 
     {"onsets_s": [float("nan")]}, {"onsets_s": [-1]},
     {"onsets_s": [0.0] * 5000}, {"onsets_s": [True]}, {"onsets_s": [[1]]}],
)  # fmt: skip
def test_what_the_editor_sends_is_checked(value):
    with pytest.raises(InputError):
        onsets_of(value)


def test_onsets_come_back_from_the_editor():
    value = editor_value(4.0, [0.1] * 100, [1.0, 2.0], [2.0, 1.0, 3.0])
    assert json.loads(json.dumps(value))["predicted_s"] == [1.0, 2.0]
    assert onsets_of(value) == (1.0, 2.0, 3.0)
    assert onsets_of({"onsets_s": []}) == ()


def test_measures_that_could_not_be_taken_are_left_out():
    for measured, said in ((-22.0, True), (-17.9, False)):
        table = status.measures_table({"loudness_lufs": measured}, 1.0, 2.0, target_lufs=-17.0)
        assert ("limited by its peaks, the setting is −17 LUFS" in table) is said
    table = status.measures_table({"aa_align": float("nan"), "onset_f1": 0.5}, 1.0, 2.0)
    assert "AA-Align" not in table
    assert "0.50" in table


def test_errors_of_ours_tell_nothing_of_the_machine(caplog):
    assert explain(RuntimeError("/root/secret")) == OUR_FAULT
    assert "/root/secret" in caplog.text
