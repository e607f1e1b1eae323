/**
 * What a profile may say, as functions/profile/profile_validation.py has it: told before it is sent. The server has the last word.
 *
 * @module
 */

/** Most characters (code points) of each text. */
export const LIMITS = { display_name: 50, bio: 500 };

const HANDLE = /^[a-z0-9_]{3,30}$/;
/** Control characters, halves of characters, line ends, and what turns the direction of the text behind a name. */
const NOT_IN_NAMES = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const NOT_IN_BIOS = /(?!\n)[\p{Cc}\p{Cs}]/u;
/** Besides format characters, spaces and marks without a letter: the fillers of Hangul, and Braille without dots. */
const INVISIBLE = /^[\p{Cf}\p{Cn}\p{Me}\p{Mn}\p{Z}\u115f\u1160\u3164\uffa0\u2800]*$/u;

/** @typedef {{display_name: string, handle: string, bio: string}} Values */

/** @type {(keyof Values)[]} */
export const NAMES = ["display_name", "handle", "bio"];

/** Whether anybody can have this handle. @param {string} handle */
export function isHandle(handle) {
  return HANDLE.test(handle);
}

/** As it will be kept. @param {Values} values @returns {Values} */
export function normalised({ display_name, handle, bio }) {
  return {
    display_name: display_name.normalize("NFC").trim(),
    handle: handle.trim(),
    bio: bio.normalize("NFC").replace(/\r\n?/g, "\n").trim(),
  };
}

/** Characters as the limits count them. @param {string} text */
export function lengthOf(text) {
  return [...text.normalize("NFC").trim()].length;
}

/** A sentence for each wrong value. @param {Values} values Normalised. @returns {Record<string, string>} */
export function faults({ display_name, handle, bio }) {
  const sentences = {
    display_name: faultOfName(display_name),
    handle: isHandle(handle) ? "" : "Use 3 to 30 small letters (a to z), digits and underscores.",
    bio: NOT_IN_BIOS.test(bio) ? "Remove the control characters." : faultOfLength(bio, LIMITS.bio),
  };
  return Object.fromEntries(Object.entries(sentences).filter(([, sentence]) => sentence));
}

/** @param {string} name */
function faultOfName(name) {
  if (!name) return "Enter a name.";
  if (NOT_IN_NAMES.test(name)) return "Remove the control characters.";
  if (INVISIBLE.test(name)) return "Enter a name that can be seen.";
  return faultOfLength(name, LIMITS.display_name);
}

/** @param {string} text @param {number} limit */
function faultOfLength(text, limit) {
  const length = lengthOf(text);
  return length > limit ? `Use at most ${limit} characters. These are ${length}.` : "";
}
