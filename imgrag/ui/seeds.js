// The seed that each run was drawn with goes into the field and into a short list below it. The fold with both is built
// when it is first opened, so runs are followed from the page's start, and the field is filled once it is there.
(() => {
  const MOST = 6;  // in the list
  const STORE = "imgrag-seeds";
  const number = () => document.querySelector("#ir-seed input");
  const lock = () => document.querySelector("#ir-lock input");
  let shown = "";
  let filled = null;  // the field that has it, once for each time that one is built

  const kept = () => { try { return JSON.parse(localStorage.getItem(STORE)) ?? []; } catch { return []; } };
  const put = (seed) => {
    number().value = seed;
    number().dispatchEvent(new Event("input", { bubbles: true }));
  };
  const hold = (wanted) => { if (lock() && lock().checked !== wanted) lock().click(); };

  const list = () => {
    const row = document.querySelector(".ir-used"), seeds = kept();
    if (!row || row.dataset.seeds === String(seeds)) return;
    row.dataset.seeds = seeds;
    row.hidden = !seeds.length;
    row.querySelectorAll("button").forEach((button) => button.remove());
    seeds.forEach((seed) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: seed });
      row.append(button);
    });
  };

  // Gradio gives a field that it has just built the value it has for it, and listens only then.
  const fill = () => {
    if (!number() || !lock() || filled === number()) return;
    filled = number();
    setTimeout(() => { if (shown && number() && !lock()?.checked) put(shown); }, 200);
  };

  const note = () => {
    const seed = document.querySelector("#ir-strip [data-seed]")?.dataset.seed ?? "";
    if (seed && seed !== shown) {
      shown = seed;
      try { localStorage.setItem(STORE, JSON.stringify([seed, ...kept().filter((one) => one !== seed)].slice(0, MOST))); } catch { /* no list then */ }
      if (number() && !lock()?.checked) put(seed);
    }
    fill();
    list();
  };

  document.addEventListener("input", (event) => { if (event.isTrusted && event.target === number()) hold(true); });
  document.addEventListener("click", (event) => {
    const used = event.target.closest(".ir-used button");
    if (used) put(used.textContent);
    if (used || event.target.closest("#ir-dice")) hold(true);
  });
  new MutationObserver(note).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-seed"] });
})();
