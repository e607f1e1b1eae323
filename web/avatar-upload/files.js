/** Checks of a file that need no decoding. */

import { UploadError } from "./errors.js";

/**
 * Formats that the server accepts: docs/api.md.
 * @type {Readonly<Record<string, string>>}
 */
const TYPE_OF_EXTENSION = {
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  jpe: "image/jpeg",
  jfif: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
  gif: "image/gif",
  heic: "image/heic",
  heif: "image/heif",
  avif: "image/avif",
};

/** Types that operating systems give to unknown files. */
const NO_TYPE = new Set(["", "application/octet-stream"]);

/**
 * The content type to declare; empty when neither type nor extension is known.
 * @param {File} file
 */
export function getContentType(file) {
  const type = file.type.toLowerCase();
  if (NO_TYPE.has(type)) return TYPE_OF_EXTENSION[getExtension(file.name)] ?? "";
  return type === "image/jpg" ? "image/jpeg" : type;
}

/**
 * Checks a file before the upload.
 * @param {File} file
 * @throws {UploadError} `unreadable_file` (deleted, changed since, or a folder), `empty_file`, `unsupported_type`
 */
export async function checkFile(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch (cause) {
    throw new UploadError("unreadable_file", { cause });
  }
  if (file.size === 0) throw new UploadError("empty_file");
  if (!getContentType(file).startsWith("image/")) throw new UploadError("unsupported_type");
}

/** @typedef {"JPEG" | "PNG" | "WebP"} Format */

/** Flags of a WebP file: color profile, EXIF, animation. */
const UNEQUALLY_DECODED = 0x20 | 0x08 | 0x02;

/**
 * The format of a file that all browsers decode as the server does, if they decode it: it is complete (Firefox and WebKit
 * fill up what is missing), not an animation, and of the color profiles and orientations without those that WebKit, or
 * Firefox in WebP, ignore.
 * https://www.w3.org/TR/png-3/#11Chunks
 * https://developers.google.com/speed/webp/docs/riff_container
 * @param {Blob} file
 * @returns {Promise<Format | null>}
 */
export async function detectFormat(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 65_536));
  if (text.startsWith("ÿØÿ")) return isCompleteJpeg(bytes) ? "JPEG" : null;
  if (text.startsWith("‰PNG")) {
    const end = new TextDecoder("latin1").decode(bytes.subarray(-8, -4));
    return end === "IEND" && !/eXIf|cICP/.test(text) ? "PNG" : null;
  }
  if (!text.startsWith("RIFF") || !text.startsWith("WEBP", 8)) return null;
  const isComplete = new DataView(bytes.buffer).getUint32(4, true) + 8 <= bytes.length;
  return isComplete && !(text.startsWith("VP8X", 12) && bytes[20] & UNEQUALLY_DECODED) ? "WebP" : null;
}

/**
 * Whether a JPEG has an end, after its header: that can contain a complete thumbnail.
 * @param {Uint8Array} bytes
 */
function isCompleteJpeg(bytes) {
  let start = 2;
  while (bytes[start] === 0xff && bytes[start + 1] !== 0xda) start += 2 + bytes[start + 2] * 256 + bytes[start + 3];
  for (let end = bytes.length - 2; end > start; end -= 1) {
    if (bytes[end] === 0xff && bytes[end + 1] === 0xd9) return true;
  }
  return false;
}

/** @param {string} name */
function getExtension(name) {
  return name.slice(name.lastIndexOf(".") + 1).toLowerCase();
}
