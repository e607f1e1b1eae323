const DEFAULT = "/defaults/avatar.jpg";
/** The width of .avatar in profile.css. */
const SIZES = "(width < 40rem) 7rem, 10rem";

/** The avatar in the round frame. It is replaced only when the new image has loaded, so that nothing flickers. */
export class AvatarPicture {
  #frame;
  #request = 0;

  /** @param {HTMLElement} frame */
  constructor(frame) {
    this.#frame = frame;
  }

  /** Empties the frame while the profile is loading. */
  clear() {
    this.#request++;
    this.#frame.replaceChildren();
  }

  /** @param {import("./api.js").Avatar | null} avatar @param {string} name Display name, for the alternative text. */
  async show(avatar, name) {
    const request = ++this.#request;
    const wanted = avatar ? createAvatarImage(avatar, name) : createDefaultImage(name);
    const shown = this.#frame.querySelector("img");
    if (shown && shown.src === wanted.src && shown.srcset === wanted.srcset) {
      shown.alt = wanted.alt;
      return;
    }
    const picture = (await loadImage(wanted)) ?? (await loadImage(createDefaultImage(name)));
    if (request === this.#request && picture) this.#frame.replaceChildren(picture);
  }
}

/** @param {import("./api.js").Avatar} avatar */
export function getLargestImagePath({ images }) {
  return getPath([...images].sort((a, b) => b.size - a.size)[0].url);
}

/**
 * The path of an image. This page's own host has it too: the stack's `domain` is another host of the same CDN, and the
 * page's policy allows images of its own host only.
 *
 * @param {string} url
 */
function getPath(url) {
  return new URL(url).pathname;
}

/** @param {import("./api.js").Avatar} avatar @param {string} name */
function createAvatarImage(avatar, name) {
  const image = createImage(`Profile picture of ${name}`);
  image.sizes = SIZES;
  image.srcset = avatar.images.map(({ url, size }) => `${getPath(url)} ${size}w`).join(", ");
  // Not avatar.url: caches may serve the former image for a minute.
  image.src = getLargestImagePath(avatar);
  return image;
}

/** @param {string} name */
function createDefaultImage(name) {
  const image = createImage(`${name} has no profile picture to show`);
  image.src = DEFAULT;
  return image;
}

/** @param {string} alt */
function createImage(alt) {
  const image = new Image(160, 160);
  image.alt = alt;
  // Synchronous: decode() never resolves in a background tab.
  image.decoding = "sync";
  return image;
}

/**
 * Waits for an image. Resolves with null when it fails to load.
 *
 * @param {HTMLImageElement} image
 * @returns {Promise<HTMLImageElement | null>}
 */
function loadImage(image) {
  return new Promise((resolve) => {
    image.addEventListener("load", () => resolve(image), { once: true });
    image.addEventListener("error", () => resolve(null), { once: true });
  });
}
