// Asks the server that this page comes from.

const GONE = "The server does not answer, expected one that runs; start it again: convzoo demo";

// The JSON at `path`; with a body, FormData or what becomes JSON, by POST. Throws an Error with the server's message.
export async function ask(path, body) {
  const options = {};
  if (body instanceof FormData) Object.assign(options, { method: "POST", body });
  else if (body) {
    const headers = { "Content-Type": "application/json" };
    Object.assign(options, { method: "POST", headers, body: JSON.stringify(body) });
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(GONE);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status} ${response.statusText}`);
  return answer;
}

// Asks a network about an image: a File as it is, or pixels in the network's size.
export function askAbout(network, operation, image, query = {}) {
  const path = `/v1/${encodeURIComponent(network.network)}/${operation}?${new URLSearchParams(query)}`;
  if (!(image instanceof File)) return ask(path, { images: asBase64(image) });
  const form = new FormData();
  form.append("files", image, image.name);
  return ask(path, form);
}

export function sample(network, body, query = {}) {
  return ask(`/v1/${encodeURIComponent(network.network)}/sample?${new URLSearchParams(query)}`, body);
}

// Sizes as in "uint8 (N, 28, 28, 1)": [28, 28, 1].
export function sizesOf(tensor) {
  return tensor.match(/\((.*)\)/)[1].split(",").slice(1).map(Number);
}

// The images of an answer: each has height, width, channels and data, one byte for each number.
export function imagesOf({ base64, shape: [count, height, width, channels] }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const size = height * width * channels;
  return Array.from({ length: count }, (_, index) => ({
    height,
    width,
    channels,
    data: bytes.subarray(index * size, (index + 1) * size),
  }));
}

function asBase64({ height, width, channels, data }) {
  const letters = Array.from(data, (byte) => String.fromCharCode(byte));
  return { base64: btoa(letters.join("")), shape: [1, height, width, channels] };
}
