"""The class that a caption asks for, and how well a sound matches it."""

from __future__ import annotations

import numpy as np
import pytest

from stav2a.metrics.bank_classifier import ASSETS, known_classes
from stav2a.ui.generate import class_match as module
from stav2a.ui.generate.class_match import asked_class, class_match
from stav2a.ui.generate.inputs import SUGGESTIONS

CLASSES = tuple(known_classes())


@pytest.mark.parametrize(
    ("caption", "name"),
    [
        ("a hammer strikes metal", "hammering"),
        ("footsteps on a hard floor", "footsteps_hard"),
        ("hands play a drum", "hand_drum"),
        ("A ball bounces on wood.", "ball_bounce_hit"),
        ("two dogs barking", "dog_bark"),
        ("glass breaks", "glass_break"),
        ("water splashes", "water_splash"),
        ("birds chirp outdoors", "bird_chirp"),
        ("the sound of a door slamming", "door_close"),
        ("", None),
        ("something", None),
        ("ein Hund bellt", None),
        ("$(id) <b>", None),
    ],
)
def test_the_class_a_caption_asks_for(caption, name):
    assert asked_class(caption, CLASSES) == name


def test_every_suggestion_names_a_class():
    asked = [asked_class(text, CLASSES) for text in SUGGESTIONS]
    assert None not in asked and len(set(asked)) == len(asked)


def test_a_wording_of_a_class_is_found_again():
    """Of all wordings the renderer uses, nearly all come back to their class or to one that shares their words."""
    from stav2a.condition.phrases import PHRASES

    wordings = [(name, " ".join(text.split("|")[:2])) for name in CLASSES for text in PHRASES.get(name, ())]
    found = np.mean([asked_class(text, CLASSES) == name for name, text in wordings])
    assert found > 0.9


def test_it_is_a_rank_among_the_classes(monkeypatch):
    from stav2a.metrics import bank_classifier

    order = np.arange(len(CLASSES), dtype=np.float32)[::-1]  # the first class is the most likely

    class Described:
        probabilities = order / order.sum()

    monkeypatch.setattr(module, "_classifier", lambda: None)
    monkeypatch.setattr(bank_classifier, "describe", lambda model, waveform: Described)
    noise = np.ones(16_000, np.float32)
    assert class_match("an aircraft flies past", noise) == 1.0
    assert class_match("a xylophone is played", noise) == 0.0
    assert class_match("", noise) is None
    assert class_match("a dog barks", np.zeros(16_000, np.float32)) is None


@pytest.mark.skipif(not (ASSETS / "model.safetensors").is_file(), reason="there is no classifier here")
def test_real_sounds_match_their_own_name_better_than_another(shared):
    """Recordings of the bank, as the weights of this checkout hear them: above chance, whatever the class."""
    import soundfile

    files = sorted((shared / "soundbank").rglob("*.flac")) or sorted((shared / "soundbank").rglob("*.ogg"))
    own, other = [], []
    for name, wrong in (("dog_bark", "sea_waves"), ("sea_waves", "dog_bark"), ("glass_break", "machine_hum")):
        for path in [path for path in files if name in str(path)][:4]:
            waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
            if rate != 16_000:
                continue
            own.append(class_match(name.replace("_", " "), waveform[:, 0]))
            other.append(class_match(wrong.replace("_", " "), waveform[:, 0]))
    if not own:
        pytest.skip("the bank holds no such recordings at 16 kHz")
    assert np.mean(own) > 0.7 and np.mean(own) > np.mean(other) + 0.1
