/** The parts of the page, once. */
function build(app) {
  const { data, root } = app, button = (text, label, click) => make("button",
    { type: "button", "aria-label": label, title: label, click }, text);
  app.previous = button("‹", "Previous example (,)", () => app.pick(app.state.picture - 1));
  app.next = button("›", "Next example (.)", () => app.pick(app.state.picture + 1));
  app.menu = menu("Example", data.pictures.map(({ title }, i) => [String(i), title.slice(0, 120)]),
    (value) => app.pick(Number(value)));
  app.note = make("output", { class: "note" });
  app.pictureFacts = make("dl", { class: "facts" });
  app.modes = createModes(app);
  const facts = Object.entries(data.facts).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  const header = make("header", {}, make("div", { class: "title" }, make("h1", {}, data.title),
    button("?", "Keys (?)", () => app.help.showModal())), make("dl", { class: "facts" }, ...facts));
  const nav = make("nav", { "aria-label": "Examples" }, app.previous, app.menu, app.next, app.note,
    make("span", { class: "space" }), app.modes.element);
  app.overview = createOverview(app);
  app.tokensPart = createTokens(app);
  app.depth = createDepth(app, button);
  app.about = make("section", { class: "about", "aria-label": "About this picture" });
  app.help = make("dialog", { class: "help", "aria-label": "Keys" }, make("h2", {}, "Keys"),
    make("dl", {}, ...KEYS.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, text)))),
    make("form", { method: "dialog" }, make("button", {}, "Close")));
  app.left = make("div", { class: "left" }, app.overview.element, app.tokensPart.aside);
  app.main = make("main", {}, app.left, app.depth, app.tokensPart.element, app.about);
  root.replaceChildren(header, nav, app.pictureFacts, app.main, app.help);
  header.hidden = !data.title && !facts.length;
  app.drawModes = app.modes.draw;
}

function createDepth(app, button) {
  app.headName = make("h2");
  app.means = make("div", { class: "means-box" });
  app.maps = [];
  app.mapsBox = make("div", { class: "maps" });
  app.readout = make("output", { class: "readout", "aria-live": "polite" });
  app.legend = make("div", { class: "legend" });
  const tools = make("div", { class: "tools" }, app.headName, make("span", { class: "space" }),
    button("+", "Closer (+)", () => app.zoom(0.6)), button("−", "Further (−)", () => app.zoom(1 / 0.6)),
      button("all", "All of the map (0)", () => app.look(null)));
  return make("section", { class: "depth", "aria-label": "One head" }, tools, app.means, app.mapsBox, app.readout, app.legend);
}

function drawHeader(app) {
  const { picture, state } = app.context();
  app.menu.value = String(state.picture);
  app.previous.disabled = state.picture === 0;
  app.next.disabled = state.picture === app.data.pictures.length - 1;
  app.note.textContent = picture.note;
  app.pictureFacts.replaceChildren(...Object.entries(picture.facts).map(([name, value]) => make("div", {},
    make("dt", {}, name), make("dd", {}, value))));
  const list = (title, lines) => (lines.length ? [make("h3", {}, title),
    make("ul", {}, ...lines.map((line) => make("li", {}, line)))] : []);
  const reasons = ({ missing }) => Object.entries(missing).map(([name, reason]) => `${nameOf(name)}: ${reason}.`);
  const missing = new Set(picture.layers.flatMap(reasons));
  app.about.replaceChildren(...list("How this was seen", picture.notes),
    ...list("Left out to keep this page small", picture.left_out),
    ...list("Not measured", [...missing]), ...gatesOf(app, picture));
}

/** The maps of gates: what features were multiplied by. */
function gatesOf(app, picture) {
  const figures = picture.gates.filter(({ map }) => map).map(({ name, shape: [channels, rows, columns], map }) => {
    const isSpatial = rows * columns > 1, canvas = make("canvas", { role: "img", "aria-label": `Gate ${name}` });
    const legend = make("div", { class: "legend" });
    numbers(map).then((values) => {
      const cells = isSpatial ? meanOfChannels(values, channels, rows * columns) : values, end = largest(cells) || 1;
      painted({ cells, rows: isSpatial ? rows : 1, columns: isSpatial ? columns : channels, end }, app.theme, "linear", canvas);
      const here = `from ${digits(Math.min(...cells))} to ${digits(Math.max(...cells))}`;
      legend.append("0", scaleBar(app, "linear"), digits(end), make("span", { class: "hint" }, here));
    });
    const mean = isSpatial && channels > 1 ? `, the mean of ${channels} channels` : "";
    return make("figure", { class: isSpatial ? "gate" : "gate flat" }, canvas, legend,
      make("figcaption", {}, `${name}: ${channels} × ${rows} × ${columns}${mean}`));
  });
  return figures.length ? [make("h3", {}, "Gates: how much of each feature passes"),
    make("div", { class: "gates" }, ...figures)] : [];
}

function meanOfChannels(values, channels, size) {
  const mean = new Float32Array(size);
  values.forEach((value, i) => { mean[i % size] += value / channels; });
  return mean;
}

function showNothing(app) {
  app.now = null;
  if (app.context().picture) drawHeader(app);
  app.maps = [];
  for (const part of [app.left, app.depth, app.tokensPart.element]) part.hidden = true;
  app.note.textContent = app.context().picture ? "No attention was seen here." : "There is no picture in this report.";
  app.root.dataset.ready = "true";
}

function drawDepth(app) {
  const { state, data, now } = app, [own, other] = now.runs;
  for (const part of [app.left, app.depth, app.tokensPart.element]) part.hidden = false;
  app.drawModes();
  const name = [app.layerNames()[state.layer] || now.layer.name, headName(now.layer, now.head)].filter(Boolean).join(" · ");
  const { role } = now.head, dot = role && make("b", { class: `dot role-${roleNumber(app, role)}` });
  app.headName.replaceChildren(name, ...(role ? [make("small", { class: "chip" }, dot, role)] : []));
  app.headName.title = now.layer.name;
  app.main.classList.toggle("has-image", Boolean(app.imageOf("key")));
  app.means.replaceChildren(meansOf(app, now.head, state.mode === "this" ? null : other?.head));
  const shown = state.mode === "beside" ? ["this", "other", "difference"] : [state.mode];
  const captions = { this: data.names[0], other: data.names[1], difference: `${data.names[1]} − ${data.names[0]}` };
  if (app.maps.map((map) => map.mode).join() !== shown.join()) {
    app.maps = shown.map((mode) => Object.assign(createMap(app, app.isCompared() ? captions[mode] : ""), { mode }));
    app.mapsBox.replaceChildren(...app.maps.map((map) => map.element));
    app.mapsBox.classList.toggle("beside", shown.length > 1);
    app.main.classList.toggle("wide", shown.length > 1);
  }
  for (const map of app.maps) {
    const source = sourceIn(map.mode, own, other);
    map.element.querySelector(".none")?.remove();
    map.canvas.hidden = !source?.cells?.length;
    if (map.canvas.hidden) map.element.append(make("p", { class: "none" }, whyNone(app, map.mode, other)));
    map.canvas.setAttribute("aria-label",
      `Map of weights of ${name}, rows look at columns. Arrow keys move, Enter chooses a row, plus and minus zoom, Escape lets go.`);
    if (!map.canvas.hidden) map.show(source);
  }
  app.drawMaps();
}

function whyNone(app, mode, other) {
  if (mode === "this" || (mode === "other" && other)) return "The block map of this head was not measured.";
  return other ? "The two runs have maps of different shapes." : `${app.data.names[1]} has no such head.`;
}

/** What the colours stand for: of the map, or of the exact weights that the view lies in. */
function drawLegend(app) {
  const map = app.maps[0]?.source, { theme, state } = app;
  if (!map) { app.legend.replaceChildren(); return; }
  const close = rectangleIn(map, viewOf(state, map.layer)), source = close ?? map;
  if (app.legend.source === source && app.legend.theme === theme && app.legend.scale === state.scale) return;
  Object.assign(app.legend, { source, theme, scale: state.scale });
  const isBoth = state.mode === "difference";
  const names = { root: "root scale", log: "logarithmic scale", linear: "straight scale" };
  const turn = make("button", { type: "button", title: "s", click: app.rescale }, names[state.scale]);
  const { column_width: wide, row_width: high } = app.now.layer;
  const isOne = close || (wide === 1 && high === 1), give = high === 1 ? "gives" : "give";
  const share = `the share that ${counted(high, "query")} ${give} ${counted(wide, "key")}`;
  const ends = isBoth ? [`−${digits(source.end)}`, `+${digits(source.end)}`] : ["0", digits(source.end)];
  app.legend.replaceChildren(make("span", {}, ends[0]), scaleBar(app, state.scale, isBoth), make("span", {}, ends[1]), turn,
    make("span", { class: "hint" }, `a cell: ${isOne ? "one weight" : share}`));
}

/** The colours from nothing to the end of a scale, or from one end to the other. */
function scaleBar(app, scale, isDifference = false) {
  const cells = Float32Array.from({ length: 180 }, (_, i) => (isDifference ? (i - 89.5) / 89.5 : i / 179));
  const canvas = make("canvas", { "aria-hidden": "true" });
  return painted({ cells, rows: 1, columns: 180, end: 1, isDifference }, app.theme, scale, canvas);
}

/** The cell that is pointed at, in words. */
function drawReadout(app) {
  const { hover, token } = app.state, { layer, known, runs } = app.now, source = app.maps[0]?.source;
  if (!hover || !source) {
    app.readout.textContent = token ? "" : "Point at the map to read it, click to choose a row, wheel or + to come closer.";
    return;
  }
  const { query, key } = hover, cell = cellAt(layer, source.known, hover, isClose(app.maps[0].box, viewOf(app.state, layer)));
  const weight = cell.isExact ? exactWeight(layer, source.known, query, key) : cellWeight(layer, source, query, key);
  const shown = Number.isNaN(weight) ? "not sampled" : (source.isDifference ? signed : digits)(weight);
  const both = app.maps.length > 1 && app.maps[1].source ? ` and ${digits(cellWeight(runs[1].layer, runs[1].known, query, key))}` : "";
  const bits = known.entropy && layer.entropy_width === 1 && !source.isDifference ? ` · ${digits(known.entropy[query])} bits` : "";
  const [from, to] = [placeName(app, "query", cell.rows), placeName(app, "key", cell.keys)];
  app.readout.textContent = `${from} → ${to}: ${shown}${both}${bits}`;
}

/** One place or a run of them, in words; a place that is no token has a name and needs no number. */
function placeName(app, side, [start, stop]) {
  const first = `“${app.label(side, start)}”`, isOne = stop - start === 1;
  if (app.noun(side) !== "token") return isOne ? first : `${first}–“${app.label(side, stop - 1)}”`;
  return isOne ? `${first} (${start.toLocaleString("en")})` : `tokens ${runName(start, stop - start)}`;
}
