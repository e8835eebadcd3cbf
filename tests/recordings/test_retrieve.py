"""Finding recordings: what a caption asks for, the right class, variants of one thing, takes that differ."""

from functools import lru_cache

import numpy as np
import pytest

from stav2a.condition import text
from stav2a.recordings.phrases import asks_for_silence, bare, phrases
from stav2a.recordings.retrieve import by_caption, by_class, by_picture
from stav2a.recordings.shelf import SHELF, Shelf, shipped

RATE = 16_000
needs_shelf = pytest.mark.skipif(not (SHELF / "index.csv").is_file(), reason="the shelf is not here")


@lru_cache(maxsize=1)
def minilm():
    return text.load_minilm()


def embed(captions) -> np.ndarray:
    return text.sentence_embeddings(*minilm(), captions).numpy()


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("The sound of a dog barking twice.", ["a dog barking"]),
        ("a drum is hit, a cymbal is hit with a stick and a snare drum is hit", None),
        ("A car drives past while rain falls, and birds sing", ["a car drives past", "rain falls", "birds sing"]),
        ("Please generate the sound of a hammer!", ["a hammer"]),
        ("A man speaks and then fires a rifle", ["fires a rifle"]),
        ("a woman sings", ["a woman sings"]),
        ("a bird sings and a man talks", ["a bird sings"]),
        ("silence", []),
        ("No sound.", []),
        ("", []),
        ("bread and butter is cut", ["bread and butter is cut"]),
    ],
)
def test_a_prompt_in_parts(prompt, parts):
    found = phrases(prompt)
    if parts is None:
        parts = ["a drum is hit", "a cymbal is hit with a stick", "a snare drum is hit"]
    assert found == parts
    assert asks_for_silence(prompt) == (bool(prompt) and not parts)


def test_counts_say_nothing_of_what_is_heard():
    assert bare("a dog barks several times") == bare("A dog barks once") == "a dog barks"
    assert len(phrases(", ".join("abcdefgh"))) == 4


@needs_shelf
def test_shelf_holds_what_its_index_says_and_credits_everybody():
    shelf = shipped()
    assert len(shelf) >= 400 and len(shelf.classes) >= 90
    credits = (SHELF / "CREDITS.md").read_text(encoding="utf-8")
    for recording in shelf.recordings:
        assert recording.licence in ("CC0", "MIT", "public domain") or recording.licence.startswith("CC BY ")
        assert "SA" not in recording.licence and "NC" not in recording.licence
        assert recording.author in credits and recording.licence in credits
    for recording in shelf.recordings[::40]:
        wave = shelf.load(recording)
        assert len(wave) / RATE == pytest.approx(recording.duration_s, abs=0.002)
        assert 0.3 < np.abs(wave).max() < 1.1
    assert sum(path.stat().st_size for path in SHELF.rglob("*") if path.is_file()) < 25e6


@needs_shelf
@pytest.mark.parametrize(
    ("prompt", "classes"),
    [
        ("A dog barks.", ["dog_bark"]),
        ("wine glasses are clinked together", ["glass_clink"]),
        ("a person types on a computer keyboard", ["switch_click"]),
        ("rain on a roof while thunder rumbles", ["rain", "thunder"]),
        ("a cat meows", ["cat_meow"]),
        ("a man walks on gravel", ["footsteps_gravel"]),
        ("a chainsaw cuts a tree", ["chainsaw"]),
        ("waves roll onto the beach", ["sea_waves"]),
        ("someone plays the drums", ["snare_drum", "tom_drum", "kick_drum", "hand_drum", "cymbal"]),
    ],
)
def test_captions_find_their_class(prompt, classes):
    for seed in range(3):
        found = [voice.cls for voice in by_caption(shipped(), prompt, embed, seed, RATE)]
        assert set(found) <= set(classes) and len(found) == len(phrases(prompt))


@needs_shelf
def test_same_seed_same_recordings_and_takes_differ():
    def names(seed: int) -> list[str]:
        return [r.path for voice in by_caption(shipped(), "a dog barks", embed, seed, RATE) for r in voice.recordings]

    assert names(3) == names(3)
    assert len({tuple(names(seed)) for seed in range(6)}) >= 3


@needs_shelf
def test_by_class_and_by_picture():
    shelf = shipped()
    assert by_class(shelf, "xylophone", 0, RATE).cls == "xylophone"
    assert by_picture(shelf, {"dog_bark": 0.2, "cat_meow": 0.7, "unicorn": 0.9}, 0, RATE).cls == "cat_meow"
    with pytest.raises(ValueError, match="holds no 'unicorn'"):
        by_class(shelf, "unicorn", 0, RATE)
    with pytest.raises(ValueError, match="None of the classes"):
        by_picture(shelf, {"unicorn": 1.0}, 0, RATE)


@needs_shelf
def test_the_picture_decides_between_hits_and_texture():
    prompt = "water splashes"
    hits = [by_caption(shipped(), prompt, embed, seed, RATE, True)[0] for seed in range(8)]
    steady = [by_caption(shipped(), prompt, embed, seed, RATE, False)[0] for seed in range(8)]
    assert all(voice.texture is None for voice in hits) and all(voice.texture is not None for voice in steady)


@needs_shelf
def test_voices_have_several_hits_that_begin_at_once():
    voice = by_class(shipped(), "snare_drum", 1, RATE, True)
    assert len(voice.hits) >= 2
    for hit in voice.hits:
        assert 0 <= hit.attack <= 0.05 * RATE
        assert np.abs(hit.waveform[hit.attack :]).max() == np.abs(hit.waveform).max()


@needs_shelf
def test_other_rates_are_served():
    one, two = (by_class(shipped(), "snare_drum", 1, rate, True) for rate in (RATE, 2 * RATE))
    assert len(two.hits[0].waveform) == pytest.approx(2 * len(one.hits[0].waveform), rel=0.02)


def test_a_folder_without_a_shelf_is_said(tmp_path):
    with pytest.raises(ValueError, match="no shelf of recordings"):
        Shelf(tmp_path)
