/**
 * Opens a connection that will be needed within ten seconds: browsers close it after that.
 * https://developer.akamai.com/blog/2018/06/25/experiments-browser-preconnects
 * @param {string} url
 * @param {"anonymous" | null} crossOrigin as in the request: connections with and without credentials are different ones
 */
export function preconnect(url, crossOrigin) {
  const link = document.createElement("link");
  link.rel = "preconnect";
  link.href = new URL(url).origin;
  link.crossOrigin = crossOrigin;
  document.head.append(link);
  link.remove();
}
