"use strict";
// Names of runs enter the document as text alone: nothing here parses HTML.
const names = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("compare");

function quoted(name) {
  return /^[\w./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

function show() {
  const chosen = [form.elements.before.value, form.elements.after.value];
  document.getElementById("command").textContent = ["parabench compare", ...chosen.map(quoted)].join(" ");
}

for (const select of [form.elements.before, form.elements.after])
  for (const name of names) select.append(new Option(name, name));
form.elements.after.selectedIndex = Math.min(1, names.length - 1);
form.hidden = names.length < 2;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", show);
show();
