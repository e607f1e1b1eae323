const DEFAULT = "/defaults/avatar.jpg";
/** As wide as .avatar in profile.css. */
const SIZES = "(width < 40rem) 7rem, 10rem";

/** The picture in the round frame. It changes only when the new one has arrived whole, so nothing broken flashes up. */
export class AvatarPicture {
  #frame;
  #turn = 0;

  /** @param {HTMLElement} frame */
  constructor(frame) {
    this.#frame = frame;
  }

  /** Nothing, until it is known what. */
  clear() {
    this.#turn++;
    this.#frame.replaceChildren();
  }

  /** @param {import("./api.js").Avatar | null} avatar @param {string} name Whose. */
  async show(avatar, name) {
    const turn = ++this.#turn;
    const wanted = avatar ? pictureOf(avatar, name) : defaultPicture(name);
    const shown = this.#frame.querySelector("img");
    if (shown && shown.src === wanted.src && shown.srcset === wanted.srcset) {
      shown.alt = wanted.alt;
      return;
    }
    const picture = (await loaded(wanted)) ?? (await loaded(defaultPicture(name)));
    if (turn === this.#turn && picture) this.#frame.replaceChildren(picture);
  }
}

/** The address of the default, or of the largest picture there is. @param {import("./api.js").Avatar | null} avatar */
export function largestPicture(avatar) {
  return avatar ? [...avatar.images].sort((a, b) => b.size - a.size)[0].url : DEFAULT;
}

/** @param {import("./api.js").Avatar} avatar @param {string} name */
function pictureOf(avatar, name) {
  const image = square(`Profile picture of ${name}`);
  image.sizes = SIZES;
  image.srcset = avatar.images.map(({ url, size }) => `${url} ${size}w`).join(", ");
  // Not avatar.url, which is a minute behind at most.
  image.src = largestPicture(avatar);
  return image;
}

/** @param {string} name */
function defaultPicture(name) {
  const image = square(`${name} has no profile picture to show`);
  image.src = DEFAULT;
  return image;
}

/** @param {string} alt */
function square(alt) {
  const image = new Image(160, 160);
  image.alt = alt;
  // Decoded with the frame that it appears in; decode() would wait for ever in a tab in the background.
  image.decoding = "sync";
  return image;
}

/**
 * Resolves with the image, or with null when it cannot be had.
 *
 * @param {HTMLImageElement} image
 * @returns {Promise<HTMLImageElement | null>}
 */
function loaded(image) {
  return new Promise((resolve) => {
    image.addEventListener("load", () => resolve(image), { once: true });
    image.addEventListener("error", () => resolve(null), { once: true });
  });
}
