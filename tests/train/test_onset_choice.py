"""Stage `onset` chooses its threshold and its checkpoint by gain over chance, never by F1 alone."""

from pathlib import Path

import numpy as np
import pytest

from stav2a.__main__ import main
from stav2a.condition.onset import onset_curve
from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.models.build import build
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.loop import train
from stav2a.train.runtime.parts import note_default, noted_defaults
from stav2a.train.stages.onset import OnsetStage
from stav2a.train.stages.onset_threshold import at_threshold, best_threshold, calibrated

STEP_S = 0.04
CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "onset.yaml"


def dense_clips(count=12, length_s=10.0):
    """Curves that are sure of 5 of some 45 dense onsets and, below that, fire at an even pace."""
    rng = np.random.default_rng(0)
    steps = round(length_s / STEP_S)
    curves, onsets_s = [], []
    for _ in range(count):
        true = np.cumsum(rng.uniform(0.1, 0.34, 60))
        true = true[true < length_s - 0.1]
        sure = rng.choice(true, 5, replace=False)
        everywhere = np.arange(0.1, length_s, 0.2)
        everywhere = [t for t in everywhere if np.abs(sure - t).min() > 0.15]
        curve = np.maximum(0.3 * onset_curve(everywhere, steps, STEP_S), 0.9 * onset_curve(sure, steps, STEP_S))
        curves.append(curve)
        onsets_s.append(true)
    return curves, onsets_s


def test_firing_everywhere_has_the_better_f1_and_is_not_chosen():
    curves, onsets_s = dense_clips()
    low = at_threshold(curves, onsets_s, STEP_S, 0.1)
    chosen = best_threshold(curves, onsets_s, STEP_S)
    assert low.f1 > chosen.f1 + 0.1
    assert chosen.gain > low.gain + 0.02 and 0.3 <= chosen.threshold <= 0.45


def test_without_clips_or_onsets_nothing_is_gained():
    assert best_threshold([], [], STEP_S).gain == 0
    silent = best_threshold([np.zeros(100)], [[]], STEP_S)
    assert silent.gain == 0 and silent.f1 == 0


def test_quiet_clips_get_a_lower_threshold_and_sure_ones_keep_theirs():
    """Curves that are right but low, as of a kind of motion seldom seen: at 0.4 nothing is picked."""
    rng = np.random.default_rng(1)
    onsets_s = [np.sort(rng.uniform(0.5, 9.5, 5)) for _ in range(12)]
    videos = [f"video {k // 2}" for k in range(12)]
    low = [0.25 * onset_curve(true, 250, STEP_S) for true in onsets_s]
    found = calibrated(low, onsets_s, videos, STEP_S, 0.4)
    assert found.threshold < 0.25 and found.change > 0.5 and found.ci95[0] > 0 and found.n == 12
    assert "12 clips" in str(found) and "at 0.4" in str(found)
    sure = [onset_curve(true, 250, STEP_S) for true in onsets_s]
    weak = [np.maximum(curve, 0.3 * onset_curve(rng.uniform(0, 10, 8), 250, STEP_S)) for curve in sure]
    found = calibrated(weak, onsets_s, videos, STEP_S, 0.42)
    assert found.threshold == 0.42 and found.ci95[0] <= 0 <= found.ci95[1]  # another gains no more
    with pytest.raises(ValueError, match="at least 2"):
        calibrated(low, onsets_s, ["one"] * 12, STEP_S, 0.4)


def test_the_threshold_of_prepared_clips_is_noted_for_the_checkpoint(tmp_path, capsys):
    parts, shards = tmp_path / "parts", tmp_path / "shards"
    for name in ("video_encoder", "local_features"):
        build(name, "tiny").save_pretrained(parts / name)
    world = {"duration_s": 1.28, "fps": 25.0, "size": 32, "split": "train"}
    list(prepare(shards, [Rendered(k, "train") for k in range(3)], PrepareSettings(model="tiny", world=world)))
    words = ["model=tiny", f"parts={parts}", f"options.shards={shards}"]
    note_default(parts, "onset_threshold", 0.35)
    assert main(["train", "threshold", *words]) == 0
    noted = noted_defaults(parts)["onset_threshold"]
    assert f"onset threshold {noted:g} (gain" in (told := capsys.readouterr().out) and "at 0.35" in told
    assert main(["train", "threshold", "model=compact", *words[1:]]) == 2
    assert "prepare them with its --model" in capsys.readouterr().err
    assert main(["train", "threshold", *words[:2]]) == 2 and "options.shards is missing" in capsys.readouterr().err


@pytest.fixture
def config(tmp_path):
    words = [f"parts={tmp_path}/parts", f"out={tmp_path}/logs", "steps=3", "validate_every=1", "keep_best=true"]
    return TrainConfig.load(CONFIG, words)


def test_the_checkpoint_of_the_largest_gain_is_kept_though_losses_fall(config, monkeypatch):
    losses, gains, exported = iter([0.9, 0.6, 0.3]), iter([0.1, 0.3, 0.2]), []
    monkeypatch.setattr("stav2a.train.runtime.loop.validate", lambda *args: {"loss": next(losses)})
    monkeypatch.setattr(OnsetStage, "listen", lambda self, folder: {"onset_gain_50ms": next(gains)})
    monkeypatch.setattr(OnsetStage, "export", lambda self, folder: exported.append(folder))
    train(OnsetStage(config), config)
    assert len(exported) == 2  # the first, the best so far, and the second; not the third of the least loss


def test_listening_measures_gain_and_f1_at_the_chosen_threshold(config, tmp_path):
    stage = OnsetStage(config)
    measures = stage.listen(tmp_path)
    assert measures.keys() == {"onset_gain_50ms", "onset_f1_50ms", "threshold"}
    assert stage.threshold == measures["threshold"] and stage.cost(measures) == -measures["onset_gain_50ms"]
