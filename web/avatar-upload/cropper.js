/** The user interface of the crop: a surface over the picture, and controls beside it that need no dragging. */

import { createElement, createIcon, setText } from "./create-element.js";
import { adjustCrop, centerCrop, getCenter, getMinimumSize, isAdjustable, isSame } from "./crop.js";
import { listenForGestures } from "./gestures.js";
import { fillIn, formatPercent } from "./messages.js";

/** Distance per press of a button, as a fraction of the square's edge. */
const STEP = 0.1;
/** Steps of the slider. Each zooms by the same factor. */
const SLIDER_STEPS = 100;
/** The position is announced after this time without a change, not at each step. */
const ANNOUNCE_DELAY_MS = 700;

/**
 * @typedef {import("./crop.js").Crop} Crop
 * @typedef {import("./crop.js").Point} Point
 */

/** In display order. */
const MOVES = [
  { name: /** @type {const} */ ("moveLeft"), to: shiftCenter(-STEP, 0), shape: "M42 10 20 32l22 22 5-5-17-17 17-17Z" },
  { name: /** @type {const} */ ("moveUp"), to: shiftCenter(0, -STEP), shape: "M10 42 32 20l22 22-5 5-17-17-17 17Z" },
  { name: /** @type {const} */ ("moveDown"), to: shiftCenter(0, STEP), shape: "M10 22 32 44l22-22-5-5-17 17-17-17Z" },
  { name: /** @type {const} */ ("moveRight"), to: shiftCenter(STEP, 0), shape: "M22 10 44 32 22 54l-5-5 17-17-17-17Z" },
];

export class Cropper {
  #onCrop;
  /** The picture that can be cropped. @type {import("./photo.js").Photo | null} */
  #picture = null;
  /** @type {Crop} */
  #crop = { x: 0, y: 0, size: 1 };
  /** The crop at the start of the current drag. @type {Crop | null} */
  #grabbed = null;
  /** The position as a sentence. */
  #announcement = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #announceTimer;

  #drag = createElement("p", { class: "drag" });
  #keys = createElement("p", { class: "keys", id: "keys" });
  #zoomLabel = createElement("label", { for: "zoom" });
  #zoom = createElement("input", { part: "zoom", id: "zoom", type: "range", max: String(SLIDER_STEPS) });
  #moves = MOVES.map(({ shape, ...move }) => ({ ...move, button: createMoveButton(shape) }));
  #reset = createElement("button", { part: "button reset", class: "reset", type: "button" });
  #announcer = createElement("p", { class: "unseen", role: "status" });

  /** Over the picture; takes gestures and keys. Role application: otherwise screen readers keep the arrow keys. */
  surface = createElement("div", {
    part: "crop",
    class: "crop",
    role: "application",
    tabindex: "0",
    "aria-describedby": "keys",
  });

  controls = createElement("div", { part: "controls", class: "controls", role: "group" }, [
    createElement("div", { part: "hint", class: "how" }, [this.#drag, this.#keys]),
    createElement("div", { class: "zoom" }, [this.#zoomLabel, this.#zoom]),
    createElement("div", { class: "place" }, [
      createElement("div", { class: "moves" }, this.#moves.map(({ button }) => button)),
      this.#reset,
    ]),
    this.#announcer,
  ]);

  /** Whether the picture has more than one square to choose from; assumed while it is loading. */
  isOffered = false;

  /** @param {(crop: Crop | null) => void} onCrop called with the user's square, or null for the default */
  constructor(onCrop) {
    this.#onCrop = onCrop;
    listenForGestures(this.surface, {
      grab: () => {
        this.#grabbed = this.#crop;
      },
      drag: (from, to) => {
        const factor = from.spread && to.spread ? to.spread / from.spread : 1;
        if (this.#grabbed) this.#adjust({ size: this.#grabbed.size / factor, from, to }, this.#grabbed);
      },
      move: (right, down) => this.#adjust({ to: shiftCenter(right, down) }),
      zoom: (factor, at) => this.#adjust({ size: this.#crop.size / factor, from: at }),
      reset: () => this.#resetCrop(),
    });
    this.#zoom.addEventListener("input", () => this.#applyZoom());
    this.#reset.addEventListener("click", () => this.#resetCrop());
    for (const { button, to } of this.#moves) button.addEventListener("click", () => this.#adjust({ to }));
  }

  /** @param {import("./view.js").Model} model */
  render(model) {
    const { state, preview, crop, disabled } = model;
    this.isOffered = state === "chosen" && (preview === "loading" || (preview !== null && isAdjustable(preview)));
    this.#setPicture(this.isOffered && preview !== "loading" ? preview : null);
    for (const part of [this.surface, this.controls]) {
      part.hidden = !this.isOffered;
      part.inert = disabled || !this.#picture;
    }
    this.#renderTexts(model);
    if (this.#picture) this.#renderCrop(this.#picture, crop ?? centerCrop(this.#picture), model);
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
   * @param {import("./photo.js").Photo} picture
   * @param {Crop} crop
   * @param {import("./view.js").Model} model
   */
  #renderCrop(picture, crop, { messages, language }) {
    const smallest = getMinimumSize(picture);
    const { x, y } = getCenter(picture, crop);
    const zoom = formatPercent(1 / crop.size, language);
    this.#crop = crop;
    const position = { x: formatPercent(x, language), y: formatPercent(y, language) };
    this.#announcement = fillIn(messages.placed, { ...position, zoom });
    this.#zoom.disabled = smallest === 1;
    const zoomLevel = Math.log(crop.size) / Math.log(smallest);
    this.#zoom.valueAsNumber = smallest === 1 ? 0 : Math.round(SLIDER_STEPS * zoomLevel);
    this.#zoom.ariaValueText = zoom;
    for (const { button, to } of this.#moves) {
      // aria-disabled only: a disabled button would lose the focus when the square reaches the picture's edge.
      button.ariaDisabled = String(isSame(adjustCrop(picture, crop, { to }), crop));
    }
  }

  /** @param {import("./photo.js").Photo | null} picture */
  #setPicture(picture) {
    if (picture === this.#picture) return;
    this.#picture = picture;
    this.#grabbed = null;
    clearTimeout(this.#announceTimer);
    setText(this.#announcer, "");
  }

  /** Not announced: screen readers read the slider's value themselves. */
  #applyZoom() {
    const zoomLevel = this.#zoom.valueAsNumber / SLIDER_STEPS;
    if (this.#picture) this.#adjust({ size: getMinimumSize(this.#picture) ** zoomLevel });
    clearTimeout(this.#announceTimer);
  }

  #resetCrop() {
    if (!this.#picture) return;
    this.#onCrop(null);
    this.#announceDelayed();
  }

  /**
   * @param {Parameters<typeof adjustCrop>[2]} change
   * @param {Crop} [crop] the crop to change
   */
  #adjust(change, crop = this.#crop) {
    if (!this.#picture) return;
    const next = adjustCrop(this.#picture, crop, change);
    if (isSame(next, this.#crop)) return;
    this.#onCrop(next);
    this.#announceDelayed();
  }

  #announceDelayed() {
    clearTimeout(this.#announceTimer);
    this.#announceTimer = setTimeout(() => setText(this.#announcer, this.#announcement), ANNOUNCE_DELAY_MS);
  }
}

/** @param {string} shape */
function createMoveButton(shape) {
  const arrow = createIcon(shape);
  arrow.setAttribute("aria-hidden", "true");
  return createElement("button", { part: "button move", class: "move", type: "button" }, [arrow]);
}

/**
 * The point that the center moves to.
 * @param {number} right
 * @param {number} down
 * @returns {Point}
 */
function shiftCenter(right, down) {
  return { x: 0.5 + right, y: 0.5 + down };
}
