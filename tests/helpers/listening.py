"""An ear in the browser: what leaves the player, by the Web Audio clock."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

RATE, FPS = 44_100, 25
SYNC_S = float(os.environ.get("STAV2A_SYNC_SECONDS", "12"))  # 60 for the full measurement
FADE_S = 0.008

# Records what leaves the player, with the context's frame numbers, and the clock at each key press.
TAP = """async () => {
  const player = document.querySelector('.lp').stav2aPlayer, t = player.transport, c = t.context;
  const code = `registerProcessor('tap', class extends AudioWorkletProcessor { process(inputs) {
    if (inputs[0][0]) this.port.postMessage([currentFrame, inputs[0][0].slice()]); return true; } })`;
  await c.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
  const tap = new AudioWorkletNode(c, 'tap', {channelCount: 1, channelCountMode: 'explicit'});
  const mute = c.createGain(); mute.gain.value = 0;
  t.output.connect(tap).connect(mute).connect(c.destination);
  window.heard = []; window.keys = [];
  tap.port.onmessage = (event) => window.heard.push(event.data);
  document.addEventListener('keydown', () => window.keys.push(c.currentTime), true);
  await c.resume();
}"""
WATCH = """() => {
  const player = document.querySelector('.lp').stav2aPlayer, t = player.transport, v = player.video;
  window.drift = [];
  const each = (now, frame) => {
    const s = t.context.getOutputTimestamp();
    const at = s.contextTime + (frame.expectedDisplayTime - s.performanceTime) / 1000;
    if (t.playing) window.drift.push([frame.mediaTime, t.playhead(at) - frame.mediaTime]);
    v.requestVideoFrameCallback(each);
  };
  v.requestVideoFrameCallback(each);
}"""
READY = "() => document.querySelector('.lp')?.stav2aPlayer?.transport.sounds.length > 0"


def tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def make_video(path: Path, seconds: float) -> Path:
    source = f"testsrc=size=320x180:rate={FPS}:duration={seconds}"
    command = [get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", source, "-c:v", "libx264"]
    subprocess.run([*command, "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


class Recording:
    """What was heard: samples, and the context time of the first."""

    def __init__(self, page):
        blocks = page.evaluate("window.heard.map(([frame, samples]) => [frame, Array.from(samples)])")
        self.rate = page.evaluate("document.querySelector('.lp').stav2aPlayer.transport.context.sampleRate")
        self.first = blocks[0][0]
        self.samples = np.zeros(blocks[-1][0] + 128 - self.first)
        for frame, samples in blocks:
            self.samples[frame - self.first : frame - self.first + 128] = samples

    def time(self, index: float) -> float:
        return (index + self.first) / self.rate

    def index(self, time: float) -> int:
        return round(time * self.rate) - self.first

    def part(self, start: float, end: float) -> np.ndarray:
        return self.samples[max(self.index(start), 0) : self.index(end)]


def envelope(samples: np.ndarray, rate: float, hertz: float) -> np.ndarray:
    """Amplitude of one tone, over windows of 5 ms."""
    window = np.hanning(round(0.005 * rate))
    carrier = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return 2 * np.abs(np.convolve(samples * carrier, window / window.sum(), mode="same"))
