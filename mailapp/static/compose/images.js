// Images in the text: pasted or dropped, stored as files of the draft, shown where they stand.

import { insertImage, isFormatted, onDroppedFiles, onPastedImage } from "./editor.js";
import {
  action, announce, backoff, credentials, explain, headers, isStored, parse, passing, pause,
  savedNote, say, uuid,
} from "./form.js";
import { addAll, events } from "./uploads.js";

// What every mail program shows. An SVG could hold a script, so it is a file like any other.
const shown = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const attempts = 4;

let underWay = 0;

export const areBusy = () => underWay > 0;

async function add(file) {
  const name = file.name || say("attachment");
  announce(say("uploading"));
  const { status, answer } = await upload(file, name);
  underWay -= 1;
  if (answer.url && !isFormatted) {
    addAll([file]); // Somebody went over to plain text meanwhile, which shows no image.
  } else if (answer.url) {
    isStored();
    insertImage(answer.url, name);
    announce(say("is-attached", { name }));
  } else {
    const text = answer.error ?? (status === 413 ? say("at-most") : say("image-failed"));
    explain(savedNote, text, answer.login_url);
  }
  events.dispatchEvent(new Event("settled"));
}

async function upload(file, name) {
  const address = `${action}/inline/${uuid()}`;
  let status = 0;
  let answer = {};
  for (let attempt = 0; attempt < attempts && passing.has(status); attempt += 1) {
    if (attempt) await pause(backoff(attempt - 1));
    const data = credentials();
    data.append("file", file, name);
    try {
      const response = await fetch(address, { method: "POST", body: data, headers: headers() });
      answer = parse(await response.text());
      status = response.ok && !answer.url ? 0 : response.status;
    } catch {
      status = 0;
    }
  }
  return { status, answer };
}

function take(files) {
  const images = files.filter((file) => shown.has(file.type));
  addAll(files.filter((file) => !shown.has(file.type)));
  underWay += images.length; // Send waits for all of them, also before their turn.
  // One after the other: they are to stand in the order in which they came.
  images.reduce((before, file) => before.then(() => add(file)), Promise.resolve());
}

onPastedImage(take);
onDroppedFiles((files) => {
  document.querySelector(".drop").classList.remove("over");
  take(files);
});
