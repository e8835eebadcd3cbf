"""What a stranger, a restart or a careless flag could do to the page: one test an attack (see SECURITY.md)."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio_client import Client, handle_file
from page_server import make_clip, served

from stav2a.generation.engine import Engine
from stav2a.media.limits import InputError
from stav2a.output import Progress
from stav2a.ui import upload
from stav2a.ui.history import History
from stav2a.ui.line.jobs import Jobs
from stav2a.ui.own_folder import MARKER
from stav2a.ui.page import LIMITS, create_demo
from stav2a.ui.serve.gate import Gate, Shares
from stav2a.ui.shares import Allowance, Room, sender
from stav2a.ui.upload import Video


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
        yield url, demo, root


# ---- a folder of results that holds other people's things


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder as people have them: names that read as hexadecimal, stray files, links."""
    for path in ("photos/2023-05-01/a.jpg", "abcdefabcdefabcdefabcdef/2023-05-01/b.jpg", "notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("mine")
    return tmp_path


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_a_folder_of_foreign_things_is_refused_and_left_alone(photos, engine):
    before = files(photos)
    with pytest.raises(InputError, match="other things"):
        create_demo(engine, root=photos, ratings=photos / "ratings.sqlite")
    assert files(photos) == before


def test_a_sweep_removes_nothing_that_is_not_ours(photos):
    history = History(photos, keep_s=-1)
    outside = photos / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("mine")
    mine = history.new_folder("v")
    os.symlink(outside, history.folder("v") / f"{time.time_ns():016x}-deadbeef")
    (history.folder("v") / "stray.txt").write_text("mine")
    before = files(photos) - {str(mine.relative_to(photos))}
    history.sweep()
    history.new_folder("w")
    assert before <= files(photos) and not mine.exists()


def test_foreign_things_put_into_our_folder_later_stay_and_runs_go_on(tmp_path):
    history = History(tmp_path / "results", keep_s=-1).claim()
    (tmp_path / "results" / "2023-05-01").mkdir()
    (tmp_path / "results" / "a stray file").write_text("mine")
    history.new_folder("v")
    history.sweep()
    assert files(tmp_path / "results") == {MARKER, "2023-05-01", "a stray file"}


@pytest.mark.parametrize("damage", ["", "no hex", "ab"])
def test_a_damaged_marker_is_one_sentence(tmp_path, damage):
    History(tmp_path).claim()
    (tmp_path / MARKER).write_text(damage)
    with pytest.raises(InputError, match="damaged"):
        History(tmp_path).claim()


def test_the_key_is_for_its_owner_alone(tmp_path):
    History(tmp_path).claim()
    assert (tmp_path / MARKER).stat().st_mode & 0o077 == 0


def test_blind_tests_and_clips_are_counted_too(tmp_path):
    history = History(tmp_path, runs_a_visit=2, runs_in_all=3)
    for visit in ("v", "w"):
        for number in range(4):
            history.new_folder(visit, f"blind-{number:032x}")
            history.new_folder(visit, f"clip-{number:016x}")
    history.sweep()
    for kind in ("blind", "clip"):
        assert len(list(tmp_path.glob(f"*/*-{kind}-*"))) == 3


# ---- visits


def test_sessions_that_skip_the_entrance_share_nothing(page):
    _, demo, _ = page
    from gradio.state_holder import SessionState

    state = demo.stav2a.visit
    first, second = (SessionState(demo)[state._id] for _ in range(2))
    assert first != second and all(demo.stav2a.history.visit(each) == each for each in (first, second))


def test_no_event_but_the_entrance_sets_the_visit(page):
    _, demo, _ = page
    state = demo.stav2a.visit
    setters = [fn.name for fn in demo.fns.values() if state in fn.outputs]
    assert setters == ["enter"]


def test_visits_that_this_server_never_gave_out_are_refused(tmp_path):
    history = History(tmp_path).claim()
    own = history.visit(None)
    name, _, signature = own.partition(".")
    other = "A" if name[0] != "A" else "B"  # both are drawn at random
    forged = [
        name,
        f"{name}.",
        f"{other}{name[1:]}.{signature}",
        f"{name}.{signature[::-1]}",
        f"{'A' * 22}.{'A' * 22}",
        f"{own}\n",
    ]
    assert all(history.visit(each) not in ("", each) for each in forged)
    assert History(tmp_path).claim().visit(own) == own, "a restart over the same results keeps the visit"
    assert History(tmp_path / "elsewhere").visit(own) != own


# ---- records that a kill has cut


def test_a_record_that_cannot_be_read_does_not_break_the_visit(tmp_path, caplog):
    history = History(tmp_path)
    for text in ("", '{"id": "cut', "[]", "{}", '{"takes": [1]}', "null", "\x00"):
        (history.new_folder("v") / "run.json").write_text(text)
    assert history.runs("v") == []
    assert caplog.text.count("cannot be read") == 7


# ---- addresses


@pytest.fixture
def stranger():
    """A server that counts who asks it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.mp4", asked
    server.shutdown()


def test_no_input_of_any_event_fetches_an_address(page, stranger, monkeypatch):
    """Every event of the page is given a file that is an address, in each of its inputs."""
    from gradio import processing_utils
    from gradio.state_holder import SessionState

    _, demo, _ = page
    address, asked = stranger
    fetched = []

    async def fetch(url, cache_dir):
        fetched.append(url)
        return str(Path(cache_dir) / "fetched")

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", fetch)
    file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
    tried, session = 0, SessionState(demo)
    for fn in demo.fns.values():
        for place, each in enumerate(fn.inputs):
            if isinstance(each, gr.State):
                continue
            data = [None] * len(fn.inputs)
            data[place] = {"deep": [file]} if tried % 2 else file
            with pytest.raises(gr.Error, match="not web addresses"):
                asyncio.run(demo.preprocess_data(fn, data, session))
            tried += 1
    assert tried > 100 and fetched == [] and asked == []


def test_an_address_in_a_caption_is_refused_on_the_wire(page, clip, stranger):
    url, _, _ = page
    address, asked = stranger
    file = {"path": address, "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Exception, match="not web addresses"):
        Client(url, verbose=False).predict(video=handle_file(clip), prompt=file, api_name="/generate")
    assert asked == []


def test_the_address_of_an_upload_is_read_from_the_disk(page, clip):
    url, _, _ = page
    sent = httpx.post(f"{url}gradio_api/upload", files={"files": ("clip.mp4", clip.read_bytes(), "video/mp4")})
    path = sent.raise_for_status().json()[0]
    file = {"path": f"{url}gradio_api/file={path}", "meta": {"_type": "gradio.FileData"}}
    found = Client(url, verbose=False).predict(video=file, model="tiny", api_name="/predict_onsets")
    assert found["curve"]


# ---- pictures that a browser cannot show


def test_nothing_is_converted_to_be_shown(tmp_path, monkeypatch):
    """VP9 in an mp4 with a name of mpeg 2: the framework would run ffmpeg over it without any limit."""
    from gradio import processing_utils

    def never(*_, **__):
        raise AssertionError("a file was opened to be converted")

    for name in ("convert_video_to_playable_mp4", "video_is_playable"):
        monkeypatch.setattr(processing_utils, name, never)
    path = make_clip(tmp_path / "clip.avi", seconds=0.4, sound=False)
    shown = Video(render=False).postprocess(path)
    assert shown.path == str(path) and Video(render=False).postprocess(None) is None
    assert list(tmp_path.iterdir()) == [path]


def test_every_video_of_the_page_is_one_that_never_converts(page):
    _, demo, _ = page
    videos = [block for block in demo.blocks.values() if isinstance(block, gr.Video)]
    assert len(videos) > 5 and all(type(block) is Video for block in videos)


# ---- many pictures in a small file, many at once


def test_a_file_of_very_many_pictures_is_given_up_early(clip):
    from dataclasses import replace

    from stav2a.media.probe import probe

    with pytest.raises(InputError, match="more than 20 pictures"):
        probe(clip, replace(LIMITS, stored=20))


def test_uploads_are_probed_once_each_and_two_at_a_time(clip, tmp_path, monkeypatch):
    at_once, most, count = 0, 0, 0
    lock = threading.Lock()

    def slow(path, limits):
        nonlocal at_once, most, count
        with lock:
            at_once, count = at_once + 1, count + 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        return path

    monkeypatch.setattr(upload, "probe", slow)
    upload._clip_info.cache_clear()
    copies = [tmp_path / f"{number}.mp4" for number in range(8)]
    for copy in copies:
        copy.write_bytes(clip.read_bytes())
    threads = [threading.Thread(target=upload.clip_info, args=(copy, LIMITS)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2 and count == 8
    upload.clip_info(copies[0], LIMITS)
    assert count == 8
    upload._clip_info.cache_clear()
    with pytest.raises(InputError, match="upload it again"):
        upload.clip_info(tmp_path / "swept.mp4", LIMITS)


# ---- shares of one visitor


def test_one_address_holds_three_places_and_others_the_rest():
    def endless(cancelled):
        while not cancelled():
            time.sleep(0.01)
            yield Progress("denoise", 1, 9)

    jobs = Jobs(waiting=5)
    mine = [jobs.start(f"visit {n}", endless, "generate", sender="203.0.113.5") for n in range(3)]
    with pytest.raises(InputError, match="already have 3 runs"):
        jobs.start("visit 4", endless, "generate", sender="203.0.113.5")
    again = jobs.start("visit 2", endless, "generate", sender="203.0.113.5")  # takes the place of the visit's own
    assert mine[2].cancelled
    others = [jobs.start(f"visitor {n}", endless, "generate", sender=None) for n in range(3)]
    for job in (*mine, again, *others):
        job.cancel()
        job.join(5)


def test_a_run_past_its_deadline_is_stopped_in_words():
    stopped = []

    def slow(cancelled):
        try:
            for step in range(10_000):
                time.sleep(0.01)
                yield Progress("denoise", step, 10_000)
        finally:
            stopped.append(True)

    job = Jobs(deadline_s=0.05).start("v", slow, "generate")
    job.join(5)
    assert job.done and stopped and "longer than" in job.error


def test_an_allowance_is_for_each_sender_and_fills_up_again(monkeypatch):
    now = 0.0
    monkeypatch.setattr("stav2a.ui.shares.time.monotonic", lambda: now)
    allowance = Allowance(10, 60)
    assert [allowance.take("a", 4) for _ in range(3)] == [True, True, False]
    assert allowance.take("b", 10) and not allowance.take("b", 11)
    assert all(allowance.take(None, 1e9) for _ in range(9))
    now = 30.0
    assert allowance.take("a", 7) and not allowance.take("a", 1)


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("8.8.8.8", "1.1.1.1", "8.8.8.8"),  # nobody else's word for someone who comes directly
        ("127.0.0.1", "", None),
        ("10.0.0.7", "1.1.1.1, 9.9.9.9, 10.0.0.3", "9.9.9.9"),  # the last public one was appended by our own proxy
        ("10.0.0.7", "nonsense, ::1", None),
        ("testclient", "", None),
    ],
)
def test_who_sent_a_request(peer, forwarded, found):
    assert sender((peer, 1), {"x-forwarded-for": forwarded}) == found


def request(path: str, method: str = "POST", **headers) -> dict:
    headers = [(name.replace("_", "-").encode(), str(value).encode()) for name, value in headers.items()]
    return {"type": "http", "path": path, "method": method, "headers": headers, "client": ("8.8.8.8", 1)}


def test_the_gate_refuses_what_is_too_large_or_too_much(tmp_path):
    gate = Gate(None, Shares(upload_mb=3, requests=5, request_mb=1), Room(tmp_path, most_mb=2.5, free_mb=0))
    assert gate.refusal(request("/gradio_api/queue/join", content_length=2_000_000))[0] == 413
    assert gate.refusal(request("/gradio_api/upload", transfer_encoding="chunked"))[0] == 411
    assert gate.refusal(request("/sub/gradio_api/upload", content_length=2_000_000)) is None
    assert gate.refusal(request("/gradio_api/upload", content_length=900_000))[0] == 507, "the folder is full"
    assert gate.refusal(request("/gradio_api/upload", content_length=900_000))[0] == 429, "one sender's share"
    assert gate.refusal(request("/gradio_api/queue/join", content_length=10)) is None
    assert gate.refusal(request("/gradio_api/queue/join", content_length=10))[0] == 429
    assert gate.refusal(request("/gradio_api/queue/data", method="GET")) is None


def test_a_disk_that_is_nearly_full_takes_no_more(tmp_path):
    with pytest.raises(InputError, match="no space"):
        Room(tmp_path, free_mb=1e12).check()
    history = History(tmp_path / "runs")
    history.room.most_mb = 0.001
    (history.new_folder("v") / "big").write_bytes(b"x" * 2000)
    history.room._measured = -float("inf")
    with pytest.raises(InputError, match="no space"):
        history.new_folder("v")


def test_addresses_are_not_fetched_for_the_browser_either(page, stranger):
    url, _, _ = page
    address, asked = stranger
    for path in (f"file={address}", f"proxy={address}", f"file=HTTPS://{address[7:]}"):
        assert httpx.get(f"{url}gradio_api/{path}").status_code == 403, path
    assert httpx.post(f"{url}gradio_api/queue/join", content=b" " * 9_000_000).status_code == 413
    assert asked == []


def test_a_program_stands_in_the_same_line_and_has_a_deadline(page, clip, monkeypatch):
    url, demo, root = page
    jobs = demo.stav2a.jobs
    before = sorted(root.rglob("*"))
    monkeypatch.setattr(jobs, "deadline_s", 0.0)
    with pytest.raises(Exception, match="longer than"):
        Client(url, verbose=False).predict(video=handle_file(clip), model="tiny", steps=200, api_name="/generate")
    assert sorted(root.rglob("*")) == before and jobs._line == []
    monkeypatch.setattr(jobs, "waiting", -1)
    with pytest.raises(Exception, match="queue is full"):
        Client(url, verbose=False).predict(video=handle_file(clip), model="tiny", api_name="/predict_onsets")
