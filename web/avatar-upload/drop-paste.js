/** Takes photos that are dropped or pasted. */

/**
 * @typedef {object} FileReceiver
 * @property {() => boolean} isEnabled whether a photo can be taken now
 * @property {(file: File) => void} receive
 */

/**
 * Receives files that are dropped on `target`.
 * @param {HTMLElement} target
 * @param {FileReceiver & { onHover: (over: boolean) => void }} receiver `onHover`: files are dragged over the target
 */
export function listenForDrops(target, { isEnabled, receive, onHover }) {
  let depth = 0; // enter and leave events of the target's children overlap
  const update = (/** @type {DragEvent} */ event, /** @type {number} */ change) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth + change);
    onHover(depth > 0 && isEnabled());
  };
  target.addEventListener("dragenter", (event) => update(event, 1));
  target.addEventListener("dragleave", (event) => update(event, -1));
  target.addEventListener("dragover", (event) => {
    if (!hasFiles(event) || !event.dataTransfer) return;
    event.preventDefault(); // otherwise the browser navigates to the file
    event.dataTransfer.dropEffect = isEnabled() ? "copy" : "none";
  });
  target.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    onHover(false);
    const file = findPhoto(event.dataTransfer);
    if (file && isEnabled()) receive(file);
  });
}

/** @type {Set<HTMLElement>} */
const hosts = new Set();

/**
 * Receives files that are pasted into `host`, or into the body while `host` is the only one on the page.
 * @param {HTMLElement} host
 * @param {FileReceiver} receiver
 * @param {AbortSignal} signal removes the listener
 */
export function listenForPastes(host, { isEnabled, receive }, signal) {
  hosts.add(host);
  signal.addEventListener("abort", () => hosts.delete(host));
  const isTarget = (/** @type {ClipboardEvent} */ event) =>
    event.composedPath().includes(host) || (hosts.size === 1 && event.target === document.body);
  document.addEventListener(
    "paste",
    (event) => {
      const file = findPhoto(event.clipboardData);
      if (!file || !isEnabled() || !isTarget(event)) return;
      event.preventDefault();
      receive(file);
    },
    { signal },
  );
}

/** @param {DragEvent} event */
function hasFiles({ dataTransfer }) {
  return dataTransfer?.types.includes("Files") ?? false;
}

/** The first image among the files, else the first file. @param {DataTransfer | null} transfer */
function findPhoto(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find(({ type }) => type.startsWith("image/")) ?? files.at(0);
}
