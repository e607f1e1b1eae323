/** How a user moves and zooms what is seen through a square: with a finger or two, a pen, a mouse, its wheel, keys. */

/** Of the square's edge, for a press of an arrow key; with the shift key. */
const STEP = 0.02;
const LARGE_STEP = 0.1;
/** How much larger a press of a key makes it. */
const ZOOM_STEP = 1.1;
/** Zoom for a pixel that the wheel is turned. A notch of a mouse's is some 100 of them. */
const ZOOM_PER_PIXEL = 0.002;
/** Browsers make two fingers on a trackpad a wheel with the control key, of which each event is a few pixels. */
const PINCH_FACTOR = 5;
/** Pixels, by the event's `deltaMode`: it may count them, lines or pages. */
const WHEEL_UNITS = [1, 16, 400];

/**
 * @typedef {import("./crop.js").Point} Point
 * @typedef {Point & { spread: number }} Grip where the square is held; `spread` between two fingers, else 0
 * @typedef {Map<number, Point>} Pointers that are down, where they are
 *
 * @typedef {object} Hand
 * @property {() => void} grab the square is held from now on, in another way than before
 * @property {(from: Grip, to: Grip) => void} drag what was at `from` when it was grabbed is to be at `to`
 * @property {(right: number, down: number) => void} move
 * @property {(factor: number, at?: Point) => void} zoom
 * @property {() => void} reset
 */

/** @type {Readonly<Record<string, [right: number, down: number]>>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {HTMLElement} surface
 * @param {Hand} hand
 */
export function takeGestures(surface, hand) {
  /** @type {Pointers} */
  const pointers = new Map();
  takePointers(surface, pointers, hand);
  surface.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault(); // or the page would scroll, or zoom
      if (!pointers.size) hand.zoom(Math.exp(-turned(event) * ZOOM_PER_PIXEL), place(surface, event));
    },
    { passive: false },
  );
  surface.addEventListener("keydown", (event) => {
    if (press(event, hand)) event.preventDefault();
  });
}

/**
 * @param {HTMLElement} surface
 * @param {Pointers} pointers
 * @param {Hand} hand
 */
function takePointers(surface, pointers, hand) {
  let start = grip(pointers);
  const regrab = () => {
    start = grip(pointers);
    hand.grab();
  };
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    surface.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(surface, event));
    regrab();
  });
  surface.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, place(surface, event));
    hand.drag(start, grip(pointers));
  });
  surface.addEventListener("lostpointercapture", (event) => {
    if (pointers.delete(event.pointerId)) regrab();
  });
}

/**
 * By the first two of them: a third finger has no say.
 * @param {Pointers} pointers
 * @returns {Grip}
 */
function grip(pointers) {
  const [one = { x: 0, y: 0 }, other = one] = pointers.values();
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, spread: Math.hypot(one.x - other.x, one.y - other.y) };
}

/** Pixels, towards the user. @param {WheelEvent} event */
function turned({ deltaY, deltaMode, ctrlKey }) {
  return deltaY * WHEEL_UNITS[deltaMode] * (ctrlKey ? PINCH_FACTOR : 1);
}

/**
 * @param {KeyboardEvent} event
 * @param {Hand} hand
 * @returns {boolean} whether the key means something here; with others held down it is the browser's
 */
function press({ key, shiftKey, ctrlKey, metaKey, altKey }, hand) {
  if (ctrlKey || metaKey || altKey) return false;
  const step = shiftKey ? LARGE_STEP : STEP;
  if (Object.hasOwn(ARROWS, key)) hand.move(ARROWS[key][0] * step, ARROWS[key][1] * step);
  else if (key === "+" || key === "=") hand.zoom(ZOOM_STEP);
  else if (key === "-" || key === "_") hand.zoom(1 / ZOOM_STEP);
  else if (key === "Home") hand.reset();
  else return false;
  return true;
}

/**
 * @param {HTMLElement} surface
 * @param {MouseEvent} event
 * @returns {Point}
 */
function place(surface, { clientX, clientY }) {
  const { left, top, width, height } = surface.getBoundingClientRect();
  return { x: (clientX - left) / width, y: (clientY - top) / height };
}
