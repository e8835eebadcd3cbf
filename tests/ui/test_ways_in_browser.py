"""All ways into a sound, in a real browser: two windows, a caption alone, a sound of one's own, a batch, odd files."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browsing import IN_BROWSER, patiently, visitor
from imageio_ffmpeg import get_ffmpeg_exe
from page_server import make_clip

from stav2a.ui.generate import inputs

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=1.0)


@pytest.fixture
def context(browser):
    with visitor(browser, viewport={"width": 1280, "height": 720}) as opened:
        yield opened


def opened(context, address: str):
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#generate:not([disabled])")
    return page


def upload(page, path: Path) -> None:
    page.set_input_files("#source-video input[type=file]", str(path))
    page.wait_for_function("document.querySelector('#clip-info').innerText.includes('fps')")


def said(page, word: str) -> None:
    patiently(page, "word => document.querySelector('#run-status').innerText.includes(word)", word)


def test_two_windows_of_a_visitor_share_the_line(context, address, clip):
    first, second = opened(context, address), opened(context, address)
    for page, steps in ((first, "60"), (second, "2")):
        upload(page, clip)
        page.locator("#steps input[type=number]").fill(steps)
        page.locator("#steps input[type=number]").press("Tab")
    first.click("#generate")
    said(first, "step")
    second.click("#generate")
    said(second, "1 run before yours")
    said(first, "Done in")
    said(second, "Done in")


def test_what_counts_is_in_sight(context, address, clip):
    page = opened(context, address)
    upload(page, clip)
    for part in ("#source-video video", "#prompt", "#guidance", "#steps", "#generate"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 720, f"{part} is below the fold"


def test_a_caption_alone_makes_a_sound(context, address):
    page = opened(context, address)
    page.click("#generate")
    said(page, "or write a caption")
    page.fill("#prompt textarea, #prompt input", "a dog barks")
    page.locator("#steps input[type=number]").fill("2")
    page.click("#generate")
    said(page, "Done in")
    page.wait_for_selector("#result-audio")
    assert page.locator("#result-video").count() == 0 or not page.locator("#result-video").is_visible()


def test_a_sound_of_ones_own_and_files_for_other_programs(context, address, clip, tmp_path):
    noise = np.random.default_rng(0).standard_normal(8000) * np.exp(-np.arange(8000) / 800)
    soundfile.write(tmp_path / "knock.wav", 0.3 * noise, 16_000)
    page = opened(context, address)
    upload(page, clip)
    page.get_by_role("button", name="A sound of your own, and recordings").click()
    page.set_input_files("#reference input[type=file]", str(tmp_path / "knock.wav"))
    page.wait_for_function("document.querySelector('#strength input[type=number]').value === '0.7'")
    page.get_by_role("button", name="Files for other programs").click()
    page.get_by_label("Audacity labels").check()
    page.locator("#steps input[type=number]").fill("2")
    page.click("#generate")
    said(page, "Done in")
    page.wait_for_selector("#exports >> text=_onsets")
    page.get_by_role("button", name="Settings of this run").click()
    page.wait_for_selector("#settings >> text=knock.wav")


def test_what_is_seen_is_suggested_and_may_be_edited(context, address, clip, monkeypatch):
    monkeypatch.setattr(inputs, "suggested", lambda path, limits: ["a dog <b>barks</b>"])
    page = opened(context, address)
    upload(page, clip)
    page.locator("#seen").get_by_text("a dog <b>barks</b>").click()
    page.wait_for_function("document.querySelector('#prompt textarea, #prompt input').value === 'a dog <b>barks</b>'")


def test_a_clip_that_browsers_cannot_play_gets_a_preview(context, address, clip, tmp_path):
    odd = tmp_path / "odd.avi"
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-i", str(clip), "-c:v", "mpeg4", "-an", str(odd)], check=True)
    page = opened(context, address)
    upload(page, odd)
    page.wait_for_function("document.querySelector('#preview video')?.videoWidth === 160")


def test_a_clip_with_more_audio_tracks_offers_them(context, address, clip, tmp_path):
    two = tmp_path / "two.mkv"
    tone = ["-f", "lavfi", "-i", "sine=440:duration=1:sample_rate=48000"]
    tracks = ["-map", "0:v", "-map", "1", "-map", "1", "-c:v", "copy", "-c:a", "flac", "-ac:a:1", "2"]
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-i", str(clip), *tone, *tracks, str(two)], check=True)
    page = opened(context, address)
    page.get_by_role("button", name="Original audio and loudness").click()
    upload(page, two)
    page.locator("#audio-track input").click()
    page.get_by_role("option", name="Track 2: stereo, 48 kHz").click()
    page.locator("#steps input[type=number]").fill("2")
    page.click("#generate")
    said(page, "Done in")
    page.get_by_role("button", name="Settings of this run").click()
    page.wait_for_selector('#settings >> text="audio_track": 2')
    page.reload()
    page.get_by_role("button", name="Original audio and loudness").click()
    page.wait_for_function("document.querySelector('#audio-track input')?.value.startsWith('Track 2')")
    page.get_by_label("Clear").first.click()
    upload(page, clip)
    page.wait_for_selector("#audio-track", state="hidden")


def test_a_batch_is_one_list_and_one_zip(context, address, clip, tmp_path):
    other = make_clip(tmp_path / "other.mp4", seconds=0.8)
    table = tmp_path / "captions.csv"
    table.write_text("clip,caption\nclip.mp4,<i>a drum</i>\n")
    page = opened(context, address)
    page.locator("button[role=tab][data-tab-id=batch]").first.click()
    page.set_input_files("#batch-files input[type=file]", [str(clip), str(other), str(table)])
    page.wait_for_function("document.querySelector('#batch-files').innerText.includes('captions')")
    page.locator("#batch-steps input").fill("2")
    page.click("#batch-make")
    page.wait_for_selector("#batch-zip:visible")
    assert page.locator(".bl [data-state=done] video").count() == 2
    assert "<i>a drum</i>" in page.inner_text(".bl"), "a caption stays text"
    assert "other.mp4 has no caption" in page.inner_text(".bl-notes")
    with page.expect_download() as download:
        page.click("#batch-zip")
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert sum(name.endswith(".mp4") for name in names) == 2
