"""Parts from other projects: text encoder (mT5), VAE and vocoder (AudioLDM, in either layout)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from stav2a.sound import vae as mel_vae
from stav2a.sound import vocoder as hifigan

from . import shapes
from .errors import WeightsError
from .load import load_strict
from .reach import load_from_hub
from .read import read_state
from .sources import MT5_LARGE, TEXT

KINDS = {  # model types of transformers -> the class of the text side alone
    "clip": "CLIPTextModel",
    "clip_text_model": "CLIPTextModel",
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "bert": "BertModel",
}
OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def load_text_encoder(
    folder: str | Path,
    state: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    tokenizer: str | Path | None = None,
) -> tuple[Any, Any]:
    """-> (tokenizer, text_encoder) of the T5 family from a folder with its config and tokenizer.

    `state` holds the encoder's weights if the release brought them; else they are read from the folder.
    `tokenizer`: its own folder, where it has one, as in a checkpoint.
    """
    from transformers import AutoConfig, AutoTokenizer, MT5EncoderModel, T5EncoderModel

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder} has no config.json of a text encoder; fetch google/mt5-large.")
    config = AutoConfig.from_pretrained(folder)
    kinds = {"mt5": MT5EncoderModel, "t5": T5EncoderModel}
    if config.model_type not in kinds:
        raise WeightsError(f"The text encoder in {folder} is of type {config.model_type}; t5 and mt5 are known.")
    file = folder
    if state is None:
        names = ("model.safetensors", "pytorch_model.bin")
        found = [folder / name for name in names if (folder / name).is_file()]
        if not found:
            raise WeightsError(
                f"Neither the release nor {folder} holds the text encoder's weights; run "
                "`python -m stav2a weights fetch mt5-weights`."
            )
        file = found[0]
        state = {k: v for k, v in read_state(file).items() if k.startswith(("shared.", "encoder."))}
    state = dict(state)
    tied = ("shared.weight", "encoder.embed_tokens.weight")  # one table under two names, of which a file may have one
    table = next((state[key] for key in tied if key in state), None)
    if table is not None:
        state |= dict.fromkeys(tied, table)
    encoder = load_strict(lambda: kinds[config.model_type](config), state, "text_encoder", file, dtype)
    try:
        words = AutoTokenizer.from_pretrained(tokenizer or folder)
    except ImportError as error:
        raise WeightsError("The paper's tokenizer needs one more package: `pip install sentencepiece`.") from error
    except (OSError, ValueError) as error:
        place = tokenizer or folder
        raise WeightsError(f"The tokenizer in {place} cannot be read; fetch google/mt5-large again.") from error
    return words, encoder


def load_audioldm(source: str | Path, dtype: torch.dtype | None = None) -> tuple[AutoencoderKL, SpeechT5HifiGan]:
    """VAE and vocoder from a folder with `vae/` and `vocoder/`, or from AudioLDM's original single file."""
    source = Path(source)
    return _from_original(source, dtype) if source.is_file() else _from_folder(source, dtype)


def _from_folder(folder: Path, dtype: torch.dtype | None) -> tuple[AutoencoderKL, SpeechT5HifiGan]:
    vae_file = _weight_file(folder / "vae", ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"))
    vocoder_file = _weight_file(folder / "vocoder", ("model.safetensors", "pytorch_model.bin"))
    state = {}
    for key, value in read_state(vae_file).items():
        for old, new in OLD_ATTENTION.items():  # diffusers renamed these in 0.18, the file may be older
            key = key.replace(old, new) if ".attentions." in key else key
        state[key] = value
    config = _config(folder / "vae")
    known = shapes.vae_config(shapes.shapes_of(state))
    factor = config.get("scaling_factor")
    if factor is None:
        raise WeightsError(f"{folder / 'vae' / 'config.json'} has no scaling_factor; take another conversion.")
    known["norm_num_groups"] = config.get("norm_num_groups", known["norm_num_groups"])
    vae = _vae(state, known, factor, vae_file, dtype)
    vocoder_config = SpeechT5HifiGanConfig(**_config(folder / "vocoder"))
    return vae, _vocoder(read_state(vocoder_file), vocoder_config, vocoder_file, dtype)


def _from_original(file: Path, dtype: torch.dtype | None) -> tuple[AutoencoderKL, SpeechT5HifiGan]:
    content, prefix = read_state(file), "first_stage_model."
    stage = {key[len(prefix) :]: value for key, value in content.items() if key.startswith(prefix)}
    if not stage or "scale_factor" not in content:
        raise WeightsError(f"{file} has no first_stage_model.* and scale_factor; it is not AudioLDM's original file.")
    voc = {key[len("vocoder.") :]: value for key, value in stage.items() if key.startswith("vocoder.")}
    first = mel_vae.from_audioldm_layout({k: v for k, v in stage.items() if not k.startswith("vocoder.")})
    known = shapes.vae_config(shapes.shapes_of(first))
    vae = _vae(first, known, float(content["scale_factor"]), file, dtype)
    return vae, _vocoder(hifigan.from_audioldm_layout(voc), hifigan.vocoder_config("paper"), file, dtype)


def _vae(
    state: Mapping[str, Tensor], config: dict, factor: float, file: Path, dtype: torch.dtype | None
) -> AutoencoderKL:
    arguments = {**config, "sample_size": 1024, "scaling_factor": factor}
    return load_strict(lambda: AutoencoderKL(**arguments), state, "vae", file, dtype)


def _vocoder(
    state: Mapping[str, Tensor], config: SpeechT5HifiGanConfig, file: Path, dtype: torch.dtype | None
) -> SpeechT5HifiGan:
    state = {"mean": torch.zeros(config.model_in_dim), "scale": torch.ones(config.model_in_dim), **state}
    return load_strict(lambda: SpeechT5HifiGan(config), state, "vocoder", file, dtype)


def _weight_file(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(f"{folder} has none of {', '.join(names)}; run `python -m stav2a weights fetch audioldm`.")


def _config(folder: Path) -> dict:
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError(f"{path} is missing; run `python -m stav2a weights fetch audioldm`.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON; delete it and fetch it again.") from error


def text_config(name: str) -> Any:
    """The configuration of the text encoder of that name: of `sources.TEXT`, `mt5`, or of a folder.

    `WeightsError` where it is not known without the hub.
    """
    from transformers import AutoConfig

    if name in (known := {"mt5": MT5_LARGE, **TEXT}):
        config = AutoConfig.for_model(**known[name].architecture)
    elif (Path(name) / "config.json").is_file():
        config = AutoConfig.from_pretrained(name)
    else:
        raise WeightsError(f"The architecture of {name} is not known without the hub; known are {', '.join(TEXT)}.")
    if config.model_type not in KINDS:
        raise WeightsError(f"{name} is of the type {config.model_type}; text encoders are of {', '.join(KINDS)}.")
    return getattr(config, "text_config", config)  # of CLIP, whose configuration holds both halves


def untrained_text_encoder(name: str) -> Any:
    """The text encoder that `text_config` describes, with random weights."""
    import transformers

    config = text_config(name)
    return getattr(transformers, KINDS[config.model_type])(config).eval()


def load_named(name: str) -> tuple[Any, Any]:
    """-> (tokenizer, text_encoder), frozen; `WeightsError` says what is missing and how to get it."""
    import transformers

    source = TEXT[name].repo if name in TEXT else name
    try:
        kind = load_from_hub(transformers.AutoConfig.from_pretrained, source).model_type
        if kind not in KINDS:
            raise WeightsError(f"{source} is of the type {kind}; text encoders are of {', '.join(sorted(KINDS))}.")
        tokenizer = load_from_hub(transformers.AutoTokenizer.from_pretrained, source)
        encoder = load_from_hub(getattr(transformers, KINDS[kind]).from_pretrained, source)
    except OSError as error:
        raise WeightsError(
            f"The text encoder {name} cannot be had: {source} is neither a folder with config.json nor on this "
            f"machine, or the hub is out of reach; fetch it by `hf download {source}` where there is a network."
        ) from error
    return tokenizer, encoder.eval().requires_grad_(False)
