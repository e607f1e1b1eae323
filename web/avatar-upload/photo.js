/** Photos that the browser has decoded: upright, in sRGB, without the file's metadata. */

import { detectFormat } from "./files.js";

/** No level is smaller than the preview. */
const SMALLEST_LEVEL = 512;

/** Pixels that are halved in one task: 6 ms of processor time on a desktop, 25 ms on a phone. */
const PIXELS_PER_TASK = 2 ** 20;

/** Of the requested edge, so that the usual 3,000 pixels of a camera are halved twice for 768. */
const SUFFICIENT = 0.97;

/** @typedef {ImageBitmap | HTMLCanvasElement} Level */

export class Photo {
  #levels;

  /**
   * @param {Level[]} levels the photo, and each time half of its width and height
   * @param {import("./files.js").Format | null} format null if the pixels may differ from what the server would decode
   */
  constructor(levels, format) {
    this.#levels = levels;
    this.format = format;
  }

  get naturalWidth() {
    return this.#levels[0].width;
  }

  get naturalHeight() {
    return this.#levels[0].height;
  }

  /**
   * Draws a square that fills the canvas. Of an animation the first frame, as the server does.
   * @param {HTMLCanvasElement} canvas
   * @param {import("./crop.js").Crop} crop
   */
  draw(canvas, { x, y, size }) {
    // From at most twice the width: browsers interpolate between four pixels and would skip others.
    const { level, edge } = this.#findLevel(size, canvas.width);
    const context = getContext(canvas);
    const [width, height] = [level.width, level.height].map((length) => (length * canvas.width) / edge);
    context.clearRect(0, 0, canvas.width, canvas.width);
    // Without a source rectangle: WebKit takes that of a photo with an EXIF orientation from the wrong place.
    context.drawImage(level, -x * width, -y * height, width, height);
  }

  /**
   * Copies a square of `edge` pixels or more, if the photo has them, but less than twice as many: only halving leaves
   * all pixels equally sharp.
   * @param {import("./crop.js").Crop} crop
   * @param {number} edge
   */
  copySquare({ x, y, size }, edge) {
    const { level, edge: available } = this.#findLevel(size, SUFFICIENT * edge);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = Math.max(1, Math.round(available));
    getContext(canvas).drawImage(level, -Math.round(x * level.width), -Math.round(y * level.height));
    return canvas;
  }

  /**
   * The smallest level with a square of at least `edge` pixels, and the edge of the square there.
   * @param {number} size of the square, as in a crop
   * @param {number} edge
   */
  #findLevel(size, edge) {
    const edgeIn = (/** @type {Level} */ { width, height }) => size * Math.min(width, height);
    const level = this.#levels.findLast((level) => edgeIn(level) >= edge) ?? this.#levels[0];
    return { level, edge: edgeIn(level) };
  }

  /** Frees the memory: four bytes a pixel. */
  close() {
    for (const level of this.#levels) if (level instanceof ImageBitmap) level.close();
  }
}

/**
 * @param {Blob} file
 * @returns {Promise<Photo | null>} null if the browser cannot decode it
 */
export async function decodePhoto(file) {
  try {
    /** @type {Level[]} */
    const levels = [await createImageBitmap(file)];
    for (let level = levels[0]; Math.min(level.width, level.height) >= 2 * SMALLEST_LEVEL; ) {
      level = await halve(level);
      levels.push(level);
    }
    return new Photo(levels, await detectFormat(file));
  } catch {
    return null;
  }
}

/**
 * The means of squares of four pixels. In strips, so that the page stays responsive, and not by the `resizeQuality` of
 * createImageBitmap, which blurs in one long task: docs/decisions/0053-photos-are-shrunk-in-the-browser.md.
 * @param {Level} level
 * @returns {Promise<HTMLCanvasElement>}
 */
async function halve(level) {
  const canvas = document.createElement("canvas");
  canvas.width = level.width / 2;
  canvas.height = level.height / 2;
  const { width, height } = canvas;
  const context = getContext(canvas);
  const rows = Math.ceil(PIXELS_PER_TASK / level.width / 2);
  for (let y = 0; y < height; y += rows) {
    context.save();
    context.beginPath();
    context.rect(0, y, width, rows);
    context.clip();
    context.drawImage(level, 0, 0, width, height);
    context.restore();
    context.getImageData(0, y, 1, 1); // draws now: otherwise all strips would be drawn together
    await new Promise((resolve) => setTimeout(resolve));
  }
  return canvas;
}

/** @param {HTMLCanvasElement} canvas */
export function getContext(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
}
