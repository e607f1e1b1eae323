import { AvatarPicture } from "./avatar-picture.js";
import { find } from "./find.js";

/** Shows one profile, or that one is on its way, in the same places. */
export class ProfileView {
  /** The section, for Screens. */
  element;
  #picture;
  /** @type {import("./api.js").Profile | null} */
  #profile = null;

  /** @param {HTMLElement} element @param {() => void} onEdit */
  constructor(element, onEdit) {
    this.element = element;
    this.#picture = new AvatarPicture(find(element, ".avatar", HTMLElement));
    this.editButton.addEventListener("click", onEdit);
  }

  /** The profile in view; null while it is on its way. */
  get profile() {
    return this.#profile;
  }

  get editButton() {
    return find(this.element, ".edit", HTMLButtonElement);
  }

  /** @param {string} handle Whose profile will be here; empty when that is not known yet. */
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

  /** While the database wakes up. @param {boolean} waiting */
  showWaking(waiting) {
    find(this.element, ".waking", HTMLElement).textContent = waiting
      ? "The database is waking up, which takes up to half a minute. The profile comes by itself."
      : "";
  }

  /** @param {Pick<import("./api.js").Profile, "display_name" | "handle" | "bio">} profile @param {boolean} own */
  #write({ display_name, handle, bio }, own) {
    find(this.element, ".name", HTMLElement).textContent = display_name;
    find(this.element, ".handle", HTMLElement).textContent = handle && `@${handle}`;
    find(this.element, ".bio", HTMLElement).textContent = bio;
    find(this.element, ".empty-bio", HTMLElement).hidden = !own || bio !== "";
    this.editButton.hidden = !own;
    document.documentElement.style.setProperty("--hue", handle && String(hueOf(handle)));
  }
}

/**
 * A hue in degrees, so that every profile has colours of its own: FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/
 *
 * @param {string} handle
 */
function hueOf(handle) {
  let hash = 0x811c9dc5;
  for (const character of handle) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return hash % 360;
}
