"""The blind test component: numbered sounds, and the systems' names only after the answers.

The page gets only random ids, numbers and files of a trial (`Trial.public`): no name, role, order, level or length of
a system is in the page, in its network traffic or in a file name. The plan is in the rating store, so a reloaded page
or a restarted server continues with the same trial.

What the page sends back could be forged; the store checks all of it.
"""

from __future__ import annotations

import math
from pathlib import Path

import gradio as gr

from stav2a.listening.collection import Collection
from stav2a.listening.design import GRADES, RATED, SCALES, Trial, opaque_id
from stav2a.listening.stimuli import write_stimulus
from stav2a.listening.store import RatingError, RatingStore
from stav2a.media.limits import InputError
from stav2a.ui.widgets.player import PLAYER, file_data, public_folder
from stav2a.ui.widgets.widget import widget

STEM = Path(__file__).with_suffix("")
NAMES = {
    "rating": [f"Sound {n}" for n in range(1, 13)],
    "mos": [f"Sound {n}" for n in range(1, 13)],
    "ab": ["A", "B"],
    "abx": ["A", "B", "X"],
}
QUESTIONS = {
    "rating": "Listen to every sound and rate each one on the four scales.",
    "mos": "Listen to every sound and rate each one on the four scales, from 1 (bad) to 5 (excellent).",
    "ab": "Which sound fits the clip better?",
    "abx": "X is the same sound as A or as B. Which one?",
}


def blind_panel(**kwargs) -> gr.HTML:
    """Shows what `screen` returns; its event `submit` carries an answer for `answer`."""
    return widget(STEM, '<div class="bt" hidden></div>', PLAYER, **kwargs)


def screen(store: RatingStore, collection: Collection, session: str, problem: str = "") -> dict:
    """The panel's next value: the first unanswered trial, or the end of the session."""
    done, total = store.progress(session)
    trial = store.next_trial(session)
    shared = {"key": opaque_id(), "session": session, "done": done, "total": total, "problem": problem}
    if trial is None:
        return {**shared, "finished": True, "sounds": []}
    return {**shared, **_present(collection, trial)}


def answer(store: RatingStore, collection: Collection, data: object) -> tuple[dict | None, str | None]:
    """Store an answer from the page; returns (next screen, session), or (None, None) if it names no session."""
    if not isinstance(data, dict) or not isinstance(data.get("session"), str):
        return None, None
    session, trial = data["session"], str(data.get("trial"))
    seconds = data.get("seconds")
    valid = isinstance(seconds, (int, float)) and math.isfinite(seconds)
    seconds = float(seconds) if valid else 0.0
    problem = ""
    try:
        if "scores" in data:
            store.rate(session, trial, data["scores"], seconds)
        else:
            store.choose(session, trial, data.get("choice"), seconds)
    except RatingError as error:
        problem = f"{str(error)[0].upper()}{str(error)[1:]}."
    try:
        return screen(store, collection, session, problem), session
    except InputError as error:
        return message(str(error)), session


def message(sentence: str) -> dict:
    """A screen with only a sentence."""
    return {"key": opaque_id(), "message": sentence, "sounds": []}


def _present(collection: Collection, trial: Trial) -> dict:
    folder = public_folder()
    waveforms = collection.sounds(trial)
    rate = collection.sample_rate
    public = trial.public()
    names = list(NAMES[trial.test][: len(trial.presented)])
    ids = list(public["sounds"])
    if trial.open_reference:
        names.append("Reference")
        ids.append(trial.open_reference)
    sounds = [
        {"id": each, "name": name, "file": file_data(write_stimulus(folder / f"{opaque_id()}.wav", wave, rate))}
        for each, name, wave in zip(ids, names, waveforms, strict=True)
    ]
    video = collection.silent_video(trial.clip, folder)
    return {
        "trial": trial.id,
        "test": trial.test,
        "question": QUESTIONS[trial.test],
        "scales": [{"key": s.key, "name": s.name, "question": s.question} for s in SCALES],
        "grades": list(GRADES),
        "best": RATED.get(trial.test, 0),
        "duration_s": len(waveforms[0]) / rate,
        "video": file_data(video) if video else None,
        "sounds": sounds,
        "reference": len(trial.presented) if trial.open_reference else None,
        "blind": True,
    }
