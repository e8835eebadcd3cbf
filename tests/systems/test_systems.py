"""Systems beside STA-V2A: what each makes of frames and words, that every switch matters, and how they are kept."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared import prepared
from safetensors.torch import load_file, save_file
from small_systems import pipeline_of

from stav2a import systems
from stav2a.condition.captions import caption_bank, plain, standardised
from stav2a.condition.frame_tokens import flow_features, sinusoids
from stav2a.condition.layout import as_channel
from stav2a.condition.layout_kinds import LayoutKind
from stav2a.denoise.composed_guidance import ClassifierGuidance, ComposedGuidance
from stav2a.denoise.conditions import Conditions, concatenated
from stav2a.denoise.frame_conditions import FrameConditions
from stav2a.denoise.sample import Guidance, guided, predict
from stav2a.models.build import build
from stav2a.models.checkpoints import checkpoint_folder
from stav2a.models.lean import write_lean
from stav2a.pipeline import STAV2APipeline
from stav2a.train.runtime.start import attending_finely, widened
from stav2a.weights.errors import WeightsError

OTHERS = [name for name in systems.names() if name != systems.OWN and systems.find(name).generates]


def frames_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pipes(tiny_pipeline):
    return {name: pipeline_of(tiny_pipeline, name) for name in OTHERS}


@pytest.fixture(scope="module")
def frames():
    return frames_of(40)


@pytest.fixture(scope="module")
def base(tiny_pipeline, tmp_path_factory):
    """The tiny model as a whole checkpoint, in whose parent folder systems are kept."""
    folder = tmp_path_factory.mktemp("systems") / "base"
    tiny_pipeline.save_pretrained(folder)
    return folder


def sound(pipe, frames, prompt="a dog barks", **settings) -> np.ndarray:
    return pipe(frames, prompt, num_inference_steps=2, **settings).waveforms


# ---- the list ---------------------------------------------------------------------------------------


def test_systems_are_the_files_of_the_package():
    assert systems.names() == ["sta-v2a", "recorded", "t2a", "ta-v2a", "tiva", "vta-ldm"]
    for name in systems.names():
        assert systems.find(name).name == name and systems.find(name).title
    with pytest.raises(ValueError, match="no system 'vqgan'"):
        systems.find("vqgan")


@pytest.fixture
def fifth(monkeypatch, tmp_path):
    """The system of docs/systems.md, its module and its declaration in a folder of their own."""
    text = (Path(__file__).parents[2] / "docs" / "systems.md").read_text(encoding="utf-8")
    for kind, name in (("python", "mean_frame.py"), ("yaml", "mean_frame.yaml")):
        (tmp_path / name).write_text(text.split(f"```{kind}\n")[1].split("```")[0], encoding="utf-8")
    monkeypatch.setattr(systems, "__path__", [*systems.__path__, str(tmp_path)])
    yield "mean-frame"
    sys.modules.pop("stav2a.systems.mean_frame", None)
    systems.declared.cache_clear()


def test_the_fifth_system_of_the_docs_is_one_file_and_one_declaration(fifth, tiny_pipeline, frames):
    from stav2a.train.registry import systems_trained

    assert fifth in systems.names() and "no weights" in systems.unavailable(fifth)
    assert fifth in systems_trained()
    pipe = pipeline_of(tiny_pipeline, fifth)
    one = sound(pipe, frames)
    assert np.abs(one - sound(pipe, frames_of(40, 1))).max() > 1e-4
    assert np.abs(one - sound(pipe, frames, "rain")).max() > 1e-4
    assert np.abs(one - sound(pipe, frames, guidance_rescale=1.0)).max() > 1e-4
    with pytest.raises(TypeError, match="mean-frame has no dial 'negative_guidance_scale'"):
        sound(pipe, frames, negative_guidance_scale=1.0)


def test_its_dial_is_a_flag_a_control_and_a_parameter(fifth, capsys):
    from stav2a.__main__ import main
    from stav2a.generation.settings import Settings, check_dials
    from stav2a.media.limits import InputError
    from stav2a.models.defaults import model_dials
    from stav2a.ui.generate import controls
    from stav2a.ui.widgets.parameters import schema

    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "--guidance-rescale X How far the loudness" in told and "Of mean-frame." in told
    slider = controls.component("guidance_rescale", 0.5)
    assert (slider.minimum, slider.maximum, slider.label) == (0, 1, "Guidance rescale")
    assert schema(controls.declared()["guidance_rescale"]) == {"type": "number"}
    asked = Settings.of({"model": fifth, "guidance_rescale": 0.7})
    assert asked.own == {"guidance_rescale": 0.7} and Settings.from_json(asked.to_json()) == asked
    with pytest.raises(InputError, match="guidance rescale is 2; it must lie between 0 and 1"):
        Settings.of({"guidance_rescale": 2})
    check_dials(asked, model_dials(fifth))
    with pytest.raises(InputError, match="tiny cannot follow the guidance rescale; mean-frame can"):
        check_dials(replace(asked, model="tiny"), model_dials("tiny"))


def test_a_folder_of_weights_has_the_dials_of_its_system(tiny_pipeline, tmp_path):
    from stav2a.models.defaults import model_dials

    pipe = pipeline_of(tiny_pipeline, "ta-v2a")
    pipe.save_pretrained(tmp_path / "mine")
    dials = {"strength", "reference", "video_guidance_scale", "negative_guidance_scale", "alignment_guidance_scale"}
    assert set(model_dials(str(tmp_path / "mine"))) == set(pipe.dials) == dials


def test_a_system_without_weights_is_told_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(systems, "FOLDER", tmp_path / "assets" / "systems")
    with pytest.raises(ValueError, match=r"tiva has no weights here: there is no assets/systems/tiva\."):
        checkpoint_folder("tiva")
    assert systems.present() == []
    (tmp_path / "assets" / "systems" / "tiva").mkdir(parents=True)
    (tmp_path / "assets" / "systems" / "tiva" / "model_index.json").write_text("{}")
    assert systems.present() == ["tiva"] and checkpoint_folder("tiva").name == "tiva"


def test_page_and_command_line_offer_what_is_there(monkeypatch, tmp_path):
    from stav2a.generation.engine import Engine
    from stav2a.models.defaults import model_defaults, model_dials

    monkeypatch.setattr(systems, "FOLDER", tmp_path / "assets" / "systems")
    place = tmp_path / "assets" / "systems" / "vta-ldm"
    place.mkdir(parents=True)
    (place / "model_index.json").write_text(json.dumps({"defaults": {"steps": 7}}))
    known = Engine().models()
    assert "vta-ldm" in known and "tiva" not in known and known["vta-ldm"] is None
    assert model_defaults("vta-ldm")["steps"] == 7
    assert "video_guidance_scale" not in model_dials("vta-ldm") and "video_guidance_scale" in model_dials("ta-v2a")


# ---- what each hears and sees -----------------------------------------------------------------------


@pytest.mark.parametrize("name", OTHERS)
def test_the_picture_and_the_caption_matter_as_the_system_says(pipes, frames, name):
    pipe = pipes[name]
    one = sound(pipe, frames)
    assert one.shape == (1, 25_600) and np.isfinite(one).all()
    assert np.array_equal(one, sound(pipe, frames))
    assert (np.abs(one - sound(pipe, frames_of(40, 1))).max() > 1e-4) == (name != "t2a")
    assert (np.abs(one - sound(pipe, frames, "rain")).max() > 1e-4) == pipe.system.uses_caption


@pytest.mark.parametrize("switch", ["text", "positions", "flow"])
def test_each_row_of_table_3_of_vta_ldm_is_another_sound(tiny_pipeline, frames, switch):
    all_on = {"text": True, "positions": True, "flow": True}
    with_it = pipeline_of(tiny_pipeline, "vta-ldm", **all_on)
    without = pipeline_of(tiny_pipeline, "vta-ldm", **{**all_on, switch: False})
    state = {k: v for k, v in with_it.system.state_dict().items() if k in without.system.state_dict()}
    without.system.load_state_dict(state)
    assert np.abs(sound(with_it, frames) - sound(without, frames)).max() > 1e-4


@pytest.mark.parametrize("name", ["vta-ldm", "ta-v2a"])
def test_frames_that_know_their_time_are_another_sound(tiny_pipeline, frames, name):
    plain, timed = (pipeline_of(tiny_pipeline, name, time_bias=switch) for switch in (False, True))
    timed.system.load_state_dict(plain.system.state_dict())
    assert np.abs(sound(plain, frames) - sound(timed, frames)).max() > 1e-4


def test_vta_ldm_drops_to_zero_embeddings_and_the_negative_caption(pipes, frames):
    """Eq. 2: w ε(z, φ(f_V)) + (1 - w) ε(z, ∅)."""
    pipe = pipes["vta-ldm"]
    conditions = prepared(pipe, frames, "a dog barks", "music").conditions
    null = conditions.null_text()
    tokens = null.context()[:, null.text_tokens.shape[1] :]
    assert torch.count_nonzero(tokens) == 0 and torch.equal(null.text_tokens, conditions.null_text_tokens)
    z = torch.randn(1, 8, 40, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        full, empty = (predict(pipe.unet, None, z, torch.tensor(9), c, Guidance()) for c in (conditions, null))
        combined = guided(pipe.unet, None, z, torch.tensor(9), conditions, Guidance(text=3.0))
    torch.testing.assert_close(combined, 3 * full - 2 * empty, atol=1e-4, rtol=1e-4)


def test_positions_begin_where_a_window_begins(pipes):
    conditions = prepared(pipes["vta-ldm"], frames_of(40)).conditions
    part = conditions.window(8, 24)
    system = pipes["vta-ldm"].system
    wanted = system.project(conditions.features[:, 8:24]) + sinusoids(16, system.config.token_dim, part.features)
    torch.testing.assert_close(part.frame_tokens, wanted)


def test_a_checkpoint_denoises_in_windows_of_its_training(tiny_pipeline, frames):
    pipe = pipeline_of(tiny_pipeline, "vta-ldm")
    whole = sound(pipe, frames)
    pipe.register_to_config(defaults={**pipe.config.defaults, "window_steps": 16})
    assert np.abs(whole - sound(pipe, frames)).max() > 1e-4


def test_flow_sees_which_way_things_move():
    picture = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(picture[:8, :10], 4, 0), 4, 1)
    rows = flow_features(torch.from_numpy(np.stack([picture[:, k : k + 32] for k in (2, 1, 0)]).copy()))
    assert rows.shape == (3, 48) and torch.count_nonzero(rows[0]) == 0
    right = rows[1:, 0::3].mean()
    assert right > 0.5 and rows[1:, 1::3].abs().mean() < right


# ---- TiVA -------------------------------------------------------------------------------------------


def test_layouts_are_small_log_mels():
    assert LayoutKind().rows_of(256) == 102 and LayoutKind().rows_of(64) == 26
    mel = torch.full((1, 1024, 64), -11.6)
    mel[:, 512:, 32:] = 3.0
    layout = LayoutKind().of(mel, 256)
    assert layout.shape == (1, 102, 5)
    assert layout[0, 0, 0] == 0 and layout[0, -1, -1] == 1 and 0 < layout[0, -1, 2] < 1
    channel = as_channel(layout, 256, 16)
    assert channel.shape == (1, 256, 16) and channel.min() == -2 and channel.max() == 2
    assert channel[0, 200, 15] == 2 and channel[0, 50, 15] == -2


def test_a_painted_layout_changes_the_sound_where_it_was_painted(pipes, frames):
    pipe = pipes["tiva"]
    video = pipe.encode_video(frames)
    assert video.layout.shape == (LayoutKind().rows_of(40), 5)
    predicted = pipe(video, num_inference_steps=2)
    assert np.array_equal(predicted.layout, video.layout)
    assert np.array_equal(predicted.waveforms, sound(pipe, video, "", layout=video.layout))
    painted = video.layout.copy()
    painted[12:] = 1.0
    made = pipe(video, num_inference_steps=2, layout=painted)
    change = np.abs(made.mels - predicted.mels)[0].mean(1)
    assert change.max() > 1e-3 and change[120:].mean() > change[:60].mean()
    with pytest.raises(ValueError, match="needs 16 rows of 5 bands"):
        pipe(video, layout=painted[:3])


def test_tiva_guides_by_meaning_and_keeps_the_layout(pipes, frames):
    conditions = prepared(pipes["tiva"], frames).conditions
    null = conditions.null_text()
    assert torch.equal(null.layout, conditions.layout)
    assert torch.count_nonzero(null.context()) == 0 and torch.count_nonzero(conditions.context()) > 0


def test_the_layout_of_a_long_clip_is_blended_from_stretches(pipes):
    pipe = pipes["tiva"]
    rows = LayoutKind().rows_of(150)
    assert rows > pipe.system.config.rows
    assert pipe.encode_video(frames_of(150)).layout.shape == (rows, 5)


def test_frames_far_away_are_no_neighbours_in_windowed_attention():
    from stav2a.condition.layout import WindowAttention

    torch.manual_seed(0)
    attention = WindowAttention(16, 2, frames=3, tokens=2)
    x = torch.randn(2, 14, 16)  # seven frames: two windows and one that is cut off
    other = x.clone()
    other[:, :6] += 1
    change = (attention(other) - attention(x)).abs().sum(-1)
    assert (change[:, :6] > 0).all() and torch.count_nonzero(change[:, 6:]) == 0
    torch.testing.assert_close(attention(x)[:, 12:], attention(x[:, 12:]))


def test_a_widened_unet_begins_as_the_one_it_was_made_of(tiny_pipeline):
    unet = copy.deepcopy(tiny_pipeline.unet)
    wide = widened(copy.deepcopy(unet), 1)
    assert wide.config.in_channels == 9 and wide.config.out_channels == 8 and widened(wide, 1) is wide
    g = torch.Generator().manual_seed(0)
    text, mask = torch.randn(1, 3, 32, generator=g), torch.ones(1, 3, dtype=torch.bool)
    plain = Conditions(text, mask, text, mask)
    z = torch.randn(1, 8, 16, 16, generator=g)
    with torch.no_grad():
        one = predict(unet, None, z, torch.tensor(3), plain, Guidance())
        painted = replace(plain, layout=torch.rand(1, 16, 16, generator=g))
        other = predict(wide, None, z, torch.tensor(3), painted, Guidance())
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)  # sums of more terms round otherwise
    with pytest.raises(ValueError, match="takes 9 channels; this system needs 10"):
        widened(wide, 2)


def test_a_unet_that_attends_finely_begins_as_the_one_it_was_made_of():
    unet = build("unet", "compact")
    unet.conv_in.requires_grad_(False)
    finer = attending_finely(unet)
    assert attending_finely(finer) is finer
    assert list(finer.config.down_block_types[:2]) == ["DownBlock2D", "CrossAttnDownBlock2D"]
    assert not finer.conv_in.weight.requires_grad and finer.down_blocks[1].attentions[0].proj_out.weight.requires_grad
    g = torch.Generator().manual_seed(0)
    text, mask = torch.randn(1, 3, 384, generator=g), torch.ones(1, 3, dtype=torch.bool)
    features = torch.randn(1, 16, 384, generator=g)
    z = torch.randn(1, 8, 16, 16, generator=g)
    seen = FrameConditions(
        text, mask, text, mask, features=features, has_video=torch.ones(1), tokens=lambda c: c.features,
        caption_tokens=True, time_bias=True,
    )  # fmt: skip
    with torch.no_grad():
        one, other = (predict(network, None, z, torch.tensor(3), seen, Guidance()) for network in (unet, finer))
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
        torch.nn.init.normal_(finer.down_blocks[1].attentions[0].proj_out.weight)
        moved = predict(finer, None, z, torch.tensor(3), seen, Guidance())
        padded = replace(
            seen,
            text_tokens=torch.cat([text, torch.randn(1, 5, 384, generator=g)], 1),
            text_mask=torch.tensor([[True] * 3 + [False] * 5]),
        )
        again = predict(finer, None, z, torch.tensor(3), padded, Guidance())
    assert not torch.allclose(moved, other, atol=1e-3)
    torch.testing.assert_close(moved, again, atol=1e-4, rtol=1e-4)  # padding of the caption is not seen


# ---- TA-V2A -----------------------------------------------------------------------------------------


def test_mixtures_follow_equations_6_and_7():
    from stav2a.condition.cvalp import Mixing

    g = torch.Generator().manual_seed(0)
    video, text = torch.randn(2, 5, 8, generator=g), torch.randn(2, 8, generator=g)
    average = Mixing(8, 6, "average", video_weight=1.5)
    torch.testing.assert_close(average.mixed(video, text), (text[:, None] + 1.5 * video) / 2.5)
    concat = Mixing(8, 6, "concat", video_weight=1.5)
    both = torch.cat([concat.project_video(video), concat.project_text(text)[:, None].expand(-1, 5, -1)], -1)
    torch.testing.assert_close(concat.mixed(video, text), both + sinusoids(5, 8, video) / 8**0.5)
    with pytest.raises(ValueError, match="average, concat"):
        Mixing(8, 6, "sum", 1.0)


def test_composed_guidance_is_equation_14(pipes, frames):
    pipe = pipes["ta-v2a"]
    scales = {"guidance_scale": 2.0, "video_guidance_scale": 1.5, "own": {"negative_guidance_scale": 0.7}}
    item = prepared(pipe, frames, "a dog barks", "music", **scales)
    conditions, dials = item.conditions, pipe.guidance([item])
    assert isinstance(dials, ComposedGuidance)
    z = torch.randn(1, 8, 40, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        nothing, text, negative, video = (
            predict(pipe.unet, None, z, torch.tensor(9), c, Guidance()) for c in dials.branches(conditions)
        )
        combined = guided(pipe.unet, None, z, torch.tensor(9), conditions, dials)
    by_hand = nothing + 2.0 * (text - nothing) - 0.7 * (negative - nothing) + 1.5 * (video - nothing)
    torch.testing.assert_close(combined, by_hand, atol=1e-4, rtol=1e-4)
    told = [c.has_text.item() for c in dials.branches(conditions)]
    seen = [c.has_video.item() for c in dials.branches(conditions)]
    assert told == [0, 1, 1, 0] and seen == [0, 0, 0, 1]
    alone = prepared(pipe, frames, "a dog barks").conditions
    empty, *_, none, _ = dials.branches(alone)
    assert torch.equal(empty.context(), none.context())  # without a negative caption its term vanishes


def test_every_scale_of_composed_guidance_changes_the_sound(pipes, frames):
    pipe = pipes["ta-v2a"]
    settings = {"negative_prompt": "music"}
    one = sound(pipe, frames, **settings)
    for change in (
        {"guidance_scale": 5.0},
        {"video_guidance_scale": 0.5},
        {"negative_guidance_scale": 0.0},
        {"alignment_guidance_scale": 50.0},
    ):
        assert np.abs(one - sound(pipe, frames, **settings, **change)).max() > 1e-5, change


def test_one_scale_for_the_mixture_is_equation_11(tiny_pipeline, frames):
    pipe = pipeline_of(tiny_pipeline, "ta-v2a", composed=False)
    item = prepared(pipe, frames, "a dog barks", guidance_scale=4.5)
    conditions, dials = item.conditions, pipe.guidance([item])
    assert type(dials) is ClassifierGuidance
    null, full = dials.branches(conditions)
    assert null.has_video.item() == 0 and null.has_text.item() == 0 and full is conditions
    without, together = torch.tensor(1.0), torch.tensor(3.0)
    assert dials.combine((without, together)) == 4.5 * together + (1 - 4.5) * without


def test_the_classifier_pulls_towards_aligned_latents(tiny_pipeline):
    """Of ε the term is -γ √(1 - ᾱ) ∇ log σ(logit); a linear classifier makes it known by hand."""
    direction = torch.randn(1, 8, 4, 2, generator=torch.Generator().manual_seed(0))
    z = torch.randn(1, 8, 4, 2, generator=torch.Generator().manual_seed(1))
    scheduler = tiny_pipeline.scheduler

    def linear(latents, timesteps, features):
        return (latents * direction).sum((1, 2, 3))

    class Seen:
        features = None

    dials = ClassifierGuidance(alignment=2.0, classifier=linear, scheduler=scheduler)
    alpha = scheduler.alphas_cumprod[200]
    slope = torch.sigmoid(-linear(z, None, None)) * direction
    wanted = -2.0 * (1 - alpha).sqrt() * slope / alpha.sqrt()  # of the velocity, which is ε / √ᾱ less what z says
    torch.testing.assert_close(dials.corrected(torch.zeros_like(z), z, torch.tensor(200), Seen()), wanted)
    last = torch.tensor(scheduler.config.num_train_timesteps - 1)
    assert torch.count_nonzero(dials.corrected(torch.zeros_like(z), z, last, Seen())) == 0


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("Please generate the sound of A dog barking!", "a dog barking"),
        ("I want to hear a loud sound of rain", "rain"),
        ("could you make some noise of  footsteps on   gravel, please.", "footsteps on gravel"),
        ("A hammer strikes metal.", "a hammer strikes metal"),
        ("BBC jingle", "BBC jingle"),
        ("audio engineers talk", "audio engineers talk"),
        ("  ", ""),
    ],
)
def test_requests_become_captions(prompt, caption):
    assert plain(prompt) == caption


def test_prompts_take_the_words_of_training_where_they_say_the_same():
    """Embeddings by hand: a barking hound lies by "a dog barks", a violin by nothing that is known."""
    bank = caption_bank()
    assert "a dog barks" in bank and "a hound woofs" not in bank  # wordings for tests stay out

    def embed(captions):
        rows = torch.eye(len(bank) + 1)[[bank.index(c) if c in bank else len(bank) for c in captions]]
        if captions == ["a hound is barking"]:
            rows = torch.eye(len(bank) + 1)[[bank.index("a dog barks")]] + 0.02
        return rows

    assert standardised("Generate the sound of a hound is barking twice", embed) == "a dog barks twice"
    assert standardised("make the sound of a violin", embed) == "a violin"
    assert standardised("a dog barks three times", embed) == "a dog barks three times"


def test_the_caption_nearest_to_the_picture_is_found(tiny_pipeline, monkeypatch):
    toy = ("a dog barks", "rain falls", "a bell rings")
    monkeypatch.setattr("stav2a.systems.ta_v2a.caption_bank", lambda: toy)
    pipe = pipeline_of(tiny_pipeline, "ta-v2a")
    video = pipe.encode_video(frames_of(40))
    with torch.no_grad():
        told = pipe.system.text_head(pipe.embed(toy))
    for k, caption in enumerate(toy):
        silent = -torch.ones(1, 40, told.shape[1])
        silent[:, 17] = told[k]  # one moment tells what it is
        assert pipe.caption(replace(video, features=silent)) == caption
    found = pipe(video, num_inference_steps=1)
    assert found.settings["prompt"] in toy
    assert np.array_equal(found.waveforms, sound_once(pipe, video, found.settings["prompt"]))


def sound_once(pipe, video, prompt):
    return pipe(video, prompt, num_inference_steps=1).waveforms


# ---- what all share ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vta-ldm", "tiva", "ta-v2a"])
def test_joined_conditions_are_those_of_each(pipes, frames, name):
    pipe = pipes[name]
    captions = {"rain": frames, "a dog barks twice": frames_of(40, 1)}
    one, other = (prepared(pipe, clip, caption).conditions for caption, clip in captions.items())
    both = concatenated([one, other])
    torch.testing.assert_close(both.context()[:1, -40:], one.context()[:, -40:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.pooled_text()[1:], other.pooled_text(), atol=1e-5, rtol=1e-5)
    assert len(one.repeat(3)) == 3 and one.repeat(3).context().shape[0] == 3


@pytest.mark.parametrize("name", OTHERS)
def test_checkpoints_open_bit_for_bit_without_what_they_share(pipes, frames, base, name):
    wanted = sound(pipes[name], frames)
    folder = write_lean(copy.copy(pipes[name]), base.parent / name, "../base", half=False)
    assert np.array_equal(wanted, sound(STAV2APipeline.from_pretrained(folder), frames))
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"unet", "system", "scheduler"}
    assert f"`{name}`" in (folder / "README.md").read_text()


def test_only_what_differs_from_the_base_is_stored(pipes, frames, base):
    """Of the U-Net, and of a video encoder inside the system."""
    pipe = copy.copy(pipes["ta-v2a"])
    changed = copy.deepcopy(pipe.unet), copy.deepcopy(pipe.system)
    changed[1].video_encoder.load_state_dict(STAV2APipeline.from_pretrained(base).video_encoder.state_dict())
    pipe.register_modules(unet=changed[0], system=changed[1])
    with torch.no_grad():
        changed[0].conv_out.bias += 0.5
        changed[1].video_encoder.video_project_head.bias += 0.5
    folder = write_lean(pipe, base.parent / "changed", "../base", half=False)
    unet, system = (load_file(folder / part / "diffusion_pytorch_model.safetensors") for part in ("unet", "system"))
    assert list(unet) == ["conv_out.bias"]
    assert [name for name in system if name.startswith("video_encoder.")] == ["video_encoder.video_project_head.bias"]
    assert np.array_equal(sound(pipe, frames), sound(STAV2APipeline.from_pretrained(folder), frames))


def test_a_difference_of_low_rank_is_stored_in_two_factors(pipes, frames, base):
    from stav2a.weights.check import check_folder

    pipe = copy.copy(pipes["ta-v2a"])
    unet, system = copy.deepcopy(pipe.unet), copy.deepcopy(pipe.system)
    unet.load_state_dict(load_file(base / "unet" / "diffusion_pytorch_model.safetensors"))
    system.video_encoder.load_state_dict(STAV2APipeline.from_pretrained(base).video_encoder.state_dict())
    pipe.register_modules(unet=unet, system=system)
    generator = torch.Generator().manual_seed(0)
    changed = (unet.mid_block.resnets[0].conv1.weight, system.video_encoder.video_project_head.weight)
    with torch.no_grad():
        for weight in changed:
            left, right = (torch.randn(n, 2, generator=generator) for n in weight.flatten(1).shape)
            weight += 0.05 * (left @ right.T).view_as(weight)
    folder = write_lean(pipe, base.parent / "low", "../base", half=False, low_rank=0.9999)
    stored = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    out, inner = (stored["mid_block.resnets.0.conv1.weight" + end] for end in (".low_rank_out", ".low_rank_in"))
    assert len(stored) == 2 and out.shape[1] == inner.shape[0] == 2
    assert {part for part, _, _ in check_folder(folder, base=base)} == {"unet", "system"}
    opened = STAV2APipeline.from_pretrained(folder)
    weights = (opened.unet.mid_block.resnets[0].conv1.weight, opened.system.video_encoder.video_project_head.weight)
    for wanted, found in zip(changed, weights, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(sound(opened, frames), sound(pipe, frames), atol=1e-3)

    save_file(
        {**stored, "conv_out.weight.low_rank_out": out + 0}, folder / "unet" / "diffusion_pytorch_model.safetensors"
    )
    with pytest.raises(WeightsError, match=r"difference of conv_out\.weight fits no tensor of the base"):
        STAV2APipeline.from_pretrained(folder)


def test_a_leaning_checkpoint_can_be_saved_to_stand_alone(pipes, frames, base, tmp_path):
    from stav2a.weights.check import check_folder

    folder = write_lean(copy.copy(pipes["tiva"]), base.parent / "leaning", "../base", half=False)
    assert {part for part, _, _ in check_folder(folder, base=base)} == {"unet", "system"}
    opened = STAV2APipeline.from_pretrained(folder)
    written = write_lean(copy.copy(opened), base.parent / "again", "../base", half=False)
    assert not any(
        str(base.parent) in file.read_text() for file in written.rglob("*.json")
    )  # no folder of this machine
    opened.save_pretrained(tmp_path)
    again = STAV2APipeline.from_pretrained(tmp_path)
    assert again.system.name == "tiva" and again.controlnet is None and (tmp_path / "vae").is_dir()
    assert np.array_equal(sound(pipes["tiva"], frames), sound(again, frames))


def test_a_system_on_another_base_is_refused(pipes, tmp_path, tiny_pipeline):
    from debug_model import tiny

    tiny_pipeline.save_pretrained(tmp_path / "base")
    write_lean(copy.copy(pipes["vta-ldm"]), tmp_path / "vta-ldm", "../base", half=False)
    shutil.rmtree(tmp_path / "base")
    other = tiny(seed=1)
    other.save_pretrained(tmp_path / "base")
    with pytest.raises(WeightsError, match="vta-ldm was trained on another unet than that of base"):
        STAV2APipeline.from_pretrained(tmp_path / "vta-ldm")
    with pytest.raises(WeightsError, match="The VAE is not that of base"):
        write_lean(copy.copy(pipes["vta-ldm"]), tmp_path / "again", "../base", half=False)


def test_a_better_decoder_or_encoder_of_the_base_leaves_a_system_as_it_is(pipes, frames, tmp_path):
    from debug_model import tiny

    base, other = tiny(), tiny(seed=1)
    base.register_modules(video_encoder=other.video_encoder, local_features=other.local_features)
    vae = copy.deepcopy(base.vae)
    vae.decoder.load_state_dict(other.vae.decoder.state_dict())
    base.register_modules(vae=vae)
    base.save_pretrained(tmp_path / "better")
    own = pipes["vta-ldm"]
    folder = write_lean(copy.copy(own), tmp_path / "vta-ldm", "../better", half=False)
    assert (folder / "video_encoder").is_dir() and (folder / "local_features").is_dir()
    opened = STAV2APipeline.from_pretrained(folder)
    for part, kept in (("video_encoder", own), ("local_features", own), ("vae", base)):
        wanted = getattr(kept, part).state_dict()
        assert all(torch.equal(value, wanted[name]) for name, value in getattr(opened, part).state_dict().items())
    assert not np.array_equal(sound(own, frames), sound(opened, frames))  # what the other decoder makes of it


@pytest.mark.parametrize("name", ["t2a", "ta-v2a", "tiva", "vta-ldm"])
def test_weights_that_are_shipped_are_small_and_make_sound(name):
    folder = checkpoint_folder(name)
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 8e6
    assert (folder / "README.md").is_file() and not any(folder.rglob("*.bin"))
    pipe = STAV2APipeline.from_pretrained(name)
    pipe.set_progress_bar_config(disable=True)
    size = pipe.timeline.frame_size
    moving = np.random.default_rng(0).integers(0, 255, (25, size, size, 3), np.uint8)
    first, again, other = (
        pipe(moving, word, seed=0, num_inference_steps=2).waveforms[0] for word in ("rain", "rain", "")
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == (16_000,) and np.isfinite(first).all() and first.std() > 1e-4
    assert (name == "tiva") == np.array_equal(first, other)  # it hears no caption
