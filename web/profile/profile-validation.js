/**
 * Validates a profile before it is sent, by the rules of functions/profile/profile_validation.py. The server decides.
 *
 * @module
 */

/** Maximum length of each text, in code points. */
export const LIMITS = { display_name: 50, bio: 500 };

const HANDLE = /^[a-z0-9_]{3,30}$/;
/** Control characters, surrogates, line separators, and bidirectional controls. */
const NOT_IN_NAMES = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const NOT_IN_BIOS = /(?!\n)[\p{Cc}\p{Cs}]/u;
/** Format characters, spaces, combining marks, Hangul fillers, and the blank Braille pattern. */
const INVISIBLE = /^[\p{Cf}\p{Cn}\p{Me}\p{Mn}\p{Z}\u115f\u1160\u3164\uffa0\u2800]*$/u;

/** @typedef {{display_name: string, handle: string, bio: string}} Values */

/** @type {(keyof Values)[]} */
export const NAMES = ["display_name", "handle", "bio"];

/** Whether a handle is valid. @param {string} handle */
export function isHandle(handle) {
  return HANDLE.test(handle);
}

/** Normalizes the values as the server does. @param {Values} values @returns {Values} */
export function normalize({ display_name, handle, bio }) {
  return {
    display_name: display_name.normalize("NFC").trim(),
    handle: handle.trim(),
    bio: bio.normalize("NFC").replace(/\r\n?/g, "\n").trim(),
  };
}

/** Counts code points as the limits do. @param {string} text */
export function countCharacters(text) {
  return [...text.normalize("NFC").trim()].length;
}

/** Returns a sentence for each invalid value. @param {Values} values Normalized. @returns {Record<string, string>} */
export function validate({ display_name, handle, bio }) {
  const sentences = {
    display_name: validateName(display_name),
    handle: isHandle(handle) ? "" : "Use 3 to 30 small letters (a to z), digits and underscores.",
    bio: NOT_IN_BIOS.test(bio) ? "Remove the control characters." : validateLength(bio, LIMITS.bio),
  };
  return Object.fromEntries(Object.entries(sentences).filter(([, sentence]) => sentence));
}

/** @param {string} name */
function validateName(name) {
  if (!name) return "Enter a name.";
  if (NOT_IN_NAMES.test(name)) return "Remove the control characters.";
  if (INVISIBLE.test(name)) return "Enter a name that can be seen.";
  return validateLength(name, LIMITS.display_name);
}

/** @param {string} text @param {number} limit */
function validateLength(text, limit) {
  const length = countCharacters(text);
  return length > limit ? `Use at most ${limit} characters. These are ${length}.` : "";
}
