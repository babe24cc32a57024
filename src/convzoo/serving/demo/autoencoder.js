// Shows an image, its reconstruction, and their difference.

import { askAbout, imagesOf, sizesOf } from "./api.js";
import { Messages, element, newestOnly } from "./dom.js";
import { canvas, difference, figure, picker, show } from "./pictures.js";

export function autoencoder(network, answered) {
  const [height, width, channels] = sizesOf(network.input);
  const messages = new Messages();
  const pictures = ["Image", "Reconstruction", "Difference"].map((name) => canvas(name));
  const captions = pictures.map(() => element("span"));
  const figures = element(
    "div",
    { class: "three", hidden: true },
    ...pictures.map((picture, index) => figure(picture, captions[index])),
  );
  const quality = element("p", { class: "best", role: "status" });
  const code = element("p", { class: "soft" });

  const ask = newestOnly((file) =>
    messages.during(async () => {
      const answer = await askAbout(network, "reconstruct", file, { inputs: true });
      const [given] = imagesOf(answer.inputs);
      const [again] = imagesOf(answer.images);
      const { factor, image } = difference(given, again);
      messages.clear(answer.notes);
      [given, again, image].forEach((each, index) => show(pictures[index], each));
      captions[0].textContent = `Image, ${width} by ${height} pixels`;
      captions[1].textContent = "Reconstruction";
      captions[2].textContent = factor > 1 ? `Difference, amplified ${factor} times` : "Difference, not amplified";
      figures.hidden = false;
      quality.textContent = `PSNR ${answer.answers[0].psnr.toFixed(2)} dB`;
      answered(answer);
      if (!network.operations.includes("encode")) return;
      const { latents } = await askAbout(network, "encode", file);
      const pixels = (height * width * channels).toLocaleString("en");
      code.textContent = `The ${pixels} numbers of the image became ${latents[0].length.toLocaleString("en")} in between.`;
    }, hide),
  );

  function hide() {
    figures.hidden = true;
    quality.textContent = code.textContent = "";
  }

  const files = picker(ask);
  const node = element("div", { class: "stack close" }, files.node, messages.node, quality, figures, code);
  return { node, take: files.take };
}
