"use strict";
// Draws the map on a canvas: points are data, colours are the page's, and nothing is fetched.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (name) => document.getElementById(name);
const canvas = byId("canvas"), tip = byId("tip"), pen = canvas.getContext("2d");
const boxes = [...document.querySelectorAll("[data-prompt]")];
const [wordsX, wordsY] = data.anchors;
const landmarks = new Set(data.landmarks);
const view = { x: 0, y: 0, scale: 1 };
let moment = 1, found = new Set(), pending = 0;

const colorOf = (selector) => getComputedStyle(document.querySelector(selector)).color;
const ground = () => getComputedStyle(document.querySelector(".stage")).backgroundColor;
const toScreen = (x, y) => [(x - view.x) * view.scale + canvas.clientWidth / 2, (view.y - y) * view.scale + canvas.clientHeight / 2];
const shownPrompts = () => boxes.filter((box) => box.checked).map((box) => [Number(box.dataset.prompt), data.prompts[box.dataset.prompt]]);

function place(prompt, row) {
  const stage = moment * (prompt.path.length - 1), before = Math.floor(stage), part = stage - before;
  const a = prompt.path[before], b = prompt.path[Math.min(before + 1, prompt.path.length - 1)];
  return [a[0][row] * (1 - part) + b[0][row] * part, a[1][row] * (1 - part) + b[1][row] * part];
}

function fit() {
  const all = [wordsX, wordsY].map((axis, i) => data.prompts.reduce((kept, p) => p.path.reduce((k, stage) => k.concat(stage[i]), kept), [...axis]));
  const [x, y] = all.map((axis) => axis.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]));
  view.x = (x[0] + x[1]) / 2;
  view.y = (y[0] + y[1]) / 2;
  view.scale = 0.92 * Math.min(canvas.clientWidth / (x[1] - x[0] || 1), canvas.clientHeight / (y[1] - y[0] || 1));
  paint();
}

function paint() {
  if (!pending) pending = requestAnimationFrame(() => { pending = 0; draw(); });
}

function draw() {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const inView = byId("words").checked ? drawWords(width, height) : [];
  for (const [number, prompt] of shownPrompts()) drawPrompt(prompt, colorOf(`.color${number % 8} .dot`));
  if (inView.length <= 90) drawNames(inView, colorOf("body"));
  else if (found.size) drawNames(inView.filter(([i]) => found.has(i)).slice(0, 60), colorOf("body"));
  else drawNames(inView.filter(([i]) => landmarks.has(i)), colorOf(".lead"));
}

function drawWords(width, height) {
  const inView = [], size = view.scale > 2500 ? 2.2 : width < 600 ? 0.8 : 1.4;
  pen.fillStyle = colorOf(".words .dot");
  for (let i = 0; i < wordsX.length; i++) {
    const [x, y] = toScreen(wordsX[i], wordsY[i]);
    if (x < -20 || y < -20 || x > width + 20 || y > height + 20) continue;
    inView.push([i, x, y]);
    pen.fillRect(x - size, y - size, 2 * size, 2 * size);
  }
  return inView;
}

function drawNames(points, color) {
  pen.font = "12px system-ui, sans-serif";
  pen.strokeStyle = ground();
  pen.fillStyle = color;
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  for (const [i, x, y] of points) {
    pen.fillRect(x - 2, y - 2, 4, 4);
    pen.strokeText(data.tokens[i], x + 5, y + 4);
    pen.fillText(data.tokens[i], x + 5, y + 4);
  }
  pen.lineWidth = 1;
}

function drawPrompt(prompt, color) {
  const rows = prompt.path[0][0].length, ways = byId("ways");
  pen.strokeStyle = pen.fillStyle = color;
  if (ways && ways.checked) {
    pen.globalAlpha = 0.3;
    pen.beginPath();
    for (let row = 0; row < rows; row++) {
      prompt.path.forEach((stage, i) => pen[i ? "lineTo" : "moveTo"](...toScreen(stage[0][row], stage[1][row])));
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }
  const size = canvas.clientWidth < 600 ? 3.2 : 4.5;
  pen.strokeStyle = ground();
  for (let row = 0; row < rows; row++) {
    pen.beginPath();
    pen.arc(...toScreen(...place(prompt, row)), size, 0, 7);
    pen.fill();
    pen.stroke();
  }
}

function nearest(x, y) {
  let best = null, least = 14 * 14;
  const offer = (px, py, bonus, text) => {
    const gap = (px - x) ** 2 + (py - y) ** 2 - bonus;
    if (gap < least) [least, best] = [gap, { x: px, y: py, text }];
  };
  if (byId("words").checked) wordsX.forEach((wx, i) => offer(...toScreen(wx, wordsY[i]), 0, () => data.tokens[i]));
  for (const [, prompt] of shownPrompts()) {
    prompt.about.forEach((about, row) => offer(...toScreen(...place(prompt, row)), 40, () => `${prompt.name}, position ${row}\n${about}`));
  }
  return best;
}

function point(event) {
  const box = canvas.getBoundingClientRect(), hit = nearest(event.clientX - box.left, event.clientY - box.top);
  tip.hidden = !hit;
  if (!hit) return;
  tip.textContent = hit.text();
  const right = box.left + hit.x + 14, below = box.top + hit.y + 14;
  tip.style.left = `${Math.max(8, Math.min(right, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${below + tip.offsetHeight > innerHeight ? below - tip.offsetHeight - 28 : below}px`;
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const dx = x - canvas.clientWidth / 2, dy = y - canvas.clientHeight / 2, before = view.scale;
  view.scale = Math.min(Math.max(before * factor, 20), 1e6);
  view.x += dx / before - dx / view.scale;
  view.y -= dy / before - dy / view.scale;
  paint();
}

function move(dx, dy) {
  view.x -= dx / view.scale;
  view.y += dy / view.scale;
  paint();
}

const held = new Map();
canvas.addEventListener("pointerdown", (event) => {
  held.set(event.pointerId, event);
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("dragged");
  point(event);
});
canvas.addEventListener("pointermove", (event) => {
  const before = held.get(event.pointerId);
  if (!before) return point(event);
  const other = [...held.values()].find((one) => one.pointerId !== event.pointerId);
  if (other) {
    const box = canvas.getBoundingClientRect(), gap = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoom(gap(event) / (gap(before) || 1), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
  }
  move((event.clientX - before.clientX) / held.size, (event.clientY - before.clientY) / held.size);
  held.set(event.pointerId, event);
  tip.hidden = true;
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => { held.delete(event.pointerId); canvas.classList.toggle("dragged", held.size > 0); });
}
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
  if (steps[event.key]) move(...steps[event.key]);
  else if (event.key === "+" || event.key === "=") zoom(1.5);
  else if (event.key === "-") zoom(1 / 1.5);
  else if (event.key === "0") fit();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => (Number(button.dataset.zoom) ? zoom(Number(button.dataset.zoom)) : fit()));
}
for (const box of document.querySelectorAll(".legend [type=checkbox]")) box.addEventListener("change", paint);
byId("find").addEventListener("input", (event) => {
  const text = event.target.value.toLowerCase();
  found = new Set(text ? data.tokens.flatMap((token, i) => (token.toLowerCase().includes(text) ? [i] : [])) : []);
  byId("found").textContent = text ? `${found.size} token${found.size === 1 ? "" : "s"} with “${event.target.value}”${found.size > 60 ? ", the first 60 in view are named" : ""}` : "";
  paint();
});
const time = byId("time");
if (time) time.addEventListener("input", () => {
  moment = time.value / 1000;
  const stage = shownPrompts().map(([, p]) => `${p.name}: ${p.steps[Math.round(moment * (p.steps.length - 1))]}`);
  byId("step").textContent = moment === 1 ? "kept prompts" : moment === 0 ? "initial prompts" : [...new Set(stage)].join("; ");
  paint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
new ResizeObserver(paint).observe(canvas);
fit();
