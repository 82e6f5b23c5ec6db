// Keeps the operators' page up to date: asks for what changes once a second while it is looked at.

const box = document.getElementById("cluster");
const said = document.getElementById("said");
const live = document.getElementById("live");

const every = 1000;
// An instance that hangs is not waited for: the next question goes to another.
const patience = 2000;

let updated = Date.now();
let timer = 0;
let isAsking = false;

function tell(text, isLate = true) {
  live.hidden = false;
  live.classList.toggle("late", isLate);
  live.textContent = text;
}

// Nobody is signed in any more, or not as an operator: asking again would change nothing.
function end(answer) {
  tell(answer.error);
  if (!answer.login_url) return;
  const link = document.createElement("a");
  link.href = `${answer.login_url}?next=${encodeURIComponent(location.pathname)}`;
  link.textContent = live.dataset.login;
  live.append(" ", link);
}

async function ask() {
  const response = await fetch(box.dataset.now, {
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(patience),
  });
  const answer = await response.json();
  if (response.status === 401 || response.status === 403) {
    end(answer);
    return false;
  }
  if (!response.ok) throw new Error(answer.error);
  box.innerHTML = answer.html;
  // Written only when it is another, because it is read aloud each time.
  if (said.textContent !== answer.said) said.textContent = answer.said;
  updated = Date.now();
  tell(live.dataset.live, false);
  return true;
}

async function next() {
  if (isAsking || document.hidden) return;
  isAsking = true;
  clearTimeout(timer);
  const began = Date.now();
  let goesOn = true;
  try {
    goesOn = await ask();
  } catch {
    const seconds = Math.round((Date.now() - updated) / 1000);
    tell(live.dataset.late.replace("{seconds}", seconds));
  }
  isAsking = false;
  if (goesOn) timer = setTimeout(next, Math.max(0, began + every - Date.now()));
  else document.removeEventListener("visibilitychange", next);
}

document.addEventListener("visibilitychange", next);
timer = setTimeout(next, every);
tell(live.dataset.live, false);
