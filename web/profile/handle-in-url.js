/** The handle in the page's URL, in lower case and without @; "" without one. */
export function readHandle() {
  const handle = new URLSearchParams(location.search).get("handle") ?? "";
  return handle.trim().replace(/^@/, "").toLowerCase();
}

/** Replaces the handle in the page's URL, without a new history entry. @param {string} handle "" removes it. */
export function replaceHandle(handle) {
  if (handle === readHandle()) return;
  const url = new URL(location.href);
  if (handle) url.searchParams.set("handle", handle);
  else url.searchParams.delete("handle");
  history.replaceState(null, "", url);
}

/** Replaces everything after the page's path with the handle, without a new history entry. @param {string} handle */
export function replaceQuery(handle) {
  history.replaceState(null, "", handle ? `?${new URLSearchParams({ handle })}` : location.pathname);
}
