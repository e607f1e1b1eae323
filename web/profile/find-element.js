/**
 * Finds the element of a selector.
 *
 * @template {Element} Kind
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => Kind} kind Its class.
 * @returns {Kind}
 * @throws {TypeError} When there is no element of that class: the page and its modules do not match.
 */
export function findElement(root, selector, kind) {
  const element = root.querySelector(selector);
  if (element instanceof kind) return element;
  throw new TypeError(`the page has no ${selector} that is a ${kind.name}`);
}
