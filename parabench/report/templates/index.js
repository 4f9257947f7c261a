"use strict";
// Names of runs and systems enter the document as text alone: nothing here parses HTML.
const { runs, blocked } = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("compare");
const table = document.getElementById("table");

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function quoted(name) {
  return /^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

function number(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

// A cell: from one value to the other, and the difference, green or red by the column's direction.
function cell(column, before, after) {
  const values = [before, after].map((row) => row?.scores[column.name]?.[0]);
  const texts = values.map((value) => number(value, column.digits));
  if (values.some((value) => typeof value !== "number"))
    return element("td", { class: "even" }, `${texts[0]} → ${texts[1]}`);
  const change = values[1] - values[0];
  const isBetter = column.better === "down" ? change < 0 : change > 0;
  const kind = !change || column.better === "none" ? "even" : isBetter ? "ahead" : "behind";
  const sign = change > 0 ? "+" : "";
  const told = element("span", { class: "value" }, sign + number(change, column.digits));
  return element("td", { class: kind }, told, element("span", { class: "interval" }, `${texts[0]} → ${texts[1]}`));
}

function show() {
  const places = [form.elements.before.value, form.elements.after.value].map(Number);
  const [one, other] = places.map((place) => runs[place]);
  const reasons = blocked[[...places].sort((a, b) => a - b).join(" ")] ?? [];
  const columns = one.columns.filter((column) => other.columns.some((its) => its.name === column.name));
  const rowOf = (run, system) => run.rows.find((row) => row.system === system);
  const shared = one.rows.filter((row) => rowOf(other, row.system));
  const told = document.getElementById("told");
  document.getElementById("command").textContent = ["parabench compare", ...[one, other].map((run) => quoted(run.name))].join(" ");
  document.getElementById("reasons").replaceChildren(...reasons.map((reason) => element("li", {}, reason)));
  table.replaceChildren();
  if (reasons.length) {
    told.textContent = "These two may not be compared. They differ in:";
  } else if (!shared.length || !columns.length) {
    told.textContent = "These two have no system, or no column, in common.";
  } else {
    told.textContent = "Later minus earlier; below it the two values.";
    const heads = columns.map((column) => element("th", { scope: "col" }, column.name + { up: " ↑", down: " ↓", none: "" }[column.better]));
    table.append(
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "system"), ...heads)),
      element("tbody", {}, ...shared.map((row) => element("tr", {}, element("th", { scope: "row" }, row.system + (row.control ? " †" : "")), ...columns.map((column) => cell(column, row, rowOf(other, row.system)))))),
    );
  }
}

for (const select of [form.elements.before, form.elements.after])
  runs.forEach((run, place) => select.append(new Option(run.name, place)));
form.elements.after.selectedIndex = Math.min(1, runs.length - 1);
document.getElementById("compared").hidden = runs.length < 2;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", show);
if (runs.length > 1) show();
