// A pad to draw on: strokes in light ink on a dark ground, by mouse, finger, pen or keyboard.

import { element, freshId } from "./dom.js";

const SHARP = 560; // pixels of the pad's side
const PEN = 0.085; // width of the pen; this and all coordinates are shares of the side
const BOX = 20 / 28; // MNIST scaled each digit to a box of this size and centred its mass
const LARGEST_SCALE = 4; // a dot is not blown up
const FINE = 8; // points per pixel and direction that are averaged

const HELP =
  "With the keyboard: arrow keys move, with Shift further; Space puts the pen down or lifts it; Delete clears.";
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  // `side` is that of the network's images; `changed` is called after each change.
  constructor(side, changed) {
    this.side = side;
    this.changed = changed;
    this.strokes = [];
    this.cursor = [0.5, 0.5];
    this.isDown = false; // the keyboard's pen
    const help = freshId("help");
    this.canvas = element("canvas", {
      class: "pad",
      width: SHARP,
      height: SHARP,
      tabindex: 0,
      role: "application",
      "aria-label": "Drawing pad",
      "aria-describedby": help,
    });
    this.said = element("p", { class: "soft pen", role: "status" });
    this.node = element("div", {}, this.canvas, element("p", { class: "soft help", id: help }, HELP), this.said);
    this.listen();
    this.paint();
  }

  get isEmpty() {
    return this.strokes.length === 0;
  }

  clear() {
    this.strokes = [];
    this.lift();
    this.paint();
    this.changed();
  }

  // The picture for the network; centred, it is scaled and moved as MNIST's digits were.
  picture(centred) {
    let fit = ([x, y]) => [x, y];
    let pixels = this.render(fit);
    if (centred && !this.isEmpty) {
      const points = this.strokes.flat();
      const [left, top] = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
      const [right, bottom] = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
      const scale = Math.min(LARGEST_SCALE, (BOX - PEN) / Math.max(right - left, bottom - top, 1e-6));
      const middle = [(left + right) / 2, (top + bottom) / 2];
      fit = (point) => point.map((value, axis) => 0.5 + scale * (value - middle[axis]));
      const mass = centre(this.render(fit), this.side);
      const boxed = fit;
      fit = (point) => boxed(point).map((value, axis) => value + 0.5 - mass[axis]);
      pixels = this.render(fit);
    }
    return { height: this.side, width: this.side, channels: 1, data: pixels };
  }

  render(fit) {
    const size = this.side * FINE;
    const context = element("canvas", { width: size, height: size }).getContext("2d", { willReadFrequently: true });
    draw(context, this.strokes.map((stroke) => stroke.map(fit)), size);
    const fine = context.getImageData(0, 0, size, size).data;
    const sums = new Float64Array(this.side * this.side);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        sums[Math.floor(y / FINE) * this.side + Math.floor(x / FINE)] += fine[4 * (y * size + x)];
      }
    }
    return Uint8Array.from(sums, (sum) => Math.round(sum / FINE ** 2));
  }

  listen() {
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.lift();
      this.begin(this.place(event));
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.canvas.hasPointerCapture(event.pointerId)) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const part of events.length ? events : [event]) this.extend(this.place(part));
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.paint());
    this.canvas.addEventListener("blur", () => {
      this.lift();
      this.paint();
    });
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const move = MOVES[event.key];
    if (move) {
      const step = (event.shiftKey ? 4 : 1) / this.side;
      this.cursor = this.cursor.map((value, axis) => Math.min(1, Math.max(0, value + step * move[axis])));
      if (this.isDown) this.extend(this.cursor);
    } else if (event.key === " ") {
      if (this.isDown) this.lift();
      else {
        this.isDown = true;
        this.said.textContent = "The pen is down.";
        this.begin(this.cursor);
      }
    } else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else return;
    event.preventDefault();
    this.paint();
  }

  lift() {
    if (this.isDown) this.said.textContent = "The pen is up.";
    this.isDown = false;
  }

  begin(point) {
    this.strokes.push([point]);
    this.extend(point);
  }

  extend(point) {
    this.strokes.at(-1).push(point);
    this.paint();
    this.changed();
  }

  place(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  paint() {
    const context = this.canvas.getContext("2d");
    draw(context, this.strokes, SHARP);
    if (!this.canvas.matches(":focus-visible")) return;
    const [x, y] = this.cursor.map((value) => value * SHARP);
    context.beginPath();
    context.arc(x, y, (PEN * SHARP) / 2, 0, 2 * Math.PI);
    context.strokeStyle = this.isDown ? "#ff9a3c" : "#7fb4ee";
    context.lineWidth = 5;
    context.stroke();
  }
}

function draw(context, strokes, size) {
  context.fillStyle = "#000";
  context.fillRect(0, 0, size, size);
  context.strokeStyle = "#fff";
  context.lineWidth = PEN * size;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([x, y], index) => {
      if (index === 0) context.moveTo(x * size, y * size);
      else context.lineTo(x * size + 0.01, y * size); // a little aside, since a line to where it starts is not drawn
    });
    context.stroke();
  }
}

// The centre of mass, in shares of the side.
function centre(pixels, side) {
  let [mass, x, y] = [0, 0, 0];
  pixels.forEach((value, index) => {
    mass += value;
    x += value * ((index % side) + 0.5);
    y += value * (Math.floor(index / side) + 0.5);
  });
  return mass ? [x / mass / side, y / mass / side] : [0.5, 0.5];
}
