// What is done in a list, and undone, without leaving it: the form is sent as it would be, and what
// the server answers with is put in place of what is shown.

import { become, fetchPage, prepare, showFrame, SignedOut } from "./page.js";
import { close, isOpen, own } from "./panes.js";

const main = document.querySelector("main");
let isUnderWay = false;

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (event.defaultPrevented || !isOurs(form)) return;
  event.preventDefault();
  if (isUnderWay) return;
  isUnderWay = true;
  const body = new URLSearchParams(new FormData(form, submitter));
  let page = null;
  try {
    page = await fetchPage(form.action, { isVisit: true, evenOfError: true, method: "POST", body });
  } catch (error) {
    if (error instanceof SignedOut) return location.assign("/login");
  } finally {
    isUnderWay = false;
  }
  // Not answered: what has become of it is seen by looking.
  if (!page) return location.reload();
  await show(page, Boolean(form.closest("#reading")));
});

// A form of a list, of what was just said about it, or of what is open beside it.
function isOurs(form) {
  // Not form.action: the form of writing has buttons of that name.
  return (
    ["/mail/act", "/mail/undo"].includes(form.getAttribute("action")) &&
    document.body.matches(".page-folder, .page-search") &&
    form.closest("main, #reading")
  );
}

async function show(page, wasReading) {
  await prepare();
  for (const notice of main.querySelectorAll(".flash[role]")) notice.remove();
  const wanted = page.querySelector("main");
  if (page.body.matches(".page-message")) {
    // The message itself, with a star perhaps; the list beside it follows by itself (live.js).
    if (isOpen()) become(document.getElementById("reading"), own(wanted));
    return;
  }
  const rows = () => [...main.querySelectorAll(".rows > li")];
  const row = document.activeElement?.closest(".rows > li") ?? main.querySelector(".rows > li.open");
  const place = rows().indexOf(row);
  const wasListed = Boolean(main.querySelector(".rows > li.open"));
  const { address } = page.documentElement.dataset;
  if (isOpen()) main.dataset.source = address;
  else if (address !== location.href) history.pushState(null, "", address);
  showFrame(page);
  become(main, wanted);
  if (isOpen() && (wasReading || (wasListed && !main.querySelector(".rows > li.open")))) close();
  // Where a row went away, one goes on with the one that took its place.
  if (place >= 0 && !document.activeElement?.closest(".rows > li")) {
    rows()[Math.min(place, rows().length - 1)]?.querySelector("a").focus();
  }
}
