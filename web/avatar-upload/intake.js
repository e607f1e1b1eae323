/** Ways for a photo to get in besides the file dialog: dropped or pasted. */

/**
 * @typedef {object} Taker
 * @property {() => boolean} isOpen whether a photo would be taken now
 * @property {(file: File) => void} take
 */

/**
 * Takes what is dropped on `target`.
 * @param {HTMLElement} target
 * @param {Taker & { hover: (over: boolean) => void }} taker `hover` is told when files are held over the target
 */
export function takeDrops(target, { isOpen, take, hover }) {
  let depth = 0; // each child of the target has its own enter and leave, and they overlap
  const moved = (/** @type {DragEvent} */ event, /** @type {number} */ change) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth + change);
    hover(depth > 0 && isOpen());
  };
  target.addEventListener("dragenter", (event) => moved(event, 1));
  target.addEventListener("dragleave", (event) => moved(event, -1));
  target.addEventListener("dragover", (event) => {
    if (!hasFiles(event) || !event.dataTransfer) return;
    event.preventDefault(); // or the browser would leave the page to show the file
    event.dataTransfer.dropEffect = isOpen() ? "copy" : "none";
  });
  target.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    hover(false);
    const file = photoIn(event.dataTransfer);
    if (file && isOpen()) take(file);
  });
}

/** @type {Set<HTMLElement>} */
const hosts = new Set();

/**
 * Takes what is pasted into `host`, or into nothing in particular while there is no other host on the page.
 * @param {HTMLElement} host
 * @param {Taker} taker
 * @param {AbortSignal} signal ends it
 */
export function takePastes(host, { isOpen, take }, signal) {
  hosts.add(host);
  signal.addEventListener("abort", () => hosts.delete(host));
  const isMeant = (/** @type {ClipboardEvent} */ event) =>
    event.composedPath().includes(host) || (hosts.size === 1 && event.target === document.body);
  document.addEventListener(
    "paste",
    (event) => {
      const file = photoIn(event.clipboardData);
      if (!file || !isOpen() || !isMeant(event)) return;
      event.preventDefault();
      take(file);
    },
    { signal },
  );
}

/** @param {DragEvent} event */
function hasFiles({ dataTransfer }) {
  return dataTransfer?.types.includes("Files") ?? false;
}

/** The first picture among the files, else the first file. @param {DataTransfer | null} transfer */
function photoIn(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find(({ type }) => type.startsWith("image/")) ?? files.at(0);
}
