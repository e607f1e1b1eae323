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

/** @typedef {"animation" | "JPEG" | "other"} Content what matters here of a file's content */

/**
 * Detects animations, and JPEG, which has no transparency, by the first bytes. Every GIF counts as animated.
 * https://developers.google.com/speed/webp/docs/riff_container#extended_file_format
 * https://aomediacodec.github.io/av1-avif/#image-sequence-brand
 * @param {Blob} file
 * @returns {Promise<Content>}
 */
export async function readContent(file) {
  const bytes = new Uint8Array(await file.slice(0, 21).arrayBuffer());
  const text = String.fromCharCode(...bytes);
  if (text.startsWith("\xff\xd8\xff")) return "JPEG";
  const isAnimatedWebp = text.slice(8, 16) === "WEBPVP8X" && (bytes[20] & 2) > 0;
  return text.startsWith("GIF8") || isAnimatedWebp || text.slice(4, 12) === "ftypavis" ? "animation" : "other";
}

/** @param {string} name */
function getExtension(name) {
  return name.slice(name.lastIndexOf(".") + 1).toLowerCase();
}
