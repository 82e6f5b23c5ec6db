// What JavaScript adds to every page: times in the reader's own zone, Ctrl+Enter to send, and the
// focus on what just happened.

const two = (number) => String(number).padStart(2, "0");
const month = (date) => date.toLocaleString("en", { month: "short" });
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;

// The same short forms as the server writes: 14:05 today, 21 Nov this year, 2025-03-01 before.
function short(date, now) {
  if (date.toDateString() === now.toDateString()) return clock(date);
  if (date.getFullYear() === now.getFullYear()) return `${date.getDate()} ${month(date)}`;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

const full = (date) =>
  `${date.getDate()} ${month(date)} ${date.getFullYear()}, ${clock(date)}`;

const now = new Date();
for (const element of document.querySelectorAll("time[datetime]")) {
  const date = new Date(element.dateTime);
  if (Number.isNaN(date.getTime())) continue;
  const { classList } = element;
  // "clock": the time alone for today, all of it for another day.
  const isToday = date.toDateString() === now.toDateString();
  const isFull = classList.contains("full") || (classList.contains("clock") && !isToday);
  element.textContent = isFull ? full(date) : short(date, now);
  if (!isFull) element.title = full(date);
}

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
