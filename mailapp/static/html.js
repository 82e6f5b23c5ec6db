// Makes the frame of a formatted message as high as what is in it. Nothing in the frame can run: the
// page measures it from outside. Without this script it has a height of its own, and scrolls.

// No mail is so long; a frame that grew for ever would take the browser with it.
const MOST = 60000;

const watch = (frame) => {
  const page = frame.contentDocument?.documentElement;
  if (!page || frame.watched === page) return;
  frame.watched = page;
  const fit = (frame.fit = () => {
    // From below: a document is never measured lower than its frame is high.
    const height = Math.min(Math.ceil(page.getBoundingClientRect().height), MOST);
    // The room for a bar to scroll sideways with, where a mail is wider than the page.
    const bar = page.scrollWidth > page.clientWidth ? 20 : 0;
    frame.style.height = `${height + bar}px`;
  });
  fit();
  new ResizeObserver(fit).observe(page);
  // Keys that are pressed in the frame are meant for the page around it.
  frame.contentDocument.addEventListener("keydown", (event) => {
    const { key, code, ctrlKey, metaKey, altKey, shiftKey } = event;
    const again = { key, code, ctrlKey, metaKey, altKey, shiftKey, bubbles: true, cancelable: true };
    if (!frame.dispatchEvent(new KeyboardEvent("keydown", again))) event.preventDefault();
  });
};

// Also of frames that come into the page later: a load does not bubble, but it can be caught.
document.addEventListener(
  "load",
  (event) => {
    if (event.target.matches?.("iframe.formatted")) watch(event.target);
  },
  true,
);
const watchAll = () => {
  for (const frame of document.querySelectorAll("iframe.formatted")) {
    watch(frame);
    frame.fit?.();
  }
};
watchAll();
// A page that was made anew (page.js) says nothing of heights.
document.addEventListener("shown", watchAll);

document.addEventListener("submit", (event) => {
  // Once they are shown there is nothing to ask for.
  if (event.target.matches("form[data-images]")) setTimeout(() => event.target.remove(), 0);
});
