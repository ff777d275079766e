/* Building page elements. Whatever comes from outside becomes a text node, never markup. */

/**
 * Return a new element. `attributes`: name to value; null and false leave one out, true sets it empty.
 * `children`: nodes or strings; null is left out.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

/** Return text that only screen readers speak. */
export function spoken(text) {
  return element("span", { class: "visually-hidden" }, text);
}

const BULLET = /^\s*[-*•]\s+(.*)$/;
const NUMBER = /^\s*(\d{1,3})[.)]\s+(.*)$/;

/** Return the text's paragraphs and lists as elements; **bold** is kept, all else is as it was written. */
export function prose(text) {
  const blocks = [];
  let open = null;
  for (const line of text.split(/\r?\n/)) {
    const bullet = BULLET.exec(line);
    const number = NUMBER.exec(line);
    if (bullet || number) {
      const tag = bullet ? "UL" : "OL";
      if (open?.tagName !== tag) {
        open = element(tag, number && number[1] !== "1" ? { start: number[1] } : {});
        blocks.push(open);
      }
      open.append(element("li", {}, inline(bullet ? bullet[1] : number[2])));
    } else if (!line.trim()) {
      if (open?.tagName === "P") open = null;
    } else if (open?.tagName === "P") {
      open.append(element("br"), ...inline(line));
    } else {
      open = element("p", {}, inline(line));
      blocks.push(open);
    }
  }
  return blocks;
}

/** Return a line's pieces; every second one, between pairs of **, is bold. */
function inline(line) {
  const pieces = line.split("**");
  if (pieces.length % 2 === 0) return [line];
  return pieces.map((piece, index) => (index % 2 ? element("strong", {}, piece) : piece));
}
