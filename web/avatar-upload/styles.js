/** Styles of the element. docs/widget.md documents the custom properties. A constructed stylesheet needs no style-src. */

const CSS = `
:host {
  --accent: var(--avatar-upload-accent, light-dark(#1d4ed8, #93b4ff));
  --on-accent: var(--avatar-upload-on-accent, light-dark(#ffffff, #0b1533));
  --surface: var(--avatar-upload-surface, light-dark(#ffffff, #1b1d22));
  --text: var(--avatar-upload-text, light-dark(#16181d, #eceef2));
  --muted: var(--avatar-upload-muted, light-dark(#5b616e, #a9b0bd));
  --line: var(--avatar-upload-line, light-dark(#d5d9e0, #3a3f4a));
  --control: var(--avatar-upload-control, light-dark(#767d8b, #7d8594));
  --danger: var(--avatar-upload-danger, light-dark(#b42318, #ffa198));
  --success: var(--avatar-upload-success, light-dark(#0a6b3d, #7ddfae));
  --size: var(--avatar-upload-size, 9rem);
  --crop-size: var(--avatar-upload-crop-size, 16rem);
  --mask: var(--avatar-upload-mask, 50%);
  --radius: var(--avatar-upload-radius, 0.75rem);
  display: block;
  container-type: inline-size;
  contain-intrinsic-inline-size: min(42rem, 100vw - 2rem); /* otherwise a shrink-to-fit container would collapse */
  min-inline-size: 0;
  max-inline-size: 42rem;
}
:host([hidden]), [hidden] { display: none !important; }
*, ::before, ::after { box-sizing: border-box; }

.card {
  display: flex;
  align-items: center;
  gap: 1rem 1.5rem;
  padding: 1.25rem;
  color: var(--text);
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: var(--radius);
  line-height: 1.45;
}
.card.target { outline: 2px dashed var(--accent); outline-offset: -2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }

.picture {
  position: relative;
  flex: none;
  inline-size: var(--size);
  aspect-ratio: 1;
  overflow: hidden;
  color: var(--muted);
  background: color-mix(in srgb, var(--muted) 16%, var(--surface));
  border-radius: var(--mask);
  transition: border-radius 0.25s;
}
.picture.square { border-radius: calc(var(--radius) * 2 / 3); }
.picture > * { position: absolute; inset: 0; inline-size: 100%; block-size: 100%; object-fit: cover; }
.mask {
  border: 2px solid #ffffff;
  border-radius: var(--mask);
  box-shadow: 0 0 0 100vmax rgb(0 0 0 / 0.5);
}
.crop { z-index: 1; cursor: grab; touch-action: none; user-select: none; -webkit-user-select: none; }
.crop:active { cursor: grabbing; }
.cropping .picture { inline-size: min(var(--crop-size), 100%); }
.picture:has(.crop:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; } /* .crop's own outline is clipped */
.working::after {
  content: "";
  position: absolute;
  inset: 0;
  background: linear-gradient(100deg, transparent 30%, rgb(255 255 255 / 0.35) 50%, transparent 70%) 0 0 / 300% 100%;
  animation: sweep 1.8s linear infinite;
}
@keyframes sweep { from { background-position: 150% 0; } to { background-position: 0 0; } }

.side { flex: 1; display: grid; gap: 0.75rem; min-inline-size: 0; }
p { margin: 0; overflow-wrap: anywhere; text-wrap: pretty; }
p:empty { position: absolute; } /* takes no gap, but stays in the document: a live region must exist before it announces */
.error { color: var(--danger); font-weight: 600; }
.good { color: var(--success); font-weight: 600; }
.good::before { content: "✓ " / ""; }
.hint, .percent { color: var(--muted); font-size: 0.875em; }
.hint { display: none; }
@media (pointer: fine) { .hint { display: block; } }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.controls { display: grid; gap: 0.5rem; }
.how { display: grid; color: var(--muted); font-size: 0.875em; }
.how > * { grid-area: 1 / 1; }
.card:not(:has(.crop:focus-visible)) .keys, .card:has(.crop:focus-visible) .drag { visibility: hidden; }
.zoom, .place, .moves { display: flex; align-items: center; }
.zoom { gap: 0.75rem; }
.place { flex-wrap: wrap; justify-content: space-between; gap: 0.5rem; }
.moves { direction: ltr; gap: 0.375rem; } /* also on right-to-left pages */
.zoom label { font-weight: 600; }
input[type=range] {
  appearance: none;
  flex: 1;
  min-inline-size: 0;
  block-size: 1.75rem;
  margin: 0;
  background: transparent;
  border-radius: 1rem;
  cursor: pointer;
}
input::-webkit-slider-runnable-track { block-size: 0.25rem; background: var(--control); border-radius: 1rem; }
input::-moz-range-track { block-size: 0.25rem; background: var(--control); border-radius: 1rem; }
input::-webkit-slider-thumb {
  appearance: none;
  inline-size: 1.5rem;
  block-size: 1.5rem;
  margin-block-start: -0.625rem;
  background: var(--accent);
  border: 3px solid var(--surface);
  border-radius: 50%;
  box-shadow: 0 0 0 1px var(--control);
}
input::-moz-range-thumb {
  box-sizing: border-box;
  inline-size: 1.5rem;
  block-size: 1.5rem;
  background: var(--accent);
  border: 3px solid var(--surface);
  border-radius: 50%;
  box-shadow: 0 0 0 1px var(--control);
}

.bar { display: flex; align-items: center; gap: 0.75rem; min-block-size: 1.5lh; }
.percent { font-variant-numeric: tabular-nums; }
.percent:empty { display: none; }
progress {
  appearance: none;
  flex: 1;
  min-inline-size: 0;
  block-size: 0.625rem;
  overflow: hidden;
  background: var(--surface);
  border: 1px solid var(--control);
  border-radius: 1rem;
}
progress::-webkit-progress-bar { background: transparent; }
progress::-webkit-progress-value { background: var(--accent); transition: inline-size 0.2s; }
progress::-moz-progress-bar { background: var(--accent); }
progress:indeterminate {
  background: linear-gradient(90deg, transparent 25%, var(--accent) 50%, transparent 75%) 0 0 / 200% 100%;
  animation: run 1.4s linear infinite;
}
progress:indeterminate::-moz-progress-bar { background: transparent; }
@keyframes run { from { background-position: 200% 0; } to { background-position: 0 0; } }

.confirmation { display: grid; gap: 0.75rem; font-weight: 600; }
.actions { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.cropping .actions button { flex: 1 1 auto; }
.cropping .actions button.primary { flex-basis: 100%; }
button {
  flex: 0 1 auto;
  min-block-size: 2.75rem;
  padding: 0.375rem 0.875rem;
  font: inherit;
  font-weight: 600;
  color: var(--text);
  background: transparent;
  border: 1px solid var(--control);
  border-radius: calc(var(--radius) * 2 / 3);
  cursor: pointer;
  touch-action: manipulation;
}
button:active:not([aria-disabled=true]) { background: color-mix(in srgb, var(--text) 16%, transparent); }
button.primary { color: var(--on-accent); background: var(--accent); border-color: var(--accent); }
button.primary:active { background: color-mix(in srgb, var(--accent) 76%, var(--text)); }
button.danger { color: var(--danger); border-color: currentcolor; }
button:is(.quiet, .reset) { border-color: transparent; }
@media (hover: hover) {
  button:hover:not(:active, :disabled, [aria-disabled=true]) { background: color-mix(in srgb, var(--text) 8%, transparent); }
  button.primary:hover:not(:active, :disabled) { background: color-mix(in srgb, var(--accent) 88%, var(--text)); }
}
button:disabled { opacity: 0.5; cursor: not-allowed; }
button.move { display: grid; place-items: center; inline-size: 2.5rem; min-block-size: 2.5rem; padding: 0; }
button.move svg { inline-size: 1.125rem; }
button.reset { min-block-size: 2.5rem; padding-inline: 0.5rem; }
button[aria-disabled=true] { color: var(--muted); cursor: default; }
button.move[aria-disabled=true] { border-color: var(--line); }
[inert] { opacity: 0.5; }
.camera { display: none; }
@media (pointer: coarse) { .camera { display: block; } }

@container (inline-size < 36rem) {
  .card.cropping { flex-direction: column; text-align: center; }
  .cropping .side { inline-size: 100%; max-inline-size: 24rem; }
}
@container (inline-size < 26rem) {
  .card { flex-direction: column; text-align: center; }
  .side { inline-size: 100%; }
  .actions button { inline-size: 100%; }
  .cropping .actions button { inline-size: auto; }
  button.move { inline-size: 2.25rem; min-block-size: 2.25rem; }
}
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after, progress::-webkit-progress-value { animation: none !important; transition: none !important; }
  progress:indeterminate { background: repeating-linear-gradient(135deg, var(--accent) 0 6px, transparent 6px 12px); }
  .working::after { content: none; }
}
@media (forced-colors: active) {
  progress { --accent: Highlight; --surface: Canvas; --control: CanvasText; } /* other colors would be overridden */
  input[type=range] { --accent: CanvasText; --surface: Canvas; --control: CanvasText; }
  button.primary { border-width: 3px; }
  button:is(:disabled, [aria-disabled=true]) { opacity: 1; color: GrayText; border-color: GrayText; }
  .picture { border: 1px solid CanvasText; }
}
`;

/** @type {CSSStyleSheet | undefined} */
let sheet;

/** Returns the stylesheet that all elements share. It is not created with the module, which a server may import. */
export function getStyles() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
