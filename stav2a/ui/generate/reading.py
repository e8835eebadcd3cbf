"""Explains all terms and colours of the page, in the accordion “How to read this page”."""

from __future__ import annotations

import gradio as gr

from stav2a.ui import head

TEXT = """
**Onset**: the moment a sound begins. The blue curve in the editor says how likely one is at each moment; blue triangles
are the onsets that the model found, orange diamonds those that you placed, grey outlines those that you deleted.

**Mel-spectrogram**: a picture of sound. Time runs to the right, pitch upwards, and brighter means louder. A hit is an
upright line, a steady tone a level one.

**Guidance**: how closely the sound follows the caption. High values can sound harsh. **Steps**: how often the model
refines the sound. More steps take longer. **Seed**: a number that fixes the random noise from which the sound is made.
The same seed and settings give the same sound.

| measure | what it says | good |
| --- | --- | --- |
| Onset F1 | how well the onsets of the sound agree, within 50 ms, with those that it should follow | 1 |
| Gain over chance | onset F1 minus what the same hits would reach by chance | far above 0 |
| AA-Align | how well onsets of the new and of the original sound agree | 1 |
| AV-Align | how well onsets agree with peaks of motion; near chance for most real clips | 1 |
| Loudness | level in LUFS; −23 is broadcast level | as set |
| Real-time factor | seconds of computing for each second of the clip | below 1 is faster than real time |
"""


def build() -> None:
    with gr.Accordion("How to read this page", open=False, elem_id="reading"):
        gr.Markdown(TEXT)
    head.build_card()
