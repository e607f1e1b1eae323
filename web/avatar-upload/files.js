/** What a file the user has chosen is, as far as can be said before the server has decoded it. */

import { UploadError } from "./failures.js";

/**
 * What the server takes, as docs/api.md lists it.
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

/** What systems say of files they have no type for. */
const NO_TYPE = new Set(["", "application/octet-stream"]);

/**
 * The media type to declare; empty when neither type nor extension is known.
 * @param {File} file
 */
export function contentType(file) {
  const type = file.type.toLowerCase();
  if (NO_TYPE.has(type)) return TYPE_OF_EXTENSION[extension(file.name)] ?? "";
  return type === "image/jpg" ? "image/jpeg" : type;
}

/**
 * Finds what is wrong with a file without the server.
 * @param {File} file
 * @throws {UploadError} `unreadable_file` (gone, changed since, or a folder), `empty_file`, `unsupported_type`
 */
export async function check(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch (cause) {
    throw new UploadError("unreadable_file", { cause });
  }
  if (file.size === 0) throw new UploadError("empty_file");
  if (!contentType(file).startsWith("image/")) throw new UploadError("unsupported_type");
}

/** @param {string} name */
function extension(name) {
  return name.slice(name.lastIndexOf(".") + 1).toLowerCase();
}
