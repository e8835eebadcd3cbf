// The clips of a batch. value: {rows: [{name, caption, state, status, share, video: {url} | null}], notes: [text]}.
const list = element.querySelector(".bl"), notes = element.querySelector(".bl-notes");

function row({name, caption, state, status, share, video}) {
  return node(
    "li",
    {"data-state": state},
    node("span", {class: "bl-name"}, name),
    node("span", {class: "bl-told"}, status || state),
    node("span", {class: "bl-caption"}, caption || "no caption"),
    state === "working" ? node("progress", {max: "1", value: String(share), "aria-label": `Progress of ${name}`}) : null,
    video && node("video", {controls: true, preload: "metadata", playsinline: true, src: video.url, "aria-label": `${name} with its new sound`}),
  );
}

eachValue((value) => {
  const {rows = [], notes: said = []} = value || {};
  list.replaceChildren(...rows.map(row));
  notes.replaceChildren(...said.map((text) => node("li", {}, text)));
});
