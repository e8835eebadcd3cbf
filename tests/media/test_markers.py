"""Onsets to Audacity, Reaper, MIDI and EDL and back."""

import pytest

from stav2a.media.limits import InputError
from stav2a.media.markers import KINDS, Marker, kind_of, of_onsets, read_markers, write_markers

ONSETS = [0.0, 0.512, 1.04, 1.08, 75.32, 3725.4]
KEEPS = {"audacity": 1e-6, "reaper": 5e-4, "midi": 1e-4, "edl": 0.5 / 29.97 + 1e-9}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fps", [25.0, 29.97])
def test_onsets_come_back(tmp_path, kind, fps):
    path = write_markers(tmp_path / f"onsets{KINDS[kind].suffixes[0]}", of_onsets(ONSETS), fps=fps)
    read = read_markers(path, fps=fps)
    assert [m.time_s for m in read] == pytest.approx(ONSETS, abs=KEEPS[kind])
    assert all(m.end_s is None for m in read)
    if kind != "midi":
        assert [m.name for m in read] == [f"hit {k}" for k in range(1, 7)]


@pytest.mark.parametrize("kind", ["audacity", "reaper", "edl"])
def test_regions_keep_their_end(tmp_path, kind):
    path = write_markers(tmp_path / "r", [Marker(1.0, "rain, and wind", 3.52)], kind)
    (region,) = read_markers(path, kind)
    assert (region.time_s, region.end_s) == pytest.approx((1.0, 3.52))
    assert region.name == "rain, and wind"


def test_midi_keeps_strength(tmp_path):
    path = write_markers(tmp_path / "a.mid", [Marker(0.5, strength=1.0), Marker(1.0, strength=0.25)])
    assert [m.strength for m in read_markers(path)] == pytest.approx([1.0, 0.25], abs=1 / 127)


def test_midi_of_a_sequencer_with_its_own_tempo(tmp_path):
    import mido

    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])  # 60 beats a minute
    for beat in (0, 1):
        track += [mido.Message("note_on", note=38, velocity=90, time=480 * beat), mido.Message("note_off", note=38)]
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(tmp_path / "drums.mid")
    assert [m.time_s for m in read_markers(tmp_path / "drums.mid")] == pytest.approx([0.0, 1.0])


def test_files_as_the_programs_write_them(tmp_path):
    (tmp_path / "labels.txt").write_text("0.250000\t0.250000\tdoor\n\\\t100.0\t2000.0\n1.5\t2.0\tchair\n")
    assert read_markers(tmp_path / "labels.txt") == [Marker(0.25, "door"), Marker(1.5, "chair", 2.0)]
    (tmp_path / "reaper.csv").write_text(
        "\ufeff#,Name,Start,End,Length\nR1,Verse,0:01.500,0:03.000,0:01.500\nM1,,12.25,,\n"
    )
    assert read_markers(tmp_path / "reaper.csv") == [Marker(1.5, "Verse", 3.0), Marker(12.25, "hit")]
    (tmp_path / "resolve.edl").write_text(
        "TITLE: Timeline 1\nFCM: NON-DROP FRAME\n\n"
        "001  001      V     C        01:00:02:12 01:00:02:13 01:00:02:12 01:00:02:13  \n"
        " |C:ResolveColorBlue |M:Marker 1 |D:1\n"
    )
    assert read_markers(tmp_path / "resolve.edl", fps=24) == [Marker(2.5, "Marker 1")]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"soon\tlater\tx\n", "'soon' is no time"),
        ("a.txt", b"nan\tnan\tx\n", "'nan' is no time"),
        ("a.txt", b"-1\t-1\tx\n", "lies at -1 s"),
        ("a.txt", b"\xff\xfe\x00", "not a text file"),
        ("a.csv", b"time,name\n1,x\n", "a column named Start"),
        ("a.csv", b"#,Name,Start\nM1,x,1.1.00\n", "'1.1.00' is no time"),
        ("a.mid", b"MThd nothing", "no MIDI file"),
        ("a.mid", b"", "no MIDI file"),
        ("a.edl", b"TITLE: x\n", "no events"),
        ("a.doc", b"", "not as .doc"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence.replace(".", r"\.")):
        read_markers(tmp_path / name)


def test_missing_files_and_unknown_formats(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_markers(tmp_path / "none.txt")
    with pytest.raises(InputError, match="no marker format 'xml'"):
        write_markers(tmp_path / "a.txt", [], "xml")
    assert kind_of(tmp_path / "A.MID") == "midi"


def test_names_stay_on_their_line(tmp_path):
    path = write_markers(tmp_path / "a.txt", [Marker(1.0, "two\nlines\tand a tab")])
    assert [m.name for m in read_markers(path)] == ["two lines and a tab"]
