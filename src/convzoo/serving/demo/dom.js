// Builds elements, and what all panels have in common.

// element("p", {class: "soft", onclick: f}, "text", child)
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

let ids = 0;
export const freshId = (stem) => `${stem}-${++ids}`;

// A label and its control, which gets an id.
export function labelled(text, control) {
  control.id ||= freshId("control");
  return element("div", { class: "field" }, element("label", { for: control.id }, text), control);
}

// Where a panel says what went wrong, and what the user should know.
export class Messages {
  constructor() {
    this.error = element("p", { class: "error", role: "alert", hidden: true });
    this.notes = element("ul", { class: "notes", hidden: true });
    this.node = element("div", { class: "messages" }, this.error, this.notes);
  }

  fail(error) {
    this.error.textContent = error.message;
    this.error.hidden = false;
  }

  // `notes` are the server's warnings and notes.
  clear(notes = []) {
    this.error.hidden = true;
    this.error.textContent = "";
    this.notes.replaceChildren(...notes.map((note) => element("li", {}, note)));
    this.notes.hidden = notes.length === 0;
  }

  // Run `work`, and show the error that it ends with, after `hide` has taken away what was shown before.
  async during(work, hide = () => {}) {
    try {
      await work();
    } catch (error) {
      hide();
      this.clear();
      this.fail(error);
    }
  }
}

// A function that runs `work` with the newest arguments: never twice at once, and what was overtaken not at all.
export function newestOnly(work) {
  let next = null;
  let running = false;
  return async (...latest) => {
    next = latest;
    if (running) return;
    running = true;
    try {
      while (next) {
        const now = next;
        next = null;
        await work(...now);
      }
    } finally {
      running = false;
    }
  };
}

// A function that calls `work` once the calls have paused, and at least every `milliseconds`.
export function throttled(work, milliseconds) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, milliseconds);
  };
}
