// Of the component below the prompt's field: the text is sent to be read once nobody has typed for a moment,
// and of the names that come back one is chosen by arrow keys, Enter, Tab or a click.
const WAIT = 300;  // ms
const LOST = 20000;  // ms after which an answer does not come any more
const TAIL = 120;  // characters before the caret that are sent to be completed
let timer = null;
let typed = false;  // by a person; what a button or an example fills in is not completed
let active = -1;
let asked = 0;  // questions are numbered, and asked one at a time: on a slow line they would pile up
let answered = 0;
let since = 0;
let again = false;

const field = () => document.querySelector("#ir-prompt textarea");
const list = () => element.querySelector("[role=listbox]:not([hidden])");
const options = () => [...(list()?.children ?? [])];
const before = () => field().value.slice(0, field().selectionEnd).slice(-TAIL);

const mark = (place) => {
  active = place;
  options().forEach((option, number) => option.setAttribute("aria-selected", String(number === place)));
  const chosen = options()[place];
  if (chosen) field().setAttribute("aria-activedescendant", chosen.id);
  else field()?.removeAttribute("aria-activedescendant");
  chosen?.scrollIntoView({ block: "nearest" });
};

const shut = () => {
  mark(-1);
  if (list()) list().hidden = true;
  field()?.removeAttribute("aria-controls");
};

// A list that comes late, for words that are not before the caret any more, is not shown.
const show = () => {
  const come = element.querySelector("[role=listbox]");
  if (come) come.hidden = !typed || document.activeElement !== field() || come.dataset.typed !== before();
  mark(-1);
  if (list()) field().setAttribute("aria-controls", "ir-names-list");
  else field()?.removeAttribute("aria-controls");
};

const send = () => {
  again = asked !== answered && Date.now() - since < LOST;
  if (again || !field()) return;
  asked += 1;
  since = Date.now();
  trigger("select", { text: field().value, before: typed ? before() : "", number: asked });
};

const answer = () => {
  answered = Number(element.querySelector("[data-number]")?.dataset.number ?? answered);
  show();
  if (again) send();
};

const wait = () => {
  clearTimeout(timer);
  timer = setTimeout(send, WAIT);
};

const pick = (option) => {
  const caret = field().selectionEnd;
  field().setRangeText(option.dataset.name, Math.max(0, caret - Number(option.dataset.length)), caret, "end");
  shut();
  field().dispatchEvent(new Event("input", { bubbles: true }));
};

const MOVES = { ArrowDown: 1, ArrowUp: -1 };
const keyed = (event) => {
  if (event.target !== field() || event.isComposing || !list()) return;
  const many = options().length;
  if (event.key in MOVES) mark(active < 0 && event.key === "ArrowUp" ? many - 1 : (active + MOVES[event.key] + many) % many);
  else if (["Enter", "Tab"].includes(event.key) && !event.shiftKey && active >= 0) pick(options()[active]);
  else if (event.key === "Escape") shut();
  else return void (event.key === "Enter" && shut());
  event.preventDefault();
  event.stopPropagation();
};

document.addEventListener("keydown", keyed, true);
document.addEventListener("input", (event) => {
  if (event.target !== field()) return;
  typed = event.isTrusted;
  shut();
  if (!event.isComposing) wait();
});
document.addEventListener("compositionend", (event) => { if (event.target === field()) wait(); });
document.addEventListener("imgrag:prompt", wait);
document.addEventListener("focusout", (event) => { if (event.target === field()) shut(); });
element.addEventListener("mousedown", (event) => { if (event.target.closest("[role=option]")) event.preventDefault(); });
element.addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) pick(option);
});
watch("value", answer);
["aria-autocomplete", "aria-haspopup"].forEach((name, number) => field()?.setAttribute(name, ["list", "listbox"][number]));
