/** What the server will keep of a photo, drawn before it is sent. */

/** Pixels. An avatar has no more by default, so that the preview is no sharper than it will be. */
const EDGE = 512;

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
 * Of an animation the first frame, as on the server.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {import("./crop.js").Crop} crop
 */
export function draw(canvas, image, crop) {
  const { naturalWidth, naturalHeight } = image;
  const edge = crop.size * Math.min(naturalWidth, naturalHeight);
  canvas.width = canvas.height = EDGE;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  context.drawImage(image, crop.x * naturalWidth, crop.y * naturalHeight, edge, edge, 0, 0, EDGE, EDGE);
}
