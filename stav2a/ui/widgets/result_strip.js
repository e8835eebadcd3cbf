// The last results of the clip that is shown. value: [{id, text, thumb: {url} | null, shown}] or null.
// Texts come from captions, so they are set as text, never as HTML.
const strip = element.querySelector(".rs");

function button(text, label, action, id) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", () => trigger("submit", { id, action }));
  return made;
}

function item({ id, text, thumb, shown }) {
  const box = document.createElement("div"), hear = button("", `Show and hear: ${text}`, "hear", id);
  box.className = "rs-item";
  box.dataset.id = id;
  hear.className = "rs-hear";
  hear.title = text;
  hear.setAttribute("aria-pressed", String(Boolean(shown)));
  if (thumb) {
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = thumb.url;
    hear.append(picture);
  }
  const words = document.createElement("span");
  words.textContent = text;
  hear.append(words);
  const row = document.createElement("div");
  row.className = "rs-row";
  if (!shown) row.append(button("Compare", `Compare with the one shown: ${text}`, "compare", id));
  row.append(button("Use settings", `Bring back the settings of: ${text}`, "restore", id));
  box.append(hear, row);
  return box;
}

function receive() {
  const items = Array.isArray(props.value) ? props.value : [];
  element.hidden = !items.length;
  strip.replaceChildren(...items.map(item));
}
watch("value", receive);
receive();
