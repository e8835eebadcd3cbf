"""VTA-LDM, TiVA and TA-V2A as their papers configure them: shapes, ablations, and the checkpoint that comes out.

The networks are narrow and untrained; what they exchange is of the configurations' own shapes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from prepared import prepared
from torch.utils.data import default_collate
from untrained_parts import untrained_parts

from stav2a.data.prepare import PrepareSettings, Rendered, prepare
from stav2a.pipeline import STAV2APipeline
from stav2a.presets import narrow
from stav2a.train.assemble import assemble_checkpoint
from stav2a.train.registry import make_stage
from stav2a.train.runtime.config import TrainConfig

CONFIGS = Path(__file__).parents[2] / "configs" / "paper"
MODEL = narrow("paper")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """The parts that options.base names, and two clips of 10 s at 4 and at 10 frames a second."""
    folder = tmp_path_factory.mktemp("papers")
    untrained_parts(folder / "base", MODEL)
    for fps in (4.0, 10.0):
        world = {"duration_s": 10.0, "fps": fps, "size": 224, "split": "train"}
        sources = [Rendered(0, "train"), Rendered(1, "val")]
        list(prepare(folder / f"shards{fps:g}", sources, PrepareSettings(model="paper", fps=fps, world=world)))
    return folder


def configured(name: str, work: Path, parts: str, **options) -> TrainConfig:
    """A shipped configuration with narrow networks, this test's folders and the given options."""
    values = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    fps = values.get("fps", 4.0)
    values |= {"model": MODEL, "parts": f"{work}/{parts}", "out": f"{work}/logs", "batch_size": 2}
    values |= {"micro_batch_size": 0, "workers": 0, "mixed_precision": "no"}
    values["options"] |= {"base": f"{work}/base", "shards": f"{work}/shards{fps:g}", "heard_clips": 1} | options
    if name == "cvalp":
        values["options"].pop("heard_clips")
    return TrainConfig.checked(values)


def batch_of(stage, count: int = 1) -> dict:
    return default_collate([{**stage.sample("train", k), "index": torch.tensor(k)} for k in range(count)])


def stepped(name: str, work: Path, parts: str, **options):
    """The stage after one step forwards and backwards, with its parts written."""
    stage = make_stage(name, configured(name, work, parts, **options)).train()
    loss = stage(batch_of(stage, 2 if name == "cvalp" else 1))["loss"]  # clips are contrasted with each other
    loss.backward()
    learning = stage.phase_parameters("main")
    assert torch.isfinite(loss) and any(p.grad is not None and p.grad.isfinite().all() for p in learning)
    stage.eval().export(work / parts)
    return stage


def sampled(work: Path, parts: str, system: str, fps: float = 0.0) -> STAV2APipeline:
    """The whole checkpoint of a system, opened, after a clip has gone through it."""
    given = {"model": MODEL, "parts": f"{work}/{parts}", "out": f"{work}/{parts}-checkpoint", "fps": fps}
    out = assemble_checkpoint(
        TrainConfig.checked({**given, "options": {"system": system, "base": None, "half": False}})
    )
    pipe = STAV2APipeline.from_pretrained(out)
    frames = np.random.default_rng(0).integers(0, 255, (pipe.timeline.video_frames, 224, 224, 3), dtype=np.uint8)
    result = pipe(frames, "a dog barks", num_inference_steps=2)
    assert result.waveforms.shape == (1, 160_000) and np.isfinite(result.waveforms).all()
    assert result.onset_curve.max() < 0.01 or pipe.local_features is not None
    return pipe


@pytest.mark.parametrize(
    "row",
    [{"encoder": "x-clip"}, {"encoder": "efficientnet-lite2"},
     {"encoder": None, "text": True, "positions": True}, {"flow": True, "concat": 1.0}],
    ids=["X-CLIP", "EfficientNet-Lite", "CAVP, Vision+Text+PE", "Vision+Optical Flow, Concat"],
)  # fmt: skip
def test_vta_ldm_and_its_tables(work, row):
    parts = "vta-" + "-".join(f"{name}{value}" for name, value in row.items())
    stage = stepped("vta-ldm", work, parts, **row)
    assert stage.unet.config.cross_attention_dim == 2048 and stage.system.config.token_dim == 2048
    conditions, _ = stage.conditions(batch_of(stage), torch.zeros(1, 8, 256, 16))
    tokens = 512 if row.get("flow") else 256
    assert conditions.frame_tokens.shape == (1, tokens, 2048) and conditions.context().shape[-1] == 2048
    assert conditions.context().shape[1] > tokens if row.get("text") else conditions.context().shape[1] == tokens


def test_vta_ldm_is_sampled_as_its_paper_says(work):
    stepped("vta-ldm", work, "vta", text=True)
    pipe = sampled(work, "vta", "vta-ldm")
    assert (pipe.defaults["steps"], pipe.defaults["sampler"], pipe.defaults["guidance_scale"]) == (300, "ddpm", 3.0)
    assert type(pipe.video_encoder).__name__ == "HubVideoEncoder" and pipe.local_features is None
    assert pipe.config.provenance["licences"]["video_encoder"] == "none stated"
    assert pipe.text_encoder.config.hidden_size == 512  # CLIP's


def test_tiva_in_its_three_runs(work):
    stage = stepped("tiva-layout", work, "tiva")
    assert stage.system.predictor.config.frame_dim == 3 * 768 and stage.timeline.fps == 10
    batch = batch_of(stage)
    assert batch["frames"].shape[1] == 100
    true, predicted = stage.layouts(batch)
    assert true.shape == predicted.shape == (1, 102, 5)
    apart = stepped("tiva", work, "tiva", joint=False)
    assert not any(p.requires_grad for p in apart.system.predictor.parameters())
    joint = stepped("tiva", work, "tiva")
    assert all(p.requires_grad for p in joint.system.predictor.parameters()) and joint.unet.config.in_channels == 9
    pipe = sampled(work, "tiva", "tiva", fps=10.0)
    assert (pipe.defaults["steps"], pipe.defaults["guidance_scale"]) == (25, 5.0)


@pytest.mark.parametrize(
    ("row", "shape"),
    [({"layout": "onset", "attention": "windowed"}, (102, 1)), ({"layout": "odf", "encoder_levels": [11]}, (102, 1)),
     ({"window_rows": 510, "rows": 510, "bands": 32, "attention": "global", "patches": False}, (510, 32))],
    ids=["Onset, WA", "ODF, CLS 11", "[510, 32], SA"],
)  # fmt: skip
def test_rows_of_tivas_tables_three_and_four(work, row, shape):
    parts = "tiva-" + "-".join(f"{name}{value}" for name, value in row.items())
    stage = stepped("tiva-layout", work, parts, **row)
    true, predicted = stage.layouts(batch_of(stage))
    assert true.shape == predicted.shape == (1, *shape) and 0 <= true.min() <= true.max() <= 1
    stepped("tiva", work, parts, **{k: v for k, v in row.items() if k not in ("attention", "patches")})


def test_tiva_without_a_layout(work):
    """Row w/o T of Table 5: no predictor, no further channel."""
    stage = stepped("tiva", work, "tiva-none", layout="none")
    assert stage.system.predictor is None and stage.unet.config.in_channels == 8
    assert sampled(work, "tiva-none", "tiva", fps=10.0).system.kind.kind == "none"


@pytest.mark.parametrize("mix", ["concat", "average"])
def test_ta_v2a_in_its_three_stages(work, mix):
    composed = mix == "concat"
    parts = f"ta-{mix}"
    stage = stepped("cvalp", work, parts, mix=mix, composed=composed)
    (system,) = stage.system
    assert system.text_head.layers[0].in_features == 1024 and stage.moments == 32
    stepped("ta-v2a", work, parts)
    if composed:
        stepped("alignment", work, parts)
    pipe = sampled(work, parts, "ta-v2a")
    assert pipe.system.config.mix == mix
    guidance = pipe.guidance([prepared(pipe, np.zeros((4, 224, 224, 3), np.uint8), "a dog barks")])
    assert (guidance.text, guidance.alignment) == ((2.5, 50.0) if composed else (4.5, 50.0))
    if composed:
        assert (guidance.video, guidance.negative) == (2.5, 2.5)


def test_what_does_not_fit_is_told_in_a_sentence(work):
    make_stage("vta-ldm", configured("vta-ldm", work, "wide")).unet.save_pretrained(work / "wide" / "unet")
    with pytest.raises(ValueError, match=r"options\.context_width is 1000, and the U-Net in .* takes 2048"):
        make_stage("vta-ldm", configured("vta-ldm", work, "wide", context_width=1000))
    with pytest.raises(ValueError, match="architecture of nobody/nothing is not known without the hub"):
        make_stage("vta-ldm", configured("vta-ldm", work, "unknown", encoder="nobody/nothing"))
    with pytest.raises(ValueError, match=r"options\.sampling has no step; did you mean steps"):
        make_stage("vta-ldm", configured("vta-ldm", work, "words", sampling={"step": 3}))
    with pytest.raises(ValueError, match="layout is 'melody'"):
        make_stage("tiva-layout", configured("tiva-layout", work, "melody", layout="melody"))
    with pytest.raises(ValueError, match="fps of 4; this model needs 10"):
        make_stage("tiva", configured("tiva", work, "slow", shards=f"{work}/shards4"))
