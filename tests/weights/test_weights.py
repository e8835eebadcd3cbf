"""The authors' weights: sources, reading, strict loading, conversion, fetching, and the paper's model in use."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import hub
import numpy as np
import pytest
import release as synthetic
import torch
from accelerate import cpu_offload
from diffusers import UNet2DConditionModel
from golden import rule_tensor
from prepared import prepared
from safetensors.torch import load_file, save_file

from stav2a import STAV2APipeline, presets
from stav2a.__main__ import main
from stav2a.bench import memory
from stav2a.denoise import sample
from stav2a.denoise.request import Request
from stav2a.dials import Dials
from stav2a.generation.engine import COMPACT, Engine
from stav2a.media.limits import InputError
from stav2a.models.card import card
from stav2a.weights import PAPER, WeightsError, read_state
from stav2a.weights import fetch as fetching
from stav2a.weights import folder as released
from stav2a.weights.faithful import FAITHFUL
from stav2a.weights.shapes import shapes_of, unet_config
from stav2a.weights.sources import REQUIRED

open_release = partial(released.open_release, STAV2APipeline)
convert = partial(released.convert, STAV2APipeline)

WIDTH = 48  # of text and global tokens in the small release
WEIGHTS = Path("saved/STA-V2A/best/pytorch_model_2.bin")


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    """Small files laid out as the real ones: the release, the text encoder's folder and AudioLDM's."""
    root = tmp_path_factory.mktemp("sources")
    return {
        "release": synthetic.write_release(root / "release", synthetic.small_shapes(), WIDTH),
        "text_encoder": synthetic.write_text_encoder(root / "mt5", WIDTH),
        "audioldm": synthetic.write_audioldm(root / "audioldm", "tiny"),
    }


@pytest.fixture(scope="module")
def converted(sources, tmp_path_factory) -> Path:
    return convert(tmp_path_factory.mktemp("converted") / "paper", *sources.values())


@pytest.fixture(scope="module")
def paper(converted) -> STAV2APipeline:
    pipe = STAV2APipeline.from_pretrained(converted)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def hub_here(monkeypatch, tmp_path, sources):
    """huggingface_hub with an empty cache, talking to a hub on this machine that has the small files."""
    from huggingface_hub import constants

    names = ("y-ren16/STAV2A", "google/mt5-large", "cvssp/audioldm-s-full")
    with hub.serving(dict(zip(names, sources.values(), strict=True))) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        yield served


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def one_sentence(text: str) -> bool:
    text = text.strip()
    return text.endswith(".") and "\n" not in text and "Traceback" not in text and len(text) < 500


# ---- sources -----------------------------------------------------------------------------------------------------


def test_every_part_has_a_source_and_importing_the_table_loads_nothing():
    parts = {part for name in REQUIRED for part in PAPER[name].parts}
    own = {"tokenizer", "text_encoder", "unet", "controlnet", "local_features", "attentive_pool", "vae", "vocoder"}
    assert parts == own | {"video_encoder"}
    assert all(source.repo.count("/") == 1 and source.licence and source.files for source in PAPER.values())
    code = "import sys, stav2a.weights as w; w.PAPER; print({'torch', 'huggingface_hub', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "set()", done.stderr


# ---- the release becomes a checkpoint ----------------------------------------------------------------------------


def test_every_tensor_arrives_where_it_belongs(paper):
    parts = {"unet": "unet.", "controlnet": "controlnet.", "attentive_pool": "global_video_feature."}
    parts |= {"video_encoder": "extract_cavp.stage1_model.", "text_encoder": "text_encoder.", "local_features": ""}
    compared = 0
    for part, prefix in parts.items():
        for key, value in paper.components[part].state_dict().items():
            if value.ndim and key != "encoder.embed_tokens.weight":  # the tied second name
                assert torch.equal(value, rule_tensor(prefix + key, value.shape)), f"{part}: {key}"
                compared += 1
    assert compared > 300
    assert not any(part.training for part in paper.components.values() if isinstance(part, torch.nn.Module))


def test_checkpoint_is_whole_and_only_safetensors(converted, capsys):
    assert not [p for p in converted.rglob("*") if p.suffix in (".bin", ".pt", ".ckpt", ".pkl")]
    assert main(["weights", "check", str(converted)]) == 0
    assert capsys.readouterr().out.count("fits its configuration") == 8
    card = (converted / "README.md").read_text()
    assert "cc-by-nc-sa-4.0" in card and "y-ren16/STAV2A" in card and "sampler ddpm" in card


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"use_linear_projection": True},
        {"block_out_channels": (32, 64, 96), "layers_per_block": 2, "cross_attention_dim": 24,
         "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
         "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")},
        {key: presets.UNET["paper"][key] for key in presets.UNET["paper"]},
    ],
    ids=["small", "linear", "other", "paper"],
)  # fmt: skip
def test_unet_is_known_by_its_shapes(change):
    with torch.device("meta"):
        given = UNet2DConditionModel(**{**synthetic.SMALL_UNET, **change})
        found = unet_config(shapes_of(given.state_dict()))
        again = UNet2DConditionModel(**{**synthetic.SMALL_UNET, **found})
    assert shapes_of(again.state_dict()) == shapes_of(given.state_dict())
    assert all(given.config[key] == value or list(given.config[key]) == list(value) for key, value in found.items())


def test_what_shapes_cannot_tell_is_assumed_aloud_and_can_be_overridden(sources, tmp_path, caplog):
    bare = synthetic.write_release(tmp_path / "bare", synthetic.small_shapes(), WIDTH, configs=False)
    rest = list(sources.values())[1:]
    with caplog.at_level(logging.WARNING, "stav2a"):
        pipe = open_release(bare, *rest)
    assert "number of heads 8" in caplog.text and "v_prediction" in caplog.text
    assert len(pipe.config.provenance["assumptions"]) == 2
    assert pipe.unet.config.attention_head_dim == 8 and pipe.scheduler.config.prediction_type == "v_prediction"
    pipe = open_release(bare, *rest, unet={"attention_head_dim": 4}, scheduler={"prediction_type": "epsilon"})
    assert pipe.unet.config.attention_head_dim == 4 and pipe.controlnet.config.attention_head_dim == 4
    assert pipe.scheduler.config.prediction_type == "epsilon"


def test_shapes_win_over_a_configuration_that_contradicts_them(sources, tmp_path):
    release = synthetic.write_release(tmp_path / "r", synthetic.small_shapes(), WIDTH)
    said = {"attention_head_dim": 2, "layers_per_block": 7, "_class_name": "UNet2DConditionModel"}
    (release / "tta/unet/config.json").write_text(json.dumps(said))
    pipe = open_release(release, *list(sources.values())[1:])
    assert pipe.unet.config.layers_per_block == 1 and pipe.unet.config.attention_head_dim == 2
    assert "layers_per_block 7" in pipe.config.provenance["assumptions"][0]


def test_video_encoder_comes_from_its_own_file_where_the_release_has_none(sources, tmp_path, paper):
    shapes = synthetic.small_shapes()
    cavp = synthetic.write_cavp(tmp_path / "cavp_epoch66.ckpt", shapes)
    without = {k: v for k, v in shapes.items() if not k.startswith("extract_cavp.")}
    release = synthetic.write_release(tmp_path / "r", without, WIDTH)
    with pytest.raises(WeightsError, match=r"no video encoder; run .*fetch cavp"):
        open_release(release, *list(sources.values())[1:])
    encoder = open_release(release, *list(sources.values())[1:], cavp).video_encoder
    assert shapes_of(encoder.state_dict()) == shapes_of(paper.video_encoder.state_dict())


# ---- strict and safe ---------------------------------------------------------------------------------------------


def changed_release(folder: Path, sources: dict, change) -> Path:
    """A copy of the release whose state dict went through `change`."""
    state = torch.load(sources["release"] / WEIGHTS, weights_only=True)
    (folder / "best").mkdir(parents=True)
    torch.save(change(state), folder / "best" / WEIGHTS.name)
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "unet.conv_out.bias"}, r"of unet .*1 missing \(conv_out.bias\)"),
        (lambda s: {**s, "controlnet.extra": torch.ones(2)}, r"of controlnet in .*1 unexpected \(extra\)"),
        (lambda s: {**s, "unet.conv_out.bias": torch.ones(3)}, r"wrong shape \(conv_out.bias \[3\] instead of \[8\]\)"),
        (lambda s: {**s, "vae.x": torch.ones(2)}, r"1 keys of no known part \(vae.x\); .*--ignore"),
        (lambda s: {k: v for k, v in s.items() if not k.startswith("pre_onset")}, "local_features lack pre_onset.l1"),
        (lambda s: {k: v for k, v in s.items() if k.startswith("unet")}, "no weights of attentive_pool, controlnet"),
        (lambda s: {"epoch": 3}, "holds no tensors"),
        (lambda s: [1, 2], "no state dict but a list"),
    ],
    ids=["missing", "unexpected", "shape", "unknown", "half a part", "other parts", "no tensors", "list"],
)  # fmt: skip
def test_what_does_not_fit_is_named_in_one_sentence(sources, tmp_path, change, said):
    release = changed_release(tmp_path / "r", sources, change)
    with pytest.raises(WeightsError, match=said) as error:
        open_release(release, *list(sources.values())[1:])
    assert one_sentence(str(error.value)) and isinstance(error.value, InputError)


class Harmful:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("cut.bin", lambda p: p.write_bytes(p.read_bytes()[:-4000]), "truncated or damaged; delete it"),
        ("cut.safetensors", lambda p: p.write_bytes(p.read_bytes()[:-4]), "truncated or damaged; delete it"),
        ("empty.bin", lambda p: p.write_bytes(b""), "is empty"),
        ("page.bin", lambda p: p.write_bytes(b"<html>Not found</html>" * 9), "damaged|not plain tensors"),
        ("pointer.bin", lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
        ("code.bin", lambda p: torch.save({"a": Harmful(p.with_name("ran"))}, p), "not plain tensors.* asks for posix"),
        ("old.bin", lambda p: torch.save({"a": Harmful(p.with_name("ran"))}, p, _use_new_zipfile_serialization=False),
         "not plain tensors"),
        ("gone.bin", lambda p: p.unlink(), "There is no file .*weights fetch"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused_and_nothing_in_them_runs(tmp_path, name, write, said):
    path = tmp_path / name
    state = {"a": torch.arange(4096.0)}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    write(path)
    with pytest.raises(WeightsError, match=said) as error:
        read_state(path)
    assert one_sentence(str(error.value)) and name in str(error.value) and not (tmp_path / "ran").exists()


def test_objects_that_training_leaves_behind_do_not_matter(tmp_path):
    import argparse

    told = {"state_dict": {"a": torch.ones(2)}, "args": argparse.Namespace(lr=1), "step": np.float64(3.0)}
    torch.save(told, tmp_path / "last.ckpt")
    assert torch.equal(read_state(tmp_path / "last.ckpt")["a"], torch.ones(2))


def test_a_checkpoint_opens_in_a_fresh_process_without_a_network(converted):
    code = "import sys, stav2a; print(stav2a.STAV2APipeline.from_pretrained(sys.argv[1]).timeline.fps)"
    command = [sys.executable, "-c", code, str(converted)]
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=environment)
    assert done.stdout.strip() == "4.0", done.stderr


@pytest.mark.parametrize("harm", ["missing", "cut", "class"])
def test_damage_after_conversion_is_found_by_check_and_by_loading(converted, tmp_path, capsys, harm):
    folder = shutil.copytree(converted, tmp_path / "copy")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if harm == "missing":
        save_file({key: value for key, value in load_file(file).items() if key != "conv_in.bias"}, file)
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-4])
    else:
        index = folder / "model_index.json"
        index.write_text(index.read_text().replace("stav2a.condition.cavp", "antigravity"))
    wanted = {"missing": "missing (conv_in.bias)", "cut": "truncated or damaged", "class": "antigravity"}[harm]
    assert main(["weights", "check", str(folder)]) == 2
    assert wanted in (said := capsys.readouterr().err) and one_sentence(said)
    with pytest.raises(WeightsError) as error:
        STAV2APipeline.from_pretrained(folder)
    assert str(error.value) == said.strip() and "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "words",
    [["convert", "--release", "nowhere"], ["check", "nowhere"], ["fetch", "nothing"], ["convert", "--heads", "x"], []],
    ids=" ".join,
)  # fmt: skip
def test_bad_input_ends_with_one_sentence_and_status_2(words, capsys):
    try:
        status = main(["weights", *words])
    except SystemExit as end:
        status = end.code
    assert status == 2 and one_sentence(capsys.readouterr().err)


def test_failed_conversion_leaves_nothing(sources, tmp_path):
    release = changed_release(tmp_path / "r", sources, lambda s: {k: v for k, v in s.items() if "conv_out" not in k})
    with pytest.raises(WeightsError):
        convert(tmp_path / "out" / "paper", release, *list(sources.values())[1:])
    assert not (tmp_path / "out").exists()


# ---- fetching ----------------------------------------------------------------------------------------------------


def test_fetch_shows_sizes_resumes_converts_and_then_needs_no_network(hub_here, monkeypatch, capsys):
    from huggingface_hub import constants

    unusable = Engine("paper").models()["paper"]
    assert "python -m stav2a weights fetch" in unusable and one_sentence(unusable)
    assert main(["weights", "fetch", "--dry-run"]) == 0
    listing = capsys.readouterr().out
    size = fetching.human((hub_here.repositories["y-ren16/STAV2A"] / WEIGHTS).stat().st_size)
    assert f"{size}  y-ren16/STAV2A/{WEIGHTS}" in listing
    assert fetching.in_cache(PAPER["stav2a"]) is None

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 20)
    hub_here.cut[str(WEIGHTS)] = 3_500_000
    assert main(["weights", "fetch"]) == 0
    asked = [range_ for method, path, range_ in hub_here.requests if path.endswith(WEIGHTS.name) and method == "GET"]
    assert len(asked) == 2 and asked[0] is None and int(asked[1][6:-1]) >= 2 << 20  # went on where it broke off
    assert len(capsys.readouterr().out.splitlines()) == len(REQUIRED)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    count = len(hub_here.requests)
    pipe = STAV2APipeline.from_pretrained("paper")
    assert pipe.config.provenance["sources"]["stav2a"] == {"repository": "y-ren16/STAV2A", "revision": hub.COMMIT}
    assert Engine("paper").models()["paper"] is None
    assert main(["weights", "check"]) == 0 and "converted" in capsys.readouterr().out.splitlines()[0]
    assert len(hub_here.requests) == count


def test_an_interrupted_fetch_is_not_taken_for_a_whole_one(hub_here, sources):
    (weights := sources["audioldm"] / "vocoder" / "model.safetensors").rename(away := weights.with_suffix(".away"))
    try:
        fetching.fetch("audioldm")
        assert fetching.in_cache(PAPER["audioldm"]) is None
    finally:
        away.rename(weights)
    fetching.fetch("audioldm")
    assert fetching.in_cache(PAPER["audioldm"]) is not None


def test_a_file_with_another_checksum_is_refused(hub_here, tmp_path):
    (tmp_path / "cavp" / "diff_foley_ckpt").mkdir(parents=True)
    (tmp_path / "cavp" / "diff_foley_ckpt" / "cavp_epoch66.ckpt").write_bytes(b"something else")
    hub_here.repositories["SimianLuo/Diff-Foley"] = tmp_path / "cavp"
    with pytest.raises(WeightsError, match=r"instead of 3472c2217a94.*delete it and fetch it again"):
        fetching.fetch("cavp")


def test_trouble_with_the_hub_is_one_sentence_with_what_to_do(hub_here, monkeypatch, tmp_path, capsys):
    from huggingface_hub import constants

    hub_here.repositories.pop("google/mt5-large")
    with pytest.raises(WeightsError, match=r"google/mt5-large does not exist or is private; .*hf auth login"):
        fetching.fetch("mt5")
    with pytest.raises(WeightsError, match="nobody/nothing does not exist"):
        STAV2APipeline.from_pretrained("nobody/nothing")
    with pytest.raises(WeightsError, match=r"y-ren16/STAV2A is no checkpoint .*model_index.json is missing"):
        STAV2APipeline.from_pretrained("y-ren16/STAV2A")
    (tmp_path / "empty").mkdir()
    hub_here.repositories["google/mt5-large"] = tmp_path / "empty"
    with pytest.raises(WeightsError, match=r"holds none of config.json.*it has no files"):
        fetching.fetch("mt5")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"HF_HUB_OFFLINE is set; unset it, .*weights fetch") as error:
        fetching.fetch("cavp")
    assert one_sentence(str(error.value))


def test_without_a_network_the_sentence_says_so(hub_here, monkeypatch, capsys):
    hub_here.shutdown()
    hub_here.server_close()
    assert main(["weights", "fetch", "stav2a"]) == 2
    assert "out of reach; check the network" in (said := capsys.readouterr().err) and one_sentence(said)


# ---- the paper's model in use ------------------------------------------------------------------------------------


def spied(monkeypatch) -> list:
    """Guidance and sampler of every evaluation of the network, while the test runs."""
    seen, predict = [], sample.predict

    def watch(unet, controlnet, latents, timestep, conditions, guidance):
        seen.append((guidance, conditions, int(timestep)))
        return predict(unet, controlnet, latents, timestep, conditions, guidance)

    monkeypatch.setattr(sample, "predict", watch)
    return seen


def test_faithful_mode_follows_the_authors_script(paper, monkeypatch):
    seen = spied(monkeypatch)
    stream = paper.in_mode("faithful").stream([Request(frames(16), Dials("A dog barks"))])
    steps = [next(stream) for _ in range(4)]
    stream.close()
    assert (steps[-1].step, steps[-1].total, seen[0][2]) == (1, 200, 996)  # DDPM, leading spacing, offset 1
    guidance, conditions, _ = seen[0]
    assert (guidance.text, guidance.video, guidance.control, guidance.mask_control) == (3.0, 1.0, 1.0, False)
    # the empty string encoded as null text: one token, the end of the text; video in both halves
    assert conditions.text_mask.sum(1).tolist()[0] == 1 < conditions.text_mask.sum(1).tolist()[1]
    assert torch.equal(*conditions.global_tokens) and torch.equal(*conditions.local_features)
    assert conditions.local_features.shape[1] == 256 and steps[-1].latents.shape == (1, 8, 256, 16)
    features = paper.encode_video(frames(16)).cavp_features
    assert features.shape[1] == 40 and not features[:, 16:].any()  # zero rows after a short clip
    assert {**paper.defaults, **FAITHFUL} == paper.defaults  # what the converted checkpoint does unasked


def test_faithful_mode_is_refused_where_it_means_nothing(tiny_pipeline, paper):
    with pytest.raises(WeightsError, match="belongs to the paper's model at 4 frames"):
        tiny_pipeline(frames(4), mode="faithful")
    with pytest.raises(WeightsError, match="no mode 'exact'; there is faithful"):
        paper(frames(4), mode="exact")


def test_defects_of_the_authors_script_are_mended(paper):
    """Dropout is off, takes are as many single runs, seeds count, and nothing is cut at 10 s."""
    settings = {"num_inference_steps": 1, "mode": "faithful"}
    both = paper(frames(4), "rain", takes=2, seed=3, **settings).waveforms
    assert both.shape == (2, 16_000) and not np.array_equal(*both)
    np.testing.assert_allclose(both[1:], paper(frames(4), "rain", seed=4, **settings).waveforms, atol=1e-4)
    long = paper(frames(46), "rain", guidance_scale=1.0, **settings)
    assert long.waveforms.shape == (1, 46 * 4000) and np.abs(long.waveforms[0, -8000:]).max() > 0


def test_prefix_of_the_training_stands_before_the_caption_only(paper, monkeypatch):
    from stav2a.condition import text

    seen, encode = [], text.encode
    monkeypatch.setattr(text, "encode", lambda *args: seen.append(args[2]) or encode(*args))
    monkeypatch.setattr(type(paper), "defaults", {**paper.defaults, "prompt_prefix": "sound of "})
    prepared(paper, frames(4), "rain", "music")
    assert seen == [["sound of rain", "music"]]


@pytest.fixture(scope="module")
def tiny_folder(tiny_pipeline, tmp_path_factory) -> Path:
    tiny_pipeline.save_pretrained(folder := tmp_path_factory.mktemp("tiny"))
    return folder


@pytest.mark.parametrize("name", memory.DTYPES)
def test_every_dtype_runs(tiny_folder, tiny_pipeline, name):
    dtype = memory.DTYPES[name]
    pipe = STAV2APipeline.from_pretrained(tiny_folder, dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    assert {p.dtype for p in pipe.unet.parameters()} == {dtype}
    settings = {"num_inference_steps": 2, "onsets_s": [0.1]}
    wave, exact = (p(frames(8), "rain", **settings).waveforms for p in (pipe, tiny_pipeline))
    assert wave.dtype == np.float32 and np.isfinite(wave).all()
    assert np.corrcoef(wave[0], exact[0])[0, 1] > {"fp32": 0.999999, "bf16": 0.9, "fp16": 0.99}[name]


def test_sequential_offload_gives_the_same_sound(converted, paper):
    pipe = STAV2APipeline.from_pretrained(converted)
    pipe.set_progress_bar_config(disable=True)
    for name, part in pipe.components.items():  # as `enable_sequential_cpu_offload` does, which refuses to run on a CPU
        if isinstance(part, torch.nn.Module) and name not in pipe._exclude_from_cpu_offload:
            cpu_offload(part, torch.device("cpu"), offload_buffers=len(part._parameters) > 0)
    assert all(p.is_meta for p in pipe.unet.parameters())  # weights come for the moment they are needed
    settings = {"num_inference_steps": 2, "seed": 1}
    offloaded, whole = (p(frames(8), "a", **settings).waveforms for p in (pipe, paper))
    assert np.abs(whole).max() > 0.01
    np.testing.assert_allclose(offloaded, whole, atol=1e-4)  # the vocoder's two ways add up in another order


def test_saved_and_pushed_folders_load_elsewhere(paper, tiny_pipeline, tmp_path, monkeypatch):
    from huggingface_hub import HfApi, RepoUrl

    sent = {}

    def keep(self, *, repo_id, folder_path, **options):
        sent[repo_id] = shutil.copytree(folder_path, tmp_path / repo_id.replace("/", "-"))

    monkeypatch.setattr(HfApi, "create_repo", lambda self, repo, **options: RepoUrl(f"https://huggingface.co/{repo}"))
    monkeypatch.setattr(HfApi, "upload_folder", keep)
    assert tiny_pipeline.push_to_hub("somebody/tiny", token="t", private=True) == "https://huggingface.co/somebody/tiny"
    paper.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id="somebody/paper")
    assert "license: apache-2.0" in (sent["somebody/tiny"] / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in (sent["somebody/paper"] / "README.md").read_text()
    again = STAV2APipeline.from_pretrained(sent["somebody/tiny"])
    settings = {"num_inference_steps": 2}
    one, other = again(frames(8), **settings), tiny_pipeline(frames(8), **settings)
    np.testing.assert_allclose(one.waveforms, other.waveforms, atol=1e-4)


# ---- full size ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_release_of_full_size_loads_strictly(tmp_path, shared):
    """Every key and shape of the authors' model and of AudioLDM's own file, 0.5 G parameters, none left over."""
    if shutil.disk_usage(tmp_path).free < 4e9:
        pytest.skip("writes 2 GB of weights; less than 4 GB are free on the disk")
    release, text, audioldm = synthetic.write_full(tmp_path, shared / "goldens")
    pipe = open_release(release, text, audioldm)
    for part in ("unet", "vae"):
        config = pipe.components[part].config
        for key, value in getattr(presets, part.upper())["paper"].items():
            assert config[key] == value or list(config[key]) == list(value), f"{part}: {key}"
    assert dict(pipe.video_encoder.config).items() >= {"base_channels": 64, "temporal_kernels": (1, 1, 3, 3)}.items()
    sizes = {name: sum(p.numel() for p in pipe.components[name].parameters()) for name in ("unet", "controlnet")}
    assert round(sizes["unet"] / 1e6, 1) == 187.9 and round(sizes["controlnet"] / 1e6, 1) == 82.2
    for name, key in (("unet", "conv_in.weight"), ("controlnet", "controlnet_cond_embedding.conv_out.weight")):
        value = pipe.components[name].state_dict()[key]
        assert torch.equal(value, rule_tensor(f"{name}.{key}", value.shape))
    shutil.rmtree(tmp_path)  # 2 GB that pytest would keep


def test_the_built_in_models_card_says_what_the_model_is():
    head = card(STAV2APipeline.from_pretrained("compact")).splitlines()
    written = (COMPACT / "README.md").read_text(encoding="utf-8").splitlines()
    assert written[: len(head)] == head  # settings and sizes of these weights, not of those before
