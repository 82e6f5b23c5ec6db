// What all the parts of writing stand on: the form, what it says, and how it talks to the server.

export const form = document.getElementById("compose");
export const action = form.getAttribute("action");
export const sendButton = form.querySelector("button[value=send]");
export const savedNote = document.getElementById("saved");

// `leaving` is true while the page is being left on purpose: by Send, Save draft or Delete draft.
export const page = { leaving: false };

// Answers that mean "not now" rather than "not like this"; 0 is no answer at all.
export const passing = new Set([0, 408, 425, 429, 500, 502, 503, 504]);
// What a form gets whose CSRF token is from before the last log-in, or too old.
export const refused = new Set([400, 403]);

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// 1, 2, 4 … 30 seconds, a little uneven so that many pages don't come back at the same moment.
export const backoff = (attempt) =>
  Math.min(30_000, 1000 * 2 ** attempt) * (0.75 + Math.random() / 2);

// A text of the page's <template id="texts">, with {name} in it replaced.
const texts = document.getElementById("texts").content;
export function say(name, values = {}) {
  const text = texts.querySelector(`[data-text="${name}"]`).textContent;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export function announce(text) {
  document.getElementById("upload-status").textContent = text;
}

// crypto.randomUUID is missing on pages that came over plain http from another machine.
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function headers() {
  return { Accept: "application/json", "X-CSRFToken": form.elements.csrf_token.value };
}

// The fields that say who writes: they go with everything that a script sends.
export function credentials() {
  const data = new FormData();
  data.append("csrf_token", form.elements.csrf_token.value);
  data.append("draft_key", form.elements.draft_key.value);
  return data;
}

export function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

// Shows a problem, with a way to log in again beside this page where that is what is missing.
export function explain(element, text, loginUrl) {
  element.classList.add("error");
  element.textContent = text;
  if (!loginUrl) return;
  const link = document.createElement("a");
  link.href = loginUrl;
  link.target = "_blank";
  link.rel = "noopener";
  link.textContent = say("log-in-again");
  element.append(" ", link);
}

// A new log-in, perhaps in another tab, has a new CSRF token; any page of ours carries it.
export async function renewToken() {
  const answer = await fetch("/compose", { redirect: "manual" });
  if (!answer.ok) return false;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const token = fresh.querySelector("meta[name=csrf-token]")?.content;
  if (!token) return false;
  form.elements.csrf_token.value = token;
  return true;
}

// From the first thing that is stored, the page's address is the draft's: to reload it, or to come
// back to it, opens what was written rather than an empty page.
export function isStored() {
  history.replaceState(history.state, "", action);
}
