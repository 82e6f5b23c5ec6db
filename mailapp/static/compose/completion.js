// Addresses that complete themselves: people one has written to, then the directory. An ARIA combobox
// at the address that is being typed, the last of the field; without it everything is typed in full.

import { announce, form, say, uuid } from "./form.js";

const patience = 120;

// Where the last address begins: after a comma or semicolon that is in no quotes.
function lastStart(text) {
  let start = 0;
  let quoted = false;
  for (let place = 0; place < text.length; place += 1) {
    if (text[place] === '"' && text[place - 1] !== "\\") quoted = !quoted;
    if (!quoted && (text[place] === "," || text[place] === ";")) start = place + 1;
  }
  return start;
}

class Completion {
  constructor(field) {
    this.field = field;
    this.people = [];
    this.chosen = -1;
    this.timer = 0;
    this.asking = null;
    this.list = document.createElement("ul");
    this.list.id = `people-${uuid()}`;
    this.list.className = "suggestions";
    this.list.hidden = true;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", say("suggestions"));
    field.after(this.list);
    field.setAttribute("role", "combobox");
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-expanded", "false");
    field.setAttribute("aria-controls", this.list.id);
    field.addEventListener("input", () => this.ask());
    field.addEventListener("keydown", (event) => this.press(event));
    field.addEventListener("blur", () => this.close());
    // Before the field loses the focus to it.
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const item = event.target.closest("[role=option]");
      if (item) this.take([...this.list.children].indexOf(item));
    });
  }

  typed() {
    const { value, selectionEnd } = this.field;
    // In the middle of a list somebody corrects, and knows what.
    if (selectionEnd !== value.length) return "";
    return value.slice(lastStart(value)).trim();
  }

  ask() {
    clearTimeout(this.timer);
    const typed = this.typed();
    if (!typed) {
      this.close();
      return;
    }
    this.timer = setTimeout(() => this.fetch(typed), patience);
  }

  async fetch(typed) {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const address = `/contacts?q=${encodeURIComponent(typed)}`;
      const answer = await fetch(address, { headers: { Accept: "application/json" }, signal });
      const { people } = await answer.json();
      if (signal.aborted || typed !== this.typed() || document.activeElement !== this.field) return;
      // Nothing is left to say of an address that stands there whole.
      this.show(people.filter(({ address: one, text }) => one !== typed && text !== typed));
    } catch {
      this.close();
    }
  }

  show(people) {
    this.people = people;
    this.list.replaceChildren(...people.map((one, place) => this.item(one, place)));
    if (!people.length) {
      this.close();
      return;
    }
    this.list.hidden = false;
    this.field.setAttribute("aria-expanded", "true");
    this.choose(0);
    announce(people.length === 1 ? say("found-one") : say("found", { count: people.length }));
  }

  item({ name, address }, place) {
    const item = document.createElement("li");
    item.id = `${this.list.id}-${place}`;
    item.setAttribute("role", "option");
    item.textContent = name || address;
    if (name) {
      const small = document.createElement("small");
      small.textContent = address;
      item.append(" ", small);
    }
    return item;
  }

  choose(place) {
    this.list.children[this.chosen]?.setAttribute("aria-selected", "false");
    this.chosen = place;
    this.list.children[place].setAttribute("aria-selected", "true");
    this.field.setAttribute("aria-activedescendant", this.list.children[place].id);
  }

  press(event) {
    if (this.list.hidden || event.isComposing) return;
    const count = this.people.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.choose((this.chosen + (event.key === "ArrowDown" ? 1 : count - 1)) % count);
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.take(this.chosen);
    } else if (event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      this.take(this.chosen);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    }
  }

  take(place) {
    const { value } = this.field;
    const before = value.slice(0, lastStart(value)).trimEnd();
    this.field.value = `${before}${before ? " " : ""}${this.people[place].text}, `;
    this.close();
    this.field.focus();
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  close() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.list.hidden = true;
    this.people = [];
    this.chosen = -1;
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }
}

for (const name of ["to", "cc", "bcc"]) new Completion(form.elements[name]);
