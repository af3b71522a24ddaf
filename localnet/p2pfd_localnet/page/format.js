// Numbers and elements. Text from nodes only ever becomes text: nothing here, or elsewhere, parses HTML.

const SVG = "http://www.w3.org/2000/svg";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);
export const number = (value) => whole.format(value);
export const tokens = (units, unit) => money.format(units / (unit || 1));

export function size(count) {
  for (const unit of ["B", "kB", "MB"]) {
    if (count < 1000) return `${unit === "B" ? whole.format(count) : count.toFixed(1)} ${unit}`;
    count /= 1000;
  }
  return `${count.toFixed(1)} GB`;
}

export function clock(ms) {
  const at = new Date(ms);
  const two = (value) => String(value).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export const seconds = (ms) => (ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);
export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
export const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

function build(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An element with attributes and children; a string is text. */
export const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);

/** The same for a drawing. */
export const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

export const $ = (id) => document.getElementById(id);

/** Set an element's text, if it is another one. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
