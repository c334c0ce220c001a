// Of the component below the seed: what each run was drawn with goes into the field and into a short list.
const MOST = 6;  // in the list
const STORE = "imgrag-seeds";
const number = () => document.querySelector("#ir-seed input");
const lock = () => document.querySelector("#ir-lock input");
let shown = "";

const kept = () => { try { return JSON.parse(localStorage.getItem(STORE)) ?? []; } catch { return []; } };
const put = (seed) => {
  number().value = seed;
  number().dispatchEvent(new Event("input", { bubbles: true }));
};
const hold = (wanted) => { if (lock() && lock().checked !== wanted) lock().click(); };

const list = () => {
  const row = element.querySelector(".ir-used"), seeds = kept();
  if (!row) return;
  row.hidden = !seeds.length;
  row.querySelectorAll("button").forEach((button) => button.remove());
  seeds.forEach((seed) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: seed });
    row.append(button);
  });
};

const note = () => {
  const seed = document.querySelector("#ir-strip [data-seed]")?.dataset.seed ?? "";
  if (!seed || seed === shown) return;
  shown = seed;
  try { localStorage.setItem(STORE, JSON.stringify([seed, ...kept().filter((one) => one !== seed)].slice(0, MOST))); } catch { /* no list then */ }
  if (number() && !lock()?.checked) put(seed);
  list();
};

element.addEventListener("click", (event) => {
  const button = event.target.closest(".ir-used button");
  if (!button) return;
  put(button.textContent);
  hold(true);
});
document.addEventListener("input", (event) => { if (event.isTrusted && event.target === number()) hold(true); });
document.addEventListener("click", (event) => { if (event.target.closest("#ir-dice")) hold(true); });
new MutationObserver(note).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-seed"] });
watch("value", list);
list();
note();
