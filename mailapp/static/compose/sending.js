// Send waits for the files on their way; every button of the form is pressed once.

import { fill, focus } from "./editor.js";
import { announce, explain, form, page, savedNote, say, sendButton } from "./form.js";
import { areBusy as areImagesBusy } from "./images.js";
import { isUnsaved, save, stop } from "./saving.js";
import { areBusy as areFilesBusy, events, failedUpload, removeAttached } from "./uploads.js";

const sendLabel = sendButton.querySelector("span");
const named = sendLabel.textContent;
const fields = ["to", "cc", "bcc", "subject"].map((name) => form.elements[name]);
const areBusy = () => areFilesBusy() || areImagesBusy();

// For the times that a person chooses, where they have not chosen a zone.
form.elements.time_zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";

// The button that was pressed while files were still on their way.
let waitingFor = null;

// True while the note beside the buttons says that a failed file keeps Send from sending.
let isHeldUp = false;

function cancelWait() {
  waitingFor = null;
  sendLabel.textContent = named;
  sendButton.removeAttribute("aria-disabled");
}

events.addEventListener("removal-failed", cancelWait);
events.addEventListener("settled", () => {
  if (isHeldUp && !failedUpload()) {
    isHeldUp = false;
    savedNote.classList.remove("error");
    savedNote.textContent = "";
  }
  if (!waitingFor || areBusy()) return;
  const button = waitingFor;
  cancelWait();
  form.requestSubmit(button);
});

// Enter in a field goes on to the next one. A browser would press Send, which nobody means who has
// typed a subject and nothing else yet; Ctrl+Enter does that.
form.addEventListener("keydown", (event) => {
  const place = fields.indexOf(event.target);
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.target.id === "send_at") {
    event.preventDefault();
    form.querySelector("button[value=later]").click();
  }
  if (place < 0 || event.defaultPrevented) return;
  event.preventDefault();
  if (place + 1 < fields.length) fields[place + 1].focus();
  else focus();
});

form.addEventListener("submit", (event) => {
  const button = event.submitter ?? sendButton;
  if (page.leaving) {
    event.preventDefault();
    return;
  }
  if (button.name === "remove") {
    event.preventDefault();
    removeAttached(button);
    return;
  }
  if (button.value !== "discard") {
    const failed = failedUpload();
    if (failed && button.value !== "save") {
      event.preventDefault();
      explain(savedNote, say("file-failed"));
      isHeldUp = true;
      failed.button.focus();
      return;
    }
    if (areBusy()) {
      event.preventDefault();
      waitingFor = button;
      if (button === sendButton) {
        sendLabel.textContent = say("send-waits");
        sendButton.setAttribute("aria-disabled", "true");
        announce(say("send-waits"));
      }
      return;
    }
  }
  page.leaving = true;
  stop();
  fill();
  if (button === sendButton) sendLabel.textContent = say("sending");
  // After this turn: a button that is disabled already would not be part of what is submitted.
  setTimeout(() => {
    for (const one of form.querySelectorAll("button")) one.disabled = true;
  });
});

// Back in a page that the browser kept as it was: it can be used again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  page.leaving = false;
  cancelWait();
  for (const one of form.querySelectorAll("button")) one.disabled = false;
});

window.addEventListener("beforeunload", (event) => {
  if (page.leaving || !(isUnsaved() || areBusy())) return;
  save({ keepalive: true });
  event.preventDefault();
});
