/**
 * Defines `<avatar-upload>`. How to embed it: docs/widget.md.
 * @module
 */

import { AvatarUpload } from "./avatar-upload/element.js";

export { AvatarUpload } from "./avatar-upload/element.js";
export { UploadError } from "./avatar-upload/errors.js";
export { ENGLISH, failureSentence } from "./avatar-upload/messages.js";
export { removeAvatar } from "./avatar-upload/remove.js";
export { uploadAvatar } from "./avatar-upload/upload.js";

// A server has no customElements. A page may load two versions of the module: a second definition would throw.
if (globalThis.customElements && !customElements.get("avatar-upload")) {
  customElements.define("avatar-upload", AvatarUpload);
}
