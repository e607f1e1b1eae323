/**
 * Geometry of the crop: the square that is kept of a picture. functions/shared/square_crop.py is the server's side.
 *
 * @typedef {object} Crop on the upright picture
 * @property {number} x left edge, as a fraction of the picture's width
 * @property {number} y top edge, as a fraction of its height
 * @property {number} size edge, as a fraction of its shorter side
 *
 * @typedef {{ naturalWidth: number, naturalHeight: number }} Picture upright, in pixels
 * @typedef {{ x: number, y: number }} Point in the square: 0, 0 is its upper left corner, 1, 1 its lower right corner
 */

/**
 * Minimum edge of the square, in pixels of the picture. With fewer, an avatar would be blurred even at 64 CSS pixels on
 * a screen with a device pixel ratio of 2.
 */
const MIN_EDGE = 128;

/** The form is signed for six decimals; with more, the preview would differ from the avatar. */
const PRECISION = 1e6;

/** @type {Point} */
const CENTER = { x: 0.5, y: 0.5 };

/**
 * The largest centered square, which is the server's default.
 * @param {Picture} picture
 * @returns {Crop}
 */
export function centerCrop(picture) {
  const { naturalWidth, naturalHeight } = picture;
  const shorter = Math.min(naturalWidth, naturalHeight);
  return clampCrop(picture, { x: (1 - shorter / naturalWidth) / 2, y: (1 - shorter / naturalHeight) / 2, size: 1 });
}

/**
 * Resizes the square to `size` and moves it so that the part of the picture at `from` appears at `to`, within the
 * bounds of the picture.
 * @param {Picture} picture
 * @param {Crop} crop
 * @param {{ size?: number, from?: Point, to?: Point }} change
 * @returns {Crop}
 */
export function adjustCrop(picture, crop, { size: wanted = crop.size, from = CENTER, to = from }) {
  const { naturalWidth, naturalHeight } = picture;
  const shorter = Math.min(naturalWidth, naturalHeight);
  const size = Math.min(Math.max(getMinimumSize(picture), wanted), 1);
  return clampCrop(picture, {
    x: crop.x + ((from.x * crop.size - to.x * size) * shorter) / naturalWidth,
    y: crop.y + ((from.y * crop.size - to.y * size) * shorter) / naturalHeight,
    size,
  });
}

/**
 * The minimum of `size`.
 * @param {Picture} picture
 */
export function getMinimumSize({ naturalWidth, naturalHeight }) {
  const fraction = MIN_EDGE / Math.min(naturalWidth, naturalHeight);
  return Math.min(Math.ceil(fraction * PRECISION) / PRECISION, 1);
}

/**
 * Whether a picture has another square than the default.
 * @param {Picture} picture
 */
export function isAdjustable(picture) {
  return picture.naturalWidth !== picture.naturalHeight || getMinimumSize(picture) < 1;
}

/**
 * The center of the square, in fractions of the picture's width and height.
 * @param {Picture} picture
 * @param {Crop} crop
 * @returns {{ x: number, y: number }}
 */
export function getCenter({ naturalWidth, naturalHeight }, { x, y, size }) {
  const half = (size * Math.min(naturalWidth, naturalHeight)) / 2;
  return { x: x + half / naturalWidth, y: y + half / naturalHeight };
}

/**
 * @param {Crop} one
 * @param {Crop} other
 */
export function isSame(one, other) {
  return one.x === other.x && one.y === other.y && one.size === other.size;
}

/**
 * @param {Picture} picture
 * @param {Crop} crop
 * @returns {Crop}
 */
function clampCrop({ naturalWidth, naturalHeight }, crop) {
  const size = round(crop.size);
  const edge = size * Math.min(naturalWidth, naturalHeight);
  const within = (/** @type {number} */ start, /** @type {number} */ length) =>
    round(Math.max(0, Math.min(start, 1 - edge / length)));
  return { x: within(crop.x, naturalWidth), y: within(crop.y, naturalHeight), size };
}

/** @param {number} fraction */
function round(fraction) {
  return Math.round(fraction * PRECISION) / PRECISION;
}
