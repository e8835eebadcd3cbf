"""Finding recordings: what a caption asks for, the right class, variants of one thing, takes that differ."""

from functools import lru_cache

import numpy as np
import pytest

from stav2a.condition import text
from stav2a.condition.image_features.sounding import soundings
from stav2a.data.shelf import embedded
from stav2a.recordings.names import INSTEAD, NAMES
from stav2a.recordings.phrases import bare, counted, phrases
from stav2a.recordings.retrieve import by_caption, by_class, likeness
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
        ("A man and a child bounce a ball", ["a man and a child bounce a ball"]),
        ("You can hear a dog barking, close by, and rain", ["dog barking", "rain"]),
        ("a dog and a cat", ["a dog", "a cat"]),
        ("A drumstick taps a metal rail again and again", ["a wooden stick taps a metal rail"]),
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


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("A dog barks twice, and rain falls", [2, None]),
        ("a single note is played on a piano", [1]),
        ("a hammer hits three times while a bell rings once", [3, 1]),
        ("a dog barks several times", [None]),
    ],
)
def test_counts_of_the_parts(prompt, counts):
    assert [count for _, count in counted(prompt)] == counts


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
        ("a man plays a bass guitar", ["plucked_string"]),
        ("a baby laughs in bursts on a playmat", ["laugh"]),
        ("a drumstick hits a soft cushion", ["thud"]),
        ("a rider drives off on a snowmobile", ["vehicle_engine"]),
        ("a person pushes a sewing machine's pedal", ["machine_hum"]),
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
def test_by_class():
    shelf = shipped()
    assert by_class(shelf, "xylophone", 0, RATE).cls == "xylophone"
    with pytest.raises(ValueError, match="holds no 'unicorn'"):
        by_class(shelf, "unicorn", 0, RATE)


@needs_shelf
def test_what_the_describer_says_of_a_picture_finds_its_class():
    shelf = shipped()
    for caption, cls, _ in soundings():
        if (held := INSTEAD.get(cls, cls)) in shelf.classes:
            (voice,) = by_caption(shelf, caption, embed, 0, RATE)
            assert voice.cls == held or bare(voice.recordings[0].caption) == caption
    assert set(NAMES) <= set(shelf.classes)


@needs_shelf
def test_names_of_classes_are_embedded_as_they_are_and_lift_the_whole_class():
    shelf = shipped()
    names = list(shelf.names)[::20]
    places = [list(shelf.names).index(name) for name in names]
    np.testing.assert_allclose(shelf.name_embeddings[places], embedded(names), atol=2e-3)
    place = list(shelf.names).index("a ukulele is strummed")
    scores = likeness(shelf, shelf.name_embeddings[place])
    assert shelf.recordings[int(scores.argmax())].cls == "plucked_string" and scores.max() == pytest.approx(1, abs=1e-3)


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
def test_rolls_are_left_out_where_the_picture_shows_single_events():
    for seed in range(6):
        (voice,) = by_caption(shipped(), "a conga drum is played by hand", embed, seed, RATE, True)
        assert voice.cls == "hand_drum" and not any(recording.is_roll for recording in voice.recordings[:1])
    assert any(recording.is_roll for recording in shipped().recordings if recording.cls == "hand_drum")


@needs_shelf
def test_other_rates_are_served():
    one, two = (by_class(shipped(), "snare_drum", 1, rate, True) for rate in (RATE, 2 * RATE))
    assert len(two.hits[0].waveform) == pytest.approx(2 * len(one.hits[0].waveform), rel=0.02)


def test_a_folder_without_a_shelf_is_said(tmp_path):
    with pytest.raises(ValueError, match="no shelf of recordings"):
        Shelf(tmp_path)
