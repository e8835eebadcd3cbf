"""The command line itself, whoever runs it."""

from __future__ import annotations

import getpass
import os
import types

import pytest

from stav2a.__main__ import main, run
from stav2a.media.limits import check_output


@pytest.mark.skipif(os.name != "posix", reason="users are numbers on POSIX only")
def test_a_user_whom_the_machine_does_not_know_may_run_it(monkeypatch):
    """As in a container that runs as any number: without a name, importing torch's compiler fails."""
    import pwd

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    names = []
    assert run(types.SimpleNamespace(run=lambda args: names.append(getpass.getuser()) or 0), None) == 0
    assert names == [f"user{os.getuid()}"]


@pytest.mark.parametrize("place", ["file/out", "file/out/deep"])
@pytest.mark.parametrize("command", ["generate", "reel"])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_computed(tmp_path, capsys, command, place):
    (tmp_path / "file").write_text("not a folder")
    out = tmp_path / place
    words = {"generate": ["--prompt", "rain", "--no-clip"], "reel": ["one.mp4"]}[command]
    assert main([command, *words, "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"Nothing can be written at {out}: not a directory.\n"


def test_an_output_that_can_be_written_is_not_made_by_the_check(tmp_path):
    check_output(tmp_path / "new" / "deep")
    check_output("relative")
    (tmp_path / "result.mp4").touch()
    check_output(tmp_path / "result.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["result.mp4"]
