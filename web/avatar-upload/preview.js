/** Draws the square that the server will keep of a photo. */

/** Edge in pixels: the default's largest avatar, so that the preview is no sharper. */
const EDGE = 512;

/**
 * Decodes the picture in a file, upright. The object URL is revoked at once.
 * @param {Blob} file
 * @returns {Promise<HTMLImageElement | null>} null if the browser cannot decode it or the page's policy forbids it
 */
export async function loadPreview(file) {
  const image = new Image();
  const url = URL.createObjectURL(file);
  try {
    image.src = url;
    await image.decode();
    return image.naturalWidth && image.naturalHeight ? image : null;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * Draws the crop; of an animation the first frame, as the server does.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {import("./crop.js").Crop} crop
 */
export function drawCrop(canvas, image, crop) {
  const { naturalWidth, naturalHeight } = image;
  const scale = EDGE / (crop.size * Math.min(naturalWidth, naturalHeight));
  const [width, height] = [naturalWidth * scale, naturalHeight * scale];
  canvas.width = canvas.height = EDGE;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  // Without a source rectangle: WebKit takes that of a photo with an EXIF orientation from the wrong place.
  context.drawImage(image, -crop.x * width, -crop.y * height, width, height);
}
