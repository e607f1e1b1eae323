/** Creates elements without markup: trusted types forbid innerHTML. */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string>} [attributes]
 * @param {Node[]} [children]
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function createElement(name, attributes = {}, children = []) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...children);
  return element;
}

/**
 * @param {string} path data, for a view box of 64 by 64
 * @returns {SVGSVGElement}
 */
export function createIcon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = document.createElementNS(svg.namespaceURI, "path");
  svg.setAttribute("viewBox", "0 0 64 64");
  svg.setAttribute("role", "img");
  shape.setAttribute("d", path);
  shape.setAttribute("fill", "currentColor");
  svg.append(shape);
  return /** @type {SVGSVGElement} */ (svg);
}

/**
 * Sets the text only when it differs: a live region announces the same text again when it is set again.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
