// The list of networks, and the panel of the one that was chosen.

import { ask } from "./api.js";
import { autoencoder } from "./autoencoder.js";
import { classifier } from "./classifier.js";
import { Messages, element } from "./dom.js";
import { generator } from "./generator.js";

// By what the server says can be asked of a network.
const TASKS = {
  predict: { title: "Classify", panel: classifier },
  reconstruct: { title: "Reconstruct", panel: autoencoder },
  sample: { title: "Generate", panel: generator },
};
const SHORT = 12; // letters of a sha256
const REFRESH = 5000; // milliseconds between two looks for a promotion

const main = document.getElementById("panel");
let networks = [];
let links = { report: null, mlflow: null };
let current = { name: null, take: null, showFacts: null };

const taskOf = (network) => network.operations.find((operation) => operation in TASKS);
const named = (name) => networks.find(({ network }) => network === name);

async function load() {
  ({ networks } = await ask("/v1/models"));
  networks = networks.filter(taskOf);
}

function fillNavigation() {
  const groups = Object.entries(TASKS).map(([task, { title }]) => {
    const members = networks.filter((network) => taskOf(network) === task);
    if (!members.length) return null;
    const items = members.map(({ network }) =>
      element("li", {}, element("a", { href: `#${network}`, "aria-current": network === current.name && "page" }, network)),
    );
    return element("div", {}, element("h2", {}, title), element("ul", {}, ...items));
  });
  document.getElementById("networks").replaceChildren(...groups.filter(Boolean));
  const pages = { Report: links.report, MLflow: links.mlflow, API: "/docs" };
  const items = Object.entries(pages).filter(([, address]) => address);
  document
    .getElementById("links")
    .replaceChildren(...items.map(([text, href]) => element("li", {}, element("a", { href }, text))));
}

function facts(network) {
  const { version, alias, sha256, card, input, output } = network;
  const known = {
    Version: version,
    Alias: alias,
    sha256: element("code", { title: sha256 }, sha256.slice(0, SHORT)),
    Takes: input,
    Returns: output,
  };
  const addresses = {
    "Model card": card,
    Report: links.report && `${links.report}#network-${network.network}`,
    MLflow: links.mlflow && version && `${links.mlflow}/#/models/${network.network}/versions/${version}`,
  };
  const rows = Object.entries(known).filter(([, value]) => value !== null);
  const shown = Object.entries(addresses).filter(([, address]) => address);
  return [
    element("dl", {}, ...rows.map(([key, value]) => element("div", {}, element("dt", {}, key), element("dd", {}, value)))),
    element("ul", { class: "links" }, ...shown.map(([text, href]) => element("li", {}, element("a", { href }, text)))),
  ];
}

function open(name, isAsked) {
  const network = named(name);
  const { panel, title } = TASKS[taskOf(network)];
  const about = element("div", { class: "facts" }, ...facts(network));
  const showFacts = () => about.replaceChildren(...facts(named(name)));
  // A promotion takes effect while the page is open.
  const answered = async ({ sha256 }) => {
    if (named(name).sha256 === sha256) return;
    await load();
    showFacts();
  };
  const { node, take } = panel(network, answered);
  current = { name, take, showFacts };
  const heading = element("h2", { tabindex: -1 }, name);
  main.replaceChildren(heading, about, node);
  main.setAttribute("aria-label", `${title} with ${name}`);
  document.title = `${name}: convzoo demo`;
  fillNavigation();
  if (isAsked) heading.focus();
}

function openChosen(isAsked) {
  const name = decodeURIComponent(location.hash.slice(1));
  if (named(name)) open(name, isAsked);
  else if (!current.name) open(networks[0].network, false);
}

// Shows a promotion also if nothing is asked. A server that does not answer is named by the next question.
async function refresh() {
  if (document.hidden) return;
  const before = JSON.stringify(networks);
  await load().catch(() => {});
  if (JSON.stringify(networks) === before || !named(current.name)) return;
  current.showFacts();
  fillNavigation();
}

function takePasted(event) {
  const [file] = event.clipboardData?.files ?? [];
  if (!file || !current.take) return;
  event.preventDefault();
  current.take(file);
}

async function start() {
  const messages = new Messages();
  main.replaceChildren(messages.node);
  await messages.during(async () => {
    await load();
    links = await ask("/demo/links.json");
    openChosen(false);
    addEventListener("hashchange", () => openChosen(true));
    document.addEventListener("paste", takePasted);
    setInterval(refresh, REFRESH);
    // A file that is dropped beside the place for it would otherwise replace the page.
    for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  });
}

start();
