"""Loading and saving pipelines: by name, folder or repository; folders of safetensors with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline

from stav2a.condition import text
from stav2a.models.checkpoints import checkpoint_folder
from stav2a.models.distilled import open_distilled
from stav2a.models.lean import base_of, open_lean
from stav2a.weights.check import DISTILLED

if TYPE_CHECKING:
    from typing_extensions import Self

HUB_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")
UPLOAD_OPTIONS = ("repo_id", "token", "private", "commit_message", "create_pr")


class Pretrained(DiffusionPipeline):
    """`from_pretrained` and `save_pretrained` of `STAV2APipeline`."""

    @classmethod
    def from_pretrained(cls, name: str | Path = "compact", **options: Any) -> Self:
        """Open "compact", "paper", "tiny", a system by its name, a folder, or a repository of the hub.

        "paper" is fetched and converted on first use (`python -m stav2a weights`). A folder without a text
        encoder (the built-in one) takes MiniLM from its pip package, or the hub. `options` are diffusers':
        `dtype` (fp32 unless given), `revision`, `token`, `local_files_only`, ….
        """
        dtype = options.get("dtype", options.get("torch_dtype"))
        if name == "tiny":
            return cls._tiny(dtype)
        if dtype is None:
            options["dtype"] = torch.float32  # files may hold fp16 to be small; transformers would keep it
        folder = checkpoint_folder(name, cls, **{key: options.pop(key) for key in HUB_OPTIONS if key in options})
        if (base := base_of(folder)) is not None:
            options = {**open_lean(folder, base, options.get("dtype", dtype) or torch.float32), **options}
        if options.get("variant") is None:  # the libraries fill what is missing with noise
            from stav2a.weights.check import check_folder

            check_folder(folder, skip=options)
        if (folder / DISTILLED).is_dir() and not {"unet", DISTILLED} & set(options):
            options[DISTILLED] = open_distilled(folder, options.get("dtype", dtype) or torch.float32)
        if not (folder / "text_encoder").is_dir() and "text_encoder" not in options:
            tokenizer, text_encoder = text.load_minilm()
            options.setdefault("tokenizer", tokenizer)
            options.setdefault("text_encoder", text_encoder)
        return super().from_pretrained(str(folder), **options)

    def save_pretrained(
        self, save_directory: str | Path, *args: Any, push_to_hub: bool = False, **options: Any
    ) -> None:
        """Write a folder of safetensors with its model card. An existing card is kept."""
        from stav2a.models.card import upload, write_card

        hub = {key: options.pop(key) for key in UPLOAD_OPTIONS if key in options}
        whole = {key: value for key, value in self.config.provenance.items() if key != "base"}  # it leans on no other
        self.register_to_config(provenance=whole)
        super().save_pretrained(save_directory, *args, **options)
        write_card(self, save_directory)
        if push_to_hub:
            upload(save_directory, hub.pop("repo_id", Path(save_directory).name), **hub)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the pipeline to a repository of the hub; returns its address. `options`: token, private, …."""
        from tempfile import TemporaryDirectory

        from stav2a.models.card import upload

        hub = {key: options.pop(key) for key in UPLOAD_OPTIONS if key in options}
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, **options)
            return upload(folder, repo_id, **hub)

    @classmethod
    def _tiny(cls, dtype: torch.dtype | None) -> Self:
        from stav2a.models.tiny import tiny_components

        pipe = cls(**tiny_components())
        for part in pipe.components.values():
            if dtype is not None and isinstance(part, torch.nn.Module):
                torch.nn.Module.to(part, dtype)  # diffusers' own warns of parts to be kept in fp32, of none
        return pipe
