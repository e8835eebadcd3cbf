"""The listening player in a real browser, timed by the Web Audio clock."""

from __future__ import annotations

import gradio as gr
import numpy as np
import pytest
from browsing import IN_BROWSER, visitor
from listening import (
    FPS,
    RATE,
    READY,
    SYNC_S,
    TAP,
    WATCH,
    Recording,
    envelope,
    make_video,
    tone,
)  # fmt: skip
from scipy.signal import fftconvolve, hilbert

from stav2a.ui.study_page import launch_options
from stav2a.ui.widgets.player import Sound, player_value, sound_player

pytestmark = IN_BROWSER


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    seconds = max(SYNC_S + 4, 40)  # a busy machine is slow to press keys
    return (0.1 * np.random.default_rng(0).normal(size=int(seconds * RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def site(noise, tmp_path_factory):
    """A page with the player alone: noise, the same noise upside down, two tones, and a loud tone."""
    seconds = len(noise) / RATE
    video = make_video(tmp_path_factory.mktemp("video") / "clip.mp4", seconds)
    sounds = [
        Sound("noise", noise, onsets_s=[0.5, 1.0]),
        Sound("upside down", -noise),
        Sound("<b>500 Hz</b>", tone(500, seconds)),
        Sound("800 Hz", tone(800, seconds) / 10),
    ]
    with gr.Blocks() as demo:
        player = sound_player(elem_id="player")
        demo.load(lambda: player_value(sounds, RATE, video), None, player)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
    yield url
    demo.close()


@pytest.fixture
def page(browser, site):
    with visitor(browser, viewport={"width": 1000, "height": 800}) as context:
        page = context.new_page()
        page.goto(site)
        page.wait_for_function(READY)
        yield page


def test_switching_keeps_the_playhead_to_the_sample(page, noise):
    """Both sounds are one noise, once upside down: its place in the recording tells the playhead."""
    page.evaluate(TAP)
    page.keyboard.press("Space")
    page.wait_for_timeout(500)
    for key in "21212":
        page.keyboard.press(key)
        page.wait_for_timeout(230)
    page.keyboard.press("Space")
    page.wait_for_timeout(100)
    heard, keys = Recording(page), page.evaluate("window.keys")
    assert heard.rate == RATE, "the recording is compared sample by sample"
    starts, signs = set(), []
    for begin in [keys[0] + 0.1, *(key + 0.1 for key in keys[1:6])]:
        part = heard.part(begin, begin + 0.1)
        first = max(round((begin - keys[0] - 1) * RATE), 0)  # a second around where the playhead should be
        match = fftconvolve(noise[first : first + 2 * RATE], part[::-1], mode="valid")
        place = int(np.argmax(np.abs(match)))
        starts.add(first + place - heard.index(begin))
        signs.append(np.sign(match[place]))
    assert len(starts) == 1, f"one start for all parts, to the sample: {starts}"
    assert signs == [1, -1, 1, -1, 1, -1]


def test_a_switch_is_quick_and_makes_no_click(page):
    page.keyboard.press("3")
    page.evaluate(TAP)
    page.keyboard.press("Space")
    page.wait_for_timeout(400)
    for key in "434343":
        page.keyboard.press(key)
        page.wait_for_timeout(250)
    page.keyboard.press("Space")
    page.wait_for_timeout(100)
    heard, keys = Recording(page), page.evaluate("window.keys")
    low, high = (envelope(heard.samples, heard.rate, hertz) for hertz in (500, 800))
    latencies = []
    for key in keys[1:7]:
        start, stop = heard.index(key), heard.index(key + 0.15)
        crossed = np.flatnonzero(np.diff(np.sign(low[start:stop] - high[start:stop])))
        assert len(crossed) == 1, "one switch a key press"
        latencies.append(crossed[0] / heard.rate)
    print(f"switch latency, key to the middle of the fade: {np.round(1000 * np.array(latencies), 1)} ms")
    assert max(latencies) < 0.05

    # A jump of the waveform is a spike of its second difference; the two steady tones bound it.
    steady = heard.part(keys[0] + 0.15, keys[1])
    bound = 2.2 * np.abs(np.diff(steady, 2)).max() * (800 / 500) ** 2
    rough = np.abs(np.diff(heard.part(keys[0], keys[-1] + 0.1), 2)).max()
    hard = np.concatenate([steady[:1000], steady[1040:2000]])  # what an ungained switch would have done
    assert rough < bound < 20 * rough
    cut = heard.part(keys[0] + 0.15, keys[0] + 0.3).copy()
    cut[len(cut) // 2 :] = 0
    assert max(np.abs(np.diff(cut, 2)).max(), np.abs(np.diff(hard, 2)).max()) > bound, "the measure sees a click"


def test_start_pause_seek_and_loop_make_no_click_either(page):
    page.keyboard.press("3")
    page.evaluate(TAP)
    page.keyboard.press("Space")
    page.wait_for_timeout(300)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    page.evaluate("document.querySelector('.lp').stav2aPlayer.transport.setLoop({start: 1.0137, end: 1.2001})")
    page.wait_for_timeout(900)
    page.keyboard.press("Space")
    page.wait_for_timeout(200)
    heard, keys = Recording(page), page.evaluate("window.keys")
    during = heard.part(keys[0], keys[-1] + 0.1)
    steady = heard.part(keys[0] + 0.1, keys[0] + 0.25)
    assert np.abs(np.diff(during, 2)).max() < 2.2 * np.abs(np.diff(steady, 2)).max()
    level = np.abs(hilbert(heard.part(keys[1] + 0.35, keys[-1] - 0.05)))
    assert level[200:-200].min() > 0.1 * level.max(), "the loop wraps without a hole"
    assert np.abs(heard.part(keys[-1] + 0.06, keys[-1] + 0.1)).max() < 1e-6, "silent after the pause"


def test_a_loop_repeats_exactly(page, noise):
    page.evaluate(TAP)
    page.evaluate("document.querySelector('.lp').stav2aPlayer.transport.setLoop({start: 2, end: 2.5})")
    page.keyboard.press("Space")
    page.wait_for_timeout(2300)
    playhead = page.evaluate("document.querySelector('.lp').stav2aPlayer.transport.playhead()")
    assert 2 <= playhead <= 2.52
    heard, key = Recording(page), page.evaluate("window.keys[0]")
    places = []
    for cycle in range(4):
        begin = key + 0.12 + 0.5 * cycle
        match = fftconvolve(noise[: 4 * RATE], heard.part(begin, begin + 0.1)[::-1], mode="valid")
        places.append(int(np.argmax(match)))
    assert np.ptp(places) <= 1, f"every cycle plays the same part at the same time: {places}"
    assert 2 * RATE <= places[0] < 2.5 * RATE


def test_the_video_follows_the_sound(page):
    """Sound heard minus picture shown, for every frame the browser displays."""
    page.evaluate(WATCH)
    page.keyboard.press("Space")
    page.wait_for_timeout(1000 * SYNC_S)
    frames = np.array(page.evaluate("window.drift"))
    times, drift = frames[:, 0], 1000 * frames[:, 1]
    settled = drift[times > 1.0]
    low, middle, high = np.percentile(settled, [2.5, 50, 97.5])
    last = np.median(drift[times > times[-1] - 2])
    print(
        f"{len(frames)} frames in {SYNC_S:g} s; first second {drift[times <= 1].min():.1f} to "
        f"{drift[times <= 1].max():.1f} ms; then median {middle:.1f}, 95 % in {low:.1f} to {high:.1f} ms, "
        f"last two seconds {last:.1f} ms"
    )
    frame_ms = 1000 / FPS
    assert len(frames) > 0.5 * SYNC_S * FPS
    assert abs(middle) < frame_ms and abs(last) < frame_ms
    assert max(abs(low), abs(high)) < frame_ms

    page.evaluate("document.querySelector('.lp').stav2aPlayer.seek(3)")
    page.wait_for_timeout(1500)
    frames = np.array(page.evaluate("window.drift"))
    after = 1000 * frames[-15:, 1]
    assert np.abs(np.median(after)) < frame_ms, "in sync again after a seek"


def test_keyboard_levels_and_names(page):
    transport = "document.querySelector('.lp').stav2aPlayer.transport"
    state = f"(() => {{ const t = {transport}; return [t.selected, t.playing, t.position] }})()"
    assert page.evaluate(state) == [0, False, 0]
    page.keyboard.press("4")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowLeft")
    selected, playing, position = page.evaluate(state)
    assert (selected, playing, position) == (3, False, pytest.approx(1.9))
    page.keyboard.press("9")
    page.keyboard.press("r")
    assert page.evaluate(state)[0] == 3, "there is no ninth sound and no reference"
    pressed = page.get_attribute(".lp-sound >> nth=3", "aria-pressed")
    assert pressed == "true"
    assert page.inner_text(".lp-sound >> nth=2 >> .lp-name") == "<b>500 Hz</b>", "a name is text, never HTML"
    page.keyboard.press("l")
    assert page.evaluate("document.querySelector('.lp').stav2aPlayer.transport.loop.end") > 1.9
    page.keyboard.press("Home")
    assert page.evaluate(state)[2] == 0

    # The fourth sound was made 20 dB weaker: matched, it is as loud as the third.
    page.evaluate(TAP)
    page.keyboard.press("Space")
    page.wait_for_timeout(400)
    page.click("text=Equal loudness")
    page.wait_for_timeout(400)
    page.keyboard.press("Space")
    page.wait_for_timeout(100)
    heard, keys = Recording(page), page.evaluate("window.keys")
    sounds = np.sqrt(np.mean(heard.part(keys[0] + 0.1, keys[0] + 0.3) ** 2))
    made = np.sqrt(np.mean(heard.part(keys[1] - 0.15, keys[1]) ** 2))
    assert page.is_visible("text=Loudness as made")
    own = page.evaluate("document.querySelector('.lp').stav2aPlayer.value.sounds[3].own_db")
    assert 20 * np.log10(made / sounds) == pytest.approx(own, abs=0.3)
