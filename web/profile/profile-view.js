import { AvatarPicture } from "./avatar-picture.js";
import { findElement } from "./find-element.js";

/** Shows a profile, or that it is loading. */
export class ProfileView {
  /** The section, for Screens. */
  element;
  #picture;
  /** @type {import("./api.js").Profile | null} */
  #profile = null;

  /** @param {HTMLElement} element @param {() => void} onEdit */
  constructor(element, onEdit) {
    this.element = element;
    this.#picture = new AvatarPicture(findElement(element, ".avatar", HTMLElement));
    this.editButton.addEventListener("click", onEdit);
  }

  /** The profile in view; null while it is loading. */
  get profile() {
    return this.#profile;
  }

  get editButton() {
    return findElement(this.element, ".edit", HTMLButtonElement);
  }

  /** @param {string} handle Of the profile that is loading; empty if not known yet. */
  showLoading(handle) {
    this.#profile = null;
    this.#picture.clear();
    this.#write({ display_name: "Loading the profile", handle, bio: "" }, false);
    this.element.dataset.title = "Profile";
    this.element.ariaBusy = "true";
  }

  /** @param {import("./api.js").Profile} profile @param {{own: boolean}} options `own`: it can be edited. */
  show(profile, { own }) {
    this.#profile = profile;
    this.#write(profile, own);
    this.element.dataset.title = `${profile.display_name} (@${profile.handle})`;
    this.element.ariaBusy = "false";
    void this.#picture.show(profile.avatar, profile.display_name);
  }

  /** Tells that the database is resuming. @param {boolean} waiting */
  showUnavailable(waiting) {
    findElement(this.element, ".waking", HTMLElement).textContent = waiting
      ? "The database is waking up, which takes up to half a minute. The profile comes by itself."
      : "";
  }

  /** @param {Pick<import("./api.js").Profile, "display_name" | "handle" | "bio">} profile @param {boolean} own */
  #write({ display_name, handle, bio }, own) {
    findElement(this.element, ".name", HTMLElement).textContent = display_name;
    findElement(this.element, ".handle", HTMLElement).textContent = handle && `@${handle}`;
    findElement(this.element, ".bio", HTMLElement).textContent = bio;
    findElement(this.element, ".empty-bio", HTMLElement).hidden = !own || bio !== "";
    this.editButton.hidden = !own;
    document.documentElement.style.setProperty("--hue", handle && String(computeHue(handle)));
  }
}

/**
 * Computes a hue in degrees from the handle, so that profiles differ in color. FNV-1a:
 * http://www.isthe.com/chongo/tech/comp/fnv/
 *
 * @param {string} handle
 */
function computeHue(handle) {
  let hash = 0x811c9dc5;
  for (const character of handle) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return hash % 360;
}
