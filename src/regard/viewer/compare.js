const MODES = ["this", "other", "difference", "beside"];

/** Which run is shown; nothing where there is only one. */
function createModes(app) {
  const element = make("div", { class: "modes", role: "group", "aria-label": "Which run" });
  const texts = () => ({ this: app.data.names[0], other: app.data.names[1], difference: "difference", beside: "side by side" });
  const modes = { element };
  modes.draw = () => {
    element.hidden = !app.isCompared();
    if (element.hidden) return;
    element.replaceChildren(...MODES.map((mode) =>
      make("button", { type: "button", "aria-pressed": String(app.state.mode === mode), click: () => app.set({ mode }) },
        texts()[mode])));
  };
  return modes;
}

/** What a map shows of a head, in one of the modes but "beside". Both runs are shown in the same colours. */
function sourceIn(mode, own, other) {
  const ends = [own, other].filter((one) => one?.known.cells).map(({ known, layer }) => endOf(known.cells, layer.columns));
  const shownAs = (one) => one && {
    layer: one.layer, known: one.known, cells: one.known.cells, rows: one.layer.rows, columns: one.layer.columns,
    end: Math.max(...ends), rectangles: one.known.rectangles.map(rectangleSource),
    entropy: { values: one.known.entropy, width: one.layer.entropy_width },
      received: { values: one.known.received, width: one.layer.received_width },
  };
  if (mode !== "difference") return shownAs(mode === "other" ? other : own);
  const cells = other && difference(own.layer, own.known, other.layer, other.known);
  return cells && { ...shownAs(own), known: null, cells, isDifference: true, end: largest(cells) || 1, rectangles: [] };
}

function rectangleSource({ rows, keys, cells }) {
  const sides = { rows: rows[1] - rows[0], columns: keys[1] - keys[0] };
  return { ...sides, cells, end: endOf(cells, sides.columns), queries: rows, keys };
}

/** Means of a head: of one run, or of both with their change. */
function meansOf(app, head, other) {
  const one = ([name, value]) => make("div", {}, make("dt", {}, nameOf(name)), make("dd", {}, withUnit(name, value)));
  const means = app.meansOf(head);
  if (!other) return make("dl", { class: "means" }, ...means.slice(0, NUM_MAIN).map(one));
  const both = ([name, value]) => {
    const later = other.means[name], isKnown = [value, later].every((mean) => mean !== null && mean !== undefined);
    const change = isKnown ? make("b", { class: "change" }, ` ${withUnit(name, later - value, signed)}`) : null;
    return make("div", {}, make("dt", {}, nameOf(name)), make("dd", {}, `${withUnit(name, value)} → ${withUnit(name, later)}`,
      change));
  };
  return make("dl", { class: "means", "aria-label": `${app.data.names[0]} → ${app.data.names[1]}, change` },
    ...means.map(both));
}
