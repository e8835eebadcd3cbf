// Editor of the audio layout: rows (time) × bands (pitch) of loudness in [0, 1]. The component's value is
// {layout, predicted, duration_s, revision}; only layout changes here. All text is set with textContent.
const $ = (selector) => element.querySelector(selector);
const canvas = $(".le-canvas"), brush = $("input[type=range]"), pen = canvas.getContext("2d");
const UNDOS = 50;
let data = null, cells = [], past = [], painting = false, at = { row: 0, band: 0 };

const copy = (rows) => rows.map((row) => [...row]);
const bands = () => (cells.length ? cells[0].length : 0);

function colour(value) {  // dark blue to yellow, readable without telling red from green
  const mix = (a, b) => Math.round(a + (b - a) * value);
  return `rgb(${mix(12, 253)}, ${mix(24, 231)}, ${mix(70, 37)})`;
}

function draw() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const width = canvas.width / Math.max(cells.length, 1), height = canvas.height / Math.max(bands(), 1);
  cells.forEach((row, k) => row.forEach((value, band) => {
    pen.fillStyle = colour(value);
    pen.fillRect(k * width, canvas.height - (band + 1) * height, Math.ceil(width), Math.ceil(height));
  }));
  if (cells.length && document.activeElement === canvas) {
    pen.strokeStyle = "#ffffff"; pen.lineWidth = 2;
    pen.strokeRect(at.row * width + 1, canvas.height - (at.band + 1) * height + 1, width - 2, height - 2);
  }
  for (const button of element.querySelectorAll("button")) {
    button.disabled = !cells.length || (button.dataset.do === "undo" && !past.length);
  }
}

function tell() {
  const second = data ? (at.row + 0.5) * data.duration_s / cells.length : 0;
  $(".le-cell").textContent = cells.length
    ? `${second.toFixed(1)} s, band ${at.band + 1} of ${bands()}: ${Math.round(cells[at.row][at.band] * 100)} %` : "";
}

function remember() { past.push(copy(cells)); past = past.slice(-UNDOS); }
function commit() { props.value = { ...data, layout: copy(cells) }; draw(); tell(); }

function cell(event) {
  const box = canvas.getBoundingClientRect();
  const row = Math.floor((event.clientX - box.left) / box.width * cells.length);
  const band = Math.floor((1 - (event.clientY - box.top) / box.height) * bands());
  return { row: Math.min(Math.max(row, 0), cells.length - 1), band: Math.min(Math.max(band, 0), bands() - 1) };
}

function paint(event) {
  const to = cell(event), from = painting ? at : to, steps = Math.max(Math.abs(to.row - from.row), 1);
  for (let k = 0; k <= steps; k++) {  // so that a fast stroke leaves no gaps
    const row = Math.round(from.row + (to.row - from.row) * k / steps);
    const band = Math.round(from.band + (to.band - from.band) * k / steps);
    cells[row][band] = brush.value / 100;
  }
  at = to; painting = true; draw();
}

canvas.addEventListener("pointerdown", (event) => {
  if (!cells.length) return;
  canvas.setPointerCapture(event.pointerId); remember(); paint(event);
});
canvas.addEventListener("pointermove", (event) => { if (painting) paint(event); });
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => { if (painting) { painting = false; commit(); } });
}
canvas.addEventListener("keydown", (event) => {
  if (!cells.length) return;
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const change = { "+": 0.1, "=": 0.1, "-": -0.1 }[event.key];
  if (moves[event.key]) {
    at.row = Math.min(Math.max(at.row + moves[event.key][0], 0), cells.length - 1);
    at.band = Math.min(Math.max(at.band + moves[event.key][1], 0), bands() - 1);
    draw(); tell();
  } else if (change) {
    remember();
    cells[at.row][at.band] = +Math.min(Math.max(cells[at.row][at.band] + change, 0), 1).toFixed(3);
    commit();
  } else return;
  event.preventDefault();
});
canvas.addEventListener("focus", draw);
canvas.addEventListener("blur", draw);
element.addEventListener("click", (event) => {
  const what = event.target.closest("button")?.dataset.do;
  if (what === "undo" && past.length) { cells = past.pop(); commit(); }
  if (what === "reset" && data) { remember(); cells = copy(data.predicted); commit(); }
});

function read() {
  const value = props.value;
  const fresh = value && Array.isArray(value.layout) && value.layout.length ? value : null;
  if (fresh && data && fresh.revision === data.revision) return; // an echo of an edit made here
  data = fresh; cells = fresh ? copy(fresh.layout) : []; past = []; at = { row: 0, band: 0 };
  draw(); tell();
}
eachValue(read);
