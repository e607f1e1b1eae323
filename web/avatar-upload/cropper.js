/** What the user chooses the square with: a surface over the picture, and controls beside it that need no dragging. */

import { adjusted, centre, isAdjustable, isSame, middle, smallestSize } from "./crop.js";
import { icon, make, setText } from "./dom.js";
import { takeGestures } from "./gestures.js";
import { filled, percent } from "./messages.js";

/** Of the square's edge, for a press of a button. */
const STEP = 0.1;
/** Of the slider. Each makes the picture larger by the same factor, so that it moves as evenly at both ends. */
const NOTCHES = 100;
/** Where the square is, is said when it rests: a region that spoke at each step would not stop talking. */
const REST_MS = 700;

/**
 * @typedef {import("./crop.js").Crop} Crop
 * @typedef {import("./crop.js").Point} Point
 */

/** In the order they are shown in. */
const MOVES = [
  { name: /** @type {const} */ ("moveLeft"), to: shifted(-STEP, 0), shape: "M42 10 20 32l22 22 5-5-17-17 17-17Z" },
  { name: /** @type {const} */ ("moveUp"), to: shifted(0, -STEP), shape: "M10 42 32 20l22 22-5 5-17-17-17 17Z" },
  { name: /** @type {const} */ ("moveDown"), to: shifted(0, STEP), shape: "M10 22 32 44l22-22-5-5-17 17-17-17Z" },
  { name: /** @type {const} */ ("moveRight"), to: shifted(STEP, 0), shape: "M22 10 44 32 22 54l-5-5 17-17-17-17Z" },
];

export class Cropper {
  #wish;
  /** The one there is a square to choose of. @type {HTMLImageElement | null} */
  #picture = null;
  /** @type {Crop} */
  #crop = { x: 0, y: 0, size: 1 };
  /** As it was then; of another picture it would mean nothing. @type {Crop | null} */
  #grabbed = null;
  /** What is said of the square. */
  #sentence = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #rest;

  #drag = make("p", { class: "drag" });
  #keys = make("p", { class: "keys", id: "keys" });
  #zoomLabel = make("label", { for: "zoom" });
  #zoom = make("input", { part: "zoom", id: "zoom", type: "range", max: String(NOTCHES) });
  #moves = MOVES.map(({ shape, ...move }) => ({ ...move, button: moveButton(shape) }));
  #reset = make("button", { part: "button reset", class: "reset", type: "button" });
  #said = make("p", { class: "unseen", role: "status" });

  /** Lies over the picture, and takes gestures and keys. An application: else screen readers keep the arrow keys. */
  surface = make("div", {
    part: "crop",
    class: "crop",
    role: "application",
    tabindex: "0",
    "aria-describedby": "keys",
  });

  controls = make("div", { part: "controls", class: "controls", role: "group" }, [
    make("div", { part: "hint", class: "how" }, [this.#drag, this.#keys]),
    make("div", { class: "zoom" }, [this.#zoomLabel, this.#zoom]),
    make("div", { class: "place" }, [
      make("div", { class: "moves" }, this.#moves.map(({ button }) => button)),
      this.#reset,
    ]),
    this.#said,
  ]);

  /** Whether the picture has more than one square to choose from; while it is loading that is taken for granted. */
  isOffered = false;

  /** @param {(crop: Crop | null) => void} wish is told the square the user wants, null for the one of who wants none */
  constructor(wish) {
    this.#wish = wish;
    takeGestures(this.surface, {
      grab: () => {
        this.#grabbed = this.#crop;
      },
      drag: (from, to) => {
        const factor = from.spread && to.spread ? to.spread / from.spread : 1;
        if (this.#grabbed) this.#adjust({ size: this.#grabbed.size / factor, from, to }, this.#grabbed);
      },
      move: (right, down) => this.#adjust({ to: shifted(right, down) }),
      zoom: (factor, at) => this.#adjust({ size: this.#crop.size / factor, from: at }),
      reset: () => this.#recentre(),
    });
    this.#zoom.addEventListener("input", () => this.#slide());
    this.#reset.addEventListener("click", () => this.#recentre());
    for (const { button, to } of this.#moves) button.addEventListener("click", () => this.#adjust({ to }));
  }

  /** @param {import("./view.js").Model} model */
  render(model) {
    const { state, preview, crop, disabled } = model;
    this.isOffered = state === "chosen" && (preview === "loading" || (preview !== null && isAdjustable(preview)));
    this.#take(this.isOffered && preview !== "loading" ? preview : null);
    for (const part of [this.surface, this.controls]) {
      part.hidden = !this.isOffered;
      part.inert = disabled || !this.#picture;
    }
    this.#renderTexts(model);
    if (this.#picture) this.#renderCrop(this.#picture, crop ?? centre(this.#picture), model);
    this.#reset.ariaDisabled = String(!crop);
  }

  /** @param {import("./view.js").Model} model */
  #renderTexts({ messages }) {
    this.surface.ariaLabel = messages.cropArea;
    this.controls.ariaLabel = messages.cropControls;
    setText(this.#drag, messages.cropByPointer);
    setText(this.#keys, messages.cropByKeys);
    setText(this.#zoomLabel, messages.zoom);
    setText(this.#reset, messages.resetCrop);
    for (const { button, name } of this.#moves) button.ariaLabel = messages[name];
  }

  /**
   * @param {HTMLImageElement} picture
   * @param {Crop} crop
   * @param {import("./view.js").Model} model
   */
  #renderCrop(picture, crop, { messages, language }) {
    const smallest = smallestSize(picture);
    const { x, y } = middle(picture, crop);
    const zoom = percent(1 / crop.size, language);
    this.#crop = crop;
    this.#sentence = filled(messages.placed, { x: percent(x, language), y: percent(y, language), zoom });
    this.#zoom.disabled = smallest === 1;
    this.#zoom.valueAsNumber = smallest === 1 ? 0 : Math.round((NOTCHES * Math.log(crop.size)) / Math.log(smallest));
    this.#zoom.ariaValueText = zoom;
    for (const { button, to } of this.#moves) {
      // Not disabled: a button that has brought the square to the picture's edge would lose the focus.
      button.ariaDisabled = String(isSame(adjusted(picture, crop, { to }), crop));
    }
  }

  /** @param {HTMLImageElement | null} picture */
  #take(picture) {
    if (picture === this.#picture) return;
    this.#picture = picture;
    this.#grabbed = null;
    clearTimeout(this.#rest);
    setText(this.#said, "");
  }

  /** What the slider is at, screen readers say by themselves. */
  #slide() {
    if (this.#picture) this.#adjust({ size: smallestSize(this.#picture) ** (this.#zoom.valueAsNumber / NOTCHES) });
    clearTimeout(this.#rest);
  }

  #recentre() {
    if (!this.#picture) return;
    this.#wish(null);
    this.#sayWhenItRests();
  }

  /**
   * @param {Parameters<typeof adjusted>[2]} change
   * @param {Crop} [crop] what is changed
   */
  #adjust(change, crop = this.#crop) {
    if (!this.#picture) return;
    const next = adjusted(this.#picture, crop, change);
    if (isSame(next, this.#crop)) return;
    this.#wish(next);
    this.#sayWhenItRests();
  }

  #sayWhenItRests() {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => setText(this.#said, this.#sentence), REST_MS);
  }
}

/** @param {string} shape */
function moveButton(shape) {
  const arrow = icon(shape);
  arrow.setAttribute("aria-hidden", "true");
  return make("button", { part: "button move", class: "move", type: "button" }, [arrow]);
}

/**
 * Where what is in the middle comes to.
 * @param {number} right
 * @param {number} down
 * @returns {Point}
 */
function shifted(right, down) {
  return { x: 0.5 + right, y: 0.5 + down };
}
