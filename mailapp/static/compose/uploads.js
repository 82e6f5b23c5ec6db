// Each file uploads as soon as it is chosen, dropped or pasted, several at once; one whose line is cut
// goes on where it stopped, by the tus protocol.

import {
  action, announce, backoff, explain, form, headers, isStored, parse, passing, pause, refused,
  renewToken, savedNote, say, uuid,
} from "./form.js";

const fileInput = form.querySelector("input[type=file]");
const attached = document.getElementById("attached");
const maxBytes = Number(form.dataset.maxBytes);
const uploadsAtOnce = 3;
const uploadAttempts = 8;
const stalledAfter = 60_000;

// As the server has it: a piece counts when it is there whole, and a cut costs no more than one.
const pieceBytes = 5 * 1024 * 1024;

// state: waiting (in the queue), running, failed (needs the person) or gone (removed).
// One that is done leaves the list: the draft has it then.
const uploads = [];
let removals = 0;

// Whether anything is still on its way to the draft or out of it; "settled" is said when it changes.
export const areBusy = () =>
  removals > 0 || uploads.some(({ state }) => state === "waiting" || state === "running");

// An upload that the person has to try again or remove, if there is one.
export const failedUpload = () => uploads.find(({ state }) => state === "failed");

// What there is to hear: "settled", after each file, and "removal-failed".
export const events = new EventTarget();
const tell = (name) => events.dispatchEvent(new Event(name));

const addressOf = (id) => new URL(`${action}/uploads/${id}`, location.href).href;

// Who writes, and that JSON is understood. The token is added when a request is made: it may be new.
const credentials = () => ({
  Accept: "application/json",
  "X-Draft-Key": form.elements.draft_key.value,
});

// The library is only fetched where there is a file.
let library = null;
async function tus() {
  library ??= import(form.dataset.tus);
  try {
    await library;
  } catch (error) {
    library = null;
    throw error;
  }
  return window.tus;
}

function sizeText(bytes) {
  if (bytes < 1024) return say(bytes === 1 ? "one-byte" : "bytes", { bytes });
  const units = ["KB", "MB", "GB", "TB"];
  let unit = -1;
  do {
    bytes /= 1024;
    unit += 1;
  } while (bytes >= 1023.95 && unit < units.length - 1);
  return `${bytes.toFixed(1).replace(/\.0$/, "")} ${units[unit]}`;
}

// The list -----------------------------------------------------------------------------------------

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
  button.append(say("remove"), " ", buttonName);
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

function showProgress(upload, sent) {
  const part = upload.file.size ? sent / upload.file.size : 1;
  upload.progress.value = part;
  const values = { percent: Math.floor(part * 100), size: sizeText(upload.file.size) };
  upload.note.textContent = part < 1 ? say("progress", values) : say("storing");
}

function add(file) {
  const remembered = recall(file);
  const id = uploads.some((upload) => upload.id === remembered) ? null : remembered;
  const upload = { id: id ?? uuid(), isBegun: id !== null, file, state: "waiting", tries: 0 };
  Object.assign(upload, showFile(file.name || say("attachment")));
  upload.button.addEventListener("click", () => discard(upload));
  uploads.push(upload);
  if (file.size > maxBytes) {
    fail(upload, say("too-large", { size: sizeText(file.size) }));
    return;
  }
  upload.progress = document.createElement("progress");
  upload.progress.max = 1;
  upload.progress.value = 0;
  upload.progress.setAttribute("aria-labelledby", upload.title.id);
  upload.item.append(upload.progress);
  upload.note.textContent = say("waiting");
}

export function addAll(files) {
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
  tell("settled");
}

function start(upload) {
  upload.state = "waiting";
  upload.tries = 0;
  upload.needsToken = upload.hasRenewed = upload.loggedOut = upload.wasCut = false;
  upload.retry?.remove();
  upload.note.classList.remove("error");
  next();
}

// Sending ------------------------------------------------------------------------------------------

// A file of a page that was reloaded goes on when it is chosen again in this tab.
const trace = (file) => `upload:${[action, file.name, file.size, file.lastModified].join(":")}`;
const recall = (file) => sessionStorage.getItem(trace(file));
const remember = ({ file, id }) => sessionStorage.setItem(trace(file), id);
const forget = ({ file }) => sessionStorage.removeItem(trace(file));

async function run(upload) {
  upload.state = "running";
  upload.note.textContent = say("uploading");
  try {
    const { Upload } = await tus();
    if (upload.state !== "running") return;
    upload.sending ??= new Upload(upload.file, options(upload));
    upload.sending.start();
    watch(upload);
  } catch {
    stopped(upload, 0, {});
  }
}

const options = (upload) => ({
  endpoint: addressOf(upload.id),
  uploadUrl: upload.isBegun ? addressOf(upload.id) : null,
  chunkSize: pieceBytes,
  // A small file is one request.
  uploadDataDuringCreation: true,
  metadata: { filename: upload.file.name || say("attachment"), filetype: upload.file.type },
  headers: credentials(),
  // How often and how long to wait is decided here: the library would begin anew after each piece.
  retryDelays: null,
  storeFingerprintForResuming: false,
  fingerprint: async () => null,
  async onBeforeRequest(request) {
    if (upload.needsToken) await renewToken().catch(() => false);
    upload.needsToken = false;
    request.setHeader("X-CSRFToken", form.elements.csrf_token.value);
  },
  onUploadUrlAvailable() {
    remember(upload);
    isStored();
  },
  onProgress(sent) {
    watch(upload);
    if (upload.state === "running") showProgress(upload, sent);
  },
  onChunkComplete() {
    upload.tries = 0;
    upload.hasRenewed = false;
  },
  onSuccess: () => finish(upload),
  onError(error) {
    const response = error.originalResponse;
    stopped(upload, response?.getStatus() ?? 0, parse(response?.getBody() ?? ""));
  },
});

// A line that is silent is as good as cut.
function watch(upload) {
  clearTimeout(upload.stalled);
  upload.stalled = setTimeout(() => {
    upload.sending.abort();
    stopped(upload, 0, {});
  }, stalledAfter);
}

// What came of an attempt that did not end well: another one, or the person's turn.
async function stopped(upload, status, answer) {
  clearTimeout(upload.stalled);
  if (upload.state !== "running") return;
  // Another instance has the same piece, or is further: it says where to go on.
  const isBehind = status === 409 && !answer.error;
  if (refused.has(status) && !upload.hasRenewed) {
    upload.needsToken = upload.hasRenewed = true;
    upload.sending.start();
    return;
  }
  if ((passing.has(status) || isBehind) && upload.tries + 1 < uploadAttempts) {
    upload.tries += 1;
    upload.note.textContent = say("interrupted");
    await pause(backoff(upload.tries - 1));
    if (upload.state === "running") run(upload);
    return;
  }
  // nginx refuses what is too large with a page of its own, not with our JSON.
  const tooLarge = status === 413 ? say("at-most") : undefined;
  upload.loggedOut = Boolean(answer.login_url);
  upload.wasCut = status === 0;
  fail(upload, answer.error ?? tooLarge ?? say("not-uploaded"), answer.login_url, status !== 410);
  next();
}

function finish(upload) {
  clearTimeout(upload.stalled);
  if (upload.state === "gone") return;
  uploads.splice(uploads.indexOf(upload), 1);
  upload.state = "done";
  forget(upload);
  isStored();
  upload.progress.remove();
  upload.note.textContent = sizeText(upload.file.size);
  announce(say("is-attached", { name: upload.title.textContent }));
  next();
}

function fail(upload, text, loginUrl, again = false) {
  upload.state = "failed";
  explain(upload.note, text, loginUrl);
  announce(`${upload.title.textContent}: ${text}`);
  if (!again) return;
  upload.retry = document.createElement("button");
  upload.retry.type = "button";
  upload.retry.className = "quiet small";
  upload.retry.textContent = say("try-again");
  upload.retry.addEventListener("click", () => start(upload));
  upload.item.insertBefore(upload.retry, upload.button);
}

// Removing -----------------------------------------------------------------------------------------

function takeAway(item, name) {
  item.remove();
  announce(say("is-removed", { name }));
  fileInput.focus();
}

function discard(upload) {
  const wasRefused = upload.state === "failed" && !upload.progress;
  upload.state = "gone";
  clearTimeout(upload.stalled);
  upload.sending?.abort();
  forget(upload);
  const index = uploads.indexOf(upload);
  if (index >= 0) uploads.splice(index, 1);
  takeAway(upload.item, upload.title.textContent);
  // Also when it was stopped half-way: all of it may have arrived before the connection ended.
  if (!wasRefused) removal(upload.id);
  next();
}

async function removal(id) {
  removals += 1;
  let status = 0;
  for (let attempt = 0; attempt < uploadAttempts && passing.has(status); attempt += 1) {
    if (attempt) await pause(backoff(attempt - 1));
    try {
      const said = { ...credentials(), ...headers(), "Tus-Resumable": "1.0.0" };
      status = (await fetch(addressOf(id), { method: "DELETE", headers: said })).status;
    } catch {
      status = 0;
    }
  }
  removals -= 1;
  // What nobody sees in the list must not be sent: the person is told rather than surprised.
  if (status !== 404 && (status < 200 || status >= 300)) {
    explain(savedNote, say("not-removed"));
    tell("removal-failed");
  }
  tell("settled");
}

// A file that was attached before the page came.
export function removeAttached(button) {
  const item = button.closest("li");
  takeAway(item, item.querySelector(".name").textContent);
  removal(button.value);
}

// Choosing -----------------------------------------------------------------------------------------

fileInput.addEventListener("change", () => {
  const files = [...fileInput.files];
  // Emptied at once, so that Send does not carry them a second time.
  fileInput.value = "";
  addAll(files);
});

const drop = form.querySelector(".drop");
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

// Anywhere on the page: a file dropped beside the form would replace what was written.
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  drop.classList.remove("over");
  if (event.defaultPrevented) return;
  event.preventDefault();
  addAll(event.dataTransfer.files);
});
form.addEventListener("paste", (event) => {
  if (event.defaultPrevented) return;
  if (!event.clipboardData.files.length || event.clipboardData.types.includes("text/plain")) return;
  event.preventDefault();
  addAll(event.clipboardData.files);
});

window.addEventListener("focus", async () => {
  const waiting = uploads.filter((upload) => upload.loggedOut);
  if (waiting.length && (await renewToken().catch(() => false))) waiting.forEach(start);
});

// Back on the line: those that had given up go on.
window.addEventListener("online", () => uploads.filter((upload) => upload.wasCut).forEach(start));
