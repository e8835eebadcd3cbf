"""What people call the sounds of the shelf beyond the captions of its recordings, and what stands in for what it lacks.

What the describer of pictures says has a class (`condition/image_features/sounding.py`), and so have the phrases that
the models' captions are made of (`condition/phrases.py`); `NAMES` adds what people write of videos.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stav2a.condition.phrases import PHRASES

INSTEAD = {
    "keyboard_typing": "switch_click",
    "bow_shot": "whoosh",
    "footsteps_metal": "metal_hit",
}  # classes with no open recording
NAMES = {
    "alarm_siren": ("an alarm beeps",),
    "ball_bounce_hit": (
        "a bowling ball hits the pins", "a shuttlecock is hit", "a table tennis ball bounces", "a tennis ball is hit",
    ),
    "bird_chirp": ("a bird calls", "a bird of prey screeches", "an owl hoots"),
    "cat_meow": ("a cat screams", "a cat yowls"),
    "clock_tick": ("a metronome ticks",),
    "crinkle": ("a stick hits a bush", "a stick hits dry leaves", "cloth is folded", "paper is unfolded"),
    "crowd": ("people cheer in a stadium", "people talk in a restaurant"),
    "dog_bark": ("a dog yelps", "dogs bay"),
    "fire_crackle": ("food sizzles in a pan",),
    "glass_clink": ("dishes clink in the sink", "plates and cups are moved"),
    "hand_drum": ("a djembe is struck with the hands",),
    "horse_neigh": ("a donkey brays",),
    "laugh": ("a baby laughs", "a child giggles"),
    "machine_hum": ("a machine hums", "a sewing machine stitches cloth", "a kitchen mixer runs"),
    "metal_hit": (
        "a stick hits a metal railing", "metal tools are put down", "pots and pans clank",
    ),
    "metal_scrape": ("a knife is sharpened",),
    "piano_note": ("a keyboard instrument is played", "a piano is played"),
    "plastic_hit": ("a stick hits a plastic bin",),
    "plucked_string": (
        "a bass guitar is played", "a double bass is plucked", "a ukulele is strummed", "someone plays guitar",
        "someone plays string instruments",
    ),
    "power_tool": ("a lathe spins and cuts metal", "a lathe turns wood", "an angle grinder cuts metal"),
    "rolling_object": ("a skateboard rolls and lands", "someone rides a skateboard"),
    "snare_drum": ("a practice drum pad is hit",),
    "switch_click": ("a computer mouse is clicked", "buttons are pressed", "someone types"),
    "metal_rattle": ("a chain is shaken", "keys jingle"),
    "thud": ("a stick hits a cushion", "a stick hits clothes", "a stick hits a bag"),
    "vehicle_engine": ("a snowmobile drives", "a toy car drives", "a go-kart drives by", "an engine revs up"),
    "whoosh": ("a rope swings through the air",),
    "wild_animal": ("a monkey hoots", "a fox yelps", "an elephant calls"),
    "wind": ("a tornado roars",),
    "wood_hit": ("a stick hits a tree", "a stick hits a wooden wall", "a stick hits furniture"),
    "xylophone": ("a marimba is played", "a vibraphone is played with mallets", "steel pans are played"),
}  # fmt: skip


def names_of(classes: Collection[str]) -> dict[str, str]:
    """{sentence: class} of what these classes are called."""
    from stav2a.condition.image_features.sounding import soundings  # brings torch, without which the page is made

    pairs = [(sentence, cls) for cls, phrases in PHRASES.items() for sentence in sentences(phrases)]
    pairs += [(sound.caption, sound.cls) for sound in soundings()]
    pairs += [(name, cls) for cls, names in NAMES.items() for name in names]
    held = [(name, INSTEAD.get(cls, cls) if cls not in classes else cls) for name, cls in pairs]
    return {name: cls for name, cls in held if cls in classes}


def sentences(phrases: Sequence[str]) -> list[str]:
    """ "a dog|barks|barking" -> "a dog barks", without the last phrase of a class, which is for tests."""
    return [" ".join(phrase.split("|")[:2]) for phrase in phrases[:-1]]
