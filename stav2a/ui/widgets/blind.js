// The blind test with its player: questions, answers, what is still missing. Sounds are called "Sound 1", "A", "X": the
// page knows no other names. Answers that are not sent yet are stored in this tab, so a reload loses nothing.
//
// value: what `screen` in blind.py returns: {key, session, done, total, trial, test, question, scales, grades, ...player's}

const HINTS = {
  rating: "Switch as often as you like: the playhead stays. Several sounds may be equally good; use the whole scale, from 1 (bad) to 100 (excellent).",
  mos: "Switch as often as you like: the playhead stays. 1 is bad, 2 poor, 3 fair, 4 good, 5 excellent.",
  ab: "Switch as often as you like: the playhead stays. Loop a part to compare details.",
  abx: "Switch as often as you like: the playhead stays. Loop a part to hear a difference; guess where you hear none.",
};

class BlindTest {
  constructor(root, submit) {
    this.root = root;
    this.submit = submit;
    this.head = node("div", {class: "bt-head"});
    this.stage = node("div", {class: "lp", hidden: true});
    this.answers = node("div", {class: "bt-answers"});
    this.missing = node("p", {class: "bt-missing", role: "status"});
    this.button = node("button", {type: "button", class: "bt-submit", onclick: () => this.send()});
    this.foot = node("div", {class: "bt-foot"}, this.missing, this.button);
    root.replaceChildren(this.head, this.stage, this.answers, this.foot);
    this.player = new Player(this.stage);
    this.stage.addEventListener("stav2a-select", (event) => this.selected(event.detail.index));
    this.stage.addEventListener("stav2a-heard", () => this.check());
  }

  async show(value) {
    this.root.hidden = !value;
    clearTimeout(this.waiting);
    if (!value || value.key === this.key) return;
    this.key = value.key;
    this.value = value;
    const trial = Boolean(value.trial);
    this.stage.hidden = this.answers.hidden = this.foot.hidden = !trial;
    this.player.show(trial ? value : null);
    if (!trial) return this.say(value);
    this.since = performance.now();
    this.draft = this.restore(value);
    this.header(value);
    this.missing.classList.toggle("bt-problem", Boolean(value.problem));
    if (value.best) this.askRatings(value);
    else this.askChoice(value);
    this.check();
    this.selected(0);
    if (value.problem) this.missing.textContent = value.problem;
  }

  say(value) {
    const text = value.message || `${value.total === 1 ? "The trial is" : `All ${value.total} trials are`} answered. Thank you for listening.`;
    this.root.prepend(this.head);
    this.head.replaceChildren(node("p", {class: "bt-done", role: "status", tabindex: "-1"}, text));
  }

  header({done, total, question, test}) {
    const bar = node("progress", {max: String(total), value: String(done), "aria-label": "Trials answered"});
    this.player.side.prepend(this.head);
    this.head.replaceChildren(
      node("div", {class: "bt-count"}, node("b", {}, `Trial ${done + 1} of ${total}`), bar),
      node("p", {class: "bt-question"}, question),
      node("p", {class: "bt-hint"}, HINTS[test]),
    );
  }

  // answers

  askRatings(value) {
    const rated = value.sounds.filter((_, i) => i !== value.reference);
    const grid = node("div", {class: "bt-grid"});
    grid.style.setProperty("--sounds", rated.length);
    grid.append(this.player.list, node("div", {class: "bt-corner"}));
    this.player.buttons.forEach((button, i) => { button.style.gridColumn = i === value.reference ? 1 : i + 2; });
    this.cells = [];
    for (const scale of value.scales) {
      grid.append(node("div", {class: "bt-scale"}, node("b", {}, node("abbr", {}, scale.key), ` ${scale.name}`), node("span", {}, scale.question)));
      rated.forEach((sound, i) => grid.append(this.cell(value, scale, sound, i)));
    }
    this.answers.replaceChildren(grid);
    this.answers.className = "bt-answers bt-rating";
  }

  cell(value, scale, sound, index) {
    const input = node("input", {type: "range", min: "1", max: String(value.best), step: "1", "aria-label": `${sound.name}, ${scale.name}`});
    const output = node("output", {});
    const cell = node("div", {class: "bt-cell"}, input, output);
    const set = (score) => {
      input.value = score ?? Math.ceil(value.best / 2);
      const grade = value.grades[Math.min(Math.floor((((score ?? 1) - 1) * 5) / value.best), 4)];
      cell.classList.toggle("bt-unset", score === undefined);
      output.replaceChildren(...(score === undefined ? ["not rated"] : [node("b", {}, String(score)), ` ${grade}`]));
      input.setAttribute("aria-valuetext", score === undefined ? "not rated" : `${score}, ${grade}`);
      input.style.setProperty("--share", `${(100 * ((score ?? 1) - 1)) / (value.best - 1)}%`);
    };
    const keep = () => {
      const score = Number(input.value);
      (this.draft.scores[sound.id] ??= {})[scale.key] = score;
      set(score);
      this.store();
      this.check();
    };
    input.addEventListener("input", keep);
    input.addEventListener("click", keep); // a click that leaves the slider in the middle is also an answer
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") keep(); });
    input.addEventListener("focus", () => { if (this.player.transport.selected !== index) this.player.select(index); });
    set((this.draft.scores[sound.id] || {})[scale.key]);
    this.cells.push({cell, index});
    return cell;
  }

  askChoice(value) {
    this.head.after(this.player.list);
    const [a, b] = value.sounds;
    const options = value.test === "abx"
      ? [["X is A", a.id], ["X is B", b.id]]
      : [["A fits better", a.id], ["No preference", null], ["B fits better", b.id]];
    this.options = options.map(([text, choice]) => {
      const button = node("button", {type: "button", class: "bt-option", "aria-pressed": "false"}, text);
      button.addEventListener("click", () => {
        this.draft.choice = choice;
        this.draft.chosen = true;
        this.mark();
        this.store();
        this.check();
      });
      return {button, choice};
    });
    this.answers.replaceChildren(node("div", {class: "bt-options", role: "group", "aria-label": value.question}, ...this.options.map((o) => o.button)));
    this.answers.className = "bt-answers";
    this.mark();
  }

  mark() {
    for (const {button, choice} of this.options) button.setAttribute("aria-pressed", String(Boolean(this.draft.chosen) && this.draft.choice === choice));
  }

  selected(index) {
    for (const {cell, index: own} of this.cells || []) cell.classList.toggle("on", own === index);
  }

  // what is still missing

  check() {
    const {value, draft} = this;
    if (!value || !value.trial) return;
    const wanted = value.sounds.filter((_, i) => i !== value.reference);
    const unheard = wanted.filter((sound) => !this.player.heard.has(sound.id) && !draft.heard.includes(sound.id));
    for (const sound of wanted) if (this.player.heard.has(sound.id) && !draft.heard.includes(sound.id)) { draft.heard.push(sound.id); this.store(); }
    let text = "";
    if (unheard.length) text = `Still to hear: ${unheard.map((sound) => sound.name).join(", ")}.`;
    else if (value.best) {
      const open = wanted
        .map((sound) => [sound.name, value.scales.filter((scale) => !(draft.scores[sound.id] || {})[scale.key]).map((scale) => scale.key)])
        .filter(([, keys]) => keys.length);
      if (open.length) text = `Still to rate: ${open.map(([name, keys]) => `${name} (${keys.join(", ")})`).join("; ")}.`;
    } else if (!draft.chosen) text = "Choose one of the answers.";
    const ready = !text;
    this.missing.classList.remove("bt-problem");
    this.missing.textContent = text;
    this.button.disabled = !ready;
    this.button.textContent = value.done + 1 === value.total ? "Save and finish" : "Save and go on";
  }

  send() {
    const {value, draft} = this;
    const answer = {session: value.session, trial: value.trial, seconds: (performance.now() - this.since) / 1000};
    if (value.best) answer.scores = draft.scores;
    else answer.choice = draft.choice;
    this.player.transport.pause();
    this.button.disabled = true;
    this.missing.textContent = "Saving…";
    this.submit(answer);
    this.waiting = setTimeout(() => {
      this.check();
      this.missing.textContent = "The server has not answered yet. Your ratings are still here: try again.";
      this.missing.classList.add("bt-problem");
    }, 20000);
  }

  // unsent answers of this tab

  restore(value) {
    const empty = {scores: {}, choice: null, chosen: false, heard: []};
    try {
      const kept = JSON.parse(sessionStorage.getItem("stav2a-draft") || "null");
      return kept && kept.trial === value.trial ? {...empty, ...kept} : empty;
    } catch (error) {
      console.warn("the draft could not be read:", error.message);
      return empty;
    }
  }

  store() {
    try {
      sessionStorage.setItem("stav2a-draft", JSON.stringify({...this.draft, trial: this.value.trial}));
    } catch (error) {
      console.warn("the draft could not be kept:", error.message);
    }
  }
}

const blindTest = new BlindTest(element.querySelector(".bt"), (answer) => trigger("submit", answer));
eachValue((value) => blindTest.show(value));
