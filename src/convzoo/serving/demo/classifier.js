// Classifies what is drawn, dropped, pasted or chosen.

import { askAbout, imagesOf, sizesOf } from "./api.js";
import { Messages, element, labelled, newestOnly, percent, throttled } from "./dom.js";
import { Pad } from "./pad.js";
import { canvas, figure, picker, show } from "./pictures.js";

const TOP = 5;
const LARGEST_PAD = 64; // of the side of images that a pad is of use for
const MOST_NAMED = 10;
const PAUSE = 80; // milliseconds between two questions while the user draws

export function classifier(network, answered) {
  const [height, width, channels] = sizesOf(network.input);
  const messages = new Messages();
  const seen = canvas("What the network sees", { class: "seen" });
  const seenFigure = figure(seen, `What the network sees: ${width} by ${height} pixels`, { hidden: true });
  const bars = element("ol", { class: "bars" });
  const best = element("p", { class: "best", role: "status" });
  const empty = element("p", { class: "soft" }, emptyText(network));
  const invert = element("input", { type: "checkbox" });
  const centred = element("input", { type: "checkbox", checked: true });
  let question = null; // gives the image that the answer is about

  const ask = newestOnly(() =>
    messages.during(async () => {
      const image = question?.();
      if (!image) return reset();
      const query = { top: TOP, inputs: true, ...(invert.checked && { invert: true }) };
      const answer = await askAbout(network, "predict", image, query);
      if (!question) return;
      const [prediction] = answer.answers;
      messages.clear([...prediction.warnings, ...answer.notes]);
      show(seen, imagesOf(answer.inputs)[0]);
      seenFigure.hidden = false;
      empty.hidden = true;
      best.textContent = `${prediction.class}, ${percent(prediction.probability)}`;
      bars.replaceChildren(...mostProbable(prediction).map(bar));
      answered(answer);
    }, reset),
  );

  function reset() {
    messages.clear();
    seenFigure.hidden = true;
    empty.hidden = false;
    best.textContent = "";
    bars.replaceChildren();
  }

  const files = picker((file) => {
    question = () => file;
    ask();
  });
  invert.addEventListener("change", ask);
  centred.addEventListener("change", ask);

  const chosen = element("div", { class: "given files" }, files.node, check("Swap black and white", invert));
  const result = element("div", { class: "result" }, seenFigure, bars);
  const answer = element("div", { class: "answer" }, messages.node, empty, best, result);
  if (channels === 1 && height === width && height <= LARGEST_PAD) {
    const pad = new Pad(height, () => {
      question = pad.isEmpty ? null : () => pad.picture(centred.checked);
      drawn();
    });
    const drawn = throttled(ask, PAUSE);
    const clear = element("button", { type: "button", onclick: () => pad.clear() }, "Clear");
    const row = element("div", { class: "row" }, clear, check("Centre and scale the drawing", centred));
    const drawing = element("div", { class: "given drawn" }, pad.node, row);
    return { node: element("div", { class: "classifier" }, drawing, answer, chosen), take: files.take };
  }
  return { node: element("div", { class: "classifier" }, chosen, answer), take: files.take };
}

function emptyText({ classes }) {
  const shown = classes.slice(0, MOST_NAMED).join(", ");
  const all = classes.length > MOST_NAMED ? `, such as ${shown}` : `: ${shown}`;
  return `The most probable classes appear here. The network knows ${classes.length} classes${all}.`;
}

// An object lists keys like "7" by number, whatever their order in the answer.
function mostProbable({ class: best, probabilities }) {
  const isBest = ([name]) => Number(name === best);
  return Object.entries(probabilities).sort((one, other) => isBest(other) - isBest(one) || other[1] - one[1]);
}

function bar([name, probability]) {
  const filled = element("div", { class: "filled" });
  filled.style.width = `${100 * probability}%`;
  return element(
    "li",
    {},
    element("span", { class: "class" }, name),
    element("span", { class: "number" }, percent(probability)),
    element("div", { class: "bar", "aria-hidden": "true" }, filled),
  );
}

function check(text, box) {
  const field = labelled(text, box);
  field.classList.add("check");
  return field;
}
