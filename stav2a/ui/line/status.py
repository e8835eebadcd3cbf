"""The status line under the buttons and the table of measures, as escaped HTML."""

from __future__ import annotations

from html import escape

from stav2a.output import Progress
from stav2a.ui.line.jobs import Job

STAGES = {
    "load": "Loading the model",
    "read": "Reading the clip",
    "frames": "Reading the clip",
    "video": "Looking at the clip",
    "text": "Reading the caption",
    "extract": "Looking at the clip",
    "conditions": "Looking at the clip",
    "onsets": "Finding onsets",
    "recordings": "Finding recordings",
    "denoise": "Making sound",
    "sample": "Making sound",
    "decode": "Turning it into audio",
    "vocode": "Turning it into audio",
    "level": "Setting the loudness",
    "mux": "Adding the sound to the video",
    "measure": "Measuring",
    "figure": "Drawing the figure",
    "bundle": "Packing the download",
    "batch": "Clips done",
    "record": "Drawing the figure",
    "wait": "Waiting for the run before this one",
}

MEASURES = {  # key in `Take.measures`: (name, explanation, format)
    "onset_f1": ("Onset F1", "how well hits and onsets agree, within 50 ms", "{:.2f}"),
    "onset_f1_gain": ("Gain over chance", "onset F1 minus that of the same hits shifted in time", "{:+.2f}"),
    "gain_over_chance": ("Gain over chance", "onset F1 minus that of the same hits shifted in time", "{:+.2f}"),
    "aa_align": ("AA-Align", "how well onsets of new and original sound agree", "{:.2f}"),
    "av_align": ("AV-Align", "how well onsets agree with motion; near chance for most clips", "{:.2f}"),
    "loudness_lufs": ("Loudness", "of the whole sound (EBU R 128)", "{:.1f} LUFS"),
    "lufs": ("Loudness", "of the whole sound (EBU R 128)", "{:.1f} LUFS"),
    "rtf": ("Real-time factor", "seconds of computing per second of clip", "{:.2f}"),
    "seconds": ("Time taken", "", "{:.1f} s"),
}
SILENT_LUFS = -60.0  # quieter sounds count as silence and stay as they are
WITHIN_LU = 1.0  # of the loudness that was asked for


def idle() -> str:
    return '<div class="st" role="status"><p>Ready.</p></div>'


def note(sentence: str) -> str:
    return f'<div class="st" role="status"><p>{escape(sentence)}</p></div>'


def error(sentence: str) -> str:
    return f'<div class="st error" role="alert"><p>{escape(sentence)}</p></div>'


def running(job: Job) -> str:
    """Place in the queue, or stage, step and time left; with a progress bar for a generation."""
    progress = job.progress
    if job.cancelled:
        return note("Stopping …")
    if ahead := job.ahead:
        return _bar("Waiting in the queue", f"{ahead} run{'' if ahead == 1 else 's'} before yours", None)
    if progress is None:
        return _bar("Starting", "", None)
    share, left = job.share, job.left_s()
    when = "" if left is None or left < 1 else f"about {_seconds(left)} left"
    if share is None and progress.total > 1:
        share = progress.step / progress.total
    return _bar(stage_text(progress), when if share is not None else "", share)


def stage_text(progress: Progress) -> str:
    name = STAGES.get(progress.stage, progress.stage.replace("_", " ").capitalize())
    if progress.total <= 1:
        return name
    return f"{name}{' ·' if progress.stage == 'batch' else ' · step'} {progress.step} of {progress.total}"


def measures_table(measures: dict, rtf: float, seconds: float, target_lufs: float | None = None) -> str:
    """The measures of one take; unavailable ones (silence, no original audio) are left out.

    target_lufs: the loudness that was asked for; the table says if peaks keep the sound below it.
    """
    rows = []
    for key, value in {**measures, "rtf": rtf, "seconds": seconds}.items():
        name, what, form = MEASURES.get(key, (key.replace("_", " "), "", "{:.3g}"))
        if isinstance(value, bool) or value is None or value != value:
            continue
        if key == "loudness_lufs" and target_lufs is not None and SILENT_LUFS < value < target_lufs - WITHIN_LU:
            asked = f"{target_lufs:g}".replace("-", "−")
            what = f"{what}; limited by its peaks, the setting is {asked} LUFS"
        small = f"<small>{escape(what)}</small>" if what else ""
        text = form.format(value).replace("-", "−")
        rows.append(f'<tr><th scope="row">{escape(name)}{small}</th><td>{escape(text)}</td></tr>')
    return f'<table class="measures"><caption>Measures</caption><tbody>{"".join(rows)}</tbody></table>'


def _bar(left: str, right: str, share: float | None) -> str:
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="st" role="status"><p class="st-line"><span>{escape(left)}</span>'
        f"<span>{escape(right)}</span></p>"
        f'<progress max="1"{value} aria-label="Progress"></progress></div>'
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
