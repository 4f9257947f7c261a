"use strict";
// Foreign text enters the document as text nodes alone: nothing here parses HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const columns = data.columns.map((column) => column.name);
const systems = data.systems.map((system) => system.name);
const form = document.getElementById("filters");
const list = document.getElementById("samples");
const further = document.getElementById("further");
const PAGE = 20;
let found = [];
let shown = 0;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ---- the leaderboard

function sortRows(head) {
  const table = head.closest("table");
  const place = [...head.parentElement.children].indexOf(head);
  const first = head.dataset.better === "down" ? "ascending" : "descending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? other : first;
  for (const one of head.parentElement.children) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const key = (row) => row.children[place].dataset.key;
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => (a === "") - (b === "") || sign * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  const best = order === first && head.dataset.better !== "none" ? ", best first" : "";
  const name = head.querySelector("button").textContent.replace(/[ ↑↓⚠]+$/u, "");
  document.getElementById("order").textContent = `Ordered by ${name}, ${order}${best}.`;
}

for (const head of document.querySelectorAll(".board th[data-better]"))
  head.querySelector("button").addEventListener("click", () => sortRows(head));

// ---- on a phone: the other values of a row that was tapped

for (const button of document.querySelectorAll(".board .open"))
  button.addEventListener("click", () => {
    const opened = button.closest("tr").classList.toggle("opened");
    button.setAttribute("aria-expanded", opened);
  });

// ---- paper has no folds: everything is opened, and afterwards as it was

let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
});
window.addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
});

// ---- explanations on hover and focus

const tip = document.getElementById("tip");

function explain(event) {
  const target = event.target.closest("[aria-describedby]");
  tip.hidden = !target;
  if (!target) return;
  tip.textContent = document.getElementById(target.getAttribute("aria-describedby")).textContent;
  const at = target.getBoundingClientRect();
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(at.left, room))}px`;
  tip.style.top = `${at.bottom + 8}px`;
}

document.addEventListener("mouseover", explain);
document.addEventListener("focusin", explain);
document.addEventListener("scroll", () => (tip.hidden = true), { capture: true, passive: true });
document.addEventListener("keydown", (event) => event.key === "Escape" && (tip.hidden = true));

// ---- light and dark

const themes = ["system", "light", "dark"];
document.getElementById("theme").addEventListener("click", (event) => {
  const name = event.currentTarget.querySelector("span");
  name.textContent = themes[(themes.indexOf(name.textContent) + 1) % themes.length];
  document.documentElement.style.colorScheme = name.textContent === "system" ? "light dark" : name.textContent;
});

// ---- the examples

function value(system, column, place) {
  return data.values[system][column]?.[place] ?? NaN;
}

function mean(numbers) {
  const defined = numbers.filter((number) => !isNaN(number));
  return defined.length ? defined.reduce((sum, number) => sum + number) / defined.length : NaN;
}

function range(numbers) {
  const defined = numbers.filter((number) => !isNaN(number));
  return defined.length ? Math.max(...defined) - Math.min(...defined) : NaN;
}

// How early an example stands: the smallest first, the undefined last.
const keys = {
  data: (place) => place,
  best: (place, chosen, column) => -keys.worst(place, chosen, column),
  worst: (place, chosen, column) => {
    const number = mean(chosen.map((system) => value(system, column, place)));
    return data.columns[column]?.better === "down" ? -number : number;
  },
  systems: (place, chosen, column) => -range(systems.map((_, system) => value(system, column, place))),
  metrics: (place, chosen) => -mean(chosen.map((system) => data.disagreement[system][place] ?? NaN)),
};

function matches(example, state, chosen) {
  if (state.example) return example.id === state.example;
  const outputs = chosen.map((system) => example.outputs[system]);
  if (state.show === "copy" && !outputs.some((output) => output.flag === "copy")) return false;
  if (state.show === "failed" && !outputs.some((output) => output.flag && output.flag !== "copy")) return false;
  const plain = (runs) => runs.filter((run) => run[0] !== "-").map((run) => run.slice(1)).join("");
  const texts = [example.id, example.source, ...example.references.map(plain), ...example.outputs.flatMap((o) => o.texts.map(plain))];
  const wanted = (state.search ?? "").toLowerCase();
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

function read() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function write(state) {
  const usual = { search: "", system: "", column: data.headline, order: "data", show: "all", removed: "", controls: "" };
  const told = Object.entries(state).filter(([name, text]) => text && text !== usual[name]);
  history.replaceState(null, "", told.length ? `#${new URLSearchParams(told)}` : location.pathname + location.search);
}

function chosenSystems(state) {
  const own = systems.map((_, system) => system).filter((system) => !data.systems[system].control);
  const place = systems.indexOf(state.system);
  return place >= 0 ? [place] : own.length ? own : systems.map((_, system) => system);
}

function update(state) {
  const chosen = chosenSystems(state);
  const column = Math.max(0, columns.indexOf(state.column ?? data.headline));
  const order = keys[state.order] ?? keys.data;
  const key = new Map(data.examples.map((_, place) => [place, order(place, chosen, column)]));
  found = [...key.keys()].filter((place) => matches(data.examples[place], state, chosen));
  found.sort((a, b) => isNaN(key.get(a)) - isNaN(key.get(b)) || key.get(a) - key.get(b) || a - b);
  list.replaceChildren();
  for (const option of ["removed", "controls"]) list.classList.toggle(option, Boolean(state[option]));
  shown = 0;
  showMore();
}

function showMore() {
  const column = Math.max(0, columns.indexOf(form.elements.column.value));
  list.append(...found.slice(shown, shown + PAGE).map((place) => sample(place, column)));
  shown = Math.min(found.length, shown + PAGE);
  further.hidden = shown === found.length;
  const one = read().example;
  const count = document.getElementById("count");
  count.replaceChildren(`${found.length} of ${data.examples.length} examples${further.hidden ? "" : `, ${shown} shown`} `);
  if (one) count.append(element("a", { href: "#examples" }, "show all"));
}

function sample(place, column) {
  const { id, source, references, outputs } = data.examples[place];
  const link = element("a", { href: `#${new URLSearchParams({ example: id })}` }, `# ${id}`);
  // Where people wrote the references, their row holds the same texts: they are shown once.
  const joined = (runs) => runs.filter((run) => run[0] !== "-").map((run) => run.slice(1)).join("");
  const written = new Set(references.map(joined));
  const people = outputs.findIndex(
    (output, system) => systems[system] === "human" && output.texts.length && output.texts.every((runs) => written.has(joined(runs))),
  );
  const score = (system) => {
    const number = value(system, column, place);
    return isNaN(number) ? "–" : number.toFixed(data.columns[column].digits);
  };
  const lines = [
    ...references.map((runs, number) => line("reference", people < 0 ? `reference ${number + 1}` : `human ${number + 1}`, differences(runs), people < 0 || number ? "" : score(people))),
    ...outputs.flatMap((output, system) => {
      if (system === people) return [];
      const { control, shown } = data.systems[system];
      const kind = `${control ? "control" : "system"}${shown ? "" : " extra"}`;
      return [line(kind, systems[system], flagged(output), score(system))];
    }),
  ];
  const text = element("p", { class: "source", dir: "auto" }, source);
  return element("li", { class: "sample" }, element("h3", {}, link, element("span", {}, columns[column] ?? "")), text, element("dl", { class: "texts" }, ...lines));
}

function line(kind, name, content, score) {
  const text = element("dd", { class: "text", dir: "auto" }, ...content);
  const parts = [element("dt", {}, name), text, element("dd", { class: "score" }, score)];
  return element("div", { class: `line ${kind}` }, ...parts);
}

function differences(runs) {
  return runs.flatMap((run) => {
    if (run[0] === "-") return [element("del", {}, run.slice(1))];
    const [, words, blank] = /^(.*?)(\s*)$/s.exec(run.slice(1));
    return run[0] === "+" ? [element("ins", {}, words), blank] : [words + blank];
  });
}

function flagged(output) {
  const names = { copy: "copy", empty: "empty", missing: "missing", cut: "cut off" };
  const flag = output.flag ? [element("span", { class: "flag" }, names[output.flag])] : [];
  const lines = output.texts.flatMap((runs, turn) => [...(turn ? [element("br", {})] : []), ...differences(runs)]);
  return [...lines, ...flag];
}

function restore() {
  if (document.getElementById(location.hash.slice(1)) && location.hash !== "#examples") return; // a section
  const state = read();
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = Boolean(state[field.name]);
    else field.value = state[field.name] ?? (field.options ? field.options[0].value : "");
    if (field.name === "column" && !state.column) field.value = data.headline;
  }
  update(state);
  if (Object.keys(state).some((name) => name in form.elements || name === "example"))
    document.getElementById("examples").scrollIntoView();
}

function start() {
  form.elements.system.append(element("option", { value: "" }, "all systems"), ...systems.map((n) => element("option", {}, n)));
  form.elements.column.append(...columns.map((name) => element("option", {}, name)));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    const state = Object.fromEntries(new FormData(form));
    write(state);
    update(state);
  });
  further.addEventListener("click", () => {
    const next = shown;
    showMore();
    list.children[next].querySelector("a").focus();
  });
  window.addEventListener("hashchange", restore);
  restore();
  if (!list.children.length) update({});
}

start();
