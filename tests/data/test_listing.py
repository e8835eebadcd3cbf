"""Lists of clips to prepare: tables as they are published, splits, and bad tables told in a sentence."""

from __future__ import annotations

import pytest

from stav2a.data.listing import fingerprint, list_sources
from stav2a.data.prepare import kind_of


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("vgg.csv", "abc,30,dog barking,train\nxyz,5,drums,test\n", [("abc_000030.mp4", "dog barking", "train", 0.0)]),
        (
            "caps.csv",
            "audiocap_id,youtube_id,start_time,caption\n1,abc,30,a dog\n",
            [("abc_000030.mp4", "a dog", "", 0.0)],
        ),
        ("set.csv", '# YTID, start\nabc, 30.000, 40.000, "/m/1,/m/2"\n', [("abc_000030.mp4", "/m/1,/m/2", "", 0.0)]),
        ("own.jsonl", '{"file": "abc_000030.mp4", "caption": "x", "start_s": 2}\n', [("abc_000030.mp4", "x", "", 2.0)]),
        ("own.csv", "file,caption,split\nabc_000030.mp4,y,val\n", [("abc_000030.mp4", "y", "val", 0.0)]),
    ],
)
def test_tables_as_they_are_published(tmp_path, name, text, wanted):
    (tmp_path / "abc_000030.mp4").touch()
    (tmp_path / name).write_text(text)
    found = list_sources(tmp_path / name)
    assert [(s.name, s.caption, s.split, s.start_s) for s in found][:1] == wanted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n", "needs a header"),
        ("file,split\nx.mp4,dev\n", "row 1: the split is 'dev'"),
        ("file,start\nx.mp4,soon\n", "row 1: the start or the duration is no number"),
        ("", "lists no videos"),
    ],
)
def test_bad_tables_are_told_in_a_sentence(tmp_path, text, sentence):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        list_sources(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("name", "text", "file", "wanted"),
    [
        ("auto.csv", 'abcdefghijk,"rain on a roof"\n', "abcdefghijk.flac", ("rain on a roof", 0.0, None)),
        ("auto2.csv", "# ID, caption\nabcdefghijk_000030,rain\n", "abcdefghijk_000030.mp4", ("rain", 0.0, None)),
        ("wavcaps.json", '{"num": 1, "data": [{"id": "7", "caption": "rain", "duration": 61.5}]}', "7.flac",
         ("rain", 0.0, None)),
        ("sl.json", '{"data": [{"id": "Yabc.wav", "caption": "rain"}]}', "Yabc.flac", ("rain", 0.0, None)),
        ("caps.csv", "audiocap_id,youtube_id,start_time,caption\n1,abc,30,rain\n", "abc_30.wav", ("rain", 0.0, None)),
        ("caps.csv", "audiocap_id,youtube_id,start_time,caption\n1,abc,30,rain\n", "abc.m4a", ("rain", 30.0, 10.0)),
        ("clap.jsonl", '{"audio": "deep/rain.wav", "text": ["rain", "it pours"]}', "rain.wav", ("rain", 0.0, None)),
    ],
)  # fmt: skip
def test_sets_of_captioned_sound_as_they_are_published(tmp_path, name, text, file, wanted):
    (tmp_path / file).touch()
    (tmp_path / name).write_text(text)
    (found,) = list_sources(tmp_path / name)
    assert found.path == str(tmp_path / file)
    assert (found.caption, found.start_s, found.duration_s) == wanted


def test_a_bad_row_and_a_bad_caption_are_told_and_the_others_stand(tmp_path):
    (tmp_path / "rain.wav").touch()
    (tmp_path / "wind.wav").touch()
    (tmp_path / "wind.txt").write_bytes("Wind im Geb\xe4lk".encode("latin-1"))
    (tmp_path / "rain.txt").write_text("\ufeffrain\n", encoding="utf-8")
    rain, wind = list_sources(tmp_path)
    assert (rain.caption, rain.trouble) == ("rain", "")
    assert (wind.caption, wind.trouble) == ("Wind im Gebälk", "")
    (tmp_path / "wind.txt").write_bytes(bytes(range(256)) * 9)
    assert "wind.txt is no text" in list_sources(tmp_path)[1].trouble
    (tmp_path / "t.csv").write_text(
        "file,caption,start\nrain.wav,rain,0\nwind.wav,wind,soon\nwind.wav,wind,nan\n,x,0\n"
    )
    troubles = [source.trouble for source in list_sources(tmp_path / "t.csv")]
    assert troubles[0] == "" and all("row" in trouble for trouble in troubles[1:])


def test_a_table_in_another_encoding_and_an_unknown_column_are_told(tmp_path):
    (tmp_path / "t.csv").write_bytes("file,caption\na.wav,rain\nb.wav,B\xe4r\n".encode("latin-1"))
    assert list_sources(tmp_path / "t.csv")[1].caption == "Bär"
    spreadsheet = '\ufeffFile;Caption;Start\r\na.wav;"rain\non a roof";0\r\nb.wav;wind;1.5\r\n'
    (tmp_path / "t.csv").write_bytes(spreadsheet.encode())
    assert [(s.name, s.caption.split(), s.start_s) for s in list_sources(tmp_path / "t.csv")] == [
        ("a.wav", ["rain", "on", "a", "roof"], 0.0), ("b.wav", ["wind"], 1.5)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="address"):
        list_sources("https://example.com/clips.csv")
    (tmp_path / "u.csv").write_text("file,caption,auto_caption\na.wav,x,a dog\n")
    assert list_sources(tmp_path / "u.csv", caption_column="auto_caption")[0].caption == "a dog"
    with pytest.raises(ValueError, match="no column auto_captoin; did you mean auto_caption"):
        list_sources(tmp_path / "u.csv", caption_column="auto_captoin")


def test_the_fingerprint_follows_what_is_listed(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    first = fingerprint(list_sources(tmp_path))
    (tmp_path / "a.txt").write_text("a dog")
    assert fingerprint(list_sources(tmp_path)) != first
    assert (
        kind_of("AV-Align 0.1 is below 0.2")
        == kind_of("AV-Align 0.15 is below 0.2")
        != kind_of("CLAP 0.1 is below 0.3")
    )
