/** The picture in the card: the current avatar, or what the server would keep of a new photo. */

import { centre } from "./crop.js";
import { icon, make } from "./dom.js";
import { draw } from "./preview.js";

const SILHOUETTE = "M32 36a13 13 0 1 0 0-26 13 13 0 0 0 0 26Zm0 5C17 41 7 50 5 64h54C57 50 47 41 32 41Z";
const FILE = "M10 14v36h44V14H10Zm4 4h36v22l-10-10-12 13-5-5-9 9V18Zm9 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8Z";

/** @typedef {{ src: string, srcset?: string }} Address of a picture; an empty `src` for none */

export class Frame {
  #silhouette = icon(SILHOUETTE);
  #file = icon(FILE);
  #canvas = make("canvas", { part: "preview", role: "img" });
  #mask = make("div", { class: "mask" });
  #avatar = make("img", { part: "avatar" });
  #hasAvatar = false;
  /** The avatar that is being loaded. @type {HTMLImageElement | null} */
  #coming = null;
  /** @type {Pick<import("./flow.js").Photo, "preview" | "crop">} */
  #drawn = { preview: null, crop: null };

  element = make("div", { part: "picture", class: "picture" });

  /** @param {HTMLElement} surface lies over the picture */
  constructor(surface) {
    this.element.append(this.#avatar, this.#silhouette, this.#file, this.#canvas, this.#mask, surface);
  }

  get hasAvatar() {
    return this.#hasAvatar;
  }

  /**
   * Makes another avatar the current one when it has been loaded, so that nothing flashes; the last one asked for wins.
   * @param {Address} address
   * @returns {Promise<boolean>} whether it is the current one now
   */
  async load({ src, srcset = "" }) {
    const image = make("img", { part: "avatar", sizes: `${this.element.clientWidth || 144}px`, srcset, src });
    this.#coming = image;
    const loaded = src !== "" && (await image.decode().then(yes, no));
    if (this.#coming !== image) return false;
    this.#coming = null;
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
    show(this.#silhouette, file === null && !this.#hasAvatar && !this.#coming, messages.noPicture);
    show(this.#file, file !== null && preview === null, file?.name ?? "");
    show(this.#canvas, preview instanceof HTMLImageElement, messages.preview);
    this.#mask.hidden = !square || this.#canvas.hidden;
    const isDrawn = preview === this.#drawn.preview && crop === this.#drawn.crop;
    if (preview instanceof HTMLImageElement && !isDrawn) draw(this.#canvas, preview, crop ?? centre(preview));
    this.#drawn = { preview, crop };
  }
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {boolean} visible
 * @param {string} label
 */
function show(element, visible, label) {
  element.toggleAttribute("hidden", !visible);
  element.setAttribute("aria-label", label);
}

const yes = () => true;
const no = () => false;
