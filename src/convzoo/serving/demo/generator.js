// Generates images from a seed, and walks between the latents of two seeds.

import { imagesOf, sample } from "./api.js";
import { Messages, element, labelled, newestOnly } from "./dom.js";
import { canvas, figure, show } from "./pictures.js";

const STEPS = 32; // of a walk

export function generator(network, answered) {
  return { node: element("div", { class: "stack" }, grid(network, answered), walk(network, answered)) };
}

function grid(network, answered) {
  const messages = new Messages();
  const seed = number(0, 0);
  const count = number(16, 1);
  const images = element("ul", { class: "grid" });
  const said = element("p", { class: "soft", role: "status" });

  const ask = newestOnly(() =>
    messages.during(async () => {
      const answer = await sample(network, { seed: valueOf(seed), count: valueOf(count) });
      messages.clear();
      images.replaceChildren(
        ...imagesOf(answer.images).map((image, index) => {
          const picture = canvas(`Image ${index + 1} of seed ${answer.seed}`);
          show(picture, image);
          return element("li", {}, picture);
        }),
      );
      said.textContent = `Seed ${answer.seed}, images: ${images.children.length}`;
      answered(answer);
    }),
  );

  const next = () => {
    seed.value = Number(seed.value) + 1;
    ask();
  };
  const form = element(
    "form",
    { class: "row", novalidate: true, onsubmit: submitted(ask) },
    labelled("Seed", seed),
    labelled("Images", count),
    element("button", { type: "submit", class: "main" }, "Generate"),
    element("button", { type: "button", onclick: next }, "Next seed"),
  );
  ask();
  return element("section", { "aria-label": "Generate" }, form, messages.node, images, said);
}

function walk(network, answered) {
  const messages = new Messages();
  const ends = [number(0, 0), number(1, 0)];
  const pictures = ["Image of the first seed", "Image between the seeds", "Image of the second seed"].map((name) => canvas(name));
  const slider = element("input", { type: "range", min: 0, max: STEPS, value: STEPS / 2, disabled: true });
  const [from, place, to] = ["", "", ""].map(() => element("span"));
  let frames = [];
  let seeds = [];

  const step = () => {
    if (!frames.length) return;
    show(pictures[1], frames[slider.value]);
    const text = `${Math.round((100 * slider.value) / STEPS)} % of the way`;
    slider.setAttribute("aria-valuetext", `${text} from seed ${seeds[0]} to seed ${seeds[1]}`);
    place.textContent = text;
  };
  const ask = newestOnly(() =>
    messages.during(async () => {
      const answers = [];
      for (const end of ends) answers.push(await sample(network, { seed: valueOf(end), count: 1 }, { inputs: true }));
      const [first, last] = answers.map((answer) => answer.inputs[0]);
      const latents = Array.from({ length: STEPS + 1 }, (_, index) => between(first, last, index / STEPS));
      const answer = await sample(network, { latents });
      messages.clear();
      frames = imagesOf(answer.images);
      seeds = answers.map(({ seed }) => seed);
      [from.textContent, to.textContent] = seeds.map((seed) => `Seed ${seed}`);
      show(pictures[0], frames[0]);
      show(pictures[2], frames[STEPS]);
      slider.disabled = false;
      step();
      answered(answer);
    }),
  );
  slider.addEventListener("input", step);
  ask();

  return element(
    "section",
    {},
    element("h3", {}, "Walk between two seeds"),
    element(
      "form",
      { class: "row", novalidate: true, onsubmit: submitted(ask) },
      labelled("From seed", ends[0]),
      labelled("To seed", ends[1]),
      element("button", { type: "submit" }, "Walk"),
    ),
    messages.node,
    element("div", { class: "three walk" }, figure(pictures[0], from), figure(pictures[1], place), figure(pictures[2], to)),
    labelled("Position", slider),
  );
}

// Latents on the arc between two others: a straight line would pass closer to the origin than latents ever are.
function between(from, to, share) {
  const dot = from.reduce((sum, value, index) => sum + value * to[index], 0);
  const cosine = dot / (Math.hypot(...from) * Math.hypot(...to));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (sine < 1e-6) return from.map((value, index) => value + share * (to[index] - value));
  const [a, b] = [Math.sin((1 - share) * angle) / sine, Math.sin(share * angle) / sine];
  return from.map((value, index) => a * value + b * to[index]);
}

const number = (value, least) => element("input", { type: "number", inputmode: "numeric", value, min: least, step: 1 });

// Without a number, null: the server says what it expects.
const valueOf = (input) => (input.value === "" ? null : Number(input.value));

const submitted = (work) => (event) => {
  event.preventDefault();
  work();
};
