"""Captions by a vision-language model of the hub (TA-V2A §II-D uses Video-LLaMA 2).

Any image-text-to-text model of transformers works that accepts several pictures in one message.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

from stav2a.media.frames import read_frames
from stav2a.media.probe import probe

PICTURES = 6  # of a clip, evenly spaced
SIZE = 384  # pixels
MOST_TOKENS = 40
QUESTION = (
    "These are pictures of one video, in order. Which sound belongs to it? Answer with one short sentence that says "
    "what makes the sound and what it does, like: a dog barks twice."
)


class HubDescriber:
    """`describe(clip)` -> a caption; the model is fetched on first use."""

    def __init__(self, repository: str, device: str = "cpu"):
        self.repository, self.device = repository, device

    @cached_property
    def parts(self) -> tuple:
        """-> (processor, model); `WeightsError` says in one sentence why there is none."""
        from huggingface_hub import snapshot_download
        from transformers import AutoModelForImageTextToText, AutoProcessor

        from stav2a.weights.errors import WeightsError
        from stav2a.weights.fetch import hub_errors

        folder = self.repository
        if not Path(folder).is_dir():
            with hub_errors(self.repository):
                folder = snapshot_download(
                    self.repository, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.jinja"]
                )
        try:
            processor = AutoProcessor.from_pretrained(folder)
            model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").to(self.device)
        except (ImportError, OSError, ValueError) as error:
            first = str(error).strip().split("\n")[0][:200]
            raise WeightsError(f"{self.repository} cannot describe clips here: {first}") from error
        return processor, model.eval()

    def __call__(self, clip: Path, start_s: float = 0.0, length_s: float | None = None) -> str:
        import torch

        processor, model = self.parts
        messages = [
            {
                "role": "user",
                "content": [
                    *({"type": "image", "image": picture} for picture in pictures(clip, start_s, length_s)),
                    {"type": "text", "text": QUESTION},
                ],
            }
        ]
        asked = processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(model.device)
        with torch.no_grad():
            answered = model.generate(**asked, max_new_tokens=MOST_TOKENS, do_sample=False)
        words = processor.batch_decode(answered[:, asked["input_ids"].shape[1] :], skip_special_tokens=True)[0]
        return first_sentence(words)


@lru_cache(maxsize=1)
def hub_describer(repository: str) -> HubDescriber:
    """The describer of this process; its model is loaded once."""
    return HubDescriber(repository)


def pictures(clip: Path, start_s: float = 0.0, length_s: float | None = None) -> list:
    """PIL pictures of the used part of a clip, evenly spaced."""
    from PIL import Image

    used_s = length_s or probe(clip).duration_s - start_s
    frames = read_frames(clip, PICTURES / max(used_s, 0.1), SIZE, start_s, length_s, shown="nearest").frames
    return [Image.fromarray(frame) for frame in frames[:PICTURES]]


def first_sentence(text: str) -> str:
    """The text before the first full stop or line break."""
    line = next(iter(text.strip().splitlines()), "").strip()
    return line.split(". ")[0].rstrip(". ").strip()
