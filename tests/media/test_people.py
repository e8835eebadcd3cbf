"""Files as people have them: hidden ones, tables of spreadsheets in any country, addresses, full disks."""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import make
from PIL import Image

from stav2a.data.listing import list_sources
from stav2a.generation.captions import captions_of
from stav2a.generation.engine import Engine
from stav2a.media import ffmpeg, mux
from stav2a.media.clip_files import collect
from stav2a.media.limits import DEFAULT_LIMITS, InputError, disk_trouble
from stav2a.media.sound_files import write_sound
from stav2a.media.still import still_clip
from stav2a.media.text_files import read_text

CLIPS = [Path("clips/IMG_0001.MOV"), Path("clips/IMG_0002.MOV")]


@pytest.fixture
def folder(tmp_path) -> Path:
    names = (
        "IMG_0001.MOV",
        "._IMG_0001.MOV",
        ".hidden/a.mp4",
        "__MACOSX/IMG.mov",
        "sub/b.mp4",
        "@eaDir/b.mp4",
        ".DS_Store",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_hidden_files_and_those_of_systems_are_no_clips(folder):
    assert collect([str(folder)]) == [folder / "IMG_0001.MOV", folder / "sub" / "b.mp4"]
    assert [source.name for source in list_sources(folder)] == ["IMG_0001.MOV", "sub/b.mp4"]
    assert collect([str(folder / "._IMG_0001.MOV")]) == [folder / "._IMG_0001.MOV"], "who names one means it"


def test_the_folder_of_a_mac(shared, tmp_path):
    """`findings/inputs` holds a clip and what macOS put beside it."""
    for name in ("IMG_0001.MOV", "._IMG_0001.MOV"):
        shutil.copy(shared / "findings" / "inputs" / name, tmp_path)
    assert collect([str(tmp_path)]) == [tmp_path / "IMG_0001.MOV"]


@pytest.mark.parametrize(
    "address", ["https://example.com/a.mp4", "HTTP://a.b/c.mov", "s3://bucket/a.mp4", "file:///etc/passwd"]
)
def test_an_address_is_refused_in_one_sentence(address):
    with pytest.raises(InputError, match="address"):
        collect([address])
    with pytest.raises(InputError, match="address"), ffmpeg.open_source(Path(address), DEFAULT_LIMITS):
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"clip,caption\nIMG_0001.MOV,a hammer strikes\nIMG_0002.MOV,a dog\n",
        b"\xef\xbb\xbfclip,caption\r\nIMG_0001.MOV,a hammer strikes\r\nIMG_0002.MOV,a dog\r\n",
        b"\xef\xbb\xbfClip;Caption\r\nIMG_0001.MOV;a hammer strikes\r\nIMG_0002.MOV;a dog\r\n",
        b"sep=;\r\nclip;caption\r\nIMG_0001.MOV;a hammer strikes\r\nIMG_0002.MOV;a dog\r\n",
        b"Clip , Caption\nIMG_0001.MOV , a hammer strikes \n\n,\nIMG_0002.MOV,a dog",
        b"clip\tcaption\r\nclips/IMG_0001.MOV\ta hammer strikes\r\nIMG_0002.MOV\ta dog\r\n",
        b'notes,clip,caption\n"a;b",IMG_0001.MOV,"a hammer\nstrikes"\n,IMG_0002.MOV,"a dog"\n',
        "clip\tcaption\r\nIMG_0001.MOV\ta hammer strikes\r\nIMG_0002.MOV\ta dog\r\n".encode("utf-16"),
        b"clip,caption\rIMG_0001.MOV,a hammer strikes\rIMG_0002.MOV,a dog\r",
    ],
    ids=["plain", "excel", "excel-semicolons", "sep", "blanks", "tabs-paths", "line-break", "utf-16", "old-mac"],
)
def test_captions_as_spreadsheets_write_them(tmp_path, data):
    (tmp_path / "captions.csv").write_bytes(data)
    found, notes = captions_of(tmp_path / "captions.csv", CLIPS)
    assert found == {CLIPS[0]: "a hammer strikes", CLIPS[1]: "a dog"} and notes == []


def test_rows_and_clips_without_a_counterpart_are_named(tmp_path):
    table = tmp_path / "captions.csv"
    table.write_text(
        "clip,caption\nIMG_0001.mov,a hammer\nno_such.mp4,cat\nIMG_0002.MOV,\nIMG_0002.MOV,dog\nIMG_0002.MOV,cat\n"
    )
    found, notes = captions_of(table, CLIPS)
    assert found == {CLIPS[1]: "cat"}
    said = "\n".join(notes)
    assert "line 2: there is no clip IMG_0001.mov; is IMG_0001.MOV meant?" in said
    assert "line 3: there is no clip no_such.mp4." in said
    assert "line 6" in said and "has a caption already" in said
    assert "clips/IMG_0001.MOV has no caption" in said and "IMG_0002.MOV has no caption" not in said


def test_other_encodings_are_told_and_no_text_is_one_sentence(tmp_path):
    words = "Ein Hammer schlägt auf Blech, während draußen Vögel zwitschern und ein Zug über die Brücke fährt"
    table = tmp_path / "captions.csv"
    table.write_bytes(f"clip;caption\nIMG_0001.MOV;{words}\nIMG_0002.MOV;Hunde".encode("cp1252"))
    found, notes = captions_of(table, CLIPS)
    assert found[CLIPS[0]] == words and "not UTF-8" in notes[0]
    table.write_bytes(bytes(range(256)) * 9)
    with pytest.raises(InputError, match="save it as UTF-8"):
        read_text(table)
    with pytest.raises(InputError, match="columns clip and caption"):
        table.write_text("a,b\n1,2\n")
        captions_of(table, CLIPS)
    with pytest.raises(InputError, match="cannot be read"):
        captions_of(tmp_path / "missing.csv", CLIPS)


def test_names_of_files_match_in_either_form_of_their_accents(tmp_path):
    (tmp_path / "captions.csv").write_text("clip,caption\ncafe\u0301.mp4,a cup\n", encoding="utf-8")
    assert captions_of(tmp_path / "captions.csv", [Path("caf\u00e9.mp4")])[1] == []


@pytest.mark.parametrize("device", ["cuda:7", "mps", "gpu", "cuda", "xpu", "tpu:0"])
def test_a_device_that_is_not_there_is_one_sentence(device):
    import torch

    if (device == "cuda" and torch.cuda.is_available()) or (device == "mps" and torch.backends.mps.is_available()):
        pytest.skip("this machine has it")
    with pytest.raises(InputError, match="There is no"):
        Engine("tiny", device).check_device()
    Engine("tiny", "cpu").check_device()


def test_full_and_closed_disks_are_sentences():
    assert "disk is full" in disk_trouble(OSError(errno.ENOSPC, "No space left on device", "out/a.wav"))
    assert "read-only" in disk_trouble(OSError(errno.EROFS, "Read-only file system", "out"))
    assert disk_trouble(ValueError("x")) is None and disk_trouble(FileNotFoundError(errno.ENOENT, "x")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a child's files")
def test_a_disk_that_fills_while_ffmpeg_writes_is_a_sentence(tmp_path, monkeypatch):
    import resource

    clip = make(tmp_path / "clip.mp4", duration_s=1.0)
    picture = tmp_path / "picture.png"
    Image.effect_noise((400, 300), 90).save(picture)

    def small_disk(pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (500, 500))

    monkeypatch.setattr(ffmpeg, "_limit_memory", small_disk)
    for write in (
        lambda out: mux(clip, np.zeros(16_000, np.float32), 16_000, out),
        lambda out: still_clip(picture, out),
    ):
        (tmp_path / "out").mkdir(exist_ok=True)
        with pytest.raises(OSError, match="too large") as caught:
            write(tmp_path / "out" / "clip.mp4")
        assert disk_trouble(caught.value) == f"A file {tmp_path / 'out'} could not be written: it is too large."
    assert [path.name for path in (tmp_path / "out").iterdir()] in ([], ["clip.mp4"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_ffmpeg_on_a_full_disk():
    source = ["-f", "lavfi", "-i", "testsrc=size=320x240:duration=1", "-f", "rawvideo", "-y", "file:/dev/full"]
    with ffmpeg.start(["-loglevel", "error", *source], timeout_s=20) as run, pytest.raises(OSError) as caught:
        run.written(Path("/dev/full"))
    assert disk_trouble(caught.value) == "A file /dev could not be written: the disk is full."


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_sound_on_a_full_disk(tmp_path, name):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).normal(0, 0.1, 50_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(soundfile.LibsndfileError) as caught:
            write_sound(tmp_path / name, noise, 16_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert disk_trouble(caught.value) == "A file could not be written: the disk is full."
    assert not list(tmp_path.iterdir())
    assert disk_trouble(soundfile.LibsndfileError(2, "Error opening 'a.wav': ")) is None, "of a file that is read"


def test_the_command_line_says_so_too(tmp_path, capsys, monkeypatch):
    from stav2a.__main__ import main
    from stav2a.commands import onsets

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device", "out/a.wav")

    monkeypatch.setattr(onsets, "run", fail)
    assert main(["onsets", "clip.mp4"]) == 2
    assert capsys.readouterr().err == "A file out/a.wav could not be written: the disk is full.\n"
    monkeypatch.undo()
    assert main(["generate", "https://example.com/a.mp4", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()
