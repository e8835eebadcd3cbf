"""The built-in describer: what ImageNet's classes say about sounds, and when it stays silent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stav2a.condition.image_features import describer
from stav2a.condition.image_features.describer import Suggestion, confidence, describe, named, sound_shares
from stav2a.condition.image_features.network import CLASSES, Recognition, unavailable
from stav2a.condition.image_features.sounding import soundings
from stav2a.condition.phrases import PHRASES

LION, TABBY, DRUMSTICK, BEAGLE, PUG = 291, 281, 542, 162, 254


class Network:
    """Gives set probabilities, class -> probability, the same for every picture."""

    def __init__(self, **seen: float):
        self.seen = {int(name[1:]): value for name, value in seen.items()}

    def __call__(self, frames, fps, per_s, most) -> Recognition:
        row = torch.full((CLASSES,), (1 - sum(self.seen.values())) / CLASSES)
        for index, value in self.seen.items():
            row[index] += value
        return Recognition(torch.zeros(1, 4), row[None].repeat(3, 1))


FRAMES = np.zeros((3, 8, 8, 3), np.uint8)


def test_the_table_names_each_class_once_and_known_sounds():
    seen = [index for sound in soundings() for index in sound.seen]
    assert len(seen) == len(set(seen)) and set(seen) <= set(range(CLASSES))
    assert {sound.cls for sound in soundings()} <= {"", *PHRASES}
    captions = [sound.caption for sound in soundings()]
    assert len(captions) == len(set(captions))
    assert all(caption == caption.strip() and caption[0].islower() for caption in captions)


@pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("lion, king of beasts, Panthera leo", "a lion roars"),
        ("beagle", "a dog barks"),
        ("tabby, tabby cat", "a cat meows"),
        ("cello, violoncello", "a cello is played with a bow"),
        ("chain saw, chainsaw", "a chainsaw runs"),
        ("computer keyboard, keypad", "someone types on a keyboard"),
        ("freight car", "a train passes"),
        ("assault rifle, assault gun", "a gun is fired"),
        ("seashore, coast, seacoast, sea-coast", "waves roll in"),
        ("snowmobile", "a snowmobile engine runs"),
        ("toilet seat", "a toilet is flushed"),
    ],
)
def test_names_of_imagenet_lead_to_the_right_sound(name, caption):
    from timm.data import ImageNetInfo

    index = ImageNetInfo().label_descriptions().index(name)
    assert [sound.caption for sound in soundings() if index in sound.seen] == [caption]


def test_what_is_seen_clearly_is_named():
    (found,) = describe(FRAMES, 1.0, Network(_291=0.8))
    assert found.caption == "a lion roars" and found.cls == "wild_animal" and found.confidence > describer.SURE


def test_classes_that_sound_alike_add_up():
    (found,) = describe(FRAMES, 1.0, Network(**{f"_{k}": 0.06 for k in range(BEAGLE, BEAGLE + 10)}))
    assert found.cls == "dog_bark"


def test_two_things_seen_give_two_suggestions():
    found = describe(FRAMES, 1.0, Network(_291=0.5, _281=0.45))
    assert [suggestion.cls for suggestion in found] == ["wild_animal", "cat_meow"]
    assert len(describe(FRAMES, 1.0, Network(_291=0.5, _281=0.45), most=1)) == 1


def test_it_is_silent_when_unsure():
    assert describe(FRAMES, 1.0, Network(_291=0.02)) == []
    assert describe(FRAMES, 1.0, Network()) == []  # 118 breeds of dogs hold a ninth of an even spread
    assert describe(FRAMES, 1.0, Network(_999=0.9)) == []  # toilet tissue makes no sound
    assert describe(FRAMES, 1.0, Network(_291=0.02), sure=0.0)


def test_shares_are_the_sums_of_what_stands_out():
    probabilities = torch.zeros(CLASSES)
    probabilities[[BEAGLE, PUG]] = torch.tensor([0.3, 0.2])
    shares = dict(zip([s.caption for s in soundings()], sound_shares(probabilities).tolist(), strict=True))
    assert shares["a dog barks"] == pytest.approx(0.5 - 2 * describer.FLOOR)
    assert shares["a lion roars"] == 0


def test_confidence_grows_with_the_share():
    values = [confidence(share) for share in (0.0, 0.01, 0.1, 0.5, 1.0)]
    assert values == sorted(values) and 0 < values[0] < 0.2 and 0.8 < values[-1] < 1


def test_the_surest_comes_first_and_writes_itself_as_json():
    row = torch.zeros(1, CLASSES)
    row[0, LION], row[0, DRUMSTICK] = 0.3, 0.6
    first, second, *_ = named(row)
    assert (first.cls, second.cls) == ("tom_drum", "wild_animal")
    said = Suggestion("a lion roars", "wild_animal", 0.91234).to_json()
    assert said == {"caption": "a lion roars", "cls": "wild_animal", "confidence": 0.912}
