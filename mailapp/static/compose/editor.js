// The text: formatted in an editor, or plain in the textarea, which is there without a script too.

import DOMPurify from "../vendor/dompurify/purify.es.mjs";
import Squire from "../vendor/squire/squire.mjs";
import { action, explain, form, headers, parse, savedNote, say } from "./form.js";

const textarea = form.elements.body;
const stored = form.elements.html;
const root = document.getElementById("editor");
const label = document.getElementById("body-label");
const toolbar = form.querySelector("[role=toolbar]");
const formats = toolbar.querySelector(".formats");
const linking = form.querySelector(".linking");
const linkField = document.getElementById("link");
const buttons = [...toolbar.querySelectorAll("button")];
const button = (command) => toolbar.querySelector(`[data-command=${command}]`);

export let isFormatted = false;
let squire = null;
// What was formatted before somebody went over to plain text, and the text that it became.
let before = null;

// Making HTML safe --------------------------------------------------------------------------------

// The same list as the server's, which decides (mailapp/compose/markup.py).
const allowed = {
  ALLOWED_TAGS: (
    "a b blockquote br code del div em h1 h2 h3 hr i img ins li ol p pre s span strike strong sub " +
    "sup table tbody td tfoot th thead tr u ul"
  ).split(" "),
  ALLOWED_ATTR: ["href", "src", "alt", "width", "height", "start", "colspan", "rowspan", "data-style"],
  // Which is no address, though "font-weight:bold" looks like one.
  ADD_URI_SAFE_ATTR: ["data-style"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

// Other programs say by styles what we say by elements. Our policy forbids styles and handlers even
// to be read, so they come under other names.
const styled = (html) =>
  html.replace(/<[^<>]*>/g, (tag) => tag.replace(/(\s)(style|on[a-z]+)(\s*=)/gi, "$1data-$2$3"));
const meanings = [
  ["b", /font-weight:\s*(?:bold|[6-9]00)/i],
  ["i", /font-style:\s*italic/i],
  ["u", /text-decoration[a-z-]*:[^;]*underline/i],
];

function sayByElements(element) {
  const style = element.dataset.style;
  element.removeAttribute("data-style");
  for (const [tag, meaning] of meanings) {
    if (!meaning.test(style)) continue;
    const inner = document.createElement(tag);
    inner.append(...element.childNodes);
    element.append(inner);
  }
  // Google Docs puts all of its text into one of these.
  if (element.localName === "b" && /font-weight:\s*(?:normal|400)/i.test(style)) {
    element.replaceWith(...element.childNodes);
  }
}

function clean(html) {
  const fragment = DOMPurify.sanitize(styled(html), allowed);
  for (const element of fragment.querySelectorAll("[data-style]")) sayByElements(element);
  for (const image of fragment.querySelectorAll("img")) {
    // An image of another host would tell it that this is being written.
    if (!image.getAttribute("src")?.startsWith(`${action}/inline/`)) image.remove();
  }
  return document.importNode(fragment, true);
}

const escaped = (text) => {
  const element = document.createElement("div");
  element.textContent = text;
  return element.innerHTML;
};

// Plain text as HTML: a block for each line, quotes as such.
function asHtml(text) {
  let html = "";
  let quoted = [];
  const endQuote = () => {
    if (quoted.length) html += `<blockquote>${asHtml(quoted.join("\n"))}</blockquote>`;
    quoted = [];
  };
  for (const line of text.split("\n")) {
    if (line.startsWith(">")) {
      quoted.push(line.replace(/^> ?/, ""));
    } else {
      endQuote();
      html += `<div>${escaped(line)}<br></div>`;
    }
  }
  endQuote();
  return html;
}

// Which of the two ----------------------------------------------------------------------------------

// What is to be sent of the text, as the form's fields.
export const values = () =>
  isFormatted ? [["html", squire.getHTML()]] : [["html", ""], ["body", textarea.value]];

export const focus = () => (isFormatted ? squire.focus() : textarea.focus());

// Into the form itself, before the browser sends it.
export function fill() {
  stored.value = isFormatted ? squire.getHTML() : "";
}

function show(formatted) {
  isFormatted = formatted;
  root.hidden = !formatted;
  formats.hidden = !formatted;
  if (!formatted) linking.hidden = true;
  if (formatted) textarea.remove();
  else if (!textarea.isConnected) root.after(textarea);
  // One control has the label at a time.
  if (formatted) {
    label.removeAttribute("for");
    root.setAttribute("aria-labelledby", label.id);
  } else {
    root.removeAttribute("aria-labelledby");
    label.htmlFor = textarea.id;
  }
  button("plain").setAttribute("aria-pressed", String(!formatted));
  rove(formatted ? buttons[0] : button("plain"));
}

function begin(html) {
  if (!squire) squire = create();
  squire.setHTML(html);
  squire.moveCursorToStart();
  show(true);
}

async function change() {
  const plain = isFormatted;
  if (plain) {
    const html = squire.getHTML();
    const text = await textOf(html);
    if (text === null) return;
    const loses = root.querySelector("b, i, u, h1, h2, h3, ul, ol, blockquote, img, table, a");
    if (loses && !window.confirm(say("to-plain"))) return;
    before = { html, text };
    textarea.value = text;
    show(false);
  } else {
    begin(before?.text === textarea.value ? before.html : asHtml(textarea.value));
  }
  document.cookie =
    `compose=${plain ? "plain" : "formatted"}; path=/; max-age=31536000; samesite=lax`;
  focus();
  form.dispatchEvent(new Event("input"));
}

async function textOf(html) {
  const data = new FormData();
  data.append("html", html);
  try {
    const options = { method: "POST", body: data, headers: headers() };
    const answer = parse(await (await fetch("/compose/plain", options)).text());
    if (answer.text !== undefined) return answer.text;
  } catch {
    // Told below: without an answer it stays as it is.
  }
  explain(savedNote, say("not-plain"));
  return null;
}

// The editor ----------------------------------------------------------------------------------------

function create() {
  const made = new Squire(root, { blockTag: "DIV", sanitizeToDOMFragment: clean });
  made.addEventListener("input", () => form.dispatchEvent(new Event("input")));
  made.addEventListener("pathChange", showState);
  made.addEventListener("select", showState);
  made.addEventListener("cursor", showState);
  // Ctrl+Enter is the page's: it sends.
  const leave = () => {};
  for (const keys of ["Ctrl-Enter", "Meta-Enter"]) made.setKeyHandler(keys, leave);
  for (const keys of ["Ctrl-k", "Meta-k"]) {
    made.setKeyHandler(keys, (_, event) => {
      event.preventDefault();
      askForLink();
    });
  }
  // Squire would put handles around an image, which take styles that our policy forbids.
  root.addEventListener("click", (event) => {
    if (event.target.localName === "img") event.stopPropagation();
  });
  return made;
}

const inside = (tag) => {
  const path = squire.getPath();
  if (path !== "(selection)") return new RegExp(`(?:^|>)${tag}\\b`).test(path);
  return squire.hasFormat(tag);
};

const states = {
  bold: () => squire.hasFormat("B"),
  italic: () => squire.hasFormat("I"),
  underline: () => squire.hasFormat("U"),
  heading: () => inside("H2"),
  bullets: () => inside("UL"),
  numbers: () => inside("OL"),
  quote: () => inside("BLOCKQUOTE"),
  link: () => squire.hasFormat("A"),
};

function showState() {
  if (!isFormatted) return;
  for (const [command, isOn] of Object.entries(states)) {
    button(command).setAttribute("aria-pressed", String(isOn()));
  }
}

function heading(on) {
  squire.modifyBlocks((fragment) => {
    for (const block of [...fragment.querySelectorAll(on ? "div, p" : "h2")]) {
      const other = document.createElement(on ? "h2" : "div");
      other.append(...block.childNodes);
      block.replaceWith(other);
    }
    return fragment;
  });
}

function askForLink() {
  const text = squire.getSelectedText().trim();
  const link = squire.getSelection().startContainer.parentElement.closest("a");
  linking.hidden = false;
  linkField.value = link?.getAttribute("href") ?? (/^https?:\S+$/.test(text) ? text : "");
  linkField.focus();
}

function closeLink() {
  linking.hidden = true;
  squire.focus();
}

const commands = {
  bold: (on) => (on ? squire.bold() : squire.removeBold()),
  italic: (on) => (on ? squire.italic() : squire.removeItalic()),
  underline: (on) => (on ? squire.underline() : squire.removeUnderline()),
  heading,
  bullets: (on) => (on ? squire.makeUnorderedList() : squire.removeList()),
  numbers: (on) => (on ? squire.makeOrderedList() : squire.removeList()),
  quote: (on) => (on ? squire.increaseQuoteLevel() : squire.decreaseQuoteLevel()),
  clear: () => squire.removeAllFormatting(),
};

function makeLink() {
  let address = linkField.value.trim();
  if (address && !/^[a-z][a-z0-9+.-]*:/i.test(address)) {
    address = address.includes("@") ? `mailto:${address}` : `https://${address}`;
  }
  closeLink();
  if (/^(?:https?|mailto):/i.test(address)) squire.makeLink(address);
}

// The toolbar: one stop of the Tab key, arrows within.
function rove(to) {
  for (const one of buttons) one.tabIndex = one === to ? 0 : -1;
}

toolbar.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  rove(pressed);
  const { command } = pressed.dataset;
  if (command === "plain") {
    change();
  } else if (command === "link") {
    askForLink();
  } else {
    squire.focus();
    commands[command](!states[command]?.());
    showState();
  }
});

// A press with the mouse leaves the selection where it is.
toolbar.addEventListener("mousedown", (event) => event.preventDefault());

toolbar.addEventListener("keydown", (event) => {
  const shown = buttons.filter((one) => one.offsetParent);
  const place = shown.indexOf(event.target);
  const next = {
    ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: shown.length - 1,
  }[event.key];
  if (next === undefined || place < 0) return;
  event.preventDefault();
  const to = shown[(next + shown.length) % shown.length];
  rove(to);
  to.focus();
});

linking.addEventListener("click", ({ target }) => {
  const { link } = target.dataset;
  if (link === "make") makeLink();
  if (link === "remove") {
    closeLink();
    squire.removeLink();
  }
});
linking.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target === linkField) {
    event.preventDefault();
    makeLink();
  } else if (event.key === "Escape") {
    closeLink();
  }
});
label.addEventListener("click", () => isFormatted && squire.focus());
// A mistake in the text is told with a link to the textarea, which is out of the page meanwhile.
document.querySelector("#problems a[href='#body']")?.addEventListener("click", (event) => {
  if (!isFormatted) return;
  event.preventDefault();
  squire.focus();
});

// Where the editor has its cursor at a point of the page, for what is dropped there.
function placeAt(x, y) {
  const range = document.caretRangeFromPoint?.(x, y) ?? null;
  if (range && root.contains(range.startContainer)) squire.setSelection(range);
}

export const insertImage = (address, alt) => squire.insertImage(address, { alt });
export const onPastedImage = (handle) => {
  root.addEventListener("paste", (event) => {
    const images = [...event.clipboardData.files];
    if (!isFormatted || !images.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    handle(images);
  }, true);
};
export const onDroppedFiles = (handle) => {
  root.addEventListener("drop", (event) => {
    if (!isFormatted || !event.dataTransfer.files.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    placeAt(event.clientX, event.clientY);
    handle([...event.dataTransfer.files]);
  }, true);
};

// Somebody who has begun to write before the editor was there goes on at the same place.
function takeOver(cursor) {
  const text = textarea.value;
  const came = textarea.defaultValue;
  // What is formatted stays so, such as a quote that a reply begins above.
  const above = stored.defaultValue && text.endsWith(came) && text.slice(0, -came.length);
  begin(above ? asHtml(above) + stored.defaultValue : asHtml(text));
  const before = text.slice(0, cursor).split("\n");
  const line = root.querySelectorAll("div")[before.length - 1];  // asHtml makes one of each
  if (!line) return;
  const range = document.createRange();
  range.selectNodeContents(line);
  if (line.firstChild instanceof Text) {
    const { data } = line.firstChild;
    range.setStart(line.firstChild, Math.min(before.at(-1).length, data.length));
  }
  range.collapse(true);
  squire.setSelection(range);
}

toolbar.hidden = false;
const cursor = document.activeElement === textarea ? textarea.selectionStart : null;
if (form.dataset.mode === "formatted") {
  begin(stored.defaultValue || asHtml(textarea.defaultValue));
} else {
  show(false);
}
// What the server has: the text that the page came with.
export const startValues = isFormatted ? values() : [["html", ""], ["body", textarea.defaultValue]];
if (isFormatted) {
  if (textarea.value !== textarea.defaultValue) takeOver(cursor ?? 0);
  if (cursor !== null || textarea.autofocus) squire.focus();
}
