// Changes as they happen: the server says that something has changed, and the page asks for itself
// anew. One window of a browser listens for all of them, since browsers allow few connections to a
// host; where nothing can be heard, the page asks every few seconds whether anything has changed.

import { become, fetchPage, prepare, showFrame, showTitle, SignedOut } from "./page.js";
import { own } from "./panes.js";

// Milliseconds: between two looks at the page, in a window that is seen and in one that is not;
// between two questions where no events come, and where they should; until events are tried again.
const [pause, hiddenPause] = [400, 4000];
const [askEvery, makeSureEvery] = [5000, 60_000];
const tryAgainAfter = 30_000;

const frame = document.querySelector("header.top[data-modseq]");
const account = frame?.dataset.account;
// How far the account's change counter has come on the page that is shown, and as we have heard.
let shown = Number(frame?.dataset.modseq);
let heard = shown;

// Looking ---------------------------------------------------------------------------------------

let timer = 0;
let isLooking = false;
let lookedAt = 0;

function lookSoon() {
  if (timer || isLooking || heard <= shown) return;
  const wait = lookedAt + (document.hidden ? hiddenPause : pause) - Date.now();
  timer = setTimeout(look, Math.max(0, wait));
}

async function look() {
  clearTimeout(timer);
  timer = 0;
  isLooking = true;
  lookedAt = Date.now();
  const aim = heard;
  try {
    await refresh();
    shown = Math.max(aim, Number(document.querySelector("header.top")?.dataset.modseq));
  } catch (error) {
    if (error instanceof SignedOut) return saySignedOut();
    lookedAt = Date.now() + askEvery; // away for the moment: not asked again at once
  } finally {
    isLooking = false;
  }
  lookSoon();
}

// The page, or the list and what is open beside it; once more where another one was opened meanwhile,
// which may have been made before what we heard of.
async function refresh() {
  const main = document.querySelector("main");
  const reading = document.getElementById("reading");
  const isList = document.body.matches(".page-folder, .page-message, .page-search");
  const address = () => main.dataset.source ?? location.href;
  const asked = address();
  const [page] = await Promise.all([fetchPage(asked), prepare()]);
  if (asked !== address()) return refresh();
  if (page) {
    showFrame(page);
    if (isList) become(main, page.querySelector("main"));
  }
  const { source } = reading.dataset;
  const message = source && (await fetchPage(source));
  if (source !== reading.dataset.source) return refresh();
  if (message) {
    become(reading, own(message.querySelector("main")));
    showTitle(message);
  }
}

function saySignedOut() {
  stop();
  const notice = document.querySelector("#signed-out");
  const main = document.querySelector("main");
  if (notice && main) main.prepend(notice.content.cloneNode(true));
}

// Hearing ---------------------------------------------------------------------------------------

let source = null;
let letGo = null;
let asking = 0;
let hasEvents = false;
const others = new BroadcastChannel(`mailapp ${account}`);

function note(modseq) {
  heard = Math.max(heard, modseq);
  lookSoon();
}

others.addEventListener("message", ({ data }) => {
  if (data.modseq !== undefined) {
    hasEvents = true;
    note(data.modseq);
  } else if (letGo) {
    others.postMessage({ modseq: heard });
  }
});

function listen() {
  source?.close();
  source = new EventSource(`/live?since=${heard}`);
  source.addEventListener("open", () => {
    hasEvents = true;
    askLater();
  });
  source.addEventListener("message", ({ data }) => {
    others.postMessage({ modseq: Number(data) });
    note(Number(data));
  });
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return; // it comes back by itself
    source = null;
    hasEvents = false;
    ask();
    setTimeout(() => letGo && listen(), tryAgainAfter);
  });
}

async function ask() {
  try {
    const response = await fetch("/live/state", {
      cache: "no-store", headers: { Accept: "application/json", "If-None-Match": `"${heard}"` },
    });
    if (response.status === 401) return saySignedOut();
    if (response.ok) note((await response.json()).modseq);
    if (letGo) others.postMessage({ modseq: heard });
  } catch {
    // Offline, or the service is away: the next question finds out.
  }
  askLater();
}

function askLater() {
  clearTimeout(asking);
  asking = setTimeout(ask, hasEvents || document.hidden ? makeSureEvery : askEvery);
}

// In a lock that one window of the browser holds; the next one takes it when that is closed.
function begin() {
  const held = () => new Promise((resolve) => {
    letGo = resolve;
    listen();
  });
  if (navigator.locks) navigator.locks.request(`mailapp ${account}`, held);
  else held(); // there are none on plain HTTP
  others.postMessage({});
  askLater();
}

function stop() {
  clearTimeout(asking);
  source?.close();
  source = null;
  letGo?.();
  letGo = null;
}

if (frame) {
  begin();
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    begin();
    ask();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) lookSoon();
    if (!document.hidden && !hasEvents) ask();
  });
}
