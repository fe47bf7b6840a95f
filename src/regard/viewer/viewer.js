"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const state = { picture: 0, layer: 0, head: 0, row: null, column: null, kept: null };

/** A new element with text; text is never markup. */
function make(tag, text = "", properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text) element.textContent = text;
  return element;
}

/** Weights of a head as numbers in [0, 1], row by row. */
function weights(head) {
  if (!head.cells) {
    const bytes = Uint8Array.from(atob(head.map), (c) => c.charCodeAt(0));
    head.cells = Float32Array.from(new Uint16Array(bytes.buffer), (n) => n / 65535);
  }
  return head.cells;
}

/** Paper at 0, accent at 1; the root brings out small weights. */
function colours() {
  const probe = (name) => {
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const [low, high] = [probe("--paper"), probe("--accent")];
  return (w) => [0, 1, 2].map((i) => low[i] + (high[i] - low[i]) * Math.sqrt(w));
}

function paint(canvas, layer, head) {
  const { rows, columns } = layer, colour = colours(), cells = weights(head);
  canvas.width = Math.max(1, columns); canvas.height = Math.max(1, rows);
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  cells.forEach((w, i) => { image.data.set([...colour(w), 255], 4 * i); });
  context.putImageData(image, 0, 0);
}

const shown = (token) => (token === " " ? "␣" : token.replace(/\s/g, "␣"));
/** What a cell stands for: one token, or a run of them. */
function label(tokens, cell, width) {
  const run = tokens.slice(cell * width, (cell + 1) * width);
  if (width === 1) return shown(run[0] ?? String(cell));
  return `${cell * width}–${Math.min((cell + 1) * width, tokens.length || Infinity) - 1}`;
}
const current = () => {
  const picture = data.pictures[state.picture], layer = picture.layers[state.layer];
  return { picture, layer, head: layer.heads[state.head] };
};

function drawHeads() {
  const { picture } = current();
  $("heads").replaceChildren(...picture.layers.map((layer, l) => {
    const box = make("div", "", { className: "layer" }), row = make("div");
    box.append(make("span", layer.name), row);
    layer.heads.forEach((head, h) => {
      const bits = head.means.entropy_bits.toFixed(2);
      const button = make("button", "", { title: `${layer.name} · head ${h} · ${bits} bits` });
      button.setAttribute("aria-pressed", String(l === state.layer && h === state.head));
      const canvas = make("canvas");
      paint(canvas, layer, head);
      button.append(canvas, make("small", `${h} · ${bits} b`));
      button.onclick = () => { Object.assign(state, { layer: l, head: h }); draw(); };
      row.append(button);
    });
    return box;
  }));
}

function drawMap() {
  const { picture, layer, head } = current(), map = $("map");
  const size = Math.max(7, Math.min(30, Math.floor(720 / Math.max(layer.rows, layer.columns))));
  const queries = Array.from({ length: layer.rows }, (_, i) => label(picture.queries, i, layer.row_width));
  const keys = Array.from({ length: layer.columns }, (_, i) => label(picture.keys, i, layer.column_width));
  const longest = (texts, most) => Math.min(most, 8.2 * Math.max(1, ...texts.map((t) => [...t].length)));
  const tags = picture.labels.length && layer.row_width === 1 ? longest(picture.labels, 110) : 0;
  const isUpright = keys.every((text) => [...text].length <= 2);
  const left = longest(queries, 170) + tags + 18, top = isUpright ? 24 : longest(keys, 170) * 0.87 + 22;
  const canvas = make("canvas");
  paint(canvas, layer, head);
  Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${size * layer.columns}px`, height: `${size * layer.rows}px` });
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [Math.floor((event.clientY - box.top) / size), Math.floor((event.clientX - box.left) / size)];
  };
  canvas.onmousemove = (event) => look(...at(event));
  canvas.onmouseleave = () => look(null, null);
  canvas.onclick = (event) => keep(at(event)[0]);
  const every = Math.max(1, Math.ceil(11 / size));
  const names = keys.map((text, k) => k % every ? null : make("span", text.slice(0, 24), { className: "key", title: text }));
  names.forEach((name, k) => {
    if (!name) return;
    name.classList.toggle("upright", isUpright);
    Object.assign(name.style, { left: `${left + size * (k + 0.5)}px`, top: `${top - 18}px` });
    name.onmouseenter = () => look(state.kept ?? state.row, k);
  });
  const rows = queries.map((text, q) => {
    if (q % every) return null;
    const name = make("span", "", { className: "query", title: text });
    if (tags && picture.labels[q] !== "O") name.append(make("i", picture.labels[q] ?? ""));
    name.append(text.slice(0, 24));
    Object.assign(name.style, { right: `calc(100% - ${left - 7}px)`, top: `${top + size * (q + 0.5) - 6}px` });
    name.onmouseenter = () => look(q, null);
    name.onclick = () => keep(q);
    return name;
  });
  map.replaceChildren(canvas, ...names.filter(Boolean), ...rows.filter(Boolean), make("b", "", { id: "cross" }));
  Object.assign(map.style, { width: `${left + size * layer.columns + 110}px`, height: `${top + size * layer.rows + 6}px` });
  Object.assign(map, { size, left, top, names, rows, queries, keys });
}

/** Point at a cell, a row or a column. */
function look(row, column) {
  Object.assign(state, { row, column });
  drawPointer();
}

function keep(row) {
  state.kept = state.kept === row ? null : row;
  drawPointer();
}

function drawPointer() {
  const { layer, head } = current(), map = $("map"), cross = $("cross");
  const inside = (n, most) => n !== null && n >= 0 && n < most;
  const row = inside(state.row, layer.rows) ? state.row : state.kept, column = inside(state.column, layer.columns) ? state.column : null;
  map.rows.forEach((name, q) => name?.classList.toggle("on", q === row));
  map.names.forEach((name, k) => name?.classList.toggle("on", k === column));
  cross.hidden = row === null;
  $("row").replaceChildren();
  if (row === null) { $("readout").textContent = "Point at the map."; return; }
  Object.assign(cross.style, {
    left: `${map.left - 1}px`, top: `${map.top + map.size * row}px`, width: `${map.size * layer.columns + 2}px`, height: `${map.size + 1}px`,
  });
  const line = Array.from(weights(head).subarray(row * layer.columns, (row + 1) * layer.columns));
  const bits = layer.row_width === 1 ? `, ${head.entropy_bits[row].toFixed(2)} bits` : "";
  const cell = column === null ? "" : `\n→ “${map.keys[column]}” ${line[column].toFixed(3)}`;
  $("readout").textContent = `“${map.queries[row]}” (${row}${bits}) looks at${cell}`;
  const largest = line.map((w, k) => [w, k]).sort((a, b) => b[0] - a[0]).slice(0, 10);
  $("row").replaceChildren(...largest.map(([w, k]) => {
    const bar = make("u");
    bar.style.width = `${100 * w}%`;
    const entry = make("div");
    entry.append(make("span", map.keys[k], { title: map.keys[k] }), make("small", String(k)), bar, make("em", w.toFixed(3)));
    return entry;
  }));
}

function draw() {
  const { picture, layer, head } = current();
  $("pictures").value = String(state.picture);
  $("previous").disabled = state.picture === 0;
  $("next").disabled = state.picture === data.pictures.length - 1;
  $("note").textContent = picture.note;
  $("head-name").textContent = `${layer.name} · head ${state.head}`;
  const m = head.means;
  $("head-means").textContent =
    `entropy ${m.entropy_bits.toFixed(2)} bits · largest weight ${m.largest_weight.toFixed(3)} · distance ${m.mean_distance.toFixed(1)}`;
  Object.assign(state, { row: null, column: null, kept: null });
  drawHeads();
  drawMap();
  drawPointer();
}

function choose(picture) {
  const layers = data.pictures[picture].layers;
  state.picture = picture;
  state.layer = Math.min(state.layer, layers.length - 1);
  state.head = Math.min(state.head, layers[state.layer].heads.length - 1);
  draw();
}

function start() {
  document.title = data.title;
  $("title").textContent = data.title;
  $("facts").replaceChildren(...Object.entries(data.facts).map(([name, value]) => {
    const fact = make("div");
    fact.append(make("dt", name), make("dd", value));
    return fact;
  }));
  $("pictures").append(...data.pictures.map((picture, i) => make("option", picture.title.slice(0, 120), { value: String(i) })));
  $("pictures").onchange = (event) => choose(Number(event.target.value));
  $("previous").onclick = () => choose(state.picture - 1);
  $("next").onclick = () => choose(state.picture + 1);
  document.onkeydown = (event) => {
    if (event.key === "," && state.picture > 0) choose(state.picture - 1);
    if (event.key === "." && state.picture < data.pictures.length - 1) choose(state.picture + 1);
  };
  $("map").onkeydown = (event) => {
    const { layer } = current(), steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key in steps) {
      const [down, right] = steps[event.key], within = (n, most) => Math.max(0, Math.min(most - 1, n));
      look(within((state.row ?? state.kept ?? 0) + down, layer.rows), within((state.column ?? 0) + right, layer.columns));
    } else if (event.key === "Enter" && state.row !== null) keep(state.row);
    else if (event.key === "Escape") { state.kept = null; look(null, null); }
    else return;
    event.preventDefault();
  };
  const scale = document.querySelector("#scale canvas"), context = scale.getContext("2d");
  const ramp = () => {
    const colour = colours();
    for (let x = 0; x < scale.width; x++) { context.fillStyle = `rgb(${colour(x / scale.width)})`; context.fillRect(x, 0, 1, scale.height); }
  };
  matchMedia("(prefers-color-scheme: dark)").onchange = () => { ramp(); draw(); };
  ramp();
  draw();
}

start();
