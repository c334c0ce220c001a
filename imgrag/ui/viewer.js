// Of the component with the result: the whole image, or two compared; while a run goes, what its panels draw.
const BLINK = 900;  // ms of each image
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const box = () => element.querySelector(".ir-viewer");
let view = "whole";

const address = (file) => `${window.gradio_config?.root ?? ""}${window.gradio_config?.api_prefix ?? ""}/file=${encodeURI(file).replace(/[?#]/g, encodeURIComponent)}`;

const look = (wanted) => {
  view = box()?.querySelector(`[data-view="${wanted}"]`) ? wanted : "whole";
  if (!box()) return;
  box().dataset.view = view;
  box().querySelectorAll("[data-view]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === view)));
};

const slide = (part) => box()?.style.setProperty("--ir-part", `${part}%`);

// What is drawn at the moment: the later of the two panels with a picture. Gradio has it on the page already.
const follow = () => {
  if (box()?.dataset.live === undefined) return;
  const drawn = document.querySelector(".ir-stage-enhanced img[src]") ?? document.querySelector(".ir-stage-initial img[src]");
  const image = box().querySelector("img"), source = drawn?.getAttribute("src") ?? "";
  if ((image.getAttribute("src") ?? "") === source) return;
  if (source) image.src = source;
  else image.removeAttribute("src");
  image.alt = drawn?.alt ?? "";
};

const fill = () => {
  box()?.querySelectorAll("img[data-file]:not([data-file=''])").forEach((image) => {
    const source = address(image.dataset.file);
    if (image.getAttribute("src") !== source) image.src = source;
  });
  const range = box()?.querySelector(".ir-slide");
  if (range) slide(range.value);
  look(view);
  follow();
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-view]:not(.ir-viewer)");
  if (button) look(button.dataset.view);
  const taken = event.target.closest("button[data-do]");
  if (taken) trigger("select", { act: taken.dataset.do, id: "" });
});
element.addEventListener("input", (event) => { if (event.target.matches(".ir-slide")) slide(event.target.value); });
setInterval(() => {
  if (view === "blink" && box() && !document.hidden && !CALM.matches) box().toggleAttribute("data-after");
}, BLINK);
new MutationObserver(follow).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
watch("value", fill);
fill();
