// Everything by keyboard, with the letters that Gmail has. `/keys` lists them, also as `?`.
//
// A key presses what is on the page anyway, so it can do nothing that a mouse could not, and what the
// page does not offer, it does not do.

import { fetchPage } from "./page.js";
import { close, isOpen } from "./panes.js";

const places = { i: "inbox", s: "starred", d: "drafts", t: "sent", a: "archive", p: "spam", b: "trash" };
const deeds = { e: "archive", "#": "delete", "!": "spam", I: "read", U: "unread" };

// Two letters that follow each other belong together for so long, in milliseconds.
const together = 1500;

const main = document.querySelector("main");
const reading = document.getElementById("reading");

const areOff = () => {
  try { return localStorage.getItem("keys") === "off"; } catch { return false; }
};

// Where one is -----------------------------------------------------------------------------------

const rows = () => [...main.querySelectorAll(".rows > li")];
const linkOf = (row) => row?.querySelector("a");
const message = () => (isOpen() ? reading : document.body.matches(".page-message") ? main : null);

function row() {
  const focused = document.activeElement?.closest(".rows > li");
  if (focused) return focused;
  return main.querySelector(".rows > li.open") ?? null;
}

function step(by) {
  const all = rows();
  const at = all.indexOf(row());
  const to = at < 0 ? (by > 0 ? 0 : -1) : at + by;
  const link = linkOf(all[to]);
  if (!link) return;
  link.focus();
  link.scrollIntoView({ block: "nearest" });
  if (isOpen()) link.click();
}

// From one message of a conversation to the next.
function leaf(by) {
  const letters = [...message().querySelectorAll("article")];
  const at = letters.findIndex((letter) => letter.contains(document.activeElement));
  const letter = letters[Math.max(0, Math.min(letters.length - 1, at < 0 ? (by > 0 ? 0 : letters.length - 1) : at + by))];
  if (!letter) return;
  const target = letter.matches(".line") ? letter.querySelector("a") : letter;
  if (target === letter) letter.tabIndex = -1;
  target.focus();
  letter.scrollIntoView({ block: "nearest" });
}

// Doing ------------------------------------------------------------------------------------------

const press = (element) => {
  if (!element) return false;
  element.click();
  return true;
};

function act(deed) {
  const open = message();
  const inList = document.querySelector("#list");
  const isListed = document.activeElement?.closest(".rows") || inList?.querySelector("[name=entry]:checked");
  if (open && !isListed) {
    return press(open.querySelector(`[name=do][value="${deed}"]`) ??
      (deed === "delete" && open.querySelector("[name=do][value=destroy]")));
  }
  const button = inList?.querySelector(`[name=do][value="${deed}"]`) ??
    (deed === "delete" && inList?.querySelector("[name=do][value=destroy]"));
  if (!button) return false;
  if (!inList.querySelector("[name=entry]:checked")) {
    const box = row()?.querySelector("[name=entry]");
    if (!box) return false;
    choose(box, true);
  }
  return press(button);
}

function choose(box, isChosen) {
  if (!box || box.checked === isChosen) return;
  box.checked = isChosen;
  box.dispatchEvent(new Event("change", { bubbles: true }));
}

function chooseThose(isMeant) {
  for (const each of rows()) choose(each.querySelector("[name=entry]"), isMeant(each));
}

const answer = (kind) => () => press(message()?.querySelector(`a[href^="/compose?${kind}="]`));

const pairs = {
  g: (key) => places[key] && go(`/mail/${places[key]}`),
  "*": (key) => {
    if (key === "a") chooseThose(() => true);
    if (key === "n") chooseThose(() => false);
    if (key === "r") chooseThose((each) => !each.matches(".new"));
    if (key === "u") chooseThose((each) => each.matches(".new"));
    if (key === "s") chooseThose((each) => each.querySelector("[name=unstar]"));
    if (key === "t") chooseThose((each) => !each.querySelector("[name=unstar]"));
  },
};

const keys = {
  j: () => step(1),
  k: () => step(-1),
  n: () => message() && leaf(1),
  p: () => message() && leaf(-1),
  o: () => (message() && document.activeElement?.closest("article.line") ? press(document.activeElement) : press(linkOf(row()))),
  u: () => (isOpen() ? close() : press(message()?.querySelector(".toolbar a[href^='/mail/']"))),
  x: () => {
    const box = row()?.querySelector("[name=entry]");
    if (box) choose(box, !box.checked);
  },
  s: () => (document.activeElement?.closest(".rows") || !message() ? press(row()?.querySelector(".star")) : press(message().querySelector(".star, [name=do][value=star]"))),
  r: answer("reply"),
  a: answer("reply_all"),
  f: answer("forward"),
  c: () => go("/compose"),
  "/": () => {
    const field = document.querySelector("[role=search] input, input[type=search]");
    field?.focus();
    field?.select();
    return Boolean(field);
  },
  z: () => press(document.querySelector(".flash form button")),
  "?": () => explain(),
};

function go(url) {
  location.assign(url);
  return true;
}

let first = null;
let firstAt = 0;

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]") || areOff()) return;
  const { key } = event;
  const pair = first && Date.now() - firstAt < together ? pairs[first] : null;
  first = null;
  if (pair) {
    event.preventDefault();
    pair(key);
  } else if (pairs[key]) {
    event.preventDefault();
    [first, firstAt] = [key, Date.now()];
  } else if (deeds[key] || keys[key]) {
    const isDone = deeds[key] ? act(deeds[key]) : keys[key]();
    if (isDone !== false) event.preventDefault();
  }
});

function isTyping(element) {
  if (element.isContentEditable || element.matches("textarea, select")) return true;
  return element.matches("input") && !element.matches("[type=checkbox], [type=radio], [type=button], [type=submit]");
}

// The list of them, in a dialogue over the page.
async function explain() {
  const page = await fetchPage("/keys").catch(() => null);
  if (!page) return location.assign("/keys");
  const dialog = document.createElement("dialog");
  dialog.className = "keys";
  dialog.append(...page.querySelector("main").childNodes);
  dialog.setAttribute("aria-labelledby", dialog.querySelector("h1").id);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  showSwitch();
  dialog.showModal();
}

// Whoever works by voice or with a shaky hand can turn single keys off (WCAG 2.1.4).
function showSwitch() {
  for (const box of document.querySelectorAll("[data-does=keys]")) box.checked = !areOff();
}
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-does=keys]")) return;
  try { localStorage.setItem("keys", target.checked ? "on" : "off"); } catch { showSwitch(); }
});
showSwitch();
