"""Parity with the authors' code: rule-made weights and inputs in, stored numbers out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from golden import Golden, fill, randn

from stav2a.condition.attentive_pool import AttentivePooling
from stav2a.condition.cavp import CAVPVideoEncoder
from stav2a.condition.in_time import stretched
from stav2a.condition.onset import LocalFeatures, expanding_windows, onset_loss
from stav2a.denoise.conditions import Conditions, concatenated
from stav2a.denoise.control import TemporalControlNet
from stav2a.denoise.loss import diffusion_loss, signal_to_noise, target
from stav2a.denoise.sample import Guidance, denoise, guided, make_sampler, predict
from stav2a.presets import ATTENTIVE_POOL, LOCAL_FEATURES, VIDEO_ENCODER
from stav2a.sound import vae as vae_module
from stav2a.sound import vocoder as vocoder_module
from stav2a.sound.mel import log_mel
from stav2a.timeline import PAPER

GOLDENS = Path(__file__).parents[2].parent / "shared" / "goldens"
pytestmark = pytest.mark.skipif(not GOLDENS.is_dir(), reason=f"no golden numbers at {GOLDENS}")


@pytest.fixture(scope="module", autouse=True)
def no_grad():
    """Also prints the parity table at the end, which `pytest -s` shows."""
    with torch.no_grad():
        yield
    for case, name, error, limit in Golden.parity:
        print(f"{case:20} {name:40} {error:.1e}  {limit}")


def golden(case: str) -> Golden:
    return Golden(GOLDENS, case)


def unet_and_control(case: Golden) -> tuple[UNet2DConditionModel, TemporalControlNet]:
    unet = fill(UNet2DConditionModel(**case.facts["config"]), "unet.")
    return unet, fill(TemporalControlNet.from_unet(unet, conditioning_channels=128), "controlnet.")


def test_weight_rule_gives_the_stored_probes():
    case = golden("unet_controlnet_b")
    unet, controlnet = unet_and_control(case)
    assert sum(p.numel() for p in unet.parameters()) == case.facts["n_params"]["unet"]
    assert sum(p.numel() for p in controlnet.parameters()) == case.facts["n_params"]["controlnet"]
    state = {f"unet.{k}": v for k, v in unet.state_dict().items()}
    state |= {f"controlnet.{k}": v for k, v in controlnet.state_dict().items()}
    for key, probe in case.facts["weight_probe"].items():
        assert list(state[key].shape) == probe["shape"]
        assert state[key].flatten()[:4].tolist() == pytest.approx(probe["first4"], abs=1e-7)


def test_local_features():
    case = golden("local_features")
    model = fill(LocalFeatures(**LOCAL_FEATURES["paper"]))
    temporal = model.trans_cvap_feature(case["video_features"])
    windows = expanding_windows(temporal, model.config.windows)
    for index, name in enumerate(case.facts["concat_order"]):
        case.check(name, windows[..., 128 * index : 128 * (index + 1)])
    local_features, onset_logits = model(case["video_features"])
    case.check("control_feature", local_features)
    case.check("onset_logits", onset_logits)
    steps = stretched(torch.arange(40.0)[None, :, None], model.config.steps_per_frame, model.config.tail_steps)
    assert steps[0, :, 0].long().tolist() == case.facts["resample_index_256"]


def test_global_features():
    case = golden("global_features")
    model = fill(AttentivePooling(**ATTENTIVE_POOL["paper"]), "global_video_feature.")
    frames = model.fc(case["video_features"])
    case.check("fc_out_first8", frames[..., :8])
    case.check("unary", model.fga.un_models[0](frames.transpose(1, 2)))
    case.check("self_pairwise", model.fga.pp_models[0](frames.transpose(1, 2)))
    attention = model.fga(frames.transpose(1, 2))
    case.check("attention", attention)
    case.check("attended", torch.einsum("bu,buc->bc", attention, frames))
    case.check("tokens", model(case["video_features"]))


def test_cavp_video():
    case = golden("cavp_video")
    model = fill(CAVPVideoEncoder(**VIDEO_ENCODER["paper"]))
    frames = randn(case.facts["inputs"]["video"]).transpose(1, 2)
    case.check("features", model(frames))
    case.check("features_unnormalized", model(frames, normalize=False))
    alone = [model(frames[:, :, i : i + 1]) for i in range(4)]
    case.check("features_frame_by_frame", torch.cat(alone, dim=1))


@pytest.mark.parametrize("name", ["unet_controlnet", "unet_controlnet_b"])
def test_unet_with_control(name):
    case = golden(name)
    unet, controlnet = unet_and_control(case)
    t, latents, tokens = case.facts["timestep"], case["latents"], case["encoder_hidden_states"]
    mask = case["encoder_attention_mask"]
    down, mid = controlnet(latents, t, tokens, case["control_feature"], return_dict=False)
    case.check("control_mid_residual", mid)
    case.check("control_last_down_residual", down[-1])
    assert [list(residual.shape) for residual in down] == case.facts["control_down_shapes"]
    statistics = torch.stack([torch.stack([r.mean(), r.std(), r.sum()]) for r in (*down, mid)])
    stored = torch.cat([case["control_down_stats_mean_std_sum"], case["control_mid_stats_mean_std_sum"][None]])
    torch.testing.assert_close(statistics[:, :2], stored[:, :2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(statistics[:, 2], stored[:, 2], rtol=1e-4, atol=0.5)

    def predict(mask, control=True):
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
        return unet(latents, t, tokens, encoder_attention_mask=mask, **(residuals if control else {})).sample

    case.check("noise_pred", predict(mask))
    case.check("noise_pred_without_control", predict(mask, control=False))
    case.check("noise_pred_without_mask", predict(None))


def test_control_embedding():
    case = golden("unet_controlnet_b")
    _, controlnet = unet_and_control(case)
    seen = []
    controlnet.controlnet_cond_embedding.register_forward_hook(lambda m, args, out: seen.append(out[:, :4]))
    controlnet(case["latents"], 500, case["encoder_hidden_states"], case["control_feature"])
    case.check("control_cond_embedding_channel0to3", seen[0])


def test_vae():
    case = golden("vae_vocoder")
    vae = vae_module.build_vae("paper")
    shapes = authors_vae_shapes()
    vae.load_state_dict(vae_module.from_audioldm_layout(rule_first_stage(shapes)), strict=True)
    vae.eval()
    vae.register_to_config(scaling_factor=case.facts["scale_factor"])
    case.check("mel", vae_module.decode(vae, case["z"]))
    posterior = vae.encode(case["mel_in"]).latent_dist
    case.check("posterior_mean", posterior.mean)
    case.check("posterior_logvar", posterior.logvar)


def test_vocoder():
    case = golden("vae_vocoder")
    vocoder = vocoder_module.build_vocoder("paper").eval()
    shapes = {k[len("vocoder.") :]: v for k, v in authors_vae_shapes(vocoder=True).items()}
    state = rule_first_stage(shapes, "vocoder.")
    vocoder.load_state_dict(vocoder_module.from_audioldm_layout(state), strict=True)
    mel = case["vocoder_mel"].transpose(1, 2)
    case.check("vocoder_wav", vocoder(mel)[:, None])
    torch.testing.assert_close(vocoder_module.vocode(vocoder, mel), vocoder(mel)[:, : 32 * 160], atol=1e-5, rtol=0)
    wave = vocoder(case["mel"][:, 0])
    assert ((wave * 32768).to(torch.int32) - case["wave_int16"]).abs().max() <= 2


def authors_vae_shapes(vocoder: bool = False) -> dict:
    import json

    keys = json.loads((GOLDENS / "schema_vae_vocoder.json").read_text())["keys"]
    return {k: v for k, v in keys.items() if k.startswith("vocoder.") == vocoder}


def rule_first_stage(shapes: dict, inner: str = "") -> dict:
    from golden import rule_state

    return rule_state(shapes, "first_stage_model." + inner)


def test_log_mel():
    case = golden("vae_vocoder")
    mel = log_mel(case["stft_wave"][None], PAPER)
    stored = case["log_mel"].transpose(1, 2)[:, :100]  # ours leaves out the centred transform's extra frame
    torch.testing.assert_close(mel, stored, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mel, case["padded_104"][:, :100], rtol=1e-4, atol=1e-4)


def test_scheduler():
    case = golden("scheduler")
    scheduler = DDPMScheduler(**case.facts["scheduler"])
    t = torch.tensor([10, 500, 990])
    case.check("alphas_cumprod", scheduler.alphas_cumprod)
    case.check("add_noise_10_500_990", scheduler.add_noise(case["x0"], case["noise"], t))
    case.check("velocity_10_500_990", scheduler.get_velocity(case["x0"], case["noise"], t))
    for kind in ("v_prediction", "epsilon"):
        scheduler = DDPMScheduler(**{**case.facts["scheduler"], "prediction_type": kind})
        scheduler.set_timesteps(200)
        assert scheduler.timesteps.tolist() == case["timesteps_200"].tolist()
        for t in (996, 501, 1):
            generator = torch.Generator().manual_seed(5000 + t)
            step = scheduler.step(case["model_output"], t, case["x0"], generator=generator)
            case.check(f"step_{kind}_t{t}", step.prev_sample)
            case.check(f"step_{kind}_t{t}_pred_x0", step.pred_original_sample)


def conditions_of(case: Golden, local: LocalFeatures) -> Conditions:
    """The authors' batch: the encoded empty string as null text, real video in both halves."""
    masks = case.facts.get("text_masks") or {"cond": [[1, 1, 1], [1, 1, 0]], "empty": [[1, 0, 0], [1, 0, 0]]}
    text, empty = case["text_cond"], case.tensors.get("text_empty", case["text_cond"])
    return Conditions(
        text_tokens=text,
        text_mask=torch.tensor(masks["cond"]).bool(),
        null_text_tokens=empty,
        null_text_mask=torch.tensor(masks["empty"]).bool(),
        global_tokens=case["global_tokens"],
        local_features=local(case["video_features"])[0],
    )


FAITHFUL = Guidance(text=3.0, mask_control=False)


def test_guidance():
    case = golden("guidance")
    unet, controlnet = unet_and_control(case)
    conditions = conditions_of(case, fill(LocalFeatures(**LOCAL_FEATURES["paper"])))
    case.check("control_feature", conditions.control())
    both = concatenated([conditions.null_text(), conditions])
    case.check("encoder_hidden_states", both.context())
    case.check("encoder_attention_mask", both.context_mask().float())
    latents, t = case["latents"], case.facts["timestep"]
    without, full = predict(unet, controlnet, latents.repeat(2, 1, 1, 1), t, both, FAITHFUL).chunk(2)
    case.check("noise_pred_uncond", without)
    case.check("noise_pred_cond", full)
    case.check("guided_pred", guided(unet, controlnet, latents, t, conditions, FAITHFUL))


def test_sampling():
    case = golden("sampling")
    unet, controlnet = unet_and_control(case)
    conditions = conditions_of(case, fill(LocalFeatures(**LOCAL_FEATURES["paper"])))
    sampler = make_sampler("ddpm", DDPMScheduler(**case.facts["scheduler"]))
    generator = torch.Generator().manual_seed(4242)
    steps = denoise(unet, controlnet, sampler, case["latents"], conditions, FAITHFUL, 2, 256, generator)
    case.check("latents_out", list(steps)[-1])
    assert sampler.timesteps.tolist() == case.facts["timesteps"]


def test_training_loss():
    case = golden("training_loss")
    unet, controlnet = unet_and_control(case)
    local = fill(LocalFeatures(**LOCAL_FEATURES["paper"]))
    conditions = conditions_of(case, local)
    scheduler = DDPMScheduler(**case.facts["scheduler"])
    onset = onset_loss(local(case["video_features"])[1], case["onset_labels"])
    for name, timesteps in {"t500": (500, 500), "t60_900": (60, 900)}.items():
        t = torch.tensor(timesteps)
        noisy = scheduler.add_noise(case["latents"], case["noise"], t)
        prediction = predict(unet, controlnet, noisy, t, conditions, FAITHFUL)
        wanted = target(scheduler, case["latents"], case["noise"], t)
        for weights, gamma in {"snr5": 5.0, "nosnr": None}.items():
            loss = diffusion_loss(scheduler, prediction, wanted, t, gamma)
            case.check(f"loss_{weights}_{name}", loss[None])
            case.check(f"loss_onset_{weights}_{name}", onset[None])
    case.check("snr_at_60_900", signal_to_noise(scheduler, torch.tensor([60, 900])))
    case.check("snr_at_500", signal_to_noise(scheduler, torch.tensor([500])))
