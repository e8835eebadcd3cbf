// A row of examples: a picture and a caption for each; a click opens the stored result.
// value: [{video: {url}, caption, seconds}].
const shelf = element.querySelector(".xs");
const still = matchMedia("(prefers-reduced-motion: reduce)");

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
  const picture = node("video", {
    playsinline: true, loop: true, preload: "metadata", src: `${video.url}#t=${seconds / 2}`, tabindex: "-1", "aria-hidden": "true",
  });
  picture.muted = true;
  const choose = () => {
    shelf.querySelectorAll("button").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    trigger("submit", {index});
    playResult();
  };
  const move = () => { if (!still.matches) picture.play().catch(() => {}); }; // blocked: no motion
  const rest = () => picture.pause();
  const text = node("span", {}, caption);
  const button = node(
    "button",
    {type: "button", "aria-pressed": "false", title: `${caption}, ${seconds.toFixed(1)} s`, onclick: choose, onpointerenter: move, onfocus: move, onpointerleave: rest, onblur: rest},
    picture, text,
  );
  return button;
}

eachValue((value) => shelf.replaceChildren(...(value || []).map(card)));
