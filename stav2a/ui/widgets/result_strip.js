// The last results of the clip that is shown. value: [{id, text, thumb: {url} | null, shown}] or null.
const strip = element.querySelector(".rs");

function item({ id, text, thumb, shown }) {
  const act = (action) => () => trigger("submit", { id, action });
  const button = (name, label, action) =>
    node("button", { type: "button", "aria-label": `${label}: ${text}`, onclick: act(action) }, name);
  const hear = node(
    "button",
    {
      type: "button", class: "rs-hear", title: text, "aria-label": `Show and hear: ${text}`,
      "aria-pressed": String(Boolean(shown)), onclick: act("hear"),
    },
    thumb && node("img", { alt: "", src: thumb.url }),
    node("span", {}, text),
  );
  const compare = shown ? null : button("Compare", "Compare with the one shown", "compare");
  const restore = button("Use settings", "Bring back the settings of", "restore");
  return node("div", { class: "rs-item", "data-id": id }, hear, node("div", { class: "rs-row" }, compare, restore));
}

eachValue((value) => {
  const items = Array.isArray(value) ? value : [];
  element.hidden = !items.length;
  strip.replaceChildren(...items.map(item));
});
