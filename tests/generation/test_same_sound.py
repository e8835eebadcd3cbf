"""Same seed, same sound: against what was stored (`same_sound.json`), and between the ways to one sound.

On the kind of processor that wrote the file the waveforms agree bit for bit; on others, whose sums are taken in another
order, the levels of twenty stretches of each agree within 2 %.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from same_sound import CASES, STORE, machine, pipeline_of, summary, waveforms

from stav2a import systems

STORED = json.loads(STORE.read_text())
MODELS = list(dict.fromkeys(model for model, *_ in CASES.values()))


@pytest.fixture(scope="module", params=MODELS)
def opened(request):
    if request.param in systems.names() and (missing := systems.unavailable(request.param)) is not None:
        pytest.skip(missing)
    return request.param, pipeline_of(request.param)


def test_the_sound_is_the_stored_one(opened):
    model, pipe = opened
    for name in (name for name, case in CASES.items() if case[0] == model):
        made, stored = summary(waveforms(pipe, name)), STORED["cases"][name]
        assert made["shape"] == stored["shape"], name
        np.testing.assert_allclose(made["rms"], stored["rms"], rtol=0.02, atol=1e-4, err_msg=name)
        if machine() == STORED["machine"]:
            assert made["sha256"] == stored["sha256"], f"{name}: levels agree, bits do not"
