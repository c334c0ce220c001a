// The canvas of the fold "Structure": strokes by mouse, pen or finger, kept as text in the field #ir-strokes.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
const FULL = 1000;
const field = () => document.querySelector("#ir-strokes :is(textarea, input)");
let stroke = null;

const strokes = () => (field()?.value ?? "").split(";").filter((part) => part.trim());
const paint = () => {
    const side = canvas.width;
    pen.fillStyle = "white";
    pen.fillRect(0, 0, side, side);
    pen.strokeStyle = "black";
    pen.lineWidth = side / 51;
    pen.lineCap = pen.lineJoin = "round";
    for (const part of [...strokes(), ...(stroke ? [stroke.join(" ")] : [])]) {
        const places = part.trim().split(/\s+/).map((value) => value * side / FULL);
        pen.beginPath();
        pen.moveTo(places[0], places[1]);
        for (let at = 0; at + 1 < places.length; at += 2) pen.lineTo(places[at], places[at + 1]);
        pen.stroke();
    }
};
const keep = (parts) => {
    const text = field();
    text.value = parts.join(";");
    text.dispatchEvent(new Event("input", { bubbles: true }));
    paint();
};
const place = (event) => {
    const area = canvas.getBoundingClientRect();
    const part = (value, low, size) => Math.min(FULL, Math.max(0, Math.round(FULL * (value - low) / size)));
    return [part(event.clientX, area.left, area.width), part(event.clientY, area.top, area.height)];
};
canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    stroke = place(event);
    paint();
});
canvas.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    const [x, y] = place(event);
    if (Math.hypot(x - stroke.at(-2), y - stroke.at(-1)) < 4) return;
    stroke.push(x, y);
    paint();
});
for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
        if (!stroke) return;
        const done = stroke;
        stroke = null;
        keep([...strokes(), done.join(" ")]);
    });
}
element.addEventListener("click", (event) => {
    const act = event.target.closest("button[data-sketch]")?.dataset.sketch;
    if (act === "undo") keep(strokes().slice(0, -1));
    if (act === "clear") keep([]);
});
document.addEventListener("imgrag:sketch", paint);
paint();
