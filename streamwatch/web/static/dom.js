// Elements without markup: every text is set as text, so that a name is never read as HTML.
const SVG = "http://www.w3.org/2000/svg";

export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttr(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

// Replaces the children only when what they are made of changed: no flicker, no lost focus.
const made = new WeakMap();
export function remake(element, value, make) {
  const key = JSON.stringify(value);
  if (made.get(element) === key) return;
  made.set(element, key);
  element.replaceChildren(...[make(value)].flat().filter((child) => child !== null && child !== undefined));
}

// Keeps one row a key: rows that stay keep their elements, rows move only where the order changed.
export function sync(parent, items, keyOf, make, update) {
  const rows = (parent.rowsByKey ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, row] of rows) {
    if (!wanted.has(key)) {
      row.remove();
      rows.delete(key);
    }
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = rows.get(key);
    if (!row) {
      row = make(item);
      rows.set(key, row);
    }
    update(row, item);
    if (row === place) place = place.nextElementSibling;
    else parent.insertBefore(row, place);
  }
}
