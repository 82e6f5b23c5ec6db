// The draft saves itself, and says when it did.

import { startValues, values } from "./editor.js";
import {
  action, backoff, explain, form, headers, isStored, page, parse, passing, refused, renewToken,
  savedNote, say,
} from "./form.js";

const fields = ["to", "cc", "bcc", "subject"].map((name) => form.elements[name]);
// Which form this is, and which version of the draft it has seen.
const hidden = ["csrf_token", "draft_key", "form_id", "version"];

const typed = () => JSON.stringify([...fields.map((field) => field.value), values()]);

// What the server has: the values the page came with, which a reload may already have replaced.
let saved = JSON.stringify([...fields.map((field) => field.defaultValue), startValues]);
const { dates, timeZone } = document.documentElement.dataset;
const clock = new Intl.DateTimeFormat(dates, {
  timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
let unsavedSince = 0;
let timer = 0;
let attempt = 0;
let saving = null;
let loggedOut = false;
let hasRenewed = false;
// Another window has changed the draft: nothing is saved over that by itself.
let isChanged = false;
// Browsers refuse a request that outlives its page with more than 64 KiB in it; a character may be
// three bytes. A longer text goes as any other, and arrives where the page was only hidden.
const mostKeptAlive = 20_000;

export const isUnsaved = () => typed() !== saved;

export function stop() {
  clearTimeout(timer);
  saving?.abort();
}

function saveSoon(delay) {
  clearTimeout(timer);
  timer = setTimeout(save, delay);
}

function noteInput() {
  if (page.leaving || isChanged || !isUnsaved()) return;
  unsavedSince ||= Date.now();
  if (attempt) return;
  // One second after the last key, and every five while the keys keep coming.
  saveSoon(Math.min(1000, Math.max(0, unsavedSince + 5000 - Date.now())));
}

export async function save({ keepalive = false } = {}) {
  clearTimeout(timer);
  if (saving || page.leaving || isChanged || !isUnsaved()) return;
  const sent = typed();
  const data = new FormData();
  for (const name of hidden) data.append(name, form.elements[name].value);
  for (const field of fields) data.append(field.name, field.value);
  for (const [name, value] of values()) data.append(name, value);
  data.append("action", "save");
  saving = new AbortController();
  const timeout = setTimeout(() => saving?.abort(), 20_000);
  let status = 0;
  let answer = {};
  try {
    const response = await fetch(action, {
      method: "POST", body: data, headers: headers(), signal: saving.signal,
      keepalive: keepalive && sent.length < mostKeptAlive,
    });
    answer = parse(await response.text());
    // Something that is not our JSON, such as a log-in page after a redirect, has saved nothing.
    status = response.ok && answer.ok === undefined ? 0 : response.status;
  } catch {
    status = 0;
  }
  clearTimeout(timeout);
  saving = null;
  if (page.leaving) return;
  if (status >= 200 && status < 300 && answer.ok) {
    saved = sent;
    if (answer.version) form.elements.version.value = answer.version;
    isStored();
    attempt = 0;
    loggedOut = false;
    hasRenewed = false;
    unsavedSince = 0;
    const at = new Date(answer.saved_at ?? Date.now());
    savedNote.classList.remove("error");
    savedNote.textContent = say("saved", { clock: clock.format(at) });
    noteInput();
  } else if (refused.has(status) && !hasRenewed && (await renewToken().catch(() => false))) {
    hasRenewed = true;
    saveSoon(0);
  } else if (passing.has(status)) {
    explain(savedNote, say("not-saved-yet"));
    saveSoon(backoff(++attempt));
  } else {
    attempt = 0;
    unsavedSince = 0;
    loggedOut = Boolean(answer.login_url);
    isChanged = Boolean(answer.changed);
    const text = answer.error ?? answer.errors?.[0]?.message ?? say("not-saved");
    explain(savedNote, text, answer.login_url);
    if (isChanged) offerBoth();
  }
}

// Both texts are on the page that a stale form is answered with.
function offerBoth() {
  const button = document.createElement("button");
  button.name = "action";
  button.value = "save";
  button.className = "small outline";
  button.textContent = say("compare");
  savedNote.append(" ", button);
}

form.addEventListener("input", noteInput);
noteInput();

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") save({ keepalive: true });
});

window.addEventListener("focus", async () => {
  if (loggedOut && (await renewToken().catch(() => false))) save();
});
