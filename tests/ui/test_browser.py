"""The page in a real browser (Debian's chromium), over the tiny model."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from browsing import IN_BROWSER, patiently, visitor
from page_server import make_clip

from stav2a.generation.figure import NARROW_PX, time_extent

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def visit(browser, address):
    """Opens the page for a new visitor."""
    with ExitStack() as visitors:

        def open_page(width: int = 1280, height: int = 900, **options):
            size = {"width": width, "height": height}
            page = visitors.enter_context(visitor(browser, viewport=size, **options)).new_page()
            page.goto(address)
            page.wait_for_selector("#generate")
            return page

        yield open_page


def upload(page, path: Path) -> None:
    page.set_input_files("#source-video input[type=file]", str(path))
    page.wait_for_selector("#source-video video")
    page.wait_for_function("document.querySelector('#clip-info').innerText.includes('fps')")


def set_number(page, section: str, field: str, value: str) -> None:
    box = page.locator(f"#{field} input[type=number]").first
    if not box.is_visible():
        page.get_by_role("button", name=section).click()
    for _ in range(20):  # a section that is just being opened sets its fields once more
        box.fill(value)
        box.press("Tab")
        page.wait_for_timeout(300)
        if box.input_value() == value:
            return
    raise AssertionError(f"{field} does not stay at {value}")


def few_steps(page, steps: str = "2") -> None:
    set_number(page, "Model, sampling and seed", "steps", steps)


def wait_status(page, word: str) -> str:
    patiently(page, "word => (document.querySelector('#run-status')?.innerText || '').includes(word)", word)
    return page.inner_text("#run-status")


def generated(page, clip: Path):
    upload(page, clip)
    few_steps(page)
    page.click("#generate")
    wait_status(page, "Done in")
    page.wait_for_selector("#result-video video")
    page.wait_for_selector(".oe-ruler rect", state="attached")
    return page


def onsets(page) -> list[float]:
    return [
        float(v)
        for v in page.eval_on_selector_all(".oe-mark", "marks => marks.map(m => m.getAttribute('aria-valuenow'))")
    ]


def tap(page, share: float, times: int = 1) -> None:
    """Tap the timeline below its ruler, at `share` of its length, once it stands still."""
    timeline = page.locator(".oe-svg")
    timeline.scroll_into_view_if_needed()
    width = timeline.bounding_box()["width"]
    timeline.click(position={"x": 10 + (width - 20) * share, "y": 100}, click_count=times, force=True)


def apart(page) -> None:
    """Wait until a tap no longer counts as the second of a double tap."""
    page.evaluate("() => new Promise(done => setTimeout(done, 500))")


def test_upload_generate_and_the_clip_plays_with_sound(visit, clip):
    page = generated(visit(), clip)
    played = page.evaluate(
        """async () => {
            const video = document.querySelector('#result-video video');
            const head = document.querySelector('.fv-head');
            video.currentTime = 0;
            const before = head.style.left;
            await video.play();
            await new Promise(done => setTimeout(done, 1200));
            const after = head.style.left;
            video.pause();
            return {time: video.currentTime, width: video.videoWidth,
                    sound: video.webkitAudioDecodedByteCount,
                    before: parseFloat(before) || 0, after: parseFloat(after)};
        }"""
    )
    assert played["time"] > 0.3
    assert played["width"] == 160
    assert played["sound"] > 0, "the clip has no sound"
    assert played["after"] > played["before"] + 5, "the playhead stands still"
    assert page.evaluate("document.querySelector('.fv img').naturalWidth") > 700
    assert page.evaluate("document.querySelector('#result-audio') !== null")
    assert "Real-time factor" in page.inner_text("#measures")


def test_a_click_on_the_figure_moves_the_video(visit, clip):
    page = generated(visit(), clip)
    box = page.locator(".fv img").bounding_box()
    page.locator(".fv img").scroll_into_view_if_needed()
    page.locator(".fv img").click(position={"x": box["width"] / 2, "y": 30})
    assert page.evaluate("document.querySelector('#result-video video').currentTime") == pytest.approx(1.0, abs=0.05)


def test_onsets_are_added_moved_deleted_and_undone_by_mouse(visit, clip):
    page = visit()
    upload(page, clip)
    page.click("#find")
    wait_status(page, "found")
    page.locator(".oe-svg").scroll_into_view_if_needed()
    if onsets(page):  # start from an empty timeline: the untrained model may hear things everywhere
        for _ in onsets(page):
            page.locator(".oe-mark").first.focus()
            page.keyboard.press("Delete")
    assert onsets(page) == []
    tap(page, 0.5)
    assert onsets(page) == [1.0]
    apart(page)
    tap(page, 0.75)
    assert onsets(page) == [1.0, 1.52] or onsets(page) == [1.0, 1.48]
    box = page.locator(".oe-svg").bounding_box()
    step = (box["width"] - 20) / 2.0
    page.mouse.move(box["x"] + 10 + step, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 10 + step * 0.6, box["y"] + 100, steps=5)
    page.mouse.up()
    assert onsets(page)[0] == pytest.approx(0.6, abs=0.021)
    page.click("[data-do=undo]")
    assert onsets(page)[0] == 1.0
    page.click("[data-do=redo]")
    assert onsets(page)[0] == pytest.approx(0.6, abs=0.021)
    apart(page)
    tap(page, onsets(page)[0] / 2, times=2)
    assert len(onsets(page)) == 1
    assert all(abs(t / 0.04 - round(t / 0.04)) < 1e-6 for t in onsets(page)), "an onset is off the frames"


def test_edited_onsets_are_followed_when_regenerating(visit, clip):
    page = generated(visit(), clip)
    page.locator(".oe-svg").focus()
    page.keyboard.press("a")  # so that what follows differs from the prediction, whatever that was
    while onsets(page):
        page.locator(".oe-mark").first.focus()
        page.keyboard.press("Delete")
    tap(page, 0.5)
    assert onsets(page) == [1.0]
    page.click("#regenerate")
    patiently(page, "document.querySelector('.fv img').alt.endsWith('Onsets at 1.00 s.')")
    wait_status(page, "Done in")
    page.get_by_role("button", name="Settings of this run").click()
    page.wait_for_function(
        """() => /"onsets_s": \\[/.test(document.querySelector('#settings .cm-content')?.innerText || '')"""
    )
    settings = json.loads(page.inner_text("#settings .cm-content"))
    assert settings["onsets_s"] == [1.0]
    assert onsets(page) == [1.0], "the editor keeps the edit"


def test_the_table_edits_onsets_by_keyboard_and_refuses_nonsense(visit, clip):
    page = visit()
    upload(page, clip)
    page.click("#find")
    wait_status(page, "found")
    page.locator(".oe-svg").focus()
    if not onsets(page):
        page.keyboard.press("a")
    page.locator(".oe-details summary").press("Enter")
    box = page.locator(".oe-details input").first
    box.fill("99")
    box.press("Tab")
    assert "between 0 and" in page.inner_text(".oe-error")
    box = page.locator(".oe-details input").first
    box.fill("0.43")
    box.press("Tab")
    assert 0.44 in onsets(page), "snapped to the frame"


def test_onsets_are_saved_and_read_as_json(visit, clip, tmp_path):
    page = visit()
    upload(page, clip)
    page.click("#find")
    wait_status(page, "found")
    file = tmp_path / "onsets.json"
    file.write_text(json.dumps({"onsets_s": [0.4, 1.2]}))
    page.set_input_files(".oe input[type=file]", str(file))
    page.wait_for_function("document.querySelectorAll('.oe-mark').length === 2")
    assert onsets(page) == [0.4, 1.2]
    with page.expect_download() as download:
        page.select_option(".oe-export", "json")
    assert json.loads(Path(download.value.path()).read_text())["onsets_s"] == [0.4, 1.2]
    file.write_text('{"onsets_s": ["<img src=x onerror=alert(1)>"]}')
    page.set_input_files(".oe input[type=file]", str(file))
    page.wait_for_function("!document.querySelector('.oe-error').hidden")
    assert onsets(page) == [0.4, 1.2]


def test_cancel_stops_and_leaves_nothing(visit, site, clip):
    page = visit()
    upload(page, clip)
    few_steps(page, "200")
    before = {p for p in site[1].rglob("*") if p.is_file()}
    page.click("#generate")
    wait_status(page, "step")
    page.click("#cancel")
    assert "Stopped" in wait_status(page, "Stopped")
    page.wait_for_selector("#generate:not([disabled])")
    deadline = time.monotonic() + 20
    while {p for p in site[1].rglob("*") if p.is_file()} - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not {p for p in site[1].rglob("*") if p.is_file()} - before
    few_steps(page)
    page.click("#generate")
    wait_status(page, "Done in")


def test_cancel_leaves_the_other_visitor_alone(visit, clip):
    mine, theirs = visit(), visit()
    for page in (mine, theirs):
        upload(page, clip)
    few_steps(theirs, "60")
    few_steps(mine, "60")
    theirs.click("#generate")
    wait_status(theirs, "step")
    mine.click("#generate")
    mine.wait_for_selector("#cancel:not([disabled])")
    mine.click("#cancel")
    wait_status(mine, "Stopped")
    wait_status(theirs, "Done in")
    assert mine.locator("#result-video video").count() == 0


def test_who_waits_sees_the_place_in_the_line_and_may_leave_it(visit, site, clip):
    first, second = visit(), visit()
    for page in (first, second):
        upload(page, clip)
    few_steps(first, "200")
    set_number(first, "Model, sampling and seed", "takes-count", "4")  # long enough for all that follows
    first.click("#generate")
    assert re.search(r"step \d+ of 200", wait_status(first, "step"))
    wait_status(first, "left")
    second.click("#generate")
    assert "1 run before yours" in wait_status(second, "before yours")
    second.click("#cancel")
    wait_status(second, "Stopped")
    second.wait_for_selector("#generate:not([disabled])")
    assert "step" in first.inner_text("#run-status"), "the first run goes on"
    first.click("#cancel")
    wait_status(first, "Stopped")


def test_unusable_upload_gets_one_sentence(visit, tmp_path):
    page = visit()
    bad = tmp_path / "text.mp4"
    bad.write_text("not a video\n" * 50)
    page.set_input_files("#source-video input[type=file]", str(bad))
    page.wait_for_selector("#run-status .error")
    sentence = page.inner_text("#run-status")
    assert sentence.strip().endswith(".")
    assert "Traceback" not in sentence


def test_generate_without_a_clip_says_so(visit):
    page = visit()
    page.click("#generate")
    page.wait_for_selector("#run-status .error")
    assert "upload a clip, or write a caption" in page.inner_text("#run-status")


def test_reload_finds_the_result(visit, clip):
    page = generated(visit(), clip)
    seed = re.search(r"seed (\d+)", page.inner_text("#run-status"))[1]
    page.reload()
    wait_status(page, "is back")
    page.wait_for_selector("#result-video video")
    page.wait_for_selector("#source-video video")
    tap(page, 0.5)
    page.click("#regenerate")  # the clip is still there, and the settings
    page.wait_for_selector("#regenerate[disabled]")
    assert f"seed {seed}." in wait_status(page, "Done in"), "only the onsets are others"


def test_reload_finds_the_onsets_that_were_looked_for(visit, clip):
    page = visit()
    upload(page, clip)
    page.click("#find")
    wait_status(page, "found")
    before = onsets(page)
    page.reload()
    wait_status(page, "found")
    page.wait_for_selector(".oe-ruler rect", state="attached")
    assert onsets(page) == before


def test_reload_in_the_middle_follows_the_run(visit, clip):
    page = visit()
    upload(page, clip)
    few_steps(page, "200")
    page.click("#generate")
    wait_status(page, "step")
    page.reload()
    wait_status(page, "step")
    assert page.locator("#cancel").is_enabled(), "a run that was found again can be stopped"
    page.wait_for_selector("#result-video video")
    page.wait_for_function("/Done in|is back/.test(document.querySelector('#run-status').innerText)")


def test_hostile_caption_and_name_are_inert(visit, tmp_path):
    text = "<img src=x onerror=window.hacked=1>${window.hacked=2}{{x}}`"
    clip = make_clip(tmp_path / "<img src=x onerror=window.hacked=3>$(id)'.mp4", seconds=0.6)
    page = visit()
    upload(page, clip)
    few_steps(page)
    page.fill("#prompt textarea, #prompt input", text)
    page.click("#generate")
    wait_status(page, "Done in")
    page.get_by_role("button", name="Settings of this run").click()
    time.sleep(0.5)
    assert page.evaluate("window.hacked") is None


def test_phone_width(visit, clip):
    page = visit(390, 844, device_scale_factor=2, has_touch=True, is_mobile=True)
    upload(page, clip)
    few_steps(page)
    page.locator("#generate").tap()
    wait_status(page, "Done in")
    page.wait_for_function("document.querySelector('.fv img')?.naturalWidth === 760")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".oe-svg").scroll_into_view_if_needed()
    count = len(onsets(page))
    page.click("[data-do=add]")
    assert len(onsets(page)) in (count, count + 1)
    small = page.eval_on_selector_all(
        "#generate, #find, #cancel, #regenerate, .oe-tools button",
        "nodes => nodes.filter(n => n.getBoundingClientRect().height < 34).map(n => n.innerText)",
    )
    assert not small, f"too small to tap: {small}"


def test_onsets_are_added_moved_and_deleted_by_touch(visit, clip, tmp_path):
    page = visit(390, 844, device_scale_factor=2, has_touch=True, is_mobile=True)
    upload(page, clip)
    page.locator("#find").tap()
    wait_status(page, "found")
    file = tmp_path / "onsets.json"
    file.write_text(json.dumps({"onsets_s": [0.4]}))
    page.set_input_files(".oe input[type=file]", str(file))
    page.wait_for_function("document.querySelectorAll('.oe-mark').length === 1")
    page.locator(".oe-svg").scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # a page that still scrolls moves under the finger
    box, (left, right) = page.locator(".oe-svg").bounding_box(), time_extent(NARROW_PX)
    touch = page.context.new_cdp_session(page)

    def at(seconds: float) -> dict:
        return {"x": box["x"] + box["width"] * (left + (right - left) * seconds / 2.0), "y": box["y"] + 90}

    def finger(kind: str, *points: dict) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    finger("touchStart", at(0.4))
    for step in range(1, 9):
        finger("touchMove", at(0.4 + 0.1 * step))
    finger("touchEnd")
    page.wait_for_function("document.querySelector('.oe-mark').getAttribute('aria-valuenow') === '1.20'")
    finger("touchStart", at(0.6))
    finger("touchEnd")
    page.wait_for_function("document.querySelectorAll('.oe-mark').length === 2")
    assert onsets(page) == [0.6, 1.2]
    apart(page)
    finger("touchStart", at(1.2))
    finger("touchEnd")
    page.wait_for_selector(".oe-mark.selected[aria-valuenow='1.20']", state="attached")
    page.locator("[data-do=delete]").tap()
    page.wait_for_function("document.querySelectorAll('.oe-mark').length === 1")
    assert onsets(page) == [0.6]


def test_a_suggested_caption_is_taken(visit):
    page = visit()
    page.get_by_text("glass breaks", exact=True).click()
    page.wait_for_function("document.querySelector('#prompt textarea, #prompt input').value === 'glass breaks'")


def test_keyboard_only(visit, clip):
    page = visit()
    upload(page, clip)  # a file chooser belongs to the browser, not to the page
    few_steps(page)
    page.locator("#prompt textarea, #prompt input").focus()
    page.keyboard.type("a drum")
    page.keyboard.press("Enter")
    wait_status(page, "Done in")
    page.locator(".oe-svg").focus()
    page.keyboard.press("a")
    mark = page.locator(".oe-mark.selected, .oe-mark").first
    mark.focus()
    before = onsets(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    moved = onsets(page)
    assert moved != before
    page.keyboard.press("Delete")
    assert len(onsets(page)) == len(moved) - 1
    page.locator(".oe-svg").focus()
    page.keyboard.press("Control+z")
    assert onsets(page) == moved
    page.locator("#regenerate").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#regenerate[disabled]")
    wait_status(page, "Done in")
