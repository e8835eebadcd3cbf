"""librosa's compiled functions: one process at a time reads or writes their cache."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from filelock import FileLock, Timeout

from stav2a.sound import compiled

HOLDS = "import sys; from stav2a.sound import compiled; lock = compiled.FileLock(compiled.LOCK_FILE); lock.acquire(); "


def test_the_first_call_waits_for_another_process_that_compiles():
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS + "print('held', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    ready = threading.Event()
    first_call = threading.Thread(target=lambda: (compiled.librosa.__wrapped__(), ready.set()), daemon=True)
    try:
        assert other.stdout.readline().strip() == "held"
        first_call.start()
        assert not ready.wait(0.5)
    finally:
        other.communicate(timeout=30)
    assert ready.wait(60)


def test_later_calls_take_no_lock():
    module = compiled.librosa()
    with FileLock(compiled.LOCK_FILE), pytest.raises(Timeout), FileLock(compiled.LOCK_FILE, timeout=0):
        pass  # held: another holder would wait
    with FileLock(compiled.LOCK_FILE):
        assert compiled.librosa() is module
