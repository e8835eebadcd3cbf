// Begins every widget's script. All content is set as text or attributes: a name or a caption never becomes HTML.

// node("b", {class: "big", title: null, onclick: act}, "text", child): null, false and undefined are left out.
const node = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

// Shows the component's value now and whenever it changes.
const eachValue = (show) => {
  watch("value", () => show(props.value));
  show(props.value);
};
