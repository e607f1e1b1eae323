/** What the server will keep of a photo, drawn before it is sent. */

/** Pixels; the largest preview on a screen of three device pixels for one of CSS needs no more. */
const EDGE = 512;

/**
 * @typedef {object} Crop the square that is kept of an upright picture
 * @property {number} x left edge, as a fraction of the picture's width
 * @property {number} y top edge, as a fraction of its height
 * @property {number} size edge, as a fraction of its shorter side
 */

/**
 * The picture in a file, upright. The address it is read from is given back at once.
 * @param {Blob} file
 * @returns {Promise<HTMLImageElement | null>} null if this browser, or the page's policy, cannot show it
 */
export async function load(file) {
  const image = new Image();
  const address = URL.createObjectURL(file);
  try {
    image.src = address;
    await image.decode();
    return image.naturalWidth && image.naturalHeight ? image : null;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(address);
  }
}

/**
 * The square the server cuts (functions/process_avatar/image.py).
 * @param {{ naturalWidth: number, naturalHeight: number }} image
 * @returns {Crop}
 */
export function centreSquare({ naturalWidth, naturalHeight }) {
  const shorter = Math.min(naturalWidth, naturalHeight);
  return { x: (1 - shorter / naturalWidth) / 2, y: (1 - shorter / naturalHeight) / 2, size: 1 };
}

/**
 * Of an animation the first frame, as on the server.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {Crop} crop
 */
export function draw(canvas, image, crop) {
  const { naturalWidth, naturalHeight } = image;
  const edge = crop.size * Math.min(naturalWidth, naturalHeight);
  canvas.width = canvas.height = EDGE;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  context.drawImage(image, crop.x * naturalWidth, crop.y * naturalHeight, edge, edge, 0, 0, EDGE, EDGE);
}
