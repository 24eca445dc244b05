// A line over the last minutes, on a canvas: a time axis, and the value under the pointer.

const MINUTES = 5;
const SPAN_MS = MINUTES * 60_000;
const MARGIN = { left: 44, right: 8, top: 8, bottom: 18 };

export class Chart {
  #points = []; // [milliseconds, value], oldest first
  #pointer = null;
  #due = false;
  #seen = false;

  /** @param {HTMLElement} element with a canvas, a `.value` and a `.unit` @param {function(number): string} format */
  constructor(element, format) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.value = element.querySelector(".value");
    this.format = format;
    this.canvas.addEventListener("pointermove", (pointer) => this.#point(pointer.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.#point(null));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    // What nobody sees is not drawn.
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.#seen = isIntersecting;
      this.draw();
    }).observe(this.canvas);
  }

  add(ms, value) {
    if (!Number.isFinite(value)) return;
    this.#points.push([ms, value]);
    if (this.#points.length > 1 && this.#points.at(-2)[0] > ms) this.#points.sort(([a], [b]) => a - b);
    while (this.#points.length && this.#points[0][0] < Date.now() - SPAN_MS) this.#points.shift();
    if (this.#points.length > 2000) this.#points.splice(0, 500);
    if (this.#pointer === null) this.value.textContent = this.format(this.#points.at(-1)[1]);
    this.draw();
  }

  #point(x) {
    this.#pointer = x;
    if (x === null && this.#points.length) this.value.textContent = this.format(this.#points.at(-1)[1]);
    this.draw();
  }

  draw() {
    if (this.#due || !this.#seen) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#paint();
    });
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.element);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.scale(scale, scale);
    pen.font = `11px ${style.fontFamily}`;
    const most = nice(Math.max(...this.#points.map(([, value]) => value), 0));
    const now = Date.now();
    const x = (ms) => MARGIN.left + (1 - (now - ms) / SPAN_MS) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => height - MARGIN.bottom - (value / most) * (height - MARGIN.top - MARGIN.bottom);
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--faint");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of [0, most / 2, most]) {
      line(pen, [[MARGIN.left, y(value)], [width - MARGIN.right, y(value)]]);
      pen.fillText(this.format(value), MARGIN.left - 6, y(value));
    }
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    const step = width < 330 ? 2 : 1;
    for (let minute = step; minute < MINUTES; minute += step) pen.fillText(`−${minute} min`, x(now - minute * 60_000), height);
    this.#curve(pen, x, y, colour("--accent"), height);
    this.#mark(pen, x, y, colour, width, height);
  }

  #curve(pen, x, y, colour, height) {
    if (!this.#points.length) return;
    const path = this.#points.map(([ms, value]) => [x(ms), y(value)]);
    pen.strokeStyle = colour;
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    line(pen, path);
    pen.lineTo(path.at(-1)[0], height - MARGIN.bottom);
    pen.lineTo(path[0][0], height - MARGIN.bottom);
    pen.globalAlpha = 0.12;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }

  #mark(pen, x, y, colour, width, height) {
    if (this.#pointer === null || !this.#points.length) return;
    const distance = ([ms]) => Math.abs(x(ms) - this.#pointer);
    const nearest = this.#points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
    pen.lineWidth = 1;
    pen.strokeStyle = colour("--faint");
    line(pen, [[x(nearest[0]), MARGIN.top], [x(nearest[0]), height - MARGIN.bottom]]);
    pen.beginPath();
    pen.arc(x(nearest[0]), y(nearest[1]), 3.5, 0, 7);
    pen.fillStyle = colour("--accent");
    pen.fill();
    this.value.textContent = `${this.format(nearest[1])} · ${new Date(nearest[0]).toLocaleTimeString()}`;
  }
}

function line(pen, path) {
  pen.beginPath();
  for (const [x, y] of path) pen.lineTo(x, y);
  pen.stroke();
}

/** A round number that is not below the value: 1, 2 or 5 times a power of ten. */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
