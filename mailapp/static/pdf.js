// A PDF drawn on canvases by pdf.js, each page when it comes into sight: nothing in the file is run,
// and no link or form of it is there to be pressed. Its text lies over the picture, to be selected
// and read aloud.

const box = document.getElementById("pdf");
const note = box.querySelector("[role=status]");
const { url, library, worker, folder, page: pageLabel } = box.dataset;

// A screen's pixels, but no canvas larger than what phones give.
const MOST_PIXELS = 4096 * 4096;

note.textContent = note.dataset.loading;
const pdfjs = await import(library);
pdfjs.GlobalWorkerOptions.workerSrc = worker;

const task = pdfjs.getDocument({
  url,
  cMapUrl: `${folder}cmaps/`,
  cMapPacked: true,
  // Not allowed by our Content-Security-Policy; there are decoders without.
  useWasm: false,
  wasmUrl: new URL(folder, location.href).href,
  useWorkerFetch: false,
  isEvalSupported: false,
  enableXfa: false,
  // Of a long one, what is looked at.
  disableAutoFetch: true,
  disableStream: true,
  rangeChunkSize: 512 * 1024,
});

try {
  await show(await task.promise);
  note.remove();
} catch (error) {
  note.classList.add("error");
  note.textContent = error.name === "PasswordException" ? note.dataset.locked : note.dataset.broken;
}

async function show(file) {
  const first = await file.getPage(1);
  const { width, height } = first.getViewport({ scale: 1 });
  const places = [];
  for (let n = 1; n <= file.numPages; n += 1) {
    const place = document.createElement("section");
    place.className = "sheet";
    place.dataset.n = n;
    place.setAttribute("aria-label", pageLabel.replace("{n}", n).replace("{total}", file.numPages));
    // As large as the first, until it is known: the pages below move little when it comes.
    place.style.aspectRatio = `${width} / ${height}`;
    places.push(place);
  }
  box.append(...places);
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) draw(file, target);
        else clear(target);
      }
    },
    { rootMargin: "100%" },
  );
  places.forEach((place) => seen.observe(place));
}

async function draw(file, place) {
  if (place.drawing) return;
  place.drawing = true;
  const page = await file.getPage(Number(place.dataset.n));
  const natural = page.getViewport({ scale: 1 });
  place.style.aspectRatio = `${natural.width} / ${natural.height}`;
  const scale = place.clientWidth / natural.width;
  const viewport = page.getViewport({ scale });
  const fitting = Math.sqrt(MOST_PIXELS / (viewport.width * viewport.height));
  const density = Math.min(devicePixelRatio || 1, fitting);
  const canvas = document.createElement("canvas");
  canvas.width = Math.floor(viewport.width * density);
  canvas.height = Math.floor(viewport.height * density);
  canvas.setAttribute("aria-hidden", "true");
  const words = document.createElement("div");
  words.className = "words";
  words.style.setProperty("--total-scale-factor", scale);
  if (!place.drawing) return;
  place.replaceChildren(canvas, words);
  const layer = new pdfjs.TextLayer({
    textContentSource: page.streamTextContent(), container: words, viewport,
  });
  try {
    await Promise.all([
      page.render({ canvas, viewport, transform: [density, 0, 0, density, 0, 0] }).promise,
      layer.render(),
    ]);
    place.dataset.drawn = "";
  } catch (error) {
    // Out of sight again before it was ready.
    if (place.drawing) throw error;
  }
}

// A page that is far away gives its memory back.
function clear(place) {
  if (!place.drawing) return;
  place.drawing = false;
  delete place.dataset.drawn;
  place.replaceChildren();
}
