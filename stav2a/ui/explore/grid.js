// The grid of guidance (columns) and steps (rows) with a player: every cell is one of the player's sounds.
// Cells arrive one after another without stopping playback. Elements and text only, never HTML from data.
//
// value: {key, guidance: [w], steps: [n], duration_s, video, reference, blind: false,
//         sounds: [{...player's, row, column, measures: {match, gain, loudness, distance}}]}

const MEASURES = {
  match: {name: "Class match", unit: "", text: (v) => v.toFixed(2),
    about: "how clearly a sound classifier hears what the caption names: the share of other sounds that it finds less likely; chance is 0.5"},
  gain: {name: "Onset gain", unit: "", text: (v) => `${v < 0 ? "−" : "+"}${Math.abs(v).toFixed(2)}`,
    about: "how much better than by chance its onsets agree with those that it should follow"},
  loudness: {name: "Loudness", unit: " LUFS", text: (v) => v.toFixed(1).replace("-", "−"), about: "before all sounds are set to equal loudness"},
  distance: {name: "Change", unit: " dB", text: (v) => v.toFixed(1), about: "difference from the cell on the left: mean difference of the mel-spectrograms"},
};
const MOST_SENT = 4, REST_MS = 350;
// Smallest range over a grid that is audible or meaningful, for each measure.
const TELLING = {match: 0.05, gain: 0.05, loudness: 1, distance: 0.5};
const MOVES = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};

class ExploreGrid {
  constructor(root, send) {
    this.root = root;
    this.sent = new Set();
    this.measure = "gain";
    this.chosen = false; // whether the user has picked the measure
    this.onRest = true;
    this.table = node("div", {class: "eg-table", role: "group", "aria-label": "Grid of guidance and steps: choose what is heard"});
    this.tools = node("div", {class: "eg-tools"});
    this.stage = node("div", {class: "lp", hidden: true});
    this.mark = node("button", {type: "button", class: "lp-tool eg-mark", "aria-pressed": "false", onclick: () => this.toggleMark()});
    this.send = node("button", {type: "button", class: "eg-send", onclick: () => send({ids: [...this.sent]})});
    this.table.addEventListener("keydown", (event) => this.move(event));
    this.rest = node("button", {type: "button", class: "lp-tool eg-rest", "aria-pressed": "true", title: "Hear a cell when the pointer rests on it", onclick: () => this.toggleRest()}, "Play on hover");
    root.replaceChildren(this.tools, node("div", {class: "eg-wide"}, this.table), this.stage);
    this.player = new Player(this.stage);
    this.player.soundButton = (sound, index) => this.cell(sound, index);
    this.player.placeButtons = () => this.place();
    this.player.helpText = () => "In the grid: arrow keys play the next cell · Space play or pause · L loop · C mark for Compare";
    const refresh = this.player.refresh.bind(this.player);
    this.player.refresh = () => { refresh(); this.refreshMark(); };
    this.player.list.replaceWith(node("div", {class: "eg-now"}, this.now = node("p", {class: "eg-name"}), this.facts = node("p", {class: "eg-facts"})));
    this.player.bar.before(node("div", {class: "eg-sending"}, this.mark, this.send));
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest && event.target.closest(TYPING);
      if (event.key !== "c" || typing || event.ctrlKey || event.metaKey || event.altKey || this.stage.offsetParent === null) return;
      event.preventDefault();
      this.toggleMark();
    });
    this.buildTools();
  }

  buildTools() {
    this.choices = Object.entries(MEASURES).map(([key, {name, about}]) =>
      node("button", {type: "button", class: "lp-tool", title: about, "aria-pressed": String(key === this.measure), "data-measure": key, onclick: () => { this.chosen = true; this.showMeasure(key); }}, name));
    this.tools.replaceChildren(node("span", {}, "Numbers in the cells:"), ...this.choices, this.rest);
  }

  show(value) {
    const made = Boolean(value?.guidance);  // a page that loads may have a value without cells
    this.root.hidden = !made;
    if (!made) return this.player.show(null);
    if (value.key !== this.key) { this.key = value.key; this.sent.clear(); this.chosen = false; }
    this.value = value;
    this.frame();
    const done = this.player.show(value);
    this.place();
    return done;
  }

  // Headings, and an empty place for every cell.
  frame() {
    const {guidance, steps} = this.value;
    this.table.style.setProperty("--columns", guidance.length);
    this.places = steps.map(() => guidance.map(() => node("div", {class: "eg-place"})));
    this.table.replaceChildren(
      node("span", {class: "eg-corner"}, "guidance →"),
      ...guidance.map((w) => node("span", {class: "eg-column"}, String(w))),
      ...steps.flatMap((n, row) => [node("span", {class: "eg-row"}, node("b", {}, String(n)), n === 1 ? " step" : " steps"), ...this.places[row]]),
    );
  }

  cell(sound, index) {
    const text = node("span", {class: "eg-value"});
    const button = node("button", {type: "button", class: "eg-cell", "aria-pressed": "false", "aria-label": sound.name,
      onclick: () => this.hear(index), onfocus: () => this.reach(button)}, node("img", {alt: "", src: sound.mel.url, draggable: "false"}), text);
    button.sound = sound;
    button.text = text;
    button.addEventListener("pointerenter", (event) => {
      clearTimeout(this.resting);
      if (this.onRest && event.pointerType === "mouse") this.resting = setTimeout(() => this.hear(index), REST_MS);
    });
    button.addEventListener("pointerleave", () => clearTimeout(this.resting));
    return button;
  }

  // Tab reaches one cell of the grid, arrow keys the others.
  reach(chosen) {
    this.reached = chosen.sound.id;
    for (const button of this.player.buttons || []) button.tabIndex = button === chosen ? 0 : -1;
  }

  move(event) {
    const by = MOVES[event.key], from = event.target.closest && event.target.closest(".eg-cell");
    if (!by || !from || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // otherwise the player moves the playhead
    let {row, column} = from.sound, to = null;
    do { // find the next filled cell
      row += by[0]; column += by[1];
      if (!this.places[row] || !this.places[row][column]) return;
      to = this.places[row][column].querySelector(".eg-cell");
    } while (!to);
    to.focus();
    this.hear(this.player.buttons.indexOf(to));
  }

  toggleRest() {
    this.onRest = !this.onRest;
    clearTimeout(this.resting);
    this.rest.setAttribute("aria-pressed", String(this.onRest));
  }

  // The first measure with a meaningful difference between cells; if none has one, the current measure.
  telling(offered) {
    const spread = (key) => {
      const values = this.value.sounds.map((sound) => sound.measures[key]).filter((value) => value !== null);
      return values.length > 1 ? Math.max(...values) - Math.min(...values) : 0;
    };
    return offered.find((key) => spread(key) >= TELLING[key]) || this.measure;
  }

  // Play a clicked cell at once, or as soon as its sound is loaded. The first click starts the transport, later clicks
  // switch sounds.
  async hear(index) {
    this.wanted = index;
    if (!this.player.transport.sounds[index]) await this.player.loading.catch(() => false); // the player says why
    if (this.wanted !== index || !this.player.transport.sounds[index]) return;
    this.player.select(index);
    if (!this.player.transport.playing) this.player.toggle();
  }

  place() {
    const known = this.value && this.value.sounds;
    for (const each of this.choices) // hide measures that no cell has
      each.hidden = Boolean(known && known.length) && known.every((sound) => sound.measures[each.dataset.measure] === null);
    const offered = this.choices.filter((each) => !each.hidden).map((each) => each.dataset.measure);
    if (offered.length && known.length) {
      const wanted = this.chosen ? this.measure : this.telling(offered);
      this.markMeasure(offered.includes(wanted) ? wanted : offered[0]);
    }
    for (const button of this.player.buttons || []) {
      const sound = known[this.player.buttons.indexOf(button)];
      if (!sound) continue;
      button.sound = sound;
      this.places[sound.row][sound.column].replaceChildren(button);
      const number = sound.measures[this.measure], rule = MEASURES[this.measure];
      button.text.textContent = number === null ? "–" : rule.text(number);
    }
    for (const button of this.player.buttons || []) button.classList.toggle("eg-sent", this.sent.has(button.sound.id));
    const buttons = this.player.buttons || [];
    if (buttons.length) this.reach(buttons.find((button) => button.sound.id === this.reached) || buttons[0]);
    this.refreshMark();
  }

  showMeasure(key) {
    this.markMeasure(key);
    this.place();
  }

  markMeasure(key) {
    this.measure = key;
    this.choices.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.measure === key)));
  }

  toggleMark() {
    const sound = this.value && this.value.sounds[this.player.transport.selected];
    if (!sound) return;
    if (!this.sent.delete(sound.id) && this.sent.size < MOST_SENT) this.sent.add(sound.id);
    this.place();
  }

  refreshMark() {
    const sound = this.value && this.value.sounds[this.player.transport.selected];
    if (!sound) return;
    const marked = this.sent.has(sound.id), full = this.sent.size >= MOST_SENT;
    this.now.textContent = sound.name;
    this.facts.textContent = Object.entries(MEASURES)
      .filter(([key]) => sound.measures[key] !== null)
      .map(([key, rule]) => `${rule.name.toLowerCase()} ${rule.text(sound.measures[key])}${rule.unit}`).join(" · ");
    this.mark.textContent = marked ? "Marked for Compare" : "Mark for Compare";
    this.mark.setAttribute("aria-pressed", String(marked));
    this.mark.disabled = !marked && full;
    this.send.disabled = this.sent.size < 2;
    this.send.textContent = this.sent.size < 2 ? "Mark two to four to compare" : `Compare these ${this.sent.size}`;
  }
}

const exploreGrid = new ExploreGrid(element.querySelector(".eg"), (data) => trigger("submit", data));
eachValue((value) => exploreGrid.show(value));
