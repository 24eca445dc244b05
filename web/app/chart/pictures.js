// Canvases that are drawn together: all that are due in one frame, and none that cannot be seen.

const TICK_MS = 500;

/**
 * Sizes in CSS pixels. To ask a canvas for its size would make the browser lay the page out anew for each chart.
 *
 * @type {WeakMap<HTMLCanvasElement, {width: number, height: number}>}
 */
const sizes = new WeakMap();

/** @typedef {{due: (now: number) => boolean, draw: () => void}} Picture */

/** @type {Set<Picture>} */
const seen = new Set();
/** @type {Set<Picture>} */
const wanted = new Set();
let frame = 0;
let timer = 0;

function drawAll() {
  frame = 0;
  for (const picture of wanted) if (seen.has(picture)) picture.draw();
  wanted.clear();
}

function tick() {
  timer = 0;
  if (!seen.size) return;
  const now = performance.now();
  for (const picture of seen) if (picture.due(now)) soon(picture);
  timer = window.setTimeout(tick, TICK_MS);
}

/** Draw a picture in the next frame. @param {Picture} picture */
export function soon(picture) {
  if (!seen.has(picture)) return;
  wanted.add(picture);
  frame ||= requestAnimationFrame(drawAll);
}

/**
 * Draw a picture from now on, whenever it is due and can be seen.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Picture} picture
 * @returns {() => void} ends it
 */
export function watch(canvas, picture) {
  const looking = new IntersectionObserver((entries) => {
    if (!entries.at(-1)?.isIntersecting) return void seen.delete(picture);
    seen.add(picture);
    soon(picture);
    timer ||= window.setTimeout(tick, TICK_MS);
  });
  looking.observe(canvas);
  const measuring = new ResizeObserver(([{ contentRect }]) => {
    sizes.set(canvas, contentRect);
    soon(picture);
  });
  measuring.observe(canvas);
  return () => {
    looking.disconnect();
    measuring.disconnect();
    seen.delete(picture);
  };
}

/** The look of the page has changed: what a canvas shows is of the former. */
const changed = () => {
  palettes = new WeakMap();
  for (const picture of seen) soon(picture);
};
/** @type {WeakMap<Element, Map<string, string>>} */
let palettes = new WeakMap();
if (globalThis.document) {
  new MutationObserver(changed).observe(document.documentElement, { attributeFilter: ["data-theme", "data-fresh", "lang", "class"] });
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) matchMedia(query).addEventListener("change", changed);
}

/**
 * The value of a custom property (`--accent`), which is read from the style once for each look of the page.
 *
 * @param {Element} element
 * @param {string} name
 */
export function colour(element, name) {
  let palette = palettes.get(element);
  if (!palette) palettes.set(element, (palette = new Map()));
  let found = palette.get(name);
  if (found === undefined) {
    found = getComputedStyle(element).getPropertyValue(name).trim() || "currentcolor";
    palette.set(name, found);
  }
  return found;
}

/**
 * The pen of a canvas, cleared, with its size in CSS pixels; null if it cannot be drawn now.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {?{pen: CanvasRenderingContext2D, width: number, height: number}}
 */
export function cleared(canvas) {
  const { width, height } = sizes.get(canvas) ?? { width: 0, height: 0 };
  const pen = canvas.getContext("2d"); // null if the browser has run out of canvases
  if (!pen || !width || !height) return null;
  const scale = devicePixelRatio;
  const [columns, rows] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/**
 * Draw a straight line.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {number} fromX
 * @param {number} fromY
 * @param {number} toX
 * @param {number} toY
 */
export function stroke(pen, fromX, fromY, toX, toY) {
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(toX, toY);
  pen.stroke();
}
