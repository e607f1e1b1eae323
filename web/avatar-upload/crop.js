/**
 * The square that is kept of a picture: where it is, and where it comes to when the user moves or zooms. Pure geometry;
 * functions/shared/square_crop.py is the server's side of it.
 *
 * @typedef {object} Crop on the upright picture
 * @property {number} x left edge, as a fraction of the picture's width
 * @property {number} y top edge, as a fraction of its height
 * @property {number} size edge, as a fraction of its shorter side
 *
 * @typedef {{ naturalWidth: number, naturalHeight: number }} Picture upright, in pixels
 * @typedef {{ x: number, y: number }} Point in the square: 0, 0 is its upper left corner and 1, 1 its lower right one
 */

/**
 * Pixels of the picture that the square has at least along an edge. With fewer, an avatar would be blurred even where it
 * is shown small: 64 pixels of CSS on a screen with two of its own for each.
 */
const SMALLEST_EDGE = 128;

/** What a form is signed for has six decimals; with more, the preview would show another square than is sent. */
const PRECISION = 1e6;

/** @type {Point} */
const MIDDLE = { x: 0.5, y: 0.5 };

/**
 * The largest square in the middle, which the server keeps when it is told of none.
 * @param {Picture} picture
 * @returns {Crop}
 */
export function centre(picture) {
  const { naturalWidth, naturalHeight } = picture;
  const shorter = Math.min(naturalWidth, naturalHeight);
  return inside(picture, { x: (1 - shorter / naturalWidth) / 2, y: (1 - shorter / naturalHeight) / 2, size: 1 });
}

/**
 * The square after what is seen at `from` in it has been brought to `to`, and its edge to `size`, as far as the picture
 * reaches.
 * @param {Picture} picture
 * @param {Crop} crop
 * @param {{ size?: number, from?: Point, to?: Point }} change
 * @returns {Crop}
 */
export function adjusted(picture, crop, { size: wanted = crop.size, from = MIDDLE, to = from }) {
  const { naturalWidth, naturalHeight } = picture;
  const shorter = Math.min(naturalWidth, naturalHeight);
  const size = Math.min(Math.max(smallestSize(picture), wanted), 1);
  return inside(picture, {
    x: crop.x + ((from.x * crop.size - to.x * size) * shorter) / naturalWidth,
    y: crop.y + ((from.y * crop.size - to.y * size) * shorter) / naturalHeight,
    size,
  });
}

/**
 * The least that `size` may be.
 * @param {Picture} picture
 */
export function smallestSize({ naturalWidth, naturalHeight }) {
  const fraction = SMALLEST_EDGE / Math.min(naturalWidth, naturalHeight);
  return Math.min(Math.ceil(fraction * PRECISION) / PRECISION, 1);
}

/**
 * Whether it has any square but the one in its centre.
 * @param {Picture} picture
 */
export function isAdjustable(picture) {
  return picture.naturalWidth !== picture.naturalHeight || smallestSize(picture) < 1;
}

/**
 * The middle of the square, in fractions of the picture's width and height.
 * @param {Picture} picture
 * @param {Crop} crop
 * @returns {{ x: number, y: number }}
 */
export function middle({ naturalWidth, naturalHeight }, { x, y, size }) {
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
function inside({ naturalWidth, naturalHeight }, crop) {
  const size = rounded(crop.size);
  const edge = size * Math.min(naturalWidth, naturalHeight);
  const within = (/** @type {number} */ start, /** @type {number} */ length) =>
    rounded(Math.max(0, Math.min(start, 1 - edge / length)));
  return { x: within(crop.x, naturalWidth), y: within(crop.y, naturalHeight), size };
}

/** @param {number} fraction */
function rounded(fraction) {
  return Math.round(fraction * PRECISION) / PRECISION;
}
