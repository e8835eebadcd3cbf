// Several sounds on one clock. All play all the time; switching only changes gains, so the playhead never jumps.
//
// A "pass" is one uninterrupted run of all sounds from an offset: all sources are started at the same context time, so
// they stay synchronous to the sample. A seek, or a loop that wraps, fades one pass out while the next fades in.
// Every fade is an equal-power curve of FADE_S, so that nothing clicks.
//
//   source ─ envelope (of the pass) ─ switch (is this sound heard?) ─ level (as generated / matched) ─ output

const FADE_S = 0.008;
const LEAD_S = 0.012; // changes are scheduled this far ahead, beyond what the audio thread has rendered
const GUARD_S = 1e-4; // gap between two curves of one gain, which may not touch
const POINTS = 33;
const FADE_IN = Float32Array.from({length: POINTS}, (_, i) => Math.sin((Math.PI / 2) * (i / (POINTS - 1))));
const FADE_OUT = FADE_IN.slice().reverse();
const MIN_LOOP_S = 0.1;
const AHEAD_S = 1.5; // of a loop is scheduled in advance: a page that is busy for less causes no gap

function audioContext() {
  // One context for the whole page: browsers allow few, and one clock is enough.
  if (!window.stav2aAudio) window.stav2aAudio = new AudioContext({latencyHint: "interactive"});
  return window.stav2aAudio;
}

class Transport {
  constructor(changed = () => {}) {
    this.context = audioContext();
    this.output = this.context.createGain();
    this.output.connect(this.context.destination);
    this.changed = changed;
    this.sounds = [];
    this.passes = [];
    this.duration = 0;
    this.position = 0; // position while paused
    this.playing = false;
    this.loop = null; // {start, end} in seconds
    this.selected = 0;
    this.matched = true; // levels
    this.fadeEnds = 0;
    this.generation = 0;
  }

  // sounds: [{url, own_db}]. Resolves when all are decoded; to false if a newer load has replaced this one.
  async load(sounds, duration = 0) {
    this.stop();
    const generation = ++this.generation;
    const before = this.sounds;
    setTimeout(() => before.forEach((sound) => sound.level.disconnect()), 100); // after they have faded out
    this.sounds = [];
    this.matched = true;
    const buffers = await Promise.all(sounds.map((sound) => this.decode(sound.url)));
    if (generation !== this.generation) return false;
    this.sounds = buffers.map((buffer, i) => this.connected(buffer, sounds[i], i === 0));
    this.duration = Math.max(duration, ...buffers.map((buffer) => buffer.duration));
    this.position = this.selected = this.fadeEnds = 0;
    this.loop = null;
    this.changed();
    return true;
  }

  // Append sounds; resolves to false if a load has replaced this one.
  async add(sounds) {
    const generation = this.generation;
    const buffers = await Promise.all(sounds.map((sound) => this.decode(sound.url)));
    if (generation !== this.generation) return false;
    this.sounds.push(...buffers.map((buffer, i) => this.connected(buffer, sounds[i], !this.sounds.length && i === 0)));
    this.duration = Math.max(this.duration, ...buffers.map((buffer) => buffer.duration));
    if (this.playing && buffers.length) this.seek(this.playhead(this.context.currentTime + LEAD_S)); // a pass with all of them
    this.changed();
    return true;
  }

  connected(buffer, sound, heard) {
    const gate = this.context.createGain(), level = this.context.createGain(), own = 10 ** ((sound.own_db || 0) / 20);
    gate.gain.value = heard ? 1 : 0;
    level.gain.value = this.matched ? 1 : own;
    gate.connect(level).connect(this.output);
    return {buffer, gate, level, own};
  }

  async decode(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the sound could not be fetched (${response.status})`);
    return this.context.decodeAudioData(await response.arrayBuffer());
  }

  // time

  // Position at context time `at`. While playing, it is that of the pass audible at that time.
  playhead(at = this.context.currentTime) {
    if (!this.playing || !this.passes.length) return this.position;
    let pass = this.passes[0];
    for (const next of this.passes) if (next.when <= at) pass = next;
    return Math.min(pass.offset + Math.max(0, at - pass.when), this.duration);
  }

  // Context time of what leaves the loudspeaker at performance time `now` (ms).
  heardTime(now = performance.now()) {
    const context = this.context;
    const stamp = context.getOutputTimestamp ? context.getOutputTimestamp() : null;
    if (stamp && stamp.performanceTime > 0) return stamp.contextTime + (now - stamp.performanceTime) / 1000;
    return context.currentTime - (context.outputLatency || context.baseLatency || 0);
  }

  heardPlayhead(now) { return this.playhead(this.heardTime(now)); }

  // transport

  async play() {
    if (this.playing || !this.sounds.length) return;
    this.playing = true;
    this.changed();
    if (this.context.state !== "running") await this.context.resume();
    if (!this.playing) return;
    if (this.position >= this.duration - 0.02) this.position = 0;
    if (this.loop && (this.position < this.loop.start || this.position >= this.loop.end)) this.position = this.loop.start;
    this.begin(this.position, this.context.currentTime + 2 * LEAD_S);
    this.changed();
  }

  pause() {
    if (!this.playing) return;
    const at = this.context.currentTime + LEAD_S;
    const position = this.playhead(at);
    this.playing = false;
    this.position = position >= this.duration ? 0 : position;
    this.end(at);
    this.changed();
  }

  toggle() { return this.playing ? this.pause() : this.play(); }

  seek(position) {
    position = Math.min(Math.max(position, 0), this.duration);
    if (this.playing) {
      const at = this.context.currentTime + LEAD_S;
      this.end(at);
      this.begin(position, at);
    }
    this.position = position;
    this.changed();
  }

  setLoop(loop) {
    if (loop) {
      const start = Math.min(Math.max(loop.start, 0), this.duration - MIN_LOOP_S);
      loop = {start, end: Math.min(Math.max(loop.end, start + MIN_LOOP_S), this.duration)};
    }
    this.loop = loop;
    if (this.playing) {
      const at = this.context.currentTime + LEAD_S, position = this.playhead(at);
      const inside = !loop || (position >= loop.start && position < loop.end);
      this.end(at);
      this.begin(inside ? position : loop.start, at);
    }
    this.changed();
  }

  // Switch to sound `index`. Returns the context time at which the crossfade begins.
  select(index) {
    if (index === this.selected || !this.sounds[index]) return null;
    const from = this.sounds[this.selected].gate.gain, to = this.sounds[index].gate.gain;
    const now = this.context.currentTime;
    let at = now;
    if (this.playing) {
      // A curve may not overlap the one before: a very quick second switch waits for it, 8 ms at most.
      at = Math.max(now + LEAD_S, this.fadeEnds);
      from.setValueCurveAtTime(FADE_OUT, at, FADE_S);
      to.setValueCurveAtTime(FADE_IN, at, FADE_S);
      this.fadeEnds = at + FADE_S + GUARD_S;
    } else {
      for (const sound of this.sounds) {
        sound.gate.gain.cancelScheduledValues(0);
        sound.gate.gain.value = sound === this.sounds[index] ? 1 : 0;
      }
      this.fadeEnds = now;
    }
    this.selected = index;
    this.changed();
    return at;
  }

  setMatched(matched) {
    this.matched = matched;
    for (const sound of this.sounds)
      sound.level.gain.setTargetAtTime(matched ? 1 : sound.own, this.context.currentTime, FADE_S);
  }

  stop() {
    this.pause();
    this.position = 0;
  }

  // passes

  begin(offset, when) {
    this.lay(offset, when);
    this.layAhead();
  }

  // Schedule the next repetitions of a loop.
  layAhead() {
    const now = this.context.currentTime;
    let last = this.passes[this.passes.length - 1];
    while (this.loop && last.wraps && last.until < now + AHEAD_S) last = this.lay(this.loop.start, Math.max(last.until, now + LEAD_S));
  }

  lay(offset, when) {
    const wraps = Boolean(this.loop && offset < this.loop.end);
    const pass = {offset, when, wraps, until: when + (wraps ? this.loop.end : this.duration) - offset, nodes: []};
    for (const sound of this.sounds) {
      const source = this.context.createBufferSource(), envelope = this.context.createGain();
      source.buffer = sound.buffer;
      envelope.gain.value = 0;
      envelope.gain.setValueCurveAtTime(FADE_IN, when, FADE_S);
      source.connect(envelope).connect(sound.gate);
      if (offset < sound.buffer.duration) source.start(when, offset);
      else source.start(when, sound.buffer.duration); // silent from the start, ends at once
      pass.nodes.push({source, envelope});
    }
    this.passes.push(pass);
    if (wraps) this.fadeOut(pass, pass.until);
    this.watchEnd(pass);
    return pass;
  }

  watchEnd(pass) {
    clearTimeout(pass.timer);
    const left = pass.until + FADE_S - this.context.currentTime;
    pass.timer = setTimeout(() => {
      if (this.context.currentTime < pass.until + FADE_S) return this.watchEnd(pass);
      this.passes = this.passes.filter((each) => each !== pass);
      for (const {envelope} of pass.nodes) envelope.disconnect();
      if (!this.playing) return;
      if (this.passes.length) this.layAhead();
      else if (pass.wraps && this.loop) this.begin(this.loop.start, this.context.currentTime + LEAD_S); // was busy for longer
      else {
        this.playing = false;
        this.position = 0;
        this.changed();
      }
    }, Math.max(5, 1000 * left));
  }

  // Fade out at `at` and stop; a pass that has not begun by then never starts.
  end(at) {
    const ending = this.passes;
    this.passes = [];
    for (const pass of ending) {
      clearTimeout(pass.timer);
      if (pass.when >= at) this.silence(pass, at);
      // A pass that is fading in finishes that first; one that is fading out at a wrap continues to.
      else this.fadeOut(pass, Math.max(pass.when + FADE_S + GUARD_S, Math.min(at, pass.until)));
    }
  }

  fadeOut(pass, at) {
    for (const {source, envelope} of pass.nodes) {
      if (pass.fadesAt === undefined || pass.fadesAt > at) {
        if (pass.fadesAt !== undefined) envelope.gain.cancelScheduledValues(at);
        envelope.gain.setValueCurveAtTime(FADE_OUT, at, FADE_S);
      }
      source.stop(at + FADE_S);
    }
    pass.fadesAt = Math.min(at, pass.fadesAt ?? at);
  }

  silence(pass, at) {
    for (const {source, envelope} of pass.nodes) {
      source.stop(at);
      envelope.disconnect();
    }
  }
}
