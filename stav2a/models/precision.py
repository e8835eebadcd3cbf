"""The fastest precision of a device at full quality: bf16 if it has instructions for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
CHOICES = ("auto", *DTYPES)


def dtype_for(device: str, name: str = "auto") -> torch.dtype:
    """The torch dtype of a name in `CHOICES`. "auto" is bf16 if the device has matrix instructions for it, else fp32.

    These are GPUs from Ampere on and x86 processors with AVX512_BF16 or AMX, several times as fast as in fp32. Without
    such instructions bf16 is emulated and many times slower (docs/speed.md); fp16 can overflow in T5 and
    is never chosen automatically.
    """
    import torch

    if name != "auto":
        return getattr(torch, DTYPES[name])
    return torch.bfloat16 if has_bf16(device) else torch.float32


def has_bf16(device: str) -> bool:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
