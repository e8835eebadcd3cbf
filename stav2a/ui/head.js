// The link to the model card opens its fold and goes there.
const link = element.querySelector('a[href="#model-card"]');
if (link) link.addEventListener("click", (event) => {
  event.preventDefault();
  const tab = document.querySelector("button[role=tab]");
  if (tab && tab.getAttribute("aria-selected") !== "true") tab.click(); // the card is at the foot of the first tab
  requestAnimationFrame(() => {
    const fold = document.querySelector("#model-card"), button = fold && fold.querySelector("button");
    if (!button) return;
    if (!fold.querySelector(".prose")?.offsetParent) button.click();
    button.focus({ preventScroll: true });
    setTimeout(() => fold.scrollIntoView({ behavior: "smooth" }), 300); // the fold grows first
  });
});
