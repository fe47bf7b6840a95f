const KEYS = [
  [", .", "previous and next example"], ["[ ]", "previous and next head"], ["{ }", "previous and next layer"],
    ["o", "to the overview of heads"],
  ["m", "to the map"], ["arrows", "move between heads, cells, tokens or patches"], ["Enter", "open a head, choose a token"],
  ["+ − 0", "closer, further, all of the map"], ["Shift arrows", "move a map that is close"],
    ["wheel, drag, double click", "the same by mouse"],
  ["d", "turn round: looks at, is looked at by"], ["/", "find a token"], ["s", "colours by root, logarithm or straight"],
  ["c", "with two runs: this, the other, their difference, side by side"], ["Esc", "let go"], ["?", "these keys"],
];

/** Show a report inside an element; returns what undoes it. `keys` is where keys are listened to. */
function mount(root, data, keys = root) {
  const state = { picture: 0, layer: 0, head: 0, token: null, hover: null, view: null, scale: "root", mode: "this", by: "",
    order: "layer", role: "" };
  const app = { root, data, state, now: null, maps: [], undo: [], loading: 0 };
  root.classList.add("regard");
  if (data.version !== 2) { root.replaceChildren(make("p", {}, `This page reads data of version 2, got ${data.version}.`));
    return () => {}; }
  if (typeof DecompressionStream === "undefined") {
    root.replaceChildren(make("p", {},
      "This browser cannot unpack the maps (DecompressionStream is missing): any of 2023 or later can."));
    return () => {};
  }
  app.theme = themeOf(root);
  addQuestions(app);
  addActions(app);
  build(app);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => { app.theme = themeOf(root); app.repaint(); };
  const onKey = (event) => onPageKey(app, event);
  const resized = new ResizeObserver(() => app.now && app.drawMaps());
  dark.addEventListener("change", repaint);
  keys.addEventListener("keydown", onKey);
  resized.observe(app.depth);
  app.undo.push(() => dark.removeEventListener("change", repaint), () => keys.removeEventListener("keydown", onKey),
    () => resized.disconnect());
  app.reload(true);
  return () => app.undo.forEach((undo) => undo());
}

/** What the parts of the page ask for. */
function addQuestions(app) {
  const { data, state } = app, names = new WeakMap();
  app.context = () => {
    const picture = data.pictures[state.picture], layer = picture?.layers[state.layer];
    return { picture, layer, head: layer?.heads[state.head], state };
  };
  app.meansOf = (head) => inOrder(head.means, app.context().picture.image);
  app.isCompared = () => data.compare.length > 0;
  app.layerNames = () => once(app.context().picture, () => shortNames(app.context().picture.layers.map((layer) => layer.name)));
  app.otherOf = (l, h) => {
    const { picture } = app.context(),
      layer = data.compare[state.picture]?.layers.find((one) => one.name === picture.layers[l].name);
    const head = layer?.heads.find((one) => one.number === picture.layers[l].heads[h].number);
    return head ? { layer, head } : null;
  };
  app.runsOf = async (l, h) => {
    const layer = app.context().picture.layers[l], head = layer.heads[h], other = app.otherOf(l, h);
    const [known, otherKnown] = await Promise.all([unpackHead(layer, head), other && unpackHead(other.layer, other.head)]);
    return [{ layer, head, known }, other && { ...other, known: otherKnown }];
  };
  app.sourceOf = async (l, h, mode) => sourceIn(mode === "beside" ? "this" : mode, ...(await app.runsOf(l, h)));
  app.tokens = (side) => {
    const name = app.now.layer.texts[side === "query" ? 0 : 1];
    return name === "queries" ? app.now.queries : name === "keys" ? app.now.keys : app.now.texts[name] ?? [];
  };
  app.noun = (side) => {
    const name = app.now.layer.texts[side === "query" ? 0 : 1];
    if (!app.now.picture.image || name === "queries") return "token";
    return app.imageOf(side) ? "patch" : name ? "row" : "place";
  };
  app.label = (side, index) => shown(app.tokens(side)[index] ?? String(index));
  app.imageOf = (side) => {
    const { picture, layer } = app.now, name = layer.texts[side === "query" ? 0 : 1];
    return picture.image && name === "keys" ? picture.image : null;
  };
  app.sides = (layer) => {
    if (names.has(layer)) return names.get(layer);
    const side = (which, place) => {
      const count = layer.shape[place], sample = Array.from({ length: Math.min(count, 300) }, (_, i) => app.label(which, i));
      const isTagged = which === "query" && layer.texts[0] === (app.now.picture.queries ? "queries" : "keys");
      const tag = (row) => (isTagged && app.now.labels[row] !== "O" ? app.now.labels[row] ?? "" : "");
      if (which === "query") sample.forEach((text, i) => { if (tag(i)) sample[i] = `${text} ${tag(i)}`; });
      return { count, sample, isShort: sample.every((text) => [...text].length <= 2), label: (i) => app.label(which, i), tag,
        get marked() { return app.state.token?.side === which ? app.state.token.index : -1; } };
    };
    names.set(layer, { query: side("query", 0), key: side("key", 1) });
    return names.get(layer);
  };
}

/** What a person can do. */
function addActions(app) {
  const { state } = app;
  app.reload = async (isNew) => {
    const ticket = ++app.loading, { picture, layer } = app.context();
    app.root.dataset.ready = "";
    if (!layer) return showNothing(app);
    const names = Object.keys(picture.texts);
    const [[own, other], keys, queries, labels, ...more] = await Promise.all([app.runsOf(state.layer, state.head),
      ...[picture.keys, picture.queries, picture.labels, ...names.map((name) => picture.texts[name])].map(texts)]);
    if (ticket !== app.loading) return;
    app.now = { picture, layer, head: own.head, known: own.known, runs: [own, other], keys, queries: queries ?? keys, labels,
      texts: Object.fromEntries(names.map((name, i) => [name, more[i]])) };
    if (isNew) {
      const { image } = picture;
      // Where the queries are no patches, or the first is none, what it looked at is what a person comes for.
      if (image && app.imageOf("key") && (image.leading || !app.imageOf("query"))) state.token = { side: "query", index: 0 };
      drawHeader(app);
      app.overview.build();
    }
    app.overview.mark();
    drawDepth(app);
    app.tokensPart.draw();
    app.root.dataset.ready = "true";
    if (!performance.getEntriesByName("regard: first head").length) performance.mark("regard: first head");
  };
  app.pick = (picture) => {
    if (picture < 0 || picture >= app.data.pictures.length) return;
    const { layers } = app.data.pictures[picture], l = clamp(state.layer, 0, Math.max(0, layers.length - 1));
    Object.assign(state, { picture, layer: l, head: clamp(state.head, 0, Math.max(0, (layers[l]?.heads.length ?? 1) - 1)),
      token: null, hover: null, view: null });
    return app.reload(true);
  };
  app.open = (layer, head) => {
    const { layers } = app.context().picture, isSame = String(layers[layer].shape) === String(layers[state.layer].shape);
    Object.assign(state, { layer, head, hover: null }, isSame ? {} : { view: null, token: null });
    return app.reload(false);
  };
  app.step = (by) => {
    const heads = headsOf(app), at = heads.findIndex(({ l, h }) => l === state.layer && h === state.head) + by;
    if (heads[at]) app.open(heads[at].l, heads[at].h);
  };
  app.set = (changes) => {
    Object.assign(state, changes);
    if ("mode" in changes || "scale" in changes) app.repaint();
    else app.overview.arrange();
  };
  app.rescale = () => {
    const scales = Object.keys(SCALES);
    app.set({ scale: scales[(scales.indexOf(state.scale) + 1) % scales.length] });
  };
  app.choose = (side, index, isKept = false) => {
    const isSame = state.token?.side === side && state.token.index === index;
    state.token = isSame && !isKept ? null : { side, index };
    app.drawMaps();
    app.tokensPart.draw(isKept);
  };
  app.turn = () => { if (state.token) app.choose(state.token.side === "query" ? "key" : "query", state.token.index, true); };
  app.release = () => { Object.assign(state, { token: null, hover: null }); app.drawMaps(); app.tokensPart.draw(); };
  app.point = (hover) => {
    if (hover?.query === state.hover?.query && hover?.key === state.hover?.key) return;
    state.hover = hover;
    app.drawMaps();
  };
  app.look = (view) => { state.view = view && bounded(app.now.layer, view); app.drawMaps(); };
  app.zoom = (factor, place) => {
    const { layer } = app.now, view = viewOf(state, layer);
    const middle = state.hover ?? { query: view.y + view.height / 2, key: view.x + view.width / 2 };
    state.view = zoomed(layer, view, factor, place ?? middle);
    app.drawMaps();
  };
  app.show = (side, start, stop) => {
    const view = viewOf(state, app.now.layer);
    app.look(side === "key" ? { ...view, x: start, width: stop - start } : { ...view, y: start, height: stop - start });
    const text = app.tokensPart.views[app.now.layer.texts[0] === app.now.layer.texts[1] ? "key" : side];
    reveal(text, start);
  };
  app.repaint = () => {
    for (const map of app.maps) map.repaint();
    if (!app.now) return;
    drawDepth(app);
    app.tokensPart.draw();
    app.overview.repaint();
  };
  app.drawMaps = () => { for (const map of app.maps) map.draw(); drawLegend(app); drawReadout(app); };
}

function onPageKey(app, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, dialog")) return;
  const { state } = app, modes = app.isCompared() ? MODES : ["this"];
  const actions = {
    ",": () => app.pick(state.picture - 1), ".": () => app.pick(state.picture + 1),
    "[": () => app.step(-1), "]": () => app.step(1),
    "{": () => state.layer > 0 && app.open(state.layer - 1,
      Math.min(state.head, app.context().picture.layers[state.layer - 1].heads.length - 1)),
    "}": () => {
      const next = app.context().picture.layers[state.layer + 1];
      if (next) app.open(state.layer + 1, Math.min(state.head, next.heads.length - 1));
    },
    "+": () => app.zoom(0.6), "=": () => app.zoom(0.6), "-": () => app.zoom(1 / 0.6), "−": () => app.zoom(1 / 0.6),
      "0": () => app.look(null),
    d: app.turn, c: () => app.set({ mode: modes[(modes.indexOf(state.mode) + 1) % modes.length] }),
    s: app.rescale,
    o: () => app.overview.buttons.find((button) => button.tabIndex === 0)?.focus(), m: () => app.maps[0]?.canvas.focus(),
    "/": () => app.root.querySelector('.tokens input[type="search"]')?.focus(), "?": () => app.help.showModal(),
    Escape: app.release,
  };
  if (!(event.key in actions) || (!app.now && event.key !== "?" && event.key !== "," && event.key !== ".")) return;
  event.preventDefault();
  actions[event.key]();
}
