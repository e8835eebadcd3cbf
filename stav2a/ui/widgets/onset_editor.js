// Editor of onset times over the predicted onset curve. The component's value is
// {clip, duration_s, latent_frame_s, start_s, curve, predicted_s, onsets_s, extents, revision}; only onsets_s changes here.
// `clip` names a clip and its part: edits of one clip can be undone across its runs and after a reload.
// All text is set with textContent, so user input is never parsed as HTML.
const SVG = "http://www.w3.org/2000/svg", HEIGHT = 132, RULER = 20, TOP = 38, LIMIT = 500, MOST_ZOOM = 64, KEPT = 60;
const $ = (selector) => element.querySelector(selector);
const svg = $(".oe-svg"), scroller = $(".oe-scroll"), marks = $(".oe-marks"), body = $("tbody"), file = $("input[type=file]");
let data = null, onsets = [], undone = [], done = [], selected = -1, drag = null, width = 600, zoom = 1;

const step = () => data.latent_frame_s || 0.04;
const snap = (t) => {
  const last = Math.floor((data.duration_s - 1e-6) / step()) * step();
  const s = Math.round(t / step()) * step();
  return +Math.min(Math.max(s, 0), Math.max(last, 0)).toFixed(4);
};
// Margins of the figure below, in pixels at the current width (its border is 1 px), so that both axes align.
function margins() {
  const outer = $(".oe-stage").offsetWidth || width, extents = data && data.extents;
  const [left, right] = extents ? (outer < 620 ? extents.narrow : extents.wide) : [0.02, 0.98];
  return [left * outer - 1, (1 - right) * outer - 1];
}
let edges = [10, 10];
const x = (t) => edges[0] + (t / data.duration_s) * (width - edges[0] - edges[1]);
const time = (clientX) => {
  const box = svg.getBoundingClientRect();
  return ((clientX - box.left - edges[0]) / (box.width - edges[0] - edges[1])) * data.duration_s;
};
const near = (list, t) => list.some((p) => Math.abs(p - t) <= step() / 2 + 1e-6);
// Only onsets placed by the user are snapped; predicted times stay unchanged.
const tidy = (list) => [...new Set(list.map((t) => +t.toFixed(4)))].sort((a, b) => a - b).slice(0, LIMIT);
const same = (a, b) => a.length === b.length && a.every((t, i) => t === b[i]);

function make(tag, attributes, parent) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (parent) parent.appendChild(node);
  return node;
}

function complain(sentence) {
  const line = $(".oe-error");
  line.hidden = !sentence;
  line.textContent = sentence || "";
}

function commit(list, focus) {
  const next = tidy(list);
  if (same(next, onsets)) { draw(); return; }
  done.push(onsets); undone = [];
  set(next, focus);
}

// ---- undo history of each clip, while this tab is open ------------------------------------------------
const shelf = (clip) => `stav2a-onsets-${clip}`;
function keep() {
  if (!data || !data.clip) return;
  try { sessionStorage.setItem(shelf(data.clip), JSON.stringify({ done: done.slice(-KEPT), undone: undone.slice(-KEPT) })); }
  catch { /* storage is blocked or full: undo then ends with the page */ }
}
function kept(clip) {
  const lists = (value) => (Array.isArray(value) ? value.filter((list) => Array.isArray(list) && list.every(Number.isFinite)) : []);
  try {
    const found = JSON.parse(sessionStorage.getItem(shelf(clip)) || "{}");
    return [lists(found.done), lists(found.undone)];
  } catch { return [[], []]; }
}

function set(list, focus) {
  onsets = list;
  selected = focus === undefined ? -1 : onsets.indexOf(+focus.toFixed(4));
  props.value = { ...data, onsets_s: onsets };
  keep();
  complain("");
  draw();
}

function draw() {
  const empty = !data || !(data.duration_s > 0);
  $(".oe-empty").style.display = empty ? "flex" : "none";
  svg.style.width = `${100 * zoom}%`;
  width = Math.max(svg.clientWidth, 120);
  edges = margins();
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  $(".oe-count").textContent = empty ? "" : `${onsets.length} in ${data.duration_s.toFixed(1)} s`;
  drawRuler(empty); drawCurve(empty); drawMarks(empty); drawTable(empty); buttons(empty); playhead();
}

function drawRuler(empty) {
  const ruler = $(".oe-ruler");
  ruler.replaceChildren();
  if (empty) return;
  make("rect", { x: 0, y: 0, width, height: RULER }, ruler);
  const every = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60].find((s) => x(s) - x(0) > 46) || 120;
  for (let t = 0; t <= data.duration_s + 1e-6; t += every) {
    make("line", { x1: x(t), x2: x(t), y1: RULER, y2: HEIGHT }, ruler);
    if (x(t) + 30 < width) make("text", { x: x(t) + 3, y: 14 }, ruler).textContent = `${+t.toFixed(1)} s`;
  }
}

function drawCurve(empty) {
  const curve = empty ? [] : data.curve || [];
  const y = (v) => HEIGHT - 2 - Math.min(Math.max(v, 0), 1) * (HEIGHT - TOP - 8);
  const points = curve.map((v, i) => `${x(Math.min((i + 0.5) * step(), data.duration_s)).toFixed(1)},${y(v).toFixed(1)}`);
  const line = points.length ? "M" + points.join("L") : "";
  $(".oe-curve").setAttribute("d", line);
  $(".oe-area").setAttribute("d", line ? `${line}L${x(data.duration_s)},${HEIGHT}L${x(0)},${HEIGHT}Z` : "");
}

function drawMarks(empty) {
  const keep = document.activeElement && marks.contains(document.activeElement);
  const ghosts = $(".oe-ghosts");
  marks.replaceChildren(); ghosts.replaceChildren();
  if (empty) return;
  for (const t of data.predicted_s || [])
    if (!near(onsets, t)) make("path", { d: `M${x(t) - 5},${TOP - 14}h10l-5,9Z` }, ghosts);
  onsets.forEach((t, i) => {
    const edited = !near(data.predicted_s || [], t);
    const mark = make("g", {
      class: `oe-mark${edited ? " edited" : ""}${i === selected ? " selected" : ""}`, tabindex: "0", role: "slider",
      "aria-label": `Onset ${i + 1}${edited ? ", placed by hand" : ""}`, "aria-valuemin": "0",
      "aria-valuemax": data.duration_s.toFixed(2), "aria-valuenow": t.toFixed(2), "aria-valuetext": `${t.toFixed(2)} seconds`,
      "data-i": i,
    }, marks);
    make("rect", { class: "oe-hit", x: x(t) - 11, y: RULER, width: 22, height: HEIGHT - RULER }, mark);
    make("line", { x1: x(t), x2: x(t), y1: TOP - 6, y2: HEIGHT }, mark);
    const shape = edited ? `M${x(t)},${TOP - 17}l6.5,7.5l-6.5,7.5l-6.5,-7.5Z` : `M${x(t) - 7},${TOP - 15}h14l-7,12Z`;
    make("path", { d: shape }, mark);
  });
  if (keep || drag) { const node = marks.children[selected]; if (node) node.focus({ preventScroll: true }); else if (keep) svg.focus({ preventScroll: true }); }
}

function drawTable(empty) {
  const active = document.activeElement, inTable = body.contains(active) ? active.dataset.i : null;
  body.replaceChildren();
  if (empty) return;
  onsets.forEach((t, i) => {
    const row = body.insertRow();
    row.insertCell().textContent = i + 1;
    const input = document.createElement("input");
    Object.assign(input, { type: "number", min: 0, max: data.duration_s, step: step(), value: t.toFixed(2) });
    input.setAttribute("aria-label", `Time of onset ${i + 1} in seconds`);
    input.dataset.i = i;
    input.addEventListener("change", () => {
      const t = Number(input.value);
      if (input.value === "" || !Number.isFinite(t) || t < 0 || t > data.duration_s) {
        complain(`An onset lies between 0 and ${data.duration_s.toFixed(2)} s, not at “${input.value}”.`);
        input.value = onsets[i].toFixed(2);
      } else commit(onsets.map((o, j) => (j === i ? snap(t) : o)), snap(t));
    });
    row.insertCell().appendChild(input);
    row.insertCell().textContent = near(data.predicted_s || [], t) ? "model" : "you";
    const drop = document.createElement("button");
    drop.type = "button"; drop.textContent = "Delete";
    drop.setAttribute("aria-label", `Delete onset ${i + 1} at ${t.toFixed(2)} seconds`);
    drop.addEventListener("click", () => remove(i));
    row.insertCell().appendChild(drop);
  });
  if (inTable !== null) body.querySelector(`input[data-i="${selected >= 0 ? selected : Math.min(inTable, onsets.length - 1)}"]`)?.focus();
}

function buttons(empty) {
  const able = {
    add: !empty && onsets.length < LIMIT, delete: !empty && selected >= 0, undo: done.length, redo: undone.length,
    reset: !empty && !same(onsets, tidy(data.predicted_s || [])), import: !empty, clicks: true,
    in: !empty && zoom < MOST_ZOOM, out: !empty && zoom > 1, fit: !empty && zoom > 1,
  };
  $(".oe-export").disabled = empty;
  element.querySelectorAll("[data-do]").forEach((b) => { b.disabled = !able[b.dataset.do]; });
}

function select(i) {
  selected = i;
  [...marks.children].forEach((m, j) => m.classList.toggle("selected", j === i));
  buttons(false);
}

function remove(i) {
  if (i < 0 || i >= onsets.length) return;
  commit(onsets.filter((_, j) => j !== i));
}

function travel(from, to) {
  if (!from.length) return;
  to.push(onsets);
  set(from.pop());
}

// ---- the video: the one last played or moved in this tab drives the playhead -------------------------
let video = null;
const shown = () => video && video.isConnected ? video : document.querySelector("#result-video video") || document.querySelector("#source-video video");
const offset = (v) => (v && v.closest("#source-video") ? data.start_s || 0 : 0);
const now = () => { const v = shown(); return v ? v.currentTime - offset(v) : 0; };
function playhead() {
  const line = $(".oe-playhead"), t = data && data.duration_s ? now() : -1;
  const inside = t >= 0 && t <= (data ? data.duration_s : 0) + 0.05;
  line.style.display = inside ? "" : "none";
  if (inside) { line.setAttribute("x1", x(t)); line.setAttribute("x2", x(t)); }
  if (inside && zoom > 1 && video && !video.paused) follow(x(t));
}
function follow(at) { // scroll a zoomed timeline when the playhead leaves it
  const left = scroller.scrollLeft, room = scroller.clientWidth;
  if (at < left || at > left + room - 20) scroller.scrollLeft = at - 20;
}

// ---- a click at each onset ------------------------------------------------------------------------------------
let clicks = true, audio = null, told = 0;
function click(after = 0) {
  audio ??= new AudioContext();
  const at = audio.currentTime + Math.max(after, 0), tone = audio.createOscillator(), level = audio.createGain();
  tone.frequency.value = 1800;
  level.gain.setValueAtTime(0.25, at);
  level.gain.exponentialRampToValueAtTime(0.001, at + 0.03);
  tone.connect(level).connect(audio.destination);
  tone.start(at); tone.stop(at + 0.04);
  element.dataset.clicks = +(element.dataset.clicks || 0) + 1;
}
// The next onsets are scheduled on the audio clock, because animation frames come late. Clicks are only for the
// uploaded clip, not for results.
function tickClicks() {
  const v = video;
  if (!clicks || !data || !v || v.paused || !v.closest("#source-video")) { told = NaN; return; }
  const t = now(), ahead = t + 0.12 * v.playbackRate;
  if (!(Math.abs(t - told) < 0.5)) told = t - 0.02;
  for (const onset of onsets) if (onset > told && onset <= ahead) click((onset - t) / v.playbackRate);
  told = Math.max(told, ahead);
}
let ticking = false;
function tick() {
  playhead();
  tickClicks();
  ticking = element.isConnected && video && !video.paused && !video.ended;
  if (ticking) requestAnimationFrame(tick);
}
for (const name of ["play", "seeking", "timeupdate", "seeked"])
  document.addEventListener(name, (event) => {
    const v = event.target;
    if (v.tagName !== "VIDEO" || !v.closest("#result-video, #source-video")) return;
    if (!v.paused || name !== "timeupdate") video = v;
    if (!ticking) { ticking = true; requestAnimationFrame(tick); }
  }, true);

// ---- pointer ------------------------------------------------------------------------------------------------
svg.addEventListener("pointerdown", (event) => {
  if (!data || !data.duration_s || event.button) return;
  const box = svg.getBoundingClientRect(), mark = event.target.closest(".oe-mark");
  if (!mark && event.clientY - box.top < RULER) {
    const v = shown();
    if (v) { v.currentTime = Math.min(Math.max(time(event.clientX), 0), data.duration_s) + offset(v); playhead(); }
    return;
  }
  if (mark) {
    const i = +mark.dataset.i;
    drag = { i, from: event.clientX, before: onsets, moved: false };
    select(i); mark.focus({ preventScroll: true });
  } else drag = { i: -1, from: event.clientX, y: event.clientY, before: onsets, moved: false };
  svg.setPointerCapture(event.pointerId);
});
svg.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (Math.abs(event.clientX - drag.from) > 4) drag.moved = true;
  if (drag.i < 0 || !drag.moved) return;
  const t = snap(time(event.clientX));
  const others = drag.before.filter((_, j) => j !== drag.i);
  if (others.includes(t)) return;
  onsets = [...others, t].sort((a, b) => a - b);
  selected = onsets.indexOf(t);
  if (clicks) click();
  drawMarks(false);
});
let lastTap = { at: 0, t: -1 };
svg.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { i, before, moved } = drag;
  drag = null;
  const t = snap(time(event.clientX)), twice = event.timeStamp - lastTap.at < 350 && Math.abs(event.clientX - lastTap.x) < 14;
  lastTap = { at: event.timeStamp, x: event.clientX };
  if (i >= 0 && moved) { const list = onsets; onsets = before; commit(list, list[selected]); }
  else if (i >= 0 && twice && event.timeStamp - born > 350) remove(i);
  else if (i < 0 && !moved) add(t);
});
// A finger on a mark moves the mark, not the page; `touch-action` has no effect on parts of an SVG.
svg.addEventListener("touchstart", (event) => { if (event.target.closest(".oe-mark")) event.preventDefault(); }, { passive: false });
svg.addEventListener("pointercancel", () => { if (drag) { onsets = drag.before; drag = null; draw(); } });
let born = 0;
function add(t) {
  if (onsets.length >= LIMIT) { complain(`At most ${LIMIT} onsets fit in one clip.`); return; }
  born = performance.now();
  commit([...onsets, t], t);
}

// ---- keyboard -----------------------------------------------------------------------------------------------
element.addEventListener("keydown", (event) => {
  if (!data || !data.duration_s || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
  const key = event.key.toLowerCase(), mark = event.target.closest(".oe-mark");
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
    if (key === "y" || event.shiftKey) travel(undone, done); else travel(done, undone);
  } else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (event.target.closest("svg") && ["+", "=", "-", "0"].includes(key)) {
    if (key === "0") zoomTo(1); else zoomTo(zoom * (key === "-" ? 0.5 : 2), selected >= 0 ? onsets[selected] : now());
  }
  else if (key === "a" && event.target.closest("svg")) { add(snap(now())); marks.children[selected]?.focus({ preventScroll: true }); }
  else if (mark && (key === "delete" || key === "backspace")) remove(+mark.dataset.i);
  else if (mark && (key === "arrowleft" || key === "arrowright")) {
    const i = +mark.dataset.i, by = (key === "arrowleft" ? -1 : 1) * step() * (event.shiftKey ? 5 : 1);
    let t = snap(onsets[i] + by), next;
    while (onsets.includes(t) && (next = snap(t + Math.sign(by) * step())) !== t) t = next; // skip occupied times
    if (!onsets.includes(t)) { selected = i; commit(onsets.map((o, j) => (j === i ? t : o)), t); }
  } else return;
  event.preventDefault();
});
marks.addEventListener("focusin", (event) => { const m = event.target.closest(".oe-mark"); if (m && !drag) select(+m.dataset.i); });

// ---- zoom -----------------------------------------------------------------------------------------------------
function zoomTo(factor, around = data.duration_s / 2) {
  const before = x(around) - scroller.scrollLeft;
  zoom = Math.min(Math.max(factor, 1), MOST_ZOOM);
  draw();
  scroller.scrollLeft = x(around) - before;
}
scroller.addEventListener("wheel", (event) => {
  if (!data || !data.duration_s || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  zoomTo(zoom * (event.deltaY < 0 ? 1.25 : 0.8), time(event.clientX));
}, { passive: false });

// ---- buttons ------------------------------------------------------------------------------------------------
const act = {
  add: () => add(snap(now())),
  delete: () => remove(selected),
  undo: () => travel(done, undone),
  redo: () => travel(undone, done),
  reset: () => commit(data.predicted_s || []),
  in: () => zoomTo(zoom * 2, selected >= 0 ? onsets[selected] : now()),
  out: () => zoomTo(zoom / 2),
  fit: () => zoomTo(1),
  clicks: () => {
    clicks = !clicks;
    $('[data-do="clicks"]').setAttribute("aria-pressed", clicks);
    if (clicks) click();
  },
  import: () => file.click(),
};
function download(bytes, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
const wordsOf = (error) => (error && error.message) || "the page could not be reached";
$(".oe-export").addEventListener("change", async (event) => {
  const kind = event.target.value;
  event.target.value = "";
  if (!kind || !data) return;
  if (kind === "json") return download(JSON.stringify({ duration_s: data.duration_s, onsets_s: onsets }, null, 1), "onsets.json");
  try {
    const made = await server.onsets_to_file({ kind, onsets_s: onsets });
    if (made.error) throw new Error(made.error);
    download(Uint8Array.from(atob(made.data), (c) => c.charCodeAt(0)), made.name);
  } catch (error) { complain(`The file could not be made: ${wordsOf(error)}`); }
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button && !button.disabled) act[button.dataset.do]();
});
file.addEventListener("change", async () => {
  const chosen = file.files[0];
  file.value = "";
  if (!chosen) return;
  try {
    if (chosen.size > 200000) throw new Error("it is too large.");
    if (!chosen.name.toLowerCase().endsWith(".json")) {
      let bytes = "";
      for (const byte of new Uint8Array(await chosen.arrayBuffer())) bytes += String.fromCharCode(byte);
      const read = await server.onsets_from_file({ name: chosen.name, data: btoa(bytes), duration_s: data.duration_s });
      if (read.error) throw new Error(read.error);
      commit(read.onsets_s);
      return;
    }
    const parsed = JSON.parse(await chosen.text());
    const list = Array.isArray(parsed) ? parsed : parsed.onsets_s;
    if (!Array.isArray(list)) throw new Error("it has no list “onsets_s”.");
    if (!list.every((t) => typeof t === "number" && t >= 0 && t <= data.duration_s))
      throw new Error(`every onset must be a number of seconds between 0 and ${data.duration_s.toFixed(2)}.`);
    commit(list);
  } catch (error) {
    complain(`The file cannot be used: ${error instanceof SyntaxError ? "it is not JSON." : wordsOf(error)}`);
  }
});

function receive() {
  const value = props.value;
  const fresh = value && typeof value === "object" && value.duration_s > 0 ? value : null;
  if (fresh && data && fresh.revision === data.revision) return; // echo of an edit made here, maybe not the last
  const before = onsets, again = fresh && data && fresh.clip && fresh.clip === data.clip;
  data = fresh; onsets = fresh ? [...(fresh.onsets_s || [])] : []; selected = -1;
  if (!again) {
    zoom = 1;
    [done, undone] = fresh && fresh.clip ? kept(fresh.clip) : [[], []];
  } else if (!same(before, onsets)) { done.push(before); undone = []; keep(); } // a new run of the same clip
  complain("");
  draw();
}
eachValue(receive);
new ResizeObserver(() => { if (!drag && Math.abs(svg.clientWidth - width) > 1) draw(); }).observe(element);
