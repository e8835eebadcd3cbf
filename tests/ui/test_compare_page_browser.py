"""Compare and Explore in a real browser, over the tiny model: from a clip to a finished blind test."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import browsing
import pytest
from browsing import IN_BROWSER, patiently
from page_server import make_clip

from stav2a.listening.store import RatingStore

pytestmark = IN_BROWSER
HOSTILE = "<img src=x onerror=window.hacked=1>"
OWN = f"other words {HOSTILE}"  # a caption of one tab alone
PLAYER = "document.querySelector('#{} .lp').stav2aPlayer"
EXPLORE, COMPARE = PLAYER.format("explore-grid"), PLAYER.format("compare-player")
GROWING = """() => {
  window.grown = [];
  const note = () => window.grown.push(document.querySelectorAll('.eg-cell').length);
  new MutationObserver(note).observe(document.querySelector('#explore-grid'), {childList: true, subtree: true});
}"""
CANCELLED = """(() => {
  const cancel = document.querySelector('#explore-cancel');
  if (document.querySelectorAll('.eg-cell').length < 2 || cancel.disabled) return false;
  cancel.click(); // at once: the rest may be done before a pointer gets there
  return true;
})()"""
BLIND = "document.querySelector('#blind-panel .lp').stav2aPlayer"


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / f"{HOSTILE.replace('/', '')}.mp4", seconds=1.5)


@pytest.fixture(scope="module")
def visitor(browser, address):
    """One visitor's page through all tests of this file, in their order."""
    with browsing.visitor(browser) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("#generate")
        yield page
        assert page.evaluate("window.hacked") is None, "a name or a caption became HTML"


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def cells(page) -> int:
    return page.locator(".eg-cell").count()


def fill(page, guidance: str, steps: str) -> None:
    page.fill("#explore-guidance textarea, #explore-guidance input", guidance)
    page.fill("#explore-steps textarea, #explore-steps input", steps)
    page.click("#explore-fill")


def heard(page, index: int) -> None:
    """A cell is chosen and was played; it may be over by now."""
    page.wait_for_function(f"""(({{transport, heard, value}}) =>
      transport.selected === {index} && heard.has(value.sounds[{index}].id))({EXPLORE})""")


def said(page, line: str, word: str) -> None:
    patiently(page, "([line, word]) => (document.querySelector(line)?.innerText || '').includes(word)", [line, word])


def test_the_clip_of_generate_is_there_in_both_tabs(visitor, clip):
    visitor.set_input_files("#source-video input[type=file]", str(clip))
    visitor.wait_for_selector("#source-video video")
    visitor.fill("#prompt textarea, #prompt input", HOSTILE)
    for name in ("explore", "compare"):
        tab(visitor, name.capitalize())
        said(visitor, f"#{name}-info", "fps")
        assert visitor.input_value(f"#{name}-prompt textarea, #{name}-prompt input") == HOSTILE


def test_a_grid_fills_row_by_row_and_a_click_is_heard(visitor):
    tab(visitor, "Explore")
    visitor.evaluate(GROWING)
    fill(visitor, "1, 5", "1, 40")
    patiently(visitor, "document.querySelectorAll('.eg-cell').length >= 2")
    visitor.click(".eg-cell >> nth=1")
    heard(visitor, 1)
    said(visitor, "#explore-status", "4 of 4 cells")
    patiently(visitor, "document.querySelectorAll('.eg-cell').length === 4")
    assert 2 in visitor.evaluate("window.grown"), "the first row is there before the second"
    assert visitor.evaluate(f"{EXPLORE}.transport.selected") == 1, "what is heard stays while cells come"
    patiently(visitor, "document.querySelectorAll('#explore-curves img').length === 3")  # the caption names no class
    before = visitor.inner_text(".eg-cell >> nth=3")
    assert visitor.is_hidden("[data-measure=match]"), "there is nothing to show"
    visitor.click("[data-measure=distance]")
    assert visitor.inner_text(".eg-cell >> nth=3") != before
    assert visitor.inner_text(".eg-cell >> nth=0") == "–", "the first column has no neighbour"


def test_arrow_keys_and_a_resting_pointer_choose_what_is_heard(visitor):
    visitor.locator(".eg-cell >> nth=0").focus()
    visitor.keyboard.press("ArrowRight")
    heard(visitor, 1)
    visitor.keyboard.press("ArrowDown")
    visitor.wait_for_function(f"{EXPLORE}.transport.selected === 3")
    visitor.keyboard.press("ArrowDown")  # there is no row below
    assert visitor.evaluate("document.activeElement.classList.contains('eg-cell')")
    assert visitor.locator(".eg-cell[tabindex='0']").count() == 1
    visitor.hover(".eg-cell >> nth=0")
    visitor.wait_for_function(f"{EXPLORE}.transport.selected === 0")
    visitor.click(".eg-rest")
    visitor.hover(".eg-cell >> nth=2")
    visitor.wait_for_timeout(600)
    assert visitor.evaluate(f"{EXPLORE}.transport.selected") == 0
    visitor.click(".eg-rest")


def test_cancel_keeps_finished_cells_and_they_are_not_made_again(visitor):
    fill(visitor, "1, 5", "1, 160, 180, 200")
    patiently(visitor, CANCELLED)
    said(visitor, "#explore-status", "Stopped with")
    assert cells(visitor) in (2, 4, 6)
    fill(visitor, "1, 5", "1, 40")
    said(visitor, "#explore-status", "4 of 4 cells")


def test_a_reload_finds_the_grid_and_follows_it_to_its_end(visitor):
    """The form comes back as well, with a caption of its own; the other tabs get the clip."""
    visitor.fill("#explore-prompt textarea, #explore-prompt input", OWN)
    fill(visitor, "2, 6", "1, 60")
    patiently(visitor, "document.querySelectorAll('.eg-cell').length === 2")
    visitor.reload()
    visitor.wait_for_selector("#generate:not([disabled])")
    tab(visitor, "Explore")
    said(visitor, "#explore-status", "4 of 4 cells")
    patiently(visitor, "document.querySelectorAll('.eg-cell').length === 4")
    assert visitor.input_value("#explore-guidance textarea, #explore-guidance input") == "2, 6"
    assert visitor.input_value("#explore-steps textarea, #explore-steps input") == "1, 60"
    visitor.wait_for_function(
        "own => document.querySelector('#explore-prompt textarea, #explore-prompt input').value === own", arg=OWN
    )
    said(visitor, "#explore-info", "fps")
    for name in ("Compare", "Generate"):
        tab(visitor, name)
        visitor.wait_for_selector(f"#{'source-video' if name == 'Generate' else 'compare-source'} video")
    tab(visitor, "Explore")


def test_nonsense_in_the_grid_gets_one_sentence(visitor):
    """After the reload: the form with its clip can be sent again."""
    fill(visitor, "1, <b>", "2")
    said(visitor, "#explore-status", "not '<b>'")


def test_marked_cells_are_compared(visitor):
    fill(visitor, "1, 5", "1, 40")
    said(visitor, "#explore-status", "4 of 4 cells")
    patiently(visitor, "document.querySelectorAll('.eg-cell').length === 4")
    for cell in (0, 3):
        visitor.click(f".eg-cell >> nth={cell}")
        visitor.keyboard.press("c")
    visitor.click(".eg-send:not([disabled])")
    visitor.wait_for_selector("#compare-player .lp-sound >> nth=2")
    assert not visitor.evaluate(f"{EXPLORE}.transport.playing"), "the grid falls silent when it is left"
    visitor.wait_for_function(f"{COMPARE}.transport.sounds.length === 3")
    assert visitor.inner_text("#compare-player .lp-sound >> nth=2 >> .lp-name").startswith("Original")
    visitor.evaluate("document.activeElement.blur()")
    for key, index in (("2", 1), ("r", 2), ("1", 0)):
        visitor.keyboard.press(key)
        assert visitor.evaluate(f"{COMPARE}.transport.selected") == index
    assert visitor.evaluate(f"{COMPARE}.mel.getAttribute('src')")


def test_a_fresh_set_along_an_axis(visitor):
    tab(visitor, "Compare")
    if not visitor.is_visible("#compare-make"):  # folded once there are results
        visitor.get_by_role("button", name="Make a set that differs in one setting").click()
    visitor.fill("#compare-values textarea, #compare-values input", "2, 9")
    visitor.click("#compare-make")
    patiently(visitor, f"{COMPARE}.value?.sounds[0].name === 'guidance 2'")
    names = visitor.evaluate(f"{COMPARE}.value.sounds.map((sound) => sound.name)")
    assert names == ["guidance 2", "guidance 9", "Original"]
    assert visitor.inner_text("#compare-player .lp-sound small >> nth=0") == OWN, "the caption is text"


def test_blind_the_page_holds_no_name_until_the_answer_is_given(visitor, site):
    visitor.get_by_role("button", name="Listen blind").click()
    visitor.click("#blind-begin")
    visitor.wait_for_selector("#blind-panel .bt-count")
    visitor.wait_for_function(f"{BLIND}.transport.sounds.length === 3 && !{BLIND}.root.hasAttribute('aria-busy')")
    assert visitor.locator("#compare-open").is_hidden() or visitor.locator("#compare-open").count() == 0
    value, html = visitor.evaluate(f"JSON.stringify({BLIND}.value)"), visitor.inner_html("#blind-stage .bt")
    assert not [word for word in ("guidance", "riginal", "own_db", "system", "role", "note") if word in value]
    assert not [word for word in ("guidance", "riginal", "hacked") if word in html]
    visitor.keyboard.press("Space")
    for index in range(3):
        visitor.keyboard.press(str(index + 1))
        visitor.wait_for_function(f"{BLIND}.heard.size === {index + 1}")
    visitor.evaluate(
        "document.querySelectorAll('.bt-cell input').forEach((input, i) => {"
        " input.value = 40 + i; input.dispatchEvent(new Event('input')) })"
    )
    visitor.click(".bt-submit:not([disabled])")
    visitor.wait_for_selector("#results-shown table")
    visitor.wait_for_selector("#results-told >> text=What you heard")
    said(visitor, "#results-shown", "guidance 9")
    said(visitor, "#results-shown", "original")
    ratings = RatingStore(site[2].ratings).ratings()
    assert len(ratings) == 3 and ratings.rater.nunique() == 1
    with sqlite3.connect(site[2].ratings) as connection:
        assert "hacked" not in "".join(connection.iterdump()), "a caption or a file name was kept"


def test_back_to_the_names_a_reload_and_deletion(visitor, site):
    visitor.click("#blind-done")
    visitor.wait_for_selector("#compare-player .lp-sound >> nth=2")
    oldest = visitor.locator("#compare-chosen input:not(:checked)").last.get_attribute("value")
    visitor.check(f"#compare-chosen input[value='{oldest}']")
    visitor.wait_for_function(f"{COMPARE}.value?.sounds.length === 4")
    names = f"{COMPARE}.value.sounds.map((sound) => sound.name + sound.note)"
    before = visitor.evaluate(names)
    visitor.reload()
    visitor.wait_for_selector("#generate")
    tab(visitor, "Compare")
    visitor.wait_for_function(f"{COMPARE}.value?.sounds.length === 4")  # not the newest two
    assert visitor.evaluate(names) == before
    visitor.get_by_role("button", name="Make a set that differs in one setting").click()  # folded, as there are results
    visitor.wait_for_selector("#compare-source video")
    visitor.wait_for_function(
        "document.querySelector('#compare-values textarea, #compare-values input').value === '2, 9'"
    )
    visitor.get_by_role("button", name="Results of the blind tests").click()
    visitor.wait_for_selector("#results-shown table")
    with visitor.expect_download() as download:
        visitor.click("#results-export")
    csv = Path(download.value.path()).read_text(encoding="utf-8")
    assert csv.count("\n") == 4 and "guidance 9" in csv
    visitor.click("#results-forget")
    visitor.click("#results-really")
    said(visitor, "#results-line", "deleted")
    assert RatingStore(site[2].ratings).ratings().empty


def test_both_tabs_fit_a_phone_with_what_was_made(visitor):
    """The grid is back after the reload before; Compare holds four sounds."""
    visitor.set_viewport_size({"width": 390, "height": 844})
    for name, filled in (("Compare", "#compare-player .lp-sound"), ("Explore", ".eg-cell")):
        tab(visitor, name)
        visitor.wait_for_selector(filled)
        visitor.wait_for_function("document.documentElement.scrollWidth <= 390")
        small = visitor.eval_on_selector_all(
            f"{filled}, #compare-player .lp-play, #compare-player .lp-tool, .eg-tools .lp-tool, .eg-mark",
            "nodes => nodes.filter(n => n.offsetParent && n.getBoundingClientRect().height < 34).map(n => n.className)",
        )
        assert not small, f"too small to tap: {small}"
    assert cells(visitor) == 4
