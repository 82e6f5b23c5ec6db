// Times by the reader's clock, in the page's language: the same short forms as the server writes
// (mailapp/i18n/dates.py), which knows the reader's time zone only where they have chosen one.

const { dates, timeZone } = document.documentElement.dataset;

const format = (options) => new Intl.DateTimeFormat(dates, { timeZone, ...options });
const clock = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = format({ day: "numeric", month: "short" });
const full = format({
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
// 2025-03-01, whatever the language: the one region that writes it so.
const iso = new Intl.DateTimeFormat("sv-SE", { timeZone });

// "full" is the day and the time, "clock" the time alone for today; anything else is as short as it
// can be said: 14:05 today, 21 Nov this year, 2025-03-01 before.
function written(date, { classList }) {
  const [then, today] = [iso.format(date), iso.format(new Date())];
  if (then === today && !classList.contains("full")) return clock.format(date);
  if (classList.contains("full") || classList.contains("clock")) return full.format(date);
  return then.slice(0, 4) === today.slice(0, 4) ? day.format(date) : then;
}

export function showTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    element.textContent = written(date, element);
    if (!element.classList.contains("full")) element.title = full.format(date);
  }
}
