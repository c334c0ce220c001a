// Of the component with what is seen inside: one slider goes through all films, a word or a reference lays its map over its image.
const films = () => [...element.querySelectorAll("[data-film]")];
const reel = () => element.querySelector(".ir-reel input");
const known = new WeakMap();

const film = (figure) => {
  if (!known.has(figure)) known.set(figure, JSON.parse(figure.dataset.film));
  return known.get(figure);
};

const values = (heat, step, alone) => {
  const size = heat.height * heat.width, steps = heat.steps;
  heat.bytes ??= Uint8Array.from(atob(heat.maps), (letter) => letter.charCodeAt(0));
  const sums = new Float32Array(size);
  for (let n = alone ? step : 0; n < (alone ? step + 1 : steps); n += 1) {
    for (let place = 0; place < size; place += 1) sums[place] += heat.bytes[n * size + place];
  }
  return sums;
};

const COLOURS = [[48, 60, 200], [40, 160, 220], [60, 200, 120], [250, 210, 60], [230, 40, 30]];
const colour = (part) => {
  const at = Math.min(part * (COLOURS.length - 1), COLOURS.length - 1.001), low = Math.floor(at), rest = at - low;
  return COLOURS[low].map((value, n) => value + rest * (COLOURS[low + 1][n] - value));
};

const paint = (canvas, heat, step, alone) => {
  const map = values(heat, Math.min(step, heat.steps - 1), alone), low = Math.min(...map), high = Math.max(...map);
  Object.assign(canvas, { width: heat.width, height: heat.height });
  const picture = new ImageData(heat.width, heat.height);
  map.forEach((value, place) => {
    const part = high > low ? (value - low) / (high - low) : 0;
    picture.data.set([...colour(part), 90 + 110 * part], 4 * place);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
};

const show = () => {
  if (!reel()) return;
  const step = Number(reel().value), alone = element.querySelector(".ir-alone input").checked;
  element.querySelector(".ir-reel output").textContent = `${step} / ${reel().max}`;
  films().forEach((figure) => {
    const { frames, heats } = film(figure), at = Math.min(step, frames.length) - 1;
    figure.querySelector("img").src = frames[at];
    const pressed = figure.querySelector("[data-heat][aria-pressed='true']");
    figure.toggleAttribute("data-acting", Boolean(pressed));
    if (pressed) paint(figure.querySelector("canvas"), heats[Number(pressed.dataset.heat)], at, alone);
  });
};

let busy = false;
const begin = () => {
  const drawing = element.querySelector(".ir-strip") !== null;
  if (drawing && !busy) element.scrollIntoView({ block: "nearest" });
  busy = drawing;
  if (!reel()) return;
  reel().max = Math.max(...films().map((figure) => film(figure).frames.length));
  reel().value = reel().max;
  show();
  element.scrollIntoView({ block: "nearest" });
};

element.addEventListener("input", show);
element.addEventListener("change", show);
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-heat]");
  if (!button) return;
  const on = button.getAttribute("aria-pressed") !== "true";
  button.parentElement.querySelectorAll("[data-heat]").forEach((other) => other.setAttribute("aria-pressed", String(other === button && on)));
  show();
});
watch("value", begin);
begin();
