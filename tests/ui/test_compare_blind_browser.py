"""The blind test in a real browser: nothing leaks, nothing is lost."""

from __future__ import annotations

import json
import threading
import urllib.request

import numpy as np
import pytest
import soundfile
from browsing import WAIT, in_browser
from listening import make_video

from stav2a.listening.collection import read_folder
from stav2a.listening.design import SCALE_KEYS, Design
from stav2a.listening.store import RatingStore
from stav2a.ui.study_page import create_study, launch_options

MARK = "zebra"  # in every name that must not get out
SYSTEMS = (f"ours-{MARK}", f"theirs-{MARK}", f"another-{MARK}")


@pytest.fixture
def study(tmp_path):
    """A study of two clips by three systems with their originals, served."""
    folder = tmp_path / f"material-{MARK}"
    rng = np.random.default_rng(1)
    for number, system in enumerate((*SYSTEMS, "original")):
        (folder / system).mkdir(parents=True)
        for clip in (f"clip-{MARK}-a", f"clip-{MARK}-b"):
            sound = rng.normal(size=24_000 + 800 * number) * (0.02 + 0.05 * number)
            soundfile.write(folder / system / f"{clip}.wav", sound, 16_000)
    (folder / "video").mkdir()
    for clip in (f"clip-{MARK}-a", f"clip-{MARK}-b"):
        make_video(folder / "video" / f"{clip}.mp4", 1.5)
    store = RatingStore(tmp_path / "ratings.sqlite")
    design = Design(anchors=("low_pass", "shifted"), repeats=0.5, open_reference=True)
    return read_folder(folder), store, design


def serve(study, **options):
    demo = create_study(*study, **options)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
    return demo, url


def rate_trial(page, score: int = 60) -> None:
    page.wait_for_function(
        "document.querySelector('.bt .lp') && !document.querySelector('.bt .lp').hasAttribute('aria-busy')"
    )
    page.keyboard.press("Space")
    for key in "123456":
        page.keyboard.press(key)
        page.wait_for_timeout(90)
    page.evaluate(
        "(score) => document.querySelectorAll('.bt-cell input').forEach((input, i) => {"
        " input.value = score + i; input.dispatchEvent(new Event('input')) })",
        score,
    )
    page.click(".bt-submit:not([disabled])")


@in_browser
def test_nothing_tells_the_systems_apart_before_the_answer(browser, study):
    """Neither the page, nor any network response, URL or file name carries a name, a role, an order or a level."""
    demo, url = serve(study, show_results=True)
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT)
    responses = []
    try:
        page.on("response", lambda response: responses.append(response))
        page.goto(url)
        page.click("#study-begin")
        page.wait_for_selector(".bt-count:has-text('Trial 1 of 3')")
        page.wait_for_function("document.querySelector('.bt .lp').stav2aPlayer.transport.sounds.length == 7")
        page.wait_for_function("document.querySelector('.bt video').readyState == 4")
        seen, data, sizes = [], [], []
        for response in list(responses):
            kind = response.headers.get("content-type", "")
            seen += [response.url, json.dumps(response.headers)]
            if "event-stream" in kind or "video" in kind or not response.ok:
                continue  # an open stream has no end, a video comes in parts; both have headers and an address
            body = response.body()
            seen.append(body.decode("latin-1"))
            if "json" in kind and "config" not in response.url:
                data.append(seen[-1])
            if response.url.endswith(".wav"):
                assert body[:4] == b"RIFF"
                sizes.append(len(body))
        shown = page.evaluate("document.querySelector('.bt .lp').stav2aPlayer.value")
        seen += [page.content(), page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")]
        seen += [*data, json.dumps(shown)]
        store = study[1]
        [(plan,)] = sqlite_rows(store, "SELECT plan FROM trial ORDER BY position LIMIT 1")
        own = json.loads(plan)["presented"][0]["id"]
        assert any(own in text for text in data), "the search looks where the trial is"
        for text in seen:
            assert MARK not in text, text[max(0, text.index(MARK) - 80) : text.index(MARK) + 40]
        for word in ("low_pass", "shifted", "anchor", "role", "system", "3.5 kHz", "repeat_of", "own_db", "note"):
            assert not any(word in text for text in [*data, json.dumps(shown)]), word
        assert len(set(sizes)) == 1 and len(sizes) == 7, "all sounds of a trial have one size"
        assert {key for sound in shown["sounds"] for key in sound} == {"id", "name", "file"}
        names = [sound["name"] for sound in shown["sounds"]]
        assert names == [*(f"Sound {n}" for n in range(1, 7)), "Reference"]

        for number in range(3):
            page.wait_for_selector(f".bt-count:has-text('Trial {number + 1} of 3')")
            rate_trial(page)
        page.wait_for_selector(".bt-done")
        page.wait_for_selector("#study-results table")
        assert all(system in page.content() for system in SYSTEMS), "names come after the last answer"
        assert store.ratings().system.nunique() == 6
    finally:
        context.close()
        demo.close()


def sqlite_rows(store: RatingStore, query: str) -> list:
    import sqlite3

    with sqlite3.connect(store.path) as connection:
        return connection.execute(query).fetchall()


@in_browser
def test_a_test_goes_on_after_a_reload_and_a_restart(browser, study):
    demo, url = serve(study)
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT)
    port = int(url.rstrip("/").rsplit(":", 1)[1])
    try:
        page.goto(url)
        page.click("#study-begin")
        page.wait_for_selector(".bt-count:has-text('Trial 1 of 3')")
        rate_trial(page, 30)
        page.wait_for_selector(".bt-count:has-text('Trial 2 of 3')")
        page.wait_for_function("document.querySelector('.bt .lp').stav2aPlayer.transport.sounds.length == 7")
        page.evaluate(
            "() => { const input = document.querySelector('.bt-cell input'); input.value = 77;"
            " input.dispatchEvent(new Event('input')) }"
        )
        demo.close()

        demo = create_study(study[0], RatingStore(study[1].path), study[2])  # a new server, the same file
        demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", server_port=port, **launch_options())
        page.goto(url)
        page.wait_for_selector(".bt-count:has-text('Trial 2 of 3')")
        assert page.inner_text(".bt-cell output >> nth=0").startswith("77"), "what was not sent yet is kept"
        rate_trial(page, 40)
        page.wait_for_selector(".bt-count:has-text('Trial 3 of 3')")
        rate_trial(page, 50)
        page.wait_for_selector(".bt-done")
        frame = RatingStore(study[1].path).ratings()
        assert len(frame) == 3 * 6 and frame.rater.nunique() == 1
        assert frame.groupby("position").AQ.min().tolist() == [30, 40, 50]
        assert not any(system in page.content() for system in SYSTEMS), "results were not asked for"

        page.click("text=About your answers")
        page.click("#study-forget")
        page.click("text=Yes, delete them for good")
        page.wait_for_selector("text=Your answers are deleted.")
        assert RatingStore(study[1].path).ratings().empty
    finally:
        context.close()
        demo.close()


@in_browser
def test_it_cannot_be_sent_before_all_is_heard_and_rated(browser, study):
    demo, url = serve(study)
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    try:
        page.goto(url)
        page.click("#study-begin")
        page.wait_for_function("document.querySelector('.bt .lp')?.stav2aPlayer?.transport.sounds.length == 7")
        assert page.inner_text(".bt-missing").startswith("Still to hear: Sound 1, Sound 2")
        assert page.is_disabled(".bt-submit")
        page.keyboard.press("Space")
        for key in "123456":
            page.keyboard.press(key)
            page.wait_for_timeout(90)
        page.wait_for_function("document.querySelector('.bt-missing').textContent.startsWith('Still to rate')")
        assert page.is_disabled(".bt-submit")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"the page is {width} pixels wide on a phone of 390"
        assert page.locator(".bt-cell:visible").count() == 4, "a phone shows the scales of the sound that is heard"
    finally:
        context.close()
        demo.close()


def test_eight_raters_at_once_lose_nothing(study):
    """Eight listeners answer through the server at the same time."""
    demo, url = serve(study)
    events = [(event["targets"][0][1], event["id"]) for event in demo.get_config_file()["dependencies"]]
    begin = next(id for kind, id in events if kind == "click")  # the page's first button
    submit = next(id for kind, id in events if kind == "submit")
    errors = []

    def call(event: int, data: list, event_data: dict | None = None) -> list:
        body = json.dumps({"fn_index": event, "data": data, "event_data": event_data, "session_hash": "x"})
        request = urllib.request.Request(
            f"{url}gradio_api/run/predict", body.encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["data"]

    def listen(base: int) -> None:
        try:
            updates = call(begin, [""])
            rater, panel = updates[0], updates[2]
            while panel.get("trial"):
                rated = [s["id"] for n, s in enumerate(panel["sounds"]) if n != panel["reference"]]
                scores = {each: dict.fromkeys(SCALE_KEYS, base + n) for n, each in enumerate(rated)}
                answer = {"session": panel["session"], "trial": panel["trial"], "scores": scores, "seconds": 3}
                panel = call(submit, [rater], answer)[2]
            assert panel.get("finished"), panel
        except Exception as error:
            errors.append(error)

    try:
        threads = [threading.Thread(target=listen, args=(2 * n + 1,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        demo.close()
    assert not errors
    frame = study[1].ratings()
    assert frame.rater.nunique() == 8
    assert (frame.groupby("rater").size() == 3 * 6).all()
    for _, own in frame.groupby("rater"):
        base = own.AQ.min()
        assert sorted(own.AQ) == sorted([*range(base, base + 6)] * 3), "every answer is this listener's own"
    assert sorted(frame.groupby("rater").AQ.min()) == [2 * n + 1 for n in range(8)]
