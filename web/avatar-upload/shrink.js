/** Shrinks a photo to about what the stack can use of it. */

import { centerCrop } from "./crop.js";
import { getContext } from "./photo.js";

/** Edge in pixels that is useful to every stack: 1.5 times the stable JPEG's, as in functions/presign_upload. */
const SMALLEST_EDGE = 768;

/**
 * @typedef {object} ShrunkPhoto
 * @property {string} type content type
 * @property {(edge?: number) => Promise<Blob>} encode for the edge in pixels that is useful to the stack, if known
 */

/**
 * Copies the square and chooses its content type: JPEG; with transparency WebP, or PNG where the browser cannot encode
 * WebP, as WebKit cannot.
 * @param {import("./photo.js").Photo} photo
 * @param {import("./crop.js").Crop | null} [crop] default: the largest centered square
 * @returns {ShrunkPhoto | null} null if the avatar could differ from that of the original: by the file's format, or
 *   because the browser falsifies what scripts read of canvases
 */
export function shrinkPhoto(photo, crop) {
  if (photo.format === null || !canReadCanvas()) return null;
  const copy = (/** @type {number} */ edge) => photo.copySquare(crop ?? centerCrop(photo), edge);
  const smallest = copy(SMALLEST_EDGE);
  const type = photo.format === "JPEG" || isOpaque(smallest) ? "image/jpeg" : getTypeWithAlpha();
  let encoded = { edge: SMALLEST_EDGE, content: encode(smallest, type, SMALLEST_EDGE) };
  return {
    type,
    encode(edge = SMALLEST_EDGE) {
      if (edge > encoded.edge) encoded = { edge, content: encode(copy(edge), type, edge) };
      return encoded.content;
    },
  };
}

/**
 * At a quality at which the avatars are as good as those of the original (docs/benchmarks.md): the more pixels there are
 * for one of the outputs, the more of the artifacts average out.
 * @param {HTMLCanvasElement} canvas
 * @param {string} type
 * @param {number} edge
 * @returns {Promise<Blob>}
 */
async function encode(canvas, type, edge) {
  const quality = Math.min(0.98, (type === "image/jpeg" ? 1.14 : 1.18) - (0.25 * canvas.width) / edge);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, quality));
  if (!blob) throw new Error("the canvas cannot be encoded");
  return blob;
}

/** @param {HTMLCanvasElement} canvas */
function isOpaque(canvas) {
  const { data } = getContext(canvas).getImageData(0, 0, canvas.width, canvas.height);
  for (let alpha = 3; alpha < data.length; alpha += 4) if (data[alpha] < 255) return false;
  return true;
}

function getTypeWithAlpha() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  return canvas.toDataURL("image/webp").startsWith("data:image/webp") ? "image/webp" : "image/png";
}

/** Browsers that resist fingerprinting return other pixels, for example all white. */
function canReadCanvas() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = getContext(canvas);
  const color = [40, 120, 200];
  context.fillStyle = `rgb(${color.join()})`;
  context.fillRect(0, 0, 1, 1);
  const { data } = context.getImageData(0, 0, 1, 1);
  return color.every((value, channel) => Math.abs(value - data[channel]) < 9);
}
