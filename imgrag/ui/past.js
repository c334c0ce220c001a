// Of the component with the runs as cards: their buttons and names, how large they are, and what is done with many.
const SIZE = "imgrag-cards";  // where the browser keeps how large they are
const boxes = () => [...element.querySelectorAll(".ir-shot input, .ir-card > label input")];
const ticked = () => boxes().filter((box) => box.checked).map((box) => box.dataset.id);
const tell = (act, ids, more = {}) => trigger("select", { act, id: ids[0] ?? "", ids, ...more });

// How large: a choice of the browser's, and of the component itself, whose content is always made anew.
const resize = (size) => {
  element.dataset.size = size;
  element.querySelectorAll("button[data-size]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.size === size)));
};
const size = () => { try { return localStorage.getItem(SIZE) ?? "small"; } catch { return "small"; } };

const count = () => {
  const bar = element.querySelector(".ir-picked");
  if (!bar) return;
  const many = ticked().length, words = bar.querySelector("[data-words]");
  bar.hidden = !many;
  words.textContent = words.dataset.words.replace("[count]", many);
  bar.querySelector("[data-many=compare]").disabled = many !== 2;
  bar.querySelector("[data-many=all]").disabled = many === boxes().length;
};

const tick = (on) => { boxes().forEach((box) => { box.checked = on; }); ticks(); };
const ticks = () => {
  count();
  if (document.querySelector("#ir-past-pair section")) tell("compare", []);
};

// Two side by side stand above the cards, which may be far up.
const reveal = (tries) => {
  const pair = document.querySelector("#ir-past-pair section");
  if (pair) pair.scrollIntoView({ block: "start", behavior: "instant" });
  else if (tries) setTimeout(reveal, 100, tries - 1);
};

const many = (button) => {
  const act = button.dataset.many, ids = ticked();
  if (act === "all" || act === "none") return tick(act === "all");
  if (button.dataset.sure && !confirm(button.dataset.sure.replace("[count]", ids.length))) return;
  tell(act, ids);
  if (act === "compare") reveal(50);
};

// A name is typed where it will stand. Enter and a press elsewhere keep it, Escape does not.
const rename = (button) => {
  const card = button.closest(".ir-card");
  if (card.querySelector(".ir-naming")) return;
  const field = Object.assign(document.createElement("input"), { type: "text", className: "ir-naming", maxLength: 100, value: button.dataset.name });
  field.setAttribute("aria-label", button.getAttribute("aria-label"));
  let over = false;
  const end = (keep) => {
    if (over) return;
    over = true;
    field.remove();
    button.focus();
    if (keep && field.value.trim() !== button.dataset.name) tell("name", [button.dataset.id], { name: field.value.trim() });
  };
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    end(event.key === "Enter");
  });
  field.addEventListener("blur", () => end(true));
  card.querySelector("strong").after(field);
  field.select();
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.size) {
    try { localStorage.setItem(SIZE, button.dataset.size); } catch { /* for this page only */ }
    return resize(button.dataset.size);
  }
  if (button.dataset.many) return many(button);
  if (button.dataset.do === "name") return rename(button);
  if (!button.dataset.do || (button.dataset.sure && !confirm(button.dataset.sure))) return;
  tell(button.dataset.do, [button.dataset.id]);
});
element.addEventListener("change", (event) => { if (event.target.type === "checkbox") ticks(); });
element.addEventListener("imgrag:looked", (event) => tell("look", [event.target.dataset.file]));
// Gradio changes the old elements into the new ones, so ticks are taken off by hand.
const begin = () => {
  boxes().forEach((box) => { box.checked = false; });
  element.querySelectorAll(".ir-naming").forEach((field) => field.remove());
  resize(size());
  count();
};
watch("value", begin);
begin();
