// Shows the figure that fits the width, with a playhead that follows the video; a click seeks the video.
// value: {wide: {url}, narrow: {url}, wide_extent: [l, r], narrow_extent: [l, r], duration_s, alt}
const frame = element.querySelector(".fv"), image = element.querySelector("img"), line = element.querySelector(".fv-head");
const videoOf = () => document.querySelector(`#${props.video_id} video`);
let extent = [0, 1], duration = 0;

function receive() {
  const v = props.value, some = v && v.wide && v.wide.url;
  frame.hidden = !some;
  if (!some) return;
  const narrow = (element.clientWidth || window.innerWidth) < 620;
  duration = v.duration_s;
  extent = narrow ? v.narrow_extent : v.wide_extent;
  const url = (narrow ? v.narrow : v.wide).url;
  if (image.getAttribute("src") !== url) image.src = url;
  image.alt = v.alt || "";
  place();
}

function place() {
  const video = videoOf();
  if (!video || !duration) { line.style.display = "none"; return; }
  const share = Math.min(Math.max(video.currentTime / duration, 0), 1);
  line.style.display = "block";
  line.style.left = `${100 * (extent[0] + (extent[1] - extent[0]) * share)}%`;
}

let ticking = false;
function tick() {
  place();
  const video = videoOf();
  ticking = element.isConnected && video && !video.paused && !video.ended;
  if (ticking) requestAnimationFrame(tick);
}
for (const name of ["play", "seeking", "seeked", "timeupdate", "loadedmetadata"])
  document.addEventListener(name, (event) => {
    if (event.target.closest && event.target.closest(`#${props.video_id}`) && !ticking) { ticking = true; requestAnimationFrame(tick); }
  }, true);

function seek(clientX) {
  const video = videoOf(), box = image.getBoundingClientRect();
  if (!video || !duration) return;
  const share = ((clientX - box.left) / box.width - extent[0]) / (extent[1] - extent[0]);
  video.currentTime = Math.min(Math.max(share, 0), 1) * duration;
  place();
}
frame.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse" && event.button === 0) seek(event.clientX); });
frame.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" && event.buttons === 1) seek(event.clientX); });
frame.addEventListener("click", (event) => { if (event.pointerType !== "mouse") seek(event.clientX); });
image.addEventListener("dragstart", (event) => event.preventDefault());
eachValue(receive);
new ResizeObserver(receive).observe(element);
