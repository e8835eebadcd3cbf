// A row of examples: a picture and a caption for each; a click opens the stored result.
// value: [{video: {url}, caption, seconds}]; captions are set as text, never as HTML.
const shelf = element.querySelector(".xs");

// Browsers allow sound after a click, so the result of a chosen example plays as soon as it is loaded.
function playResult() {
  const started = (event) => {
    const video = event.target;
    if (!video.closest || !video.closest("#result-video")) return;
    document.removeEventListener("loadeddata", started, true);
    if (shelf.isConnected) video.play().catch(() => {}); // blocked by the browser: the user presses play
  };
  document.removeEventListener("loadeddata", playResult.waiting, true);
  document.addEventListener("loadeddata", playResult.waiting = started, true);
}

function card({video, caption, seconds}, index) {
  const picture = document.createElement("video"), text = document.createElement("span"), length = document.createElement("small");
  Object.assign(picture, {muted: true, playsInline: true, loop: true, preload: "metadata", src: `${video.url}#t=${seconds / 2}`, tabIndex: -1});
  picture.setAttribute("aria-hidden", "true");
  text.textContent = caption;
  length.textContent = `${seconds.toFixed(1)} s`;
  text.append(length);
  const button = document.createElement("button");
  button.type = "button";
  button.append(picture, text);
  button.addEventListener("click", () => {
    shelf.querySelectorAll("button").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    trigger("submit", {index});
    playResult();
  });
  button.setAttribute("aria-pressed", "false");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  for (const name of ["pointerenter", "focus"])
    button.addEventListener(name, () => { if (!still.matches) picture.play().catch(() => {}); }); // blocked: no motion
  for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => picture.pause());
  return button;
}

shelf.replaceChildren(...(props.value || []).map(card));
