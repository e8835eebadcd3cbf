"""The command line itself, whoever runs it."""

from __future__ import annotations

import getpass
import os
import types

import pytest

from stav2a.__main__ import run


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
