// A page as the server makes it now, put in place of what is shown, without anybody noticing but of
// what is new: the focus, what is typed, chosen or selected, and where one reads stay as they are.

import { showTimes } from "./times.js";

// What a page asks for by itself says so: it is no visit, and reads no message (mailapp/sessions.py).
const byItself = { "X-By-Itself": "1" };

// Somebody who is not signed in any more is sent to the log-in page.
export class SignedOut extends Error {}

// The page at an address, as a document that says its own (`data-address`, after a redirect another);
// null where there is none, or it can't be had at present.
export async function fetchPage(url, { isVisit = false, evenOfError = false, ...options } = {}) {
  const response = await fetch(url, {
    cache: "no-store", headers: isVisit ? {} : byItself, ...options,
  });
  if (response.status === 401 || (response.redirected && new URL(response.url).pathname === "/login")) {
    throw new SignedOut();
  }
  if (!(response.ok || evenOfError) || !response.headers.get("Content-Type")?.startsWith("text/html")) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  page.documentElement.dataset.address = response.url;
  showTimes(page);
  return page;
}

let Idiomorph;

// Fetch what `become` works with, which a page at rest does without. Apart from it, so that nothing
// else is opened between the decision what is to be shown where, and its being shown.
export async function prepare() {
  ({ Idiomorph } = await import("./vendor/idiomorph/idiomorph.esm.js"));
}

// Give an element what another one has; both stay what they are called. After `prepare`.
export function become(shown, wanted) {
  keepChosen(shown, wanted);
  keepOpened(shown, wanted);
  // What was said once is not in the new page, and stays until somebody has dealt with it. With a
  // name of its own nothing else is taken for it.
  const said = [...shown.querySelectorAll(".flash[role]")];
  said.forEach((notice, number) => (notice.id ||= `said-${number}`));
  Idiomorph.morph(shown, wanted.innerHTML, {
    morphStyle: "innerHTML",
    callbacks: {
      beforeNodeRemoved: (node) => !said.includes(node),
      // A frame's height is its script's (html.js).
      beforeAttributeUpdated: (name, { localName }) => !(name === "style" && localName === "iframe"),
    },
  });
  shown.dispatchEvent(new CustomEvent("shown", { bubbles: true }));
}

// Rows that are chosen are still chosen, and a folder to move them to.
function keepChosen(shown, wanted) {
  const chosen = new Set(
    [...shown.querySelectorAll("[type=checkbox][name]:checked")].map(({ name, value }) => `${name} ${value}`),
  );
  for (const box of wanted.querySelectorAll("[type=checkbox][name]")) {
    box.toggleAttribute("checked", chosen.has(`${box.name} ${box.value}`));
  }
  for (const select of wanted.querySelectorAll("select[id]")) {
    const value = shown.querySelector(`#${CSS.escape(select.id)}`)?.value;
    for (const option of select.options) option.toggleAttribute("selected", option.value === value);
  }
}

// Messages that are being read stay open, though they are not unread any more.
function keepOpened(shown, wanted) {
  for (const letter of shown.querySelectorAll(".conversation .letter")) {
    wanted.querySelector(`.line[data-entry="${letter.dataset.entry}"]`)?.replaceWith(letter.cloneNode(true));
  }
}

// What stands around the page: the folders with their counts, who is signed in, the title.
// After `prepare`.
export function showFrame(page) {
  for (const name of ["header.top", "nav.side"]) {
    const [shown, wanted] = [document, page].map((each) => each.querySelector(name));
    if (!shown || !wanted) continue;
    for (const { name: attribute, value } of wanted.attributes) shown.setAttribute(attribute, value);
    become(shown, wanted);
  }
  const list = document.querySelector("main[data-title]");
  if (list) list.dataset.title = page.title; // beside it a message is open, whose title is shown
  else showTitle(page);
}

export function showTitle(page) {
  document.title = page.title;
}
