// Elements and tables. Text goes in as text nodes only: names come out of models.
"use strict";

/** el("p", "note", "text", child, ...) or el("p", {class: "note", id: "x"}, ...). */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  if (typeof attributes === "string") node.className = attributes;
  else for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...present(children));
  return node;
}

/** The nodes and texts of nested lists, without those that are not there. */
const present = (parts) => parts.flat(Infinity).filter((part) => part !== null && part !== undefined && part !== "");

/** Numbers sort as numbers, missing ones last; text sorts by its parts ("conv_2" before "conv_10"). */
function compare(a, b) {
  const missing = (x) => x === null || x === undefined || Number.isNaN(x);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

/**
 * A table whose headings sort it. columns: {title, hint, number, text(row), sort(row), note(row), style(row)};
 * text may be a string or a node, note is a second, quieter line. `sort` defaults to the text.
 */
function table(columns, rows, options = {}) {
  const body = el("tbody");
  const heads = columns.map((column, i) => headCell(column, () => sortBy(i)));
  const lines = rows.map((row) => ({ row, line: el("tr", options.rowClass ? options.rowClass(row) : "",
    columns.map((column, i) => bodyCell(column, row, i))) }));
  body.append(...lines.map((l) => l.line));

  function sortBy(i) {
    const key = columns[i].sort || columns[i].text;
    const down = heads[i].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[i].setAttribute("aria-sort", down ? "descending" : "ascending");
    const ordered = [...lines].sort((a, b) => {
      const [x, y] = [key(a.row), key(b.row)];
      const missing = (v) => v === null || v === undefined || Number.isNaN(v);
      return down && !missing(x) && !missing(y) ? -compare(x, y) : compare(x, y);
    });
    body.append(...ordered.map((l) => l.line));
  }

  return el("div", { class: "scroll" + (rows.length > 14 ? " tall" : ""), tabindex: "0" },
    el("table", "", el("thead", "", el("tr", "", heads)), body));
}

function headCell(column, sort) {
  const button = el("button", { type: "button" }, column.title);
  if (column.hint) button.title = column.hint;
  button.addEventListener("click", sort);
  return el("th", { class: column.number ? "number" : "", scope: "col" }, button);
}

function bodyCell(column, row, i) {
  const note = column.note ? column.note(row) : "";
  const text = column.text(row);
  const long = i === 0 && text.length > 24 ? "long" : "";  // may break anywhere
  const style = [column.number ? "number" : "", long, column.style ? column.style(row) : ""].join(" ").trim();
  return el(i === 0 ? "th" : "td", i === 0 ? { class: style, scope: "row" } : style, text,
    note ? el("small", "", note) : null);
}

/** Buttons of which one is pressed; changed(key) runs at once for `chosen`. */
function choice(label, keys, chosen, changed) {
  const buttons = keys.map(([key, text]) => {
    const button = el("button", { type: "button" }, text);
    button.addEventListener("click", () => choose(key));
    return [key, button];
  });
  function choose(key) {
    for (const [other, button] of buttons) button.setAttribute("aria-pressed", String(other === key));
    changed(key);
  }
  choose(chosen);
  return el("div", { class: "choice", role: "group", "aria-label": label }, buttons.map(([, button]) => button));
}
