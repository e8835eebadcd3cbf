// Results to tick, clip by clip. value: {groups: [{name, duration_s, video: {url} | null,
//   items: [{id, text, thumb: {url} | null, chosen}]}], most}. Texts are set as text, never as HTML.
const list = element.querySelector(".rp");
let most = 4;

const made = (tag, className, text) => {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
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
  const label = made("label", "rp-item"), box = document.createElement("input");
  Object.assign(box, { type: "checkbox", value: id, checked: Boolean(chosen) });
  box.addEventListener("change", () => tick(box));
  label.append(box);
  if (thumb) {
    const picture = document.createElement("img");
    Object.assign(picture, { alt: "", src: thumb.url, draggable: false });
    label.append(picture);
  }
  label.append(made("span", "rp-text", text));
  return label;
}

function group({ name, duration_s, video, items }) {
  const set = made("fieldset", "rp-clip"), legend = made("legend", "rp-name", `${name} · ${duration_s.toFixed(1)} s`);
  set.append(legend);
  if (video) {
    const picture = document.createElement("video");
    Object.assign(picture, { muted: true, playsInline: true, preload: "metadata", src: `${video.url}#t=${duration_s / 2}`, tabIndex: -1 });
    picture.setAttribute("aria-hidden", "true");
    set.append(picture);
  }
  const row = made("div", "rp-items");
  row.append(...items.map(item));
  set.append(row);
  return set;
}

function receive() {
  const value = props.value || { groups: [] }, focused = document.activeElement && document.activeElement.value;
  const held = list.contains(document.activeElement);
  most = value.most || most;
  list.hidden = !value.groups.length;
  list.replaceChildren(...value.groups.map(group));
  full();
  if (held) { const same = boxes().find((each) => each.value === focused); if (same) same.focus(); }
}
watch("value", receive);
receive();
