// Of the component below the prompt's field: the text is sent to be read once nobody has typed for a moment,
// and of the names that come back one is chosen by arrow keys, Enter, Tab or a click.
const WAIT = 300;  // ms
const LOST = 20000;  // ms after which an answer does not come any more
const AIMED = 350;  // ms; whoever presses sooner after the names have come did not mean them
const TAIL = 120;  // characters before the caret that are sent to be completed
let timer = null;
let typed = false;  // by a person; what a button or an example fills in is not completed
let active = -1;
let asked = 0;  // questions are numbered, and asked one at a time: on a slow line they would pile up
let answered = 0;
let since = 0;
let again = false;
let sent = "";
let opened = 0;
let meant = false;  // the press that a click is the end of

const field = () => document.querySelector("#ir-prompt textarea");
const list = () => element.querySelector("[role=listbox]:not([hidden])");
const options = () => [...(list()?.children ?? [])];
// Nothing within a word: a name would be put in front of the rest of it.
const before = () => {
  const { value, selectionEnd: caret } = field();
  return /^[\p{L}\p{N}]/u.test(value.slice(caret)) ? "" : value.slice(0, caret).slice(-TAIL).replace(/^[\uDC00-\uDFFF]/, "");  // not half an emoji
};

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

// Nor is a list opened that is still to come: it was asked for before.
const leave = () => {
  typed = false;
  shut();
};

// A list that comes late, for words that are not before the caret any more, is not shown.
const show = () => {
  const come = element.querySelector("[role=listbox]");
  delete element.dataset.waiting;
  if (sent === field()?.value) delete element.dataset.stale;
  if (come) come.hidden = !typed || document.activeElement !== field() || come.dataset.typed !== before();
  mark(-1);
  opened = Date.now();
  if (list()) field().setAttribute("aria-controls", "ir-names-list");
  else field()?.removeAttribute("aria-controls");
};

const send = () => {
  again = asked !== answered && Date.now() - since < LOST;
  if (again || !field()) return;
  asked += 1;
  since = Date.now();
  sent = field().value;
  trigger("select", { text: field().value, before: typed ? before() : "", number: asked });
};

const answer = () => {
  answered = Number(element.querySelector("[data-number]")?.dataset.number ?? answered);
  show();
  if (again) send();
};

// What is there is about another text until the answer comes; the names keep their place, so that nothing jumps.
const wait = () => {
  if (field()?.value !== sent) element.dataset.stale = "";
  clearTimeout(timer);
  timer = setTimeout(send, WAIT);
};

const pick = (option) => {
  const caret = field().selectionEnd;
  field().setRangeText(option.dataset.name, Math.max(0, caret - Number(option.dataset.length)), caret, "end");
  shut();
  field().dispatchEvent(new Event("input", { bubbles: true }));
};

// Keys that are pressed before the names are there are not kept for them: Enter without a list runs what is in the field.
const MOVES = { ArrowDown: 1, ArrowUp: -1 };
const keyed = (event) => {
  if (event.target !== field() || event.isComposing) return;
  if (event.key === "Escape" && !list()) return leave();
  if (!list()) return void (event.key === "Enter" && !event.shiftKey && leave());
  const many = options().length;
  if (event.key in MOVES) mark(active < 0 && event.key === "ArrowUp" ? many - 1 : (active + MOVES[event.key] + many) % many);
  else if (["Enter", "Tab"].includes(event.key) && !event.shiftKey && active >= 0) pick(options()[active]);
  else if (event.key === "Escape") leave();
  else return void (event.key === "Enter" && !event.shiftKey && leave());
  event.preventDefault();
  event.stopPropagation();
};

document.addEventListener("keydown", keyed, true);
document.addEventListener("input", (event) => {
  if (event.target !== field()) return;
  typed = event.isTrusted;
  if (list()) element.dataset.waiting = "";
  shut();
  if (!event.isComposing) wait();
});
document.addEventListener("compositionend", (event) => { if (event.target === field()) wait(); });
document.addEventListener("imgrag:prompt", wait);
document.addEventListener("focusout", (event) => { if (event.target === field()) leave(); });
document.addEventListener("click", (event) => { if (event.target.closest("#ir-run")) leave(); }, true);
element.addEventListener("mousedown", (event) => {
  meant = Date.now() - opened > AIMED;
  if (event.target.closest("[role=option]")) event.preventDefault();
});
element.addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option && meant) pick(option);
});
watch("value", answer);
["aria-autocomplete", "aria-haspopup"].forEach((name, number) => field()?.setAttribute(name, ["list", "listbox"][number]));
