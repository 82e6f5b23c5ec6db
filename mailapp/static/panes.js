// List and message side by side where there is room for both: what is opened from a list is shown
// beside it. Each has its own address all the same, and Back goes back; elsewhere, and for whoever
// turned this off, it is one page after the other.

import { fetchPage, showTitle } from "./page.js";

const isWide = matchMedia("(min-width: 75rem)");
const root = document.documentElement;
const main = document.querySelector("main");
const reading = document.getElementById("reading");
const { body } = document;

// In this browser; wherever it can't be kept, for this page.
const memory = {
  get isOff() {
    try { return localStorage.getItem("panes") === "off"; } catch { return "panesOff" in root.dataset; }
  },
  set isOff(value) {
    root.toggleAttribute("data-panes-off", value);
    try { localStorage.setItem("panes", value ? "off" : "on"); } catch { /* for this page, then */ }
  },
};

const areOn = () => reading && isWide.matches && !memory.isOff;
export const isOpen = () => body.classList.contains("panes");

let opening = null;

// Show what is at an address beside the list. Whoever presses something meanwhile does not press what
// was there before.
async function open(url, { isNew = true } = {}) {
  opening?.abort();
  opening = new AbortController();
  const { signal } = opening;
  if (!isOpen()) begin(location.href, document.title);
  reading.inert = true;
  const page = await fetchPage(url, { isVisit: true, signal }).catch(() => null);
  if (signal.aborted) return;
  if (!page?.body.matches(".page-message")) {
    location.assign(url); // whatever it is, the browser shows it
    return;
  }
  if (isNew) history.pushState({ list: main.dataset.source }, "", url);
  addWhatItNeeds(page);
  fill(page.querySelector("main"), url);
  showTitle(page);
  reading.scrollTop = 0;
  reading.querySelector("[id=unread]")?.scrollIntoView();
}

function begin(list, title) {
  main.dataset.source = list;
  main.dataset.title = title;
  reading.hidden = false;
  body.classList.add("panes");
}

function fill(wanted, url) {
  reading.dataset.source = url;
  reading.replaceChildren(...own(wanted).childNodes);
  reading.inert = false;
  markOpen();
  reading.dispatchEvent(new CustomEvent("shown", { bubbles: true }));
}

// Names that the list has too are given another, with what refers to them.
export function own(wanted) {
  for (const element of wanted.querySelectorAll("[id]")) {
    if (!main.querySelector(`#${CSS.escape(element.id)}`)) continue;
    const name = `reading-${element.id}`;
    for (const attribute of ["for", "form", "aria-labelledby", "aria-describedby"]) {
      for (const one of wanted.querySelectorAll(`[${attribute}="${CSS.escape(element.id)}"]`)) {
        one.setAttribute(attribute, name);
      }
    }
    element.id = name;
  }
  return wanted;
}

// Scripts and styles that the other page has and this one has not. (A script that is only put into a
// page with what is around it does not run.)
function addWhatItNeeds(page) {
  for (const element of page.querySelectorAll("script[type=module][src], link[rel=stylesheet]")) {
    const attribute = element.localName === "script" ? "src" : "href";
    const address = element.getAttribute(attribute);
    if (document.querySelector(`[${attribute}="${CSS.escape(address)}"]`)) continue;
    const added = document.createElement(element.localName);
    for (const { name, value } of element.attributes) added.setAttribute(name, value);
    document.head.append(added);
  }
}

// Which row is open, for eyes and for ears.
function markOpen() {
  const open = reading.dataset.source;
  const path = open ? new URL(open, location.href).pathname : null;
  for (const link of main.querySelectorAll(".rows a")) {
    const isThis = new URL(link.href).pathname === path;
    if (isThis) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    link.closest("li").classList.toggle("open", isThis);
  }
}

export function close({ isNew = true } = {}) {
  if (!isOpen()) return;
  opening?.abort();
  const { source: list, title } = main.dataset;
  const row = main.querySelector(".rows li.open a");
  body.classList.remove("panes");
  reading.hidden = true;
  reading.replaceChildren();
  document.title = title;
  delete reading.dataset.source;
  delete main.dataset.source;
  delete main.dataset.title;
  if (isNew) history.pushState(null, "", list);
  markOpen();
  row?.focus();
}

// A message that was opened by its address gets its list beside it.
async function addList() {
  const back = main.querySelector(".toolbar a[href^='/mail/']");
  if (!back || !areOn() || !body.matches(".page-message")) return;
  const [list, here] = [back.href, location.href];
  const page = await fetchPage(list).catch(() => null);
  if (!page?.body.matches(".page-folder, .page-search")) return;
  addWhatItNeeds(page);
  const wanted = document.createElement("main");
  wanted.append(...main.childNodes);
  main.replaceChildren(...page.querySelector("main").childNodes);
  body.className = page.body.className;
  begin(list, page.title);
  fill(wanted, here);
  main.dispatchEvent(new CustomEvent("shown", { bubbles: true }));
}

const isPlain = (event) =>
  event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;

if (reading) {
  root.toggleAttribute("data-panes-off", memory.isOff);
  addList();

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || !isPlain(event) || link.hasAttribute("download")) return;
    const address = new URL(link.href);
    const isMessage = address.origin === location.origin && /^\/mail\/\d+$/.test(address.pathname);
    if (isOpen() && reading.contains(link) && link.href === main.dataset.source) {
      event.preventDefault();
      close();
    } else if (isMessage && areOn() && (isOpen() || link.closest(".rows"))) {
      event.preventDefault();
      open(link.href).then(() => event.detail === 0 && reading.focus());
    }
  });

  window.addEventListener("popstate", () => {
    const isMessage = /^\/mail\/\d+$/.test(location.pathname);
    const shown = isOpen() ? new URL(reading.dataset.source, location.href).pathname : null;
    const isShown = shown ? shown === location.pathname : !isMessage || body.matches(".page-message");
    if (location.hash && isShown) return; // a jump within the page, such as “Skip to content”
    const list = main.dataset.source;
    if (isOpen() && location.href === list) close({ isNew: false });
    else if (isMessage && isOpen()) open(location.href, { isNew: false });
    else location.reload();
  });

  document.addEventListener("shown", markOpen);

  // The window was made narrow, or wide: what is open goes on as a page of its own.
  isWide.addEventListener("change", () => isOpen() && !areOn() && location.reload());

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-does=panes]")) return;
    memory.isOff = !memory.isOff;
    showChoice();
    if (isOpen()) location.reload();
  });
  showChoice();
  document.addEventListener("shown", showChoice);
}

function showChoice() {
  document.querySelector("[data-does=panes]")?.setAttribute("aria-pressed", String(!memory.isOff));
}
