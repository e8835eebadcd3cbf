// The player: one transport, one video, any number of sounds, and the mel-spectrogram and onsets of the shown sound.
// Built from elements and text only: names of systems, captions and files never become HTML.
//
// value: {key, duration_s, video, sounds: [{id, name, note, file, own_db, mel, onsets_s}], reference (index or null),
//         blind}; files are {url}. In a blind test there are only ids and files.

const ICONS = {
  play: "M7 4.5v15l12.5-7.5z",
  pause: "M6.5 5h4v14h-4zM13.5 5h4v14h-4z",
  loop: "M17 3l4 4-4 4V8H8a4 4 0 0 0-4 4H2a6 6 0 0 1 6-6h9zM7 21l-4-4 4-4v3h9a4 4 0 0 0 4-4h2a6 6 0 0 1-6 6H7z",
};
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
const source = (sound) => ({url: sound.file.url, own_db: sound.own_db});
const count = (onsets) => `${onsets.length} onset${onsets.length === 1 ? "" : "s"}`;
const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(2).padStart(5, "0")}`;
const TYPING = "input:not([type=range]):not([type=radio]):not([type=checkbox]):not([type=button]), textarea, select, [contenteditable=true]";

class Player {
  constructor(root) {
    this.root = root;
    this.heard = new Set(); // ids of the sounds played at least once
    this.transport = new Transport(() => this.refresh());
    this.build();
    this.follower = new VideoFollower(this.video, this.transport);
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keyup", (event) => { if (this.swallow === event.code) { event.preventDefault(); this.swallow = null; } });
    document.addEventListener("stav2a-play", (event) => { if (event.detail !== this) this.transport.pause(); });
    root.stav2aPlayer = this;
  }

  build() {
    this.video = node("video", {muted: true, playsinline: true, preload: "auto", disablepictureinpicture: true, "aria-label": "The clip, without its own sound"});
    this.stage = node("div", {class: "lp-stage"}, this.video, node("p", {class: "lp-none"}, "no picture"));
    this.list = node("div", {class: "lp-sounds", role: "group", "aria-label": "Sounds: choose which one is heard"});
    this.playButton = node("button", {type: "button", class: "lp-play", onclick: () => this.toggle()});
    this.time = node("span", {class: "lp-clock"});
    this.loopButton = node("button", {type: "button", class: "lp-tool", "aria-pressed": "false", onclick: () => this.toggleLoop()}, icon("loop"), "Loop");
    this.levelButton = node("button", {type: "button", class: "lp-tool", "aria-pressed": "true", onclick: () => this.toggleLevel()}, "Equal loudness");
    this.status = node("span", {class: "lp-status", role: "status"});
    this.bar = node("div", {class: "lp-bar"}, this.playButton, this.time, this.loopButton, this.levelButton, this.status);
    this.buildTimeline();
    this.legend = node("p", {class: "lp-legend"});
    this.help = node("p", {class: "lp-help"});
    this.side = node("div", {class: "lp-side"}, this.list, this.bar);
    this.root.replaceChildren(
      node("div", {class: "lp-top"}, this.stage, this.side),
      this.timeline,
      node("div", {class: "lp-foot"}, this.legend, this.help),
    );
  }

  buildTimeline() {
    this.onsets = node("div", {class: "lp-onsets", "aria-hidden": "true"});
    this.mel = node("img", {class: "lp-mel", alt: "", draggable: "false"});
    this.head = node("div", {class: "lp-head", role: "slider", tabindex: "0", "aria-label": "Playhead", "aria-valuemin": "0"});
    this.region = node("div", {class: "lp-region", hidden: true});
    this.handles = ["start", "end"].map((edge) => node("div", {class: `lp-handle lp-${edge}`, role: "slider", tabindex: "0", "aria-label": `Loop ${edge}`, "aria-valuemin": "0"}));
    this.region.append(...this.handles);
    this.ruler = node("div", {class: "lp-ruler", title: "Drag here to set a loop"});
    this.track = node("div", {class: "lp-track"}, this.onsets, this.mel, this.region, this.head);
    this.timeline = node("div", {class: "lp-timeline"}, this.track, this.ruler);
    this.drag(this.track, (t) => this.seek(t));
    let from = 0;
    this.drag(this.ruler, (t, first) => {
      if (first) from = t;
      else if (Math.abs(t - from) > 0.05) this.transport.setLoop({start: Math.min(from, t), end: Math.max(from, t)});
    });
    this.handles.forEach((handle, i) => {
      const edge = ["start", "end"][i];
      const move = (t) => this.transport.setLoop({...this.transport.loop, [edge]: t});
      this.drag(handle, (t, first) => { if (!first) move(t); });
      handle.addEventListener("keydown", (event) => {
        const step = {ArrowLeft: -0.05, ArrowRight: 0.05}[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        move(this.transport.loop[edge] + step);
      });
    });
  }

  // Report the time under the pointer while it is held down on `target`, at most every 50 ms, and at the end.
  drag(target, report) {
    const at = (event) => {
      const box = this.track.getBoundingClientRect();
      return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * this.transport.duration;
    };
    let held = false, last = 0;
    target.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.transport.duration) return;
      event.stopPropagation();
      held = true;
      target.setPointerCapture(event.pointerId);
      report(at(event), true);
    });
    target.addEventListener("pointermove", (event) => {
      if (!held || performance.now() - last < 50) return;
      last = performance.now();
      report(at(event), false);
    });
    target.addEventListener("pointerup", (event) => { if (held) report(at(event), false); held = false; });
    target.addEventListener("pointercancel", () => { held = false; });
  }

  // a new value

  async show(value) {
    const some = Boolean(value && value.sounds && value.sounds.length);
    this.root.hidden = !some;
    if (!some) {
      this.key_ = this.value = null;
      return this.transport.load([]);
    }
    if (value.key === this.key_) return this.grow(value);
    this.key_ = value.key;
    this.value = value;
    this.buttons = this.pictured = null;
    this.heard.clear();
    this.say("Loading…");
    this.root.setAttribute("aria-busy", "true");
    this.transport.stop();
    this.showVideo(value.video);
    this.matched = true;
    this.levelButton.hidden = !value.sounds.some((sound) => sound.own_db);
    this.levelButton.setAttribute("aria-pressed", "true");
    this.levelButton.textContent = "Equal loudness";
    this.help.textContent = this.helpText(value);
    this.buttons = value.sounds.map((sound, i) => this.soundButton(sound, i));
    this.placeButtons();
    try {
      this.loading = this.transport.load(value.sounds.map(source), value.duration_s);
      if (!(await this.loading)) return;
    } catch (error) {
      return this.say(`A sound could not be loaded: ${error.message}`);
    } finally {
      this.root.removeAttribute("aria-busy");
    }
    this.say("");
    this.rule();
    this.refresh();
    this.root.dispatchEvent(new CustomEvent("stav2a-ready", {bubbles: true}));
  }

  // The same value with sounds appended; playback continues.
  async grow(value) {
    const before = this.loading;
    this.loading = (async () => {
      if (!(await before) || this.key_ !== value.key) return false;
      const added = value.sounds.slice(this.buttons.length);
      if (!(await this.transport.add(added.map(source)))) return false;
      this.value = value;
      this.buttons.push(...added.map((sound, k) => this.soundButton(sound, this.buttons.length + k)));
      this.placeButtons();
      this.refresh();
      return true;
    })();
    try {
      await this.loading;
    } catch (error) {
      this.say(`A sound could not be loaded: ${error.message}`);
    }
  }

  placeButtons() { this.list.replaceChildren(...this.buttons); }

  showVideo(video) {
    this.stage.classList.toggle("lp-empty", !video);
    if (video) this.video.src = video.url;
    else this.video.removeAttribute("src");
    this.video.load();
  }

  keyName(i) { return i === this.value.reference ? "R" : String(i + 1); }

  soundButton(sound, i) {
    const text = node("span", {class: "lp-name"}, sound.name);
    if (sound.note) text.append(node("small", {}, sound.note));
    return node("button", {type: "button", class: "lp-sound", "aria-pressed": "false", onclick: () => this.select(i)}, node("kbd", {}, this.keyName(i)), text);
  }

  helpText(value) {
    const count = value.sounds.length - (value.reference === null ? 0 : 1);
    const reference = value.reference === null ? "" : " · R reference";
    return `Keys: 1–${count} sounds${reference} · space play or pause · ← → one second (shift: 0.1 s) · L loop · [ and ] loop from here, to here`;
  }

  // what a person does

  toggle() {
    if (!this.transport.playing) document.dispatchEvent(new CustomEvent("stav2a-play", {detail: this}));
    return this.transport.toggle();
  }

  select(index) {
    const at = this.transport.select(index);
    this.root.dispatchEvent(new CustomEvent("stav2a-select", {bubbles: true, detail: {index, at}}));
    return at;
  }

  seek(t) { this.transport.seek(t); }

  toggleLoop() {
    const {transport} = this;
    if (transport.loop) return transport.setLoop(null);
    const at = transport.playhead(), length = Math.min(2, transport.duration);
    const start = Math.min(Math.max(0, at - length / 4), transport.duration - length);
    transport.setLoop({start, end: start + length});
  }

  toggleLevel() {
    this.matched = !this.matched;
    this.transport.setMatched(this.matched);
    this.levelButton.setAttribute("aria-pressed", String(this.matched));
    this.levelButton.textContent = this.matched ? "Equal loudness" : "Loudness as made";
  }

  key(event) {
    if (!this.root.isConnected || this.root.hidden || this.root.offsetParent === null || !this.value) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target.closest ? event.target : document.body;
    if (target.closest(TYPING)) return;
    const inside = target.closest(".lp-sounds, .lp-bar, .lp-head"); // there, Enter presses a button and space plays
    const elsewhere = !inside && target.closest("button, a, summary, input, [role=slider], [role=tab], [role=option], video, audio");
    const {transport} = this, digit = /^Digit([1-9])$/.exec(event.code);
    if (digit) this.pressed(Number(digit[1]) - 1);
    else if (event.key === "r" || event.key === "R") { if (this.value.reference === null) return; this.select(this.value.reference); }
    else if (event.code === "Space") { if (elsewhere && !target.matches("input[type=range]")) return; this.swallow = "Space"; if (!event.repeat) this.toggle(); }
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      if (elsewhere) return;
      this.seek(transport.playhead() + (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 0.1 : 1));
    }
    else if (event.key === "Home" && !elsewhere) this.seek(0);
    else if (event.key === "l" || event.key === "L") this.toggleLoop();
    else if (event.key === "[") transport.setLoop({start: transport.playhead(), end: transport.loop && transport.loop.end > transport.playhead() ? transport.loop.end : transport.duration});
    else if (event.key === "]") transport.setLoop({start: transport.loop && transport.loop.start < transport.playhead() ? transport.loop.start : 0, end: transport.playhead()});
    else return;
    event.preventDefault();
  }

  pressed(index) { if (index < this.value.sounds.length && index !== this.value.reference) this.select(index); }

  // what is seen

  refresh() {
    if (!this.value || !this.buttons) return;
    const {transport} = this, {playing, loop, selected, duration} = transport;
    this.playButton.replaceChildren(icon(playing ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(i === selected));
      button.classList.toggle("lp-heard", this.heard.has(this.value.sounds[i].id));
    });
    this.loopButton.setAttribute("aria-pressed", String(Boolean(loop)));
    this.region.hidden = !loop;
    if (loop && duration) {
      this.region.style.left = `${(100 * loop.start) / duration}%`;
      this.region.style.width = `${(100 * (loop.end - loop.start)) / duration}%`;
      this.handles.forEach((handle, i) => {
        handle.setAttribute("aria-valuemax", duration.toFixed(2));
        handle.setAttribute("aria-valuenow", (i ? loop.end : loop.start).toFixed(2));
      });
    }
    this.picture(selected);
    this.follower.follow();
    this.place();
    if (playing && !this.ticking) this.tick();
  }

  // Mel and onsets of sound `index`; the reference's onsets stand below for comparison.
  picture(index) {
    const sound = this.value.sounds[index];
    if (!sound || this.pictured === sound) return;
    this.pictured = sound;
    this.timeline.classList.toggle("lp-plain", !sound.mel);
    this.mel.hidden = !sound.mel;
    if (sound.mel) {
      this.mel.src = sound.mel.url;
      this.mel.alt = `Mel spectrogram of ${sound.name}`;
      this.mel.style.width = `${(100 * (sound.duration_s || this.value.duration_s)) / this.transport.duration}%`;
    }
    const mark = (kind) => (t) => {
      const made = node("i", {class: kind});
      made.style.left = `${(100 * t) / this.transport.duration}%`;
      return made;
    };
    const reference = this.value.reference === null ? null : this.value.sounds[this.value.reference];
    const own = sound.onsets_s, other = reference && reference !== sound ? reference.onsets_s : null;
    this.onsets.hidden = !own && !other;
    this.onsets.replaceChildren(...(own || []).map(mark("own")), ...(other || []).map(mark("other")));
    this.legend.replaceChildren(
      ...(own ? [node("i", {class: "own"}), `${count(own)} of ${sound.name} `] : []),
      ...(other ? [node("i", {class: "other"}), `${count(other)} of ${reference.name}`] : []),
    );
  }

  tick() {
    this.ticking = true;
    requestAnimationFrame(() => {
      this.ticking = false;
      this.place();
      this.follower.tick();
      if (!this.root.isConnected || this.root.offsetParent === null) this.transport.pause(); // another tab was opened
      if (this.transport.playing) this.tick();
    });
  }

  place() {
    const {transport} = this, at = transport.playing ? transport.heardPlayhead() : transport.position;
    this.head.style.left = `${transport.duration ? (100 * at) / transport.duration : 0}%`;
    this.time.textContent = `${clock(at)} / ${clock(transport.duration)}`;
    const now = at.toFixed(1);
    if (now !== this.announced) {
      this.announced = now;
      this.head.setAttribute("aria-valuemax", transport.duration.toFixed(2));
      this.head.setAttribute("aria-valuenow", now);
      this.head.setAttribute("aria-valuetext", `${now} of ${transport.duration.toFixed(1)} seconds`);
    }
    const sound = this.value && this.value.sounds[transport.selected];
    if (transport.playing && sound && !this.heard.has(sound.id)) {
      this.heard.add(sound.id);
      this.buttons[transport.selected].classList.add("lp-heard");
      this.root.dispatchEvent(new CustomEvent("stav2a-heard", {bubbles: true}));
    }
  }

  rule() {
    const {duration} = this.transport, every = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60].find((step) => duration / step <= 12) || 60;
    const marks = [];
    for (let t = 0; t <= duration + 1e-6; t += every) {
      const mark = node("span", {}, `${+t.toFixed(1)}`);
      mark.style.left = `${(100 * t) / duration}%`;
      marks.push(mark);
    }
    this.ruler.replaceChildren(...marks, node("em", {}, "s"));
  }

  say(text) { this.status.textContent = text; }
}
