// The keyboard: run, stop, how to look at the result, and a list of it all.
(() => {
  const VIEWS = ["whole", "sides", "slider", "blink"];
  const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");
  const visible = (selector) => [...document.querySelectorAll(selector)].find((one) => one.offsetParent);
  const stoppable = () => document.querySelector("#ir-stop[aria-disabled='false']") !== null;  // a run that waits for its turn too

  const help = () => {
    const list = document.querySelector("#ir-help");
    if (!list || document.querySelector("dialog[open]")) return;
    const dialog = document.createElement("dialog");
    dialog.className = "ir-help";
    dialog.setAttribute("aria-label", list.dataset.name);
    dialog.innerHTML = list.innerHTML;
    dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.closest("[data-close]")) dialog.close(); });
    dialog.addEventListener("close", () => dialog.remove());
    document.querySelector(".gradio-container").append(dialog);
    document.dispatchEvent(new Event("imgrag:help"));
    dialog.showModal();
  };

  const turn = (step) => {
    const now = VIEWS.indexOf(visible(".ir-viewer")?.dataset.view);
    visible(`.ir-viewer [data-view="${VIEWS[(now + step + VIEWS.length) % VIEWS.length]}"]`)?.click();
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      return void visible("#ir-run")?.click();
    }
    if (event.key === "Escape" && stoppable()) return void visible("#ir-stop")?.click();
    if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") help();
    else if (event.key === "/") (event.preventDefault(), visible("#ir-prompt textarea")?.focus());
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      if (event.target === document.body || event.target.closest(".ir-viewer")) turn(event.key === "ArrowLeft" ? -1 : 1);
    }
  });
  document.addEventListener("click", (event) => { if (event.target.closest("[data-help]")) help(); });
})();
