// What JavaScript adds to writing: the draft saves itself and each file uploads once it is chosen.
// Without it the form does everything in one submit.

const form = document.getElementById("compose");
const action = form.getAttribute("action");
const fileInput = form.querySelector("input[type=file]");
const attached = document.getElementById("attached");
const savedNote = document.getElementById("saved");
const announcer = document.getElementById("upload-status");
const sendButton = form.querySelector("button[value=send]");
const sendLabel = sendButton.querySelector("span");
const maxBytes = Number(form.dataset.maxBytes);
const maxText = form.dataset.maxText;
const texts = ["to", "cc", "bcc", "subject", "body"].map((name) => form.elements[name]);
const hidden = [...form.querySelectorAll("input[type=hidden]")];

// Answers that mean "not now" rather than "not like this"; 0 is no answer at all.
const passing = new Set([0, 408, 425, 429, 500, 502, 503, 504]);
// What a form gets whose CSRF token is from before the last log-in, or too old.
const refused = new Set([400, 403]);
const uploadsAtOnce = 3;
const uploadAttempts = 8;
const stalledAfter = 60_000;

// True while the page is being left on purpose: by Send, Save draft or Delete draft.
let leaving = false;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// 1, 2, 4 … 30 seconds, a little uneven so that many pages don't come back at the same moment.
const backoff = (attempt) => Math.min(30_000, 1000 * 2 ** attempt) * (0.75 + Math.random() / 2);

function announce(text) {
  announcer.textContent = text;
}

function sizeText(bytes) {
  if (bytes < 1024) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const units = ["KB", "MB", "GB", "TB"];
  let unit = -1;
  do {
    bytes /= 1024;
    unit += 1;
  } while (bytes >= 1023.95 && unit < units.length - 1);
  return `${bytes.toFixed(1).replace(/\.0$/, "")} ${units[unit]}`;
}

// crypto.randomUUID is missing on pages that came over plain http from another machine.
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function headers() {
  return { Accept: "application/json", "X-CSRFToken": form.elements.csrf_token.value };
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

// Shows a problem, with a way to log in again beside this page where that is what is missing.
function explain(element, text, loginUrl) {
  element.classList.add("error");
  element.textContent = text;
  if (!loginUrl) return;
  const link = document.createElement("a");
  link.href = loginUrl;
  link.target = "_blank";
  link.rel = "noopener";
  link.textContent = "Log in again in a new tab";
  element.append(" ", link);
}

// A new log-in, perhaps in another tab, has a new CSRF token; any page of ours carries it.
async function renewToken() {
  const answer = await fetch("/compose", { redirect: "manual" });
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const token = page.querySelector("meta[name=csrf-token]")?.content;
  if (!token) return false;
  form.elements.csrf_token.value = token;
  return true;
}

// From the first thing that is stored, the page's address is the draft's: to reload it, or to come
// back to it, opens what was written rather than an empty page.
function isStored() {
  history.replaceState(history.state, "", action);
}

// Saving ----------------------------------------------------------------------------------------

const typed = () => JSON.stringify(texts.map((field) => field.value));

// What the server has: the values the page came with, which a reload may already have replaced.
let saved = JSON.stringify(texts.map((field) => field.defaultValue));
let unsavedSince = 0;
let saveTimer = 0;
let saveAttempt = 0;
let saving = null;
let loggedOut = false;
let hasRenewed = false;

const isUnsaved = () => typed() !== saved;

function saveSoon(delay) {
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, delay);
}

function noteInput() {
  if (leaving || !isUnsaved()) return;
  unsavedSince ||= Date.now();
  if (saveAttempt) return;
  // One second after the last key, and every five while the keys keep coming.
  saveSoon(Math.min(1000, Math.max(0, unsavedSince + 5000 - Date.now())));
}

async function save({ keepalive = false } = {}) {
  clearTimeout(saveTimer);
  if (saving || leaving || !isUnsaved()) return;
  const sent = typed();
  const data = new FormData();
  for (const field of [...hidden, ...texts]) data.append(field.name, field.value);
  data.append("action", "save");
  saving = new AbortController();
  const timeout = setTimeout(() => saving?.abort(), 20_000);
  let status = 0;
  let answer = {};
  try {
    const response = await fetch(action, {
      method: "POST", body: data, headers: headers(), keepalive, signal: saving.signal,
    });
    answer = parse(await response.text());
    // Something that is not our JSON, such as a log-in page after a redirect, has saved nothing.
    status = response.ok && answer.ok === undefined ? 0 : response.status;
  } catch {
    status = 0;
  }
  clearTimeout(timeout);
  saving = null;
  if (leaving) return;
  if (status >= 200 && status < 300 && answer.ok) {
    saved = sent;
    isStored();
    saveAttempt = 0;
    loggedOut = false;
    hasRenewed = false;
    unsavedSince = 0;
    const at = new Date(answer.saved_at ?? Date.now());
    const clock = [at.getHours(), at.getMinutes()].map((n) => String(n).padStart(2, "0")).join(":");
    savedNote.classList.remove("error");
    savedNote.textContent = `Saved ${clock}`;
    noteInput();
  } else if (refused.has(status) && !hasRenewed && (await renewToken().catch(() => false))) {
    hasRenewed = true;
    saveSoon(0);
  } else if (passing.has(status)) {
    explain(savedNote, "Not saved yet – trying again");
    saveSoon(backoff(++saveAttempt));
  } else {
    saveAttempt = 0;
    unsavedSince = 0;
    loggedOut = Boolean(answer.login_url);
    const text = answer.error ?? answer.errors?.[0]?.message ?? "This could not be saved.";
    explain(savedNote, text, answer.login_url);
  }
}

form.addEventListener("input", noteInput);
noteInput();

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") save({ keepalive: true });
});

window.addEventListener("focus", async () => {
  const waiting = uploads.filter((upload) => upload.loggedOut);
  if (!loggedOut && !waiting.length) return;
  if (!(await renewToken().catch(() => false))) return;
  save();
  waiting.forEach(start);
});

// Uploading -------------------------------------------------------------------------------------

// state: waiting (in the queue), running, failed (needs the person) or gone (removed).
// One that is done leaves the list: the draft has it then.
const uploads = [];

function showFile(name) {
  const item = document.createElement("li");
  const about = document.createElement("div");
  const title = document.createElement("span");
  const note = document.createElement("p");
  const button = document.createElement("button");
  const buttonName = document.createElement("span");
  title.className = "name";
  title.id = `name-${uuid()}`;
  title.textContent = name;
  about.append(title, note);
  button.type = "button";
  button.className = "quiet small";
  buttonName.className = "hidden";
  buttonName.textContent = name;
  button.append("Remove ", buttonName);
  item.append(fileIcon(), about, button);
  attached.append(item);
  return { item, title, note, button };
}

// The icon of the list is in the page already: beside the words "Attach files".
function fileIcon() {
  const icon = form.querySelector(".drop .icon").cloneNode(true);
  const use = icon.firstElementChild;
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#file"));
  return icon;
}

function add(file) {
  const upload = { id: uuid(), file, state: "waiting", attempt: 0, loggedOut: false, hasRenewed: false };
  Object.assign(upload, showFile(file.name || "attachment"));
  upload.button.addEventListener("click", () => discard(upload));
  uploads.push(upload);
  if (file.size > maxBytes) {
    fail(upload, `This file has ${sizeText(file.size)}. A file can have at most ${maxText}.`);
    return;
  }
  upload.progress = document.createElement("progress");
  upload.progress.max = 1;
  upload.progress.value = 0;
  upload.progress.setAttribute("aria-labelledby", upload.title.id);
  upload.item.append(upload.progress);
  upload.note.textContent = "Waiting to upload";
}

function addAll(files) {
  for (const file of files) add(file);
  next();
}

function next() {
  let running = uploads.filter((upload) => upload.state === "running").length;
  for (const upload of uploads) {
    if (running >= uploadsAtOnce) break;
    if (upload.state !== "waiting") continue;
    running += 1;
    run(upload);
  }
  afterUploads();
}

function start(upload) {
  upload.state = "waiting";
  upload.attempt = 0;
  upload.loggedOut = false;
  upload.hasRenewed = false;
  upload.retry?.remove();
  upload.note.classList.remove("error");
  next();
}

async function run(upload) {
  upload.state = "running";
  for (;;) {
    const { status, answer } = await post(upload);
    if (upload.state === "gone") return;
    if (status >= 200 && status < 300 && answer.id) {
      finish(upload, answer);
      break;
    }
    if (refused.has(status) && !upload.hasRenewed && (await renewToken().catch(() => false))) {
      upload.hasRenewed = true;
      if (upload.state === "gone") return;
      continue;
    }
    if (passing.has(status) && ++upload.attempt < uploadAttempts) {
      upload.note.textContent = "Interrupted – trying again";
      await pause(backoff(upload.attempt - 1));
      if (upload.state === "gone") return;
      continue;
    }
    // nginx refuses what is too large with a page of its own, not with our JSON.
    const tooLarge = status === 413 ? `A file can have at most ${maxText}.` : undefined;
    const text = answer.error ?? tooLarge ?? "This file could not be uploaded.";
    upload.loggedOut = Boolean(answer.login_url);
    fail(upload, text, answer.login_url, status !== 413);
    break;
  }
  next();
}

// One attempt. XMLHttpRequest, because fetch does not tell how much of a body has been sent. The id
// in the address stays the same, so that an attempt whose answer was lost is not a second file.
function post(upload) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const data = new FormData();
    data.append("csrf_token", form.elements.csrf_token.value);
    data.append("draft_key", form.elements.draft_key.value);
    data.append("file", upload.file);
    let stalled = 0;
    const alive = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), stalledAfter);
    };
    request.upload.onprogress = (event) => {
      alive();
      if (!event.lengthComputable) return;
      const part = event.loaded / event.total;
      upload.progress.value = part;
      upload.note.textContent =
        part < 1 ? `${Math.floor(part * 100)}% of ${sizeText(upload.file.size)}` : "Storing";
    };
    request.onloadend = () => {
      clearTimeout(stalled);
      upload.request = null;
      // A log-in page reached by a redirect answers 200 but is no answer about this file.
      const answer = parse(request.responseText);
      const lost = request.status === 200 && !answer.id && !answer.error;
      resolve({ status: lost ? 0 : request.status, answer });
    };
    request.open("POST", `${action}/attachments/${upload.id}`);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    upload.request = request;
    upload.note.textContent = "Uploading";
    alive();
    request.send(data);
  });
}

function finish(upload, answer) {
  uploads.splice(uploads.indexOf(upload), 1);
  upload.state = "done";
  isStored();
  upload.progress.remove();
  upload.title.textContent = answer.filename;
  upload.note.textContent = answer.size_text;
  announce(`${answer.filename} is attached.`);
}

function fail(upload, text, loginUrl, again = false) {
  upload.state = "failed";
  if (upload.progress) upload.progress.value = 0;
  explain(upload.note, text, loginUrl);
  announce(`${upload.title.textContent}: ${text}`);
  if (!again) return;
  upload.retry = document.createElement("button");
  upload.retry.type = "button";
  upload.retry.className = "quiet small";
  upload.retry.textContent = "Try again";
  upload.retry.addEventListener("click", () => start(upload));
  upload.item.insertBefore(upload.retry, upload.button);
}

function takeAway(item, name) {
  item.remove();
  announce(`${name} is removed.`);
  fileInput.focus();
}

function discard(upload) {
  const wasRefused = upload.state === "failed" && !upload.progress;
  upload.state = "gone";
  upload.request?.abort();
  const index = uploads.indexOf(upload);
  if (index >= 0) uploads.splice(index, 1);
  takeAway(upload.item, upload.title.textContent);
  // Also when it was stopped half-way: all of it may have arrived before the connection ended.
  if (!wasRefused) removal(upload.id);
  next();
}

let removals = 0;

async function removal(id) {
  removals += 1;
  let status = 0;
  for (let attempt = 0; attempt < uploadAttempts && passing.has(status); attempt += 1) {
    if (attempt) await pause(backoff(attempt - 1));
    const data = new FormData();
    data.append("csrf_token", form.elements.csrf_token.value);
    data.append("draft_key", form.elements.draft_key.value);
    try {
      const address = `${action}/attachments/${id}/remove`;
      const response = await fetch(address, { method: "POST", body: data, headers: headers() });
      status = response.status;
    } catch {
      status = 0;
    }
  }
  removals -= 1;
  // What nobody sees in the list must not be sent: the person is told rather than surprised.
  if (status !== 404 && (status < 200 || status >= 300)) {
    explain(savedNote, "A removed file may still be attached. Save the draft to see what it has.");
    cancelWait();
  }
  afterUploads();
}

fileInput.addEventListener("change", () => {
  const files = [...fileInput.files];
  // Emptied at once, so that Send does not carry them a second time.
  fileInput.value = "";
  addAll(files);
});

const drop = form.querySelector(".drop");
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

form.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  drop.classList.add("over");
});
form.addEventListener("dragleave", (event) => {
  if (!form.contains(event.relatedTarget)) drop.classList.remove("over");
});
form.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  drop.classList.remove("over");
  addAll(event.dataTransfer.files);
});
form.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length || event.clipboardData.types.includes("text/plain")) return;
  event.preventDefault();
  addAll(event.clipboardData.files);
});

// Sending ---------------------------------------------------------------------------------------

// The button that was pressed while files were still on their way.
let waitingFor = null;

// True while the note beside the buttons says that a failed file keeps Send from sending.
let isHeldUp = false;

function releaseNote() {
  if (!isHeldUp || uploads.some(({ state }) => state === "failed")) return;
  isHeldUp = false;
  savedNote.classList.remove("error");
  savedNote.textContent = "";
}

const areBusy = () =>
  removals > 0 || uploads.some(({ state }) => state === "waiting" || state === "running");

function cancelWait() {
  waitingFor = null;
  sendLabel.textContent = "Send";
  sendButton.removeAttribute("aria-disabled");
}

function afterUploads() {
  releaseNote();
  if (!waitingFor || areBusy()) return;
  const button = waitingFor;
  cancelWait();
  form.requestSubmit(button);
}

// Enter in a field goes on to the next one. A browser would press Send, which nobody means who has
// typed a subject and nothing else yet; Ctrl+Enter does that.
form.addEventListener("keydown", (event) => {
  const place = texts.indexOf(event.target);
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (place < 0 || event.target.localName !== "input") return;
  event.preventDefault();
  texts[place + 1].focus();
});

form.addEventListener("submit", (event) => {
  const button = event.submitter ?? sendButton;
  if (leaving) {
    event.preventDefault();
    return;
  }
  if (button.name === "remove") {
    event.preventDefault();
    const item = button.closest("li");
    takeAway(item, item.querySelector(".name").textContent);
    removal(button.value);
    return;
  }
  if (button.value !== "discard") {
    const failed = uploads.find((upload) => upload.state === "failed");
    if (failed && button.value === "send") {
      event.preventDefault();
      explain(savedNote, "A file is not attached. Try it again, or remove it to send without it.");
      isHeldUp = true;
      failed.button.focus();
      return;
    }
    if (areBusy()) {
      event.preventDefault();
      waitingFor = button;
      if (button === sendButton) {
        sendLabel.textContent = "Sending when uploads finish…";
        sendButton.setAttribute("aria-disabled", "true");
        announce("Sending when uploads finish.");
      }
      return;
    }
  }
  leaving = true;
  clearTimeout(saveTimer);
  saving?.abort();
  if (button === sendButton) sendLabel.textContent = "Sending…";
  // After this turn: a button that is disabled already would not be part of what is submitted.
  setTimeout(() => {
    for (const one of form.querySelectorAll("button")) one.disabled = true;
  });
});

// Back in a page that the browser kept as it was: it can be used again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  leaving = false;
  cancelWait();
  for (const one of form.querySelectorAll("button")) one.disabled = false;
});

window.addEventListener("beforeunload", (event) => {
  if (leaving || !(isUnsaved() || areBusy())) return;
  save({ keepalive: true });
  event.preventDefault();
});
