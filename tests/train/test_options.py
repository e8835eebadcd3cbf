"""Options of stages: what is no option, and what is of another type, is refused with a sentence."""

from __future__ import annotations

import pytest
import torch

from stav2a.__main__ import main
from stav2a.condition.onset import onset_curve, onset_labels, onset_loss
from stav2a.train.runtime.options import converted, read_options
from stav2a.train.stages.onset import OnsetOptions
from stav2a.train.stages.table_three import VariedOptions


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"drop_pictur": 0.0}, "Stage v2a has no option drop_pictur; did you mean drop_picture?"),
        ({"colour": 1}, "Stage v2a has no option colour; it has base, cache"),
        ({"drop_text": "often"}, "options.drop_text is 'often'; it must be a number"),
        ({"freeze_unet": 1}, "options.freeze_unet is 1; it must be true or false"),
        ({"heard_clips": 2.5}, "options.heard_clips is 2.5; it must be a whole number"),
        ({"heard_clips": True}, "options.heard_clips is True; it must be a whole number"),
        ({"drop_text": None}, "options.drop_text is None; it must be a number"),
        ({"trained_unet": "mid_block"}, "options.trained_unet is 'mid_block'; it must be a list or null"),
    ],
)
def test_what_does_not_fit_is_refused(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_options(VariedOptions, given, "Stage v2a")


def test_what_fits_is_kept():
    read = read_options(VariedOptions, {"drop_text": "1e-1", "snr_gamma": None, "cache_clips": 3}, "Stage v2a")
    assert read == VariedOptions(drop_text=0.1, snr_gamma=None, cache_clips=3)
    assert converted(1, float, "x") == 1.0 and isinstance(converted(1, float, "x"), float)
    beside = read_options(OnsetOptions, {"onset_weight": 1, "drop_text": 0.5}, "Stage onset", (VariedOptions,))
    assert beside == OnsetOptions(onset_weight=1.0)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            ["vta-ldm", "model=tiny", "options.positionz=true"],
            "Stage vta-ldm has no option positionz; did you mean pos",
        ),
        (["tiva", "model=tiny", "options.joint=maybe"], "options.joint is 'maybe'; it must be true or false"),
        (["v2a", "model=tiny", "options.null_text=noise"], "The null text is 'noise'; there are empty, zeros"),
        (["assemble", "options.guidance_scal=3"], "assemble has no option guidance_scal; did you mean guidance_scale?"),
        (["average", "options.off=[a]"], "average has no option off; did you mean of?"),
        (["v2a", "step=3"], "Unknown setting step; did you mean steps?"),
    ],
)
def test_commands_refuse_them_with_a_sentence(command, sentence, capsys, tmp_path):
    assert main(["train", *command, f"parts={tmp_path}", f"out={tmp_path}/out"]) == 2
    assert sentence in capsys.readouterr().err


def test_eq_1_is_the_authors_cross_entropy():
    logits = torch.randn(3, 40, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(onset_labels([0.1, 0.7, 1.3], 40, 0.04)).expand(3, -1)
    wanted = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels)
    torch.testing.assert_close(onset_loss(logits, labels), wanted)
    probability = logits.softmax(-1)[..., 1]
    torch.testing.assert_close(wanted, torch.nn.functional.binary_cross_entropy(probability, labels.float()))
    soft = torch.from_numpy(onset_curve([0.1, 0.72], 40, 0.04)).expand(3, -1)
    log = logits.log_softmax(-1)
    weighed = -(3 * soft * log[..., 1] + (1 - soft) * log[..., 0]).mean()
    torch.testing.assert_close(onset_loss(logits, soft, 3.0), weighed)
