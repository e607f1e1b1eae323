/** Every text that the user reads. `{names}` in braces are placeholders. */

export const ENGLISH = Object.freeze({
  label: "Profile picture",
  alt: "Your profile picture",
  noPicture: "No profile picture yet",
  preview: "Preview: the square that will be kept",

  choose: "Choose a photo",
  change: "Change photo",
  takePhoto: "Take a photo",
  remove: "Remove photo",
  use: "Use this photo",
  chooseAnother: "Choose another",
  retry: "Try again",
  cancel: "Cancel",
  removalQuestion: "Remove your profile picture? This cannot be undone.",
  confirmRemoval: "Remove",
  keep: "Keep",

  cropArea: "Position of the photo",
  cropControls: "Position and zoom",
  cropByPointer: "Drag to move, scroll or pinch to zoom.",
  cropByKeys: "Arrow keys move, + and − zoom, Home resets.",
  moveLeft: "Move left",
  moveUp: "Move up",
  moveDown: "Move down",
  moveRight: "Move right",
  zoom: "Zoom",
  resetCrop: "Reset",
  placed: "Middle: {x} from the left, {y} from the top. Zoom: {zoom}.",

  hint: "Or drop or paste a photo here.",
  chosen: "This is how your picture will look.",
  chosenUnseen: "Your browser cannot show “{name}”, but you can send it.",
  preparing: "Preparing the upload",
  sending: "Sending your photo",
  sent: "{percent} sent",
  processing: "Making your picture",
  slow: "This takes longer than usual. It goes on in the background: you may leave this page.",
  ready: "Your new picture is ready.",
  held: "Your photo is being reviewed. It becomes your picture when it is approved.",
  removing: "Removing your picture",
  removed: "Your picture is removed.",
  cancelled: "Cancelled.",
  cancelledAfterSending: "Cancelled. The photo had already been sent and may still become your picture.",

  empty_file: "This file is empty. Choose another one.",
  unreadable_file: "This file cannot be read. It may have been moved, or be a folder. Choose another one.",
  unsupported_type: "This kind of file cannot be used. Choose a JPEG, PNG, WebP, GIF, AVIF or HEIC picture.",
  file_too_large: "This file is too large. Choose a smaller one.",
  file_too_large_limit: "This file is too large: it has {size}, the limit is {limit}. Choose a smaller one.",
  rejected: "This photo cannot be used. Choose another one.",
  rejected_not_an_image: "This file is not a picture. Choose a JPEG, PNG, WebP, GIF, AVIF or HEIC picture.",
  rejected_unsupported_format: "This kind of picture cannot be used. Save it as JPEG, for instance.",
  rejected_too_many_pixels: "This picture has too many pixels. Make it smaller, or choose another one.",
  rejected_truncated: "This picture is damaged or incomplete. Choose another one.",
  rejected_too_large: "This file is too large. Choose a smaller one.",
  rejected_too_many_uploads: "You have uploaded too many pictures within an hour. Try again in an hour.",
  rejected_not_allowed: "This picture is not allowed here. Choose another one.",
  rejected_blocked: "You cannot change your picture at the moment.",
  rejected_deleted: "You removed your picture while this photo was being sent, so it was not used. Try again to use it.",
  offline: "You are offline. Your photo will be sent when you are back online.",
  network: "The server cannot be reached. Check your connection and try again.",
  session_expired: "Your session has ended. Sign in again, then try again.",
  upload_refused: "The photo was not accepted. Try again.",
  server_error: "The service has a problem at the moment. Try again in a little while.",
  upload_lost: "The photo did not arrive. Try again.",
  still_pending: "Your picture is still not ready. It may yet appear; you can also send it again.",
  unexpected: "Something went wrong. Choose another photo, or come back later.",
  no_token: "This page cannot send photos: it does not say who is signed in.",
  unconfigured: "This page cannot send photos: <avatar-upload> needs the attribute api-url.",
  removal_offline: "You are offline. Try again when you are back online.",
  removal_unexpected: "Something went wrong, and your picture was not removed. Come back later.",
  removal_no_token: "This page cannot remove your picture: it does not say who is signed in.",
});

/** @typedef {keyof typeof ENGLISH} MessageName */
/** @typedef {Readonly<Record<MessageName, string>>} Messages */

const MEGABYTE = 1024 * 1024;

/**
 * Replaces placeholders.
 * @param {string} text
 * @param {Record<string, string>} values
 */
export function fillIn(text, values) {
  return text.replace(/\{(\w+)\}/g, (braces, name) => values[name] ?? braces);
}

/**
 * The sentence that the user reads about an error.
 * @param {import("./errors.js").UploadError} error
 * @param {{ messages?: Messages, language?: string, size?: number, removal?: boolean }} [options] `size` of the file, in
 *   bytes; `removal`: the error of a removal
 */
export function failureSentence({ code, reason, maxBytes }, { messages = ENGLISH, language, size, removal } = {}) {
  if (code === "rejected") {
    return messages[/** @type {MessageName} */ (`rejected_${reason}`)] ?? messages.rejected;
  }
  if (code === "file_too_large" && maxBytes && size) {
    return fillIn(messages.file_too_large_limit, {
      size: formatBytes(size, language, "ceil"),
      limit: formatBytes(maxBytes, language, "floor"),
    });
  }
  const special = removal && messages[/** @type {MessageName} */ (`removal_${code}`)];
  return special || messages[code];
}

/**
 * @param {number} fraction
 * @param {string} [language]
 */
export function formatPercent(fraction, language) {
  return new Intl.NumberFormat(language, { style: "percent" }).format(fraction);
}

/**
 * Formats bytes in KB or MB. Sizes are rounded up and limits down, so that a file just over the limit does not appear
 * to be within it.
 * @param {number} bytes
 * @param {string | undefined} language
 * @param {"ceil" | "floor"} roundingMode
 */
function formatBytes(bytes, language, roundingMode) {
  const [value, unit] = bytes < MEGABYTE ? [bytes / 1024, "kilobyte"] : [bytes / MEGABYTE, "megabyte"];
  const options = { style: "unit", unit, maximumFractionDigits: 1, roundingMode };
  return new Intl.NumberFormat(language, /** @type {Intl.NumberFormatOptions} */ (options)).format(value);
}
