// Shows images, and takes them from the user.

import { element, freshId } from "./dom.js";

const MOST_AMPLIFIED = 16;
const SHOWN_WHOLE = 0.99; // of the differences; the others are shown as the largest that can be

// A canvas for images; `description` is its text for those who do not see it.
export function canvas(description, attributes = {}) {
  return element("canvas", { role: "img", "aria-label": description, width: 1, height: 1, ...attributes });
}

export function show(target, { height, width, channels, data }) {
  const pixels = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      pixels.data[4 * pixel + channel] = data[channels * pixel + (channels === 1 ? 0 : channel)];
    }
    pixels.data[4 * pixel + 3] = 255;
  }
  target.width = width;
  target.height = height;
  target.getContext("2d").putImageData(pixels, 0, 0);
}

// How far two images differ, amplified by a whole number so that it can be seen.
export function difference(one, other) {
  const apart = one.data.map((value, index) => Math.abs(value - other.data[index]));
  const large = Math.max(1, apart.slice().sort()[Math.floor(SHOWN_WHOLE * (apart.length - 1))]);
  const factor = Math.max(1, Math.min(MOST_AMPLIFIED, Math.floor(255 / large)));
  return { factor, image: { ...one, data: apart.map((value) => Math.min(255, value * factor)) } };
}

// A place to drop, paste or choose an image file; `taken` gets the file.
export function picker(taken) {
  const input = element("input", { type: "file", accept: "image/*", id: freshId("file") });
  const name = element("span", { class: "soft name" });
  const take = (file) => {
    name.textContent = file.name;
    taken(file);
  };
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  const label = element("label", { for: input.id, class: "button" }, "Choose an image");
  const node = element(
    "div",
    { class: "drop" },
    input,
    label,
    element("span", { class: "soft" }, "or drop or paste one here"),
    name,
  );
  const dragged = (is) => (event) => {
    event.preventDefault();
    node.classList.toggle("dragged", is);
  };
  node.addEventListener("dragover", dragged(true));
  node.addEventListener("dragleave", dragged(false));
  node.addEventListener("drop", (event) => {
    dragged(false)(event);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  return { node, take };
}

// A figure with a picture and a caption.
export function figure(picture, caption, attributes = {}) {
  return element("figure", attributes, picture, element("figcaption", {}, caption));
}
