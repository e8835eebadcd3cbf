"""Lists of clips to prepare: tables as they are published, splits, and bad tables told in a sentence."""

from __future__ import annotations

import pytest

from stav2a.data.listing import Source, fingerprint, list_sources, with_splits
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


def test_splits_follow_names_and_keep_a_video_together():
    sources = [Source(f"{k // 2}.mp4", f"{k // 2}.mp4", start_s=k) for k in range(40)]
    first, turned = with_splits(sources, 0.1), with_splits(sources[::-1], 0.1)
    assert {s.name for s in first if s.split == "val"} == {s.name for s in turned if s.split == "val"}
    assert sum(s.split == "val" for s in first) == 4
    assert fingerprint(first) != fingerprint(sources)
    assert kind_of("AV-Align 0.1 is below 0.2") == kind_of("AV-Align 0.15 is below 0.2")
