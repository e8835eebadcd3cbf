"""The onset editor alone in a real browser: zoom, clicks, undo across runs and reloads, files of other tools."""

from __future__ import annotations

import base64
import json

import gradio as gr
import pytest
from browsing import in_browser, visitor
from page_server import make_clip

from stav2a.generation.figure import WIDE_PX, Tracks, time_extent
from stav2a.media.markers import of_onsets, read_markers, write_markers
from stav2a.ui.widgets.figure_view import draw, figure_value, figure_view
from stav2a.ui.widgets.onset_editor import editor_value, onset_editor, onsets_from_file, onsets_to_file

CURVE = [0.1] * 100
ALL = [0.48, 1.2, 2.6]


def of_clip(onsets_s, clip="one"):
    return editor_value(4.0, CURVE, ALL, onsets_s, clip=clip)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editor")
    drawn = draw(Tracks(4.0, predicted_onsets_s=ALL, onset_curve=CURVE), folder, "figure")
    with gr.Blocks() as demo:
        gr.Video(str(make_clip(folder / "clip.mp4", seconds=4.0)), elem_id="source-video")
        editor = onset_editor(elem_id="editor")
        editor.value = of_clip(None)
        figure = figure_view("source-video", elem_id="figure")
        demo.load(lambda: figure_value(drawn), None, figure)
        gr.Button("Again", elem_id="again").click(lambda: of_clip([0.48]), None, editor)
        gr.Button("Other", elem_id="other").click(lambda: of_clip(None, "two"), None, editor)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[str(folder)], server_name="127.0.0.1")
    yield url
    demo.close()


@pytest.fixture
def page(browser, address):
    with visitor(browser, viewport={"width": 1280, "height": 1000}) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("#editor .oe-mark")
        yield page


def onsets(page) -> list[float]:
    marks = page.locator("#editor .oe-mark")
    return [float(marks.nth(k).get_attribute("aria-valuenow")) for k in range(marks.count())]


def count(page, number: int) -> None:
    page.wait_for_function(f"document.querySelectorAll('#editor .oe-mark').length === {number}")


def press(page, what: str) -> None:
    page.locator(f'#editor [data-do="{what}"]').click()


def delete_first(page) -> None:
    page.locator("#editor .oe-mark").first.focus()
    page.keyboard.press("Delete")


@in_browser
def test_the_axis_is_the_figures_to_the_pixel(page):
    left, right = time_extent(WIDE_PX)
    page.wait_for_function("document.querySelector('#figure img').naturalWidth > 0")
    figure = page.locator("#figure img").bounding_box()
    wanted = [figure["x"] + figure["width"] * (left + (right - left) * time / 4.0) for time in ALL]
    for mark, x in zip(page.locator("#editor .oe-mark line").all(), wanted, strict=True):
        box = mark.bounding_box()
        assert box["x"] + box["width"] / 2 == pytest.approx(x, abs=1.0)


@in_browser
def test_zoom_widens_the_axis_and_edits_are_finer(page):
    width = page.evaluate("document.querySelector('#editor .oe-svg').clientWidth")
    press(page, "in")
    press(page, "in")
    assert page.evaluate("document.querySelector('#editor .oe-svg').clientWidth") == pytest.approx(4 * width, abs=4)
    assert page.evaluate("document.querySelector('#editor .oe-scroll').scrollWidth") > 3 * width
    mark = page.locator("#editor .oe-mark").first
    mark.scroll_into_view_if_needed()
    box = mark.locator("path").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    step = 4 * width / 4.0 * 0.04  # pixels of one step
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + step, y, steps=4)
    page.mouse.up()
    assert onsets(page)[0] == pytest.approx(0.52, abs=0.01)
    press(page, "fit")
    assert page.evaluate("document.querySelector('#editor .oe-svg').clientWidth") == pytest.approx(width, abs=2)


@in_browser
def test_undo_spans_runs_and_a_reload(page):
    delete_first(page)
    count(page, 2)
    page.locator("#again").click()  # a new run of the same clip brings other onsets
    count(page, 1)
    press(page, "undo")
    assert onsets(page) == [1.2, 2.6]
    page.reload()
    page.wait_for_selector("#editor .oe-mark")
    press(page, "undo")  # the step before the run is still there
    assert onsets(page) == ALL


@in_browser
def test_another_clip_has_its_own_undo(page):
    delete_first(page)
    count(page, 2)
    page.locator("#other").click()
    count(page, 3)
    assert page.locator('#editor [data-do="undo"]').is_disabled()


@in_browser
def test_clicks_sound_while_the_clip_plays_and_can_be_silenced(page):
    play = "document.querySelector('#source-video video').play()"
    every = "[...document.querySelectorAll('#editor, #editor *')]"
    clicks = f"{every}.map(e => +(e.dataset?.clicks || 0)).reduce((a, b) => a + b)"
    assert page.evaluate(clicks) == 0
    page.evaluate(f"document.querySelector('#source-video video').muted = true; {play}")
    page.wait_for_function(f"{clicks} >= 2")
    page.evaluate("document.querySelector('#source-video video').pause()")
    press(page, "clicks")
    before = page.evaluate(clicks)
    page.evaluate(f"document.querySelector('#source-video video').currentTime = 0; {play}")
    page.wait_for_function("document.querySelector('#source-video video').currentTime > 1")
    assert page.evaluate(clicks) == before


@in_browser
def test_files_of_other_tools_come_in_and_go_out(page, tmp_path):
    file = write_markers(tmp_path / "hits.txt", of_onsets([0.25, 3.0]))
    page.locator("#editor input[type=file]").set_input_files(str(file))
    page.wait_for_function("document.querySelectorAll('#editor .oe-mark').length === 2")
    assert onsets(page) == [0.25, 3.0]
    with page.expect_download() as got:
        page.locator("#editor .oe-export").select_option("reaper")
    got.value.save_as(tmp_path / "out.csv")
    assert [marker.time_s for marker in read_markers(tmp_path / "out.csv")] == [0.25, 3.0]
    page.locator("#editor input[type=file]").set_input_files(
        str(write_markers(tmp_path / "late.txt", of_onsets([9.0])))
    )
    page.wait_for_selector("#editor .oe-error:not([hidden])")
    assert "between 0 and 4" in page.locator("#editor .oe-error").inner_text()
    assert onsets(page) == [0.25, 3.0]


def test_what_the_browser_sends_is_never_trusted(tmp_path):
    good = base64.b64encode(write_markers(tmp_path / "a.txt", of_onsets([0.5])).read_bytes()).decode()
    assert onsets_from_file({"name": "a.txt", "data": good, "duration_s": 4.0}) == {"onsets_s": [0.5]}
    for name, data, duration_s in [
        ("a.txt", good, 0.2), ("a.exe", good, 4.0), ("a.txt", "%%", 4.0), ("a.txt", None, 4.0), (3, good, 4.0),
        ("a.mid", good, 4.0), ("a.txt", "A" * 4_000_000, 4.0), ("a.txt", good, "long"),
    ]:  # fmt: skip
        answer = onsets_from_file({"name": name, "data": data, "duration_s": duration_s})
        assert set(answer) == {"error"} and answer["error"].endswith("."), answer
    for kind, times in [("exe", [1.0]), (None, [1.0]), ("midi", ["x"]), ("midi", 3), ("edl", [-1])]:
        assert set(onsets_to_file({"kind": kind, "onsets_s": times})) == {"error"}
    for nothing in (None, [], "x", 3):
        assert set(onsets_to_file(nothing)) == set(onsets_from_file(nothing)) == {"error"}
    made = onsets_to_file({"kind": "audacity", "onsets_s": [0.5, 1.0]})
    (tmp_path / made["name"]).write_bytes(base64.b64decode(made["data"]))
    assert [marker.time_s for marker in read_markers(tmp_path / made["name"])] == [0.5, 1.0]


def test_the_value_says_whose_it_is():
    value = of_clip(None)
    assert value["clip"] == "one" and value["onsets_s"] == ALL and json.dumps(value)
