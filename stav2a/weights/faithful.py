"""Named modes of inference. `faithful` follows the authors' script; docs/faithful.md compares the two."""

from __future__ import annotations

from stav2a.timeline import PAPER, Timeline

from .errors import WeightsError

# The video side of the mode lies in the paper's timeline (40 frames at 4 fps, 224 pixels, zero rows after a shorter
# clip), the encoded empty string as null text in the pipeline, the last slope of the vocoder in transformers.
FAITHFUL = {
    "steps": 200,
    "guidance_scale": 3.0,
    "video_guidance_scale": 1.0,  # no guidance of its own: video tokens stay in both halves
    "sampler": "ddpm",
    "onset_threshold": 0.5,
    "mask_control": False,  # the authors' ControlNet attends to the text's padding
    "guided_share": 1.0,
    "guidance_rescale": 0.0,
    "timestep_power": 1.0,
    "null_text": "empty",  # the encoded empty string, although their training drops captions to zeros
    "equaliser_rounds": 0,
    "strength": 1.0,
}
MODES = {"faithful": FAITHFUL}


def mode_defaults(mode: str, timeline: Timeline) -> dict:
    """Sampling settings of a named mode; refused for a checkpoint whose timeline it does not fit."""
    if mode not in MODES:
        raise WeightsError(f"There is no mode {mode!r}; there is {', '.join(MODES)}.")
    if (timeline.fps, timeline.window_s) != (PAPER.fps, PAPER.window_s):
        raise WeightsError(
            f"The mode {mode} belongs to the paper's model at {PAPER.fps:g} frames a second; this checkpoint takes "
            f"{timeline.fps:g}."
        )
    return dict(MODES[mode])
