"""Reading and writing clips: generation opens files only here.

probe   what a file really holds           frames  pictures at a constant rate
audio   sound in and out, loudness         mux     a clip with new sound
"""

from stav2a.media.audio import fit_loudness, loudness_lufs, read_audio, write_wav
from stav2a.media.frames import Clip, read_for_model, read_frames
from stav2a.media.limits import Cancelled, InputError, Limits
from stav2a.media.mux import mux
from stav2a.media.probe import ClipInfo, probe

__all__ = [
    "Cancelled",
    "Clip",
    "ClipInfo",
    "InputError",
    "Limits",
    "fit_loudness",
    "loudness_lufs",
    "mux",
    "probe",
    "read_audio",
    "read_for_model",
    "read_frames",
    "write_wav",
]
