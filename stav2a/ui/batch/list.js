// The clips of a batch. value: {rows: [{name, caption, state, told, share, video: {url} | null}], notes: [text]}.
// Names and captions come from files, so they are set as text, never as HTML.
const list = element.querySelector(".bl"), notes = element.querySelector(".bl-notes");
const WORDS = {waiting: "waiting", working: "at work"};

function part(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function row({name, caption, state, told, share, video}) {
  const item = document.createElement("li");
  item.dataset.state = state;
  item.append(part("span", "bl-name", name), part("span", "bl-told", told || WORDS[state] || state));
  item.append(part("span", "bl-caption", caption || "no caption"));
  if (state === "working") {
    const bar = document.createElement("progress");
    Object.assign(bar, {max: 1, value: share});
    bar.setAttribute("aria-label", `Progress of ${name}`);
    item.append(bar);
  }
  if (video) {
    const shown = document.createElement("video");
    Object.assign(shown, {controls: true, preload: "metadata", playsInline: true, src: video.url});
    shown.setAttribute("aria-label", `${name} with its new sound`);
    item.append(shown);
  }
  return item;
}

function receive() {
  const value = props.value || {};
  list.replaceChildren(...(value.rows || []).map(row));
  notes.replaceChildren(...(value.notes || []).map((text) => part("li", "", text)));
}
watch("value", receive);
receive();
