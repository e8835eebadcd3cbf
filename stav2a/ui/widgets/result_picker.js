// Results to tick, clip by clip. value: {groups: [{name, duration_s, video: {url} | null,
//   items: [{id, text, thumb: {url} | null, chosen}]}], most}.
const list = element.querySelector(".rp");
let most = 4;
const boxes = () => [...list.querySelectorAll("input")];

// Only sounds of one clip can be compared: ticking one of another clip unticks the rest.
function tick(box) {
  const own = box.closest("fieldset");
  if (box.checked) for (const each of boxes()) if (each.closest("fieldset") !== own) each.checked = false;
  full();
  trigger("submit", { ids: boxes().filter((each) => each.checked).map((each) => each.value) });
}

function full() {
  const enough = boxes().filter((each) => each.checked).length >= most;
  for (const each of boxes()) {
    const beside = boxes().some((other) => other.checked && other.closest("fieldset") === each.closest("fieldset"));
    each.disabled = enough && beside && !each.checked;
  }
}

function item({ id, text, thumb, chosen }) {
  const box = node("input", { type: "checkbox", value: id, onchange: () => tick(box) });
  box.checked = Boolean(chosen);
  const picture = thumb && node("img", { alt: "", src: thumb.url, draggable: "false" });
  return node("label", { class: "rp-item" }, box, picture, node("span", { class: "rp-text" }, text));
}

function group({ name, duration_s, video, items }) {
  const picture = video && node("video", {
    playsinline: true, preload: "metadata", src: `${video.url}#t=${duration_s / 2}`, tabindex: "-1", "aria-hidden": "true",
  });
  if (picture) picture.muted = true;
  const legend = node("legend", { class: "rp-name" }, `${name} · ${duration_s.toFixed(1)} s`);
  return node("fieldset", { class: "rp-clip" }, legend, picture, node("div", { class: "rp-items" }, ...items.map(item)));
}

let listed = "";
eachValue((given) => {
  const value = given || { groups: [] }, every = value.groups.flatMap(({ items }) => items);
  most = value.most || most;
  list.hidden = !every.length;
  const now = JSON.stringify(value.groups.map(({ name, items }) => [name, items.map(({ id, text }) => [id, text])]));
  if (now === listed) { // the same boxes: they stay, and the focus in them
    for (const box of boxes()) box.checked = Boolean(every.find(({ id }) => id === box.value)?.chosen);
  } else {
    const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
    list.replaceChildren(...value.groups.map(group));
    if (focused) boxes().find((box) => box.value === focused)?.focus();
  }
  listed = now;
  full();
});
