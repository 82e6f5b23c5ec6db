// The keys of a preview: left and right to the next file, Escape back to the message.

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  // In a text that is wider than its box, the arrows move the text.
  const box = event.target.closest?.("pre");
  if (box && box.scrollWidth > box.clientWidth && event.key !== "Escape") return;
  document.querySelector(`.toolbar [data-key="${event.key}"]`)?.click();
});
