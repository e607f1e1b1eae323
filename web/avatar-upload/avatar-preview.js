/** The picture in the card: the current avatar, or the preview of a new photo. */

import { centerCrop } from "./crop.js";
import { createElement, createIcon } from "./create-element.js";
import { Photo } from "./photo.js";

const SILHOUETTE = "M32 36a13 13 0 1 0 0-26 13 13 0 0 0 0 26Zm0 5C17 41 7 50 5 64h54C57 50 47 41 32 41Z";
const FILE = "M10 14v36h44V14H10Zm4 4h36v22l-10-10-12 13-5-5-9 9V18Zm9 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z";

/** Edge of the preview in pixels: the default's largest avatar, so that the preview is no sharper. */
const PREVIEW_EDGE = 512;

/** @typedef {{ src: string, srcset?: string }} ImageSource `src` is empty for no picture */

export class AvatarPreview {
  #silhouette = createIcon(SILHOUETTE);
  #file = createIcon(FILE);
  #canvas = createElement("canvas", {
    part: "preview",
    role: "img",
    width: String(PREVIEW_EDGE),
    height: String(PREVIEW_EDGE),
  });
  #mask = createElement("div", { class: "mask" });
  #avatar = createElement("img", { part: "avatar" });
  #hasAvatar = false;
  /** The avatar that is loading. @type {HTMLImageElement | null} */
  #loading = null;
  /** @type {Pick<import("./flow.js").Photo, "preview" | "crop">} */
  #drawn = { preview: null, crop: null };

  element = createElement("div", { part: "picture", class: "picture" });

  /** @param {HTMLElement} surface takes gestures, over the picture */
  constructor(surface) {
    this.element.append(this.#avatar, this.#silhouette, this.#file, this.#canvas, this.#mask, surface);
  }

  get hasAvatar() {
    return this.#hasAvatar;
  }

  /**
   * Replaces the current avatar once the new one has loaded, so that nothing flickers. Of several calls the last one
   * wins.
   * @param {ImageSource} source
   * @returns {Promise<boolean>} whether it has loaded and is the current one
   */
  async load({ src, srcset = "" }) {
    const image = createElement("img", { part: "avatar", sizes: `${this.element.clientWidth || 144}px`, srcset, src });
    this.#loading = image;
    const loaded = src !== "" && (await image.decode().then(() => true, () => false));
    if (this.#loading !== image) return false;
    this.#loading = null;
    this.#avatar.replaceWith(image);
    this.#avatar = image;
    this.#hasAvatar = loaded;
    return loaded;
  }

  /** @param {import("./view.js").Model} model */
  render({ state, file, preview, crop, alt, messages }) {
    const square = file !== null && state !== "ready";
    this.element.classList.toggle("square", square);
    this.element.classList.toggle("working", state === "processing");
    this.#avatar.alt = alt || messages.alt;
    this.#avatar.hidden = file !== null || !this.#hasAvatar;
    setVisible(this.#silhouette, file === null && !this.#hasAvatar && !this.#loading, messages.noPicture);
    setVisible(this.#file, file !== null && preview === null, file?.name ?? "");
    setVisible(this.#canvas, preview instanceof Photo, messages.preview);
    this.#mask.hidden = !square || this.#canvas.hidden;
    const isDrawn = preview === this.#drawn.preview && crop === this.#drawn.crop;
    if (preview instanceof Photo && !isDrawn) preview.draw(this.#canvas, crop ?? centerCrop(preview));
    this.#drawn = { preview, crop };
  }
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {boolean} visible
 * @param {string} label
 */
function setVisible(element, visible, label) {
  element.toggleAttribute("hidden", !visible);
  element.setAttribute("aria-label", label);
}
