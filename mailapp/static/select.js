// Selecting in a list: a range with Shift, and all of a page at once. Without it each row is chosen by
// itself, and "Select all" is understood by the server. The list changes while it is looked at
// (live.js), so nothing of it is kept here but the row that was chosen last.

const list = () => document.getElementById("list");
const boxes = () => [...(list()?.querySelectorAll("input[name=entry]") ?? [])];

let last = null;

// The box above is ticked when all rows are, half when some are; "all there is" is asked for only then.
function follow() {
  const all = list()?.querySelector("input[name=all]");
  if (!all) return;
  const whole = list().querySelector(".whole");
  const chosen = boxes().filter((box) => box.checked).length;
  all.checked = chosen > 0 && chosen === boxes().length;
  all.indeterminate = chosen > 0 && !all.checked;
  list().classList.toggle("some", chosen > 0);
  whole?.classList.toggle("shown", all.checked);
  if (whole && !all.checked) whole.querySelector("input").checked = false;
}

document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches?.("#list input[name=entry]")) return;
  const all = boxes();
  const from = all.findIndex(({ value }) => value === last);
  if (event.shiftKey && from >= 0) {
    const [first, end] = [from, all.indexOf(box)].sort((a, b) => a - b);
    for (const between of all.slice(first, end + 1)) between.checked = box.checked;
  }
  last = box.value;
});

// Other scripts choose rows too, by keyboard.
document.addEventListener("change", ({ target }) => {
  if (!list()?.contains(target)) return;
  if (target.name === "all") for (const box of boxes()) box.checked = target.checked;
  follow();
});

// Enter in a box would press the first button of the form.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("#list [type=checkbox]")) event.preventDefault();
});

document.addEventListener("shown", follow);
// A page that is come back to has its boxes as they were left.
window.addEventListener("pageshow", follow);
follow();
