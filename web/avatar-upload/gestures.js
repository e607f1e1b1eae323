/** Turns mouse, touch, pen, wheel and keyboard events on a square surface into moves and zooms. */

/** Distance per press of an arrow key, without and with Shift, as a fraction of the square's edge. */
const STEP = 0.02;
const LARGE_STEP = 0.1;
/** Zoom factor per press of a key. */
const ZOOM_STEP = 1.1;
/** Zoom per pixel of wheel movement. A notch of a mouse wheel is about 100 pixels. */
const ZOOM_PER_PIXEL = 0.002;
/** Browsers report a pinch on a trackpad as wheel events of a few pixels with ctrlKey set. */
const PINCH_FACTOR = 5;
/** Pixels per unit, by `deltaMode`: pixels, lines, pages. */
const WHEEL_UNITS = [1, 16, 400];

/**
 * @typedef {import("./crop.js").Point} Point
 * @typedef {Point & { spread: number }} Grip center of the pointers; `spread`: distance between two of them, else 0
 * @typedef {Map<number, Point>} Pointers that are down, by pointerId
 *
 * @typedef {object} GestureHandlers
 * @property {() => void} grab a drag starts, or continues with another number of fingers
 * @property {(from: Grip, to: Grip) => void} drag moves what was at `from` at the start of the drag to `to`
 * @property {(right: number, down: number) => void} move
 * @property {(factor: number, at?: Point) => void} zoom
 * @property {() => void} reset
 */

/** @type {Readonly<Record<string, [right: number, down: number]>>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {HTMLElement} surface
 * @param {GestureHandlers} handlers
 */
export function listenForGestures(surface, handlers) {
  /** @type {Pointers} */
  const pointers = new Map();
  listenForPointers(surface, pointers, handlers);
  surface.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault(); // the page must not scroll or zoom
      if (!pointers.size) handlers.zoom(Math.exp(-getWheelPixels(event) * ZOOM_PER_PIXEL), toPoint(surface, event));
    },
    { passive: false },
  );
  surface.addEventListener("keydown", (event) => {
    if (handleKey(event, handlers)) event.preventDefault();
  });
}

/**
 * @param {HTMLElement} surface
 * @param {Pointers} pointers
 * @param {GestureHandlers} handlers
 */
function listenForPointers(surface, pointers, handlers) {
  let start = computeGrip(pointers);
  const regrab = () => {
    start = computeGrip(pointers);
    handlers.grab();
  };
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    surface.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, toPoint(surface, event));
    regrab();
  });
  surface.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, toPoint(surface, event));
    handlers.drag(start, computeGrip(pointers));
  });
  surface.addEventListener("lostpointercapture", (event) => {
    if (pointers.delete(event.pointerId)) regrab();
  });
}

/**
 * The first two pointers count; others are ignored.
 * @param {Pointers} pointers
 * @returns {Grip}
 */
function computeGrip(pointers) {
  const [one = { x: 0, y: 0 }, other = one] = pointers.values();
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, spread: Math.hypot(one.x - other.x, one.y - other.y) };
}

/** Wheel movement in pixels, positive towards the user. @param {WheelEvent} event */
function getWheelPixels({ deltaY, deltaMode, ctrlKey }) {
  return deltaY * WHEEL_UNITS[deltaMode] * (ctrlKey ? PINCH_FACTOR : 1);
}

/**
 * @param {KeyboardEvent} event
 * @param {GestureHandlers} handlers
 * @returns {boolean} whether the key was handled; with Ctrl, Meta or Alt it belongs to the browser
 */
function handleKey({ key, shiftKey, ctrlKey, metaKey, altKey }, handlers) {
  if (ctrlKey || metaKey || altKey) return false;
  const step = shiftKey ? LARGE_STEP : STEP;
  if (Object.hasOwn(ARROWS, key)) handlers.move(ARROWS[key][0] * step, ARROWS[key][1] * step);
  else if (key === "+" || key === "=") handlers.zoom(ZOOM_STEP);
  else if (key === "-" || key === "_") handlers.zoom(1 / ZOOM_STEP);
  else if (key === "Home") handlers.reset();
  else return false;
  return true;
}

/**
 * @param {HTMLElement} surface
 * @param {MouseEvent} event
 * @returns {Point}
 */
function toPoint(surface, { clientX, clientY }) {
  const { left, top, width, height } = surface.getBoundingClientRect();
  return { x: (clientX - left) / width, y: (clientY - top) / height };
}
