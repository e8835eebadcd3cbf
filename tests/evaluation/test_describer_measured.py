"""How the describer is judged, and what captions bring: the arithmetic, and the command on two small clips."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from clips import make

from stav2a.__main__ import main
from stav2a.condition.image_features import Suggestion
from stav2a.condition.phrases import PHRASES
from stav2a.evaluation.models import captioned, naming
from stav2a.evaluation.models.captioned import CONDITIONS, CaptionedClip, levels
from stav2a.evaluation.models.kinds import known_kinds
from stav2a.evaluation.models.naming import Naming, fits, known_sounds, share
from stav2a.generation.settings import LOUDNESS_LUFS
from stav2a.timeline import COMPACT

LION = Suggestion("a lion roars", "wild_animal", 0.9)
FAN = Suggestion("an electric fan whirs", "machine_hum", 0.8)
CELLO = Suggestion("a cello is played with a bow", "", 0.8)


@pytest.mark.parametrize(
    ("said", "sounds", "right"),
    [
        (LION, "wild_animal", True),
        (LION, "gunshot;wild_animal", True),
        (LION, "wild_animal:tiger", False),
        (LION, "wild_animal:tiger|lion", True),
        (FAN, "machine_hum:sewing;power_tool", False),
        (CELLO, "violin;cello", True),
        (CELLO, "plucked_string", False),
        (LION, "", False),  # nothing may be said of it
    ],
)
def test_what_may_be_said(said, sounds, right):
    assert fits(said, sounds) is right


def test_the_table_knows_the_clips_of_the_kinds_and_the_sound_classes():
    assert known_sounds().keys() == known_kinds().keys()
    listed = {s.partition(":")[0] for sounds in known_sounds().values() for s in sounds.split(";") if s}
    instruments = {"accordion", "cello", "choir", "flute", "harp", "saxophone", "trombone", "trumpet", "violin"}
    assert listed <= {*PHRASES, *instruments}


def test_shares_have_wilson_intervals():
    whole = share(8, 8)
    assert whole["value"] == 1 and whole["ci95"][0] == pytest.approx(0.676, abs=0.001) and whole["n"] == 8


def test_the_naming_table_counts_by_kind():
    found = [
        Naming("a", "animals", "wild_animal", (LION,)),
        Naming("b", "animals", "dog_bark", (LION, FAN)),
        Naming("c", "animals", "dog_bark", ()),
        Naming("d", "tools", "machine_hum", (FAN,)),
    ]
    rows = naming.table(found)
    assert (rows["all: share named"]["value"], rows["all: share named"]["n"]) == (0.75, 4)
    assert rows["all: right where named"]["value"] == pytest.approx(2 / 3)
    assert rows["animals: right where named"] == share(1, 2)
    with pytest.raises(ValueError, match="no clips"):
        naming.table([])


def test_a_model_that_finds_captions_is_judged_alike(folder):
    class Finder:
        timeline, conditioner = COMPACT, SimpleNamespace(name="finder")
        found = "a dog barks"

        def encode_video(self, frames):
            assert frames.ndim == 4
            return frames

        def caption(self, frames):
            return self.found

    pipe = Finder()
    said = naming.found_by(pipe)(folder / next(iter(known_sounds())))
    assert said == [Suggestion("a dog barks", "dog_bark", 1.0)]
    pipe.found = ""
    with pytest.raises(ValueError, match="finder finds no captions"):
        naming.found_by(pipe)(folder / next(iter(known_sounds())))


def test_levels_are_decibels_against_the_own_sound():
    rate = 16_000
    own = 0.1 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate).astype(np.float32)
    as_made, fitted = levels(own / 10, own, rate)
    assert as_made == pytest.approx(-20, abs=0.01)
    assert fitted == pytest.approx(levels(own, own, rate)[1], abs=0.1)  # one loudness, whatever was made
    assert levels(np.zeros(rate, np.float32), own, rate)[0] < -90


def test_the_table_of_sounds_ranks_the_own_one():
    """Without a caption every clip sounds like the first one; with its own caption each sounds like itself."""
    own = np.eye(3) * 0.9 + 0.03

    def clip(k: int) -> CaptionedClip:
        made = dict(zip(CONDITIONS, (own[0], own[k], own[k]), strict=True))
        return CaptionedClip(str(k), k > 0, own[k], made, dict.fromkeys(CONDITIONS, (-20.0 - k, 1.0)))

    rows = captioned.table([clip(k) for k in range(3)])
    assert rows["all, manifest's caption: rank of the own sound"]["value"] == 0
    assert rows["all, no caption: rank of the own sound"]["value"] > 0.3
    assert rows["all, manifest's caption: KL_bank"]["value"] == pytest.approx(0, abs=1e-4)
    assert rows["all, no caption: level as made, dB, median"]["value"] == -21
    assert rows[f"named, no caption: level at {LOUDNESS_LUFS:g} LUFS, dB, quietest tenth"]["n"] == 2


@pytest.fixture
def folder(tmp_path):
    """Two clips of the table's names with a manifest."""
    names = list(known_sounds())[:2]
    for name in names:
        make(tmp_path / name, duration_s=1.2)
    lines = ["file,split,category,caption", *(f"{name},val,continuous,a tone sounds" for name in names)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_command_measures_names_and_sound(folder, monkeypatch, capsys):
    for module in (naming, captioned):
        monkeypatch.setattr(
            module, "suggestions", lambda path: [LION] if path.name == next(iter(known_sounds())) else []
        )
    assert main(["describer", str(folder), "--split", "val", "--sound", "tiny", "--seconds", "1", "--json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    assert tables["Named"]["all: share named"]["value"] == 0.5
    assert tables["Sound of tiny"]["all, describer's caption: KL_bank"]["n"] == 2
    assert main(["describer", str(folder), "--captions", "tiny"]) == 2
    assert "finds no captions; ta-v2a does." in capsys.readouterr().err
    assert main(["describer", str(folder)]) == 0
    assert "| all: share named | 0.500 |" in capsys.readouterr().out


def test_a_folder_without_a_manifest_gets_its_sentence(tmp_path, capsys):
    assert main(["describer", str(tmp_path)]) == 2
    assert "has no manifest.csv" in capsys.readouterr().err
