// What JavaScript adds to every page: times in the reader's own zone, changes as they happen, list and
// message side by side, keys, Ctrl+Enter to send, and the focus on what just happened.

import "./acting.js";
import "./html.js";
import "./keys.js";
import "./live.js";
import "./panes.js";
import { showTimes } from "./times.js";

showTimes();

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const send = document.querySelector("#compose button[value=send]");
  if (send && send.form.contains(event.target)) {
    event.preventDefault();
    send.click();
  }
});

// A page that comes with news is read from there, unless a field is waiting to be typed into.
const news = document.querySelector(".flash[role]");
if (news && !document.querySelector("[autofocus]")) {
  news.tabIndex = -1;
  news.focus();
}
