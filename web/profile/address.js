/** The handle in the page's address, as handles are written; "" without one. */
export function handleInAddress() {
  const handle = new URLSearchParams(location.search).get("handle") ?? "";
  return handle.trim().replace(/^@/, "").toLowerCase();
}

/** Nobody needs to come back to the former address. @param {string} handle */
export function putIntoAddress(handle) {
  if (handle === handleInAddress()) return;
  const url = new URL(location.href);
  url.searchParams.set("handle", handle);
  history.replaceState(null, "", url);
}
