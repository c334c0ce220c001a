// What Gradio leaves undone: a name for every image, spoken progress, a clock that counts down.
(() => {
  const container = () => document.querySelector(".gradio-container");

  // Gradio hard-codes an empty alt in the comparing slider and in icons of buttons.
  const nameImages = () => {
    const sides = document.querySelector("#ir-result [data-before]");
    document.querySelectorAll(".ir-slider img").forEach((image, index) => {
      const text = sides ? (index === 0 ? sides.dataset.before : sides.dataset.after) : "Result";
      if (image.alt !== text) image.alt = text;
    });
    container()?.querySelectorAll("img:not([alt]), img[alt='']").forEach((image) => {
      const title = image.closest(".ir-panel")?.querySelector("h2")?.textContent;
      image.alt = title || image.closest("button")?.textContent.trim() || "Image";
    });
  };

  // A live region must stay in the page while its text changes, so the wrapper gets the role.
  const announce = () => {
    const strip = document.querySelector("#ir-strip");
    if (strip && !strip.hasAttribute("aria-live")) strip.setAttribute("aria-live", "polite");
  };

  const tidy = () => { nameImages(); announce(); };

  const start = () => {
    new MutationObserver(tidy).observe(document.body, {
      childList: true, subtree: true, attributes: true, attributeFilter: ["src", "alt"],
    });
    tidy();
    setInterval(() => document.querySelectorAll("[data-left]").forEach((clock) => {
      const left = Math.max(1, Number(clock.dataset.left) - 1);
      clock.dataset.left = left;
      if (left < 90) clock.textContent = `about ${left} s left`;
    }), 1000);
  };

  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
