/** Mouse, touch and keys on a map. */
function listen(app, map) {
  const { canvas } = map, held = new Map();
  let start = null;
  const whole = ({ query, key }) => {
    const [queries, keys] = map.source.layer.shape;
    return { query: clamp(Math.floor(query), 0, queries - 1), key: clamp(Math.floor(key), 0, keys - 1) };
  };
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, event);
    start = { event, view: viewOf(app.state, map.source.layer), isMoved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const place = map.at(event);
    if (held.has(event.pointerId) && start) return drag(event);
    app.point(place.isInside ? whole(place) : null);
  });
  canvas.addEventListener("pointerup", (event) => {
    const place = map.at(event);
    if (start && !start.isMoved && place.isInside) app.choose("query", whole(place).query);
    else if (start && !start.isMoved) chooseLabel(place);
    release(event);
  });
  const release = (event) => { held.delete(event.pointerId); start = null; canvas.classList.remove("dragged"); };
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => { if (!held.size) app.point(null); });

  function drag(event) {
    const [right, down] = [event.clientX - start.event.clientX, event.clientY - start.event.clientY];
    if (Math.hypot(right, down) > 4) start.isMoved = true;
    if (!start.isMoved || !app.state.view) return;
    canvas.classList.add("dragged");
    const { view } = start, { box } = map;
    app.look({ ...view, x: view.x - (right / box.width) * view.width, y: view.y - (down / box.height) * view.height });
  }
  function chooseLabel(place) {
    const [queries, keys] = map.source.layer.shape, { box } = map;
    if (place.query >= 0 && place.query < queries && place.key < viewOf(app.state, map.source.layer).x) app.choose("query",
      Math.floor(place.query));
    else if (box && place.key >= 0 && place.key < keys && place.query < viewOf(app.state,
      map.source.layer).y) app.choose("key", Math.floor(place.key));
  }
  canvas.addEventListener("wheel", (event) => {
    const place = map.at(event);
    if (!place.isInside || (!app.state.view && event.deltaY > 0)) return;
    event.preventDefault();
    app.zoom(Math.exp(clamp(event.deltaY, -240, 240) / 400), place);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => {
    const place = map.at(event);
    if (place.isInside) app.zoom(event.shiftKey ? 2.5 : 0.4, place);
  });
  canvas.addEventListener("keydown", (event) => onMapKey(app, map, event));
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function onMapKey(app, map, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { layer } = map.source, view = viewOf(app.state, layer), { state } = app;
  if (event.key in STEPS) {
    const [down, right] = STEPS[event.key];
    if (event.shiftKey && state.view) app.look({ ...view, x: view.x + (right * view.width) / 8,
      y: view.y + (down * view.height) / 8 });
    else app.point(moved(layer, view, state, down, right));
  } else if (event.key === "Enter" || event.key === " ") {
    if (state.hover) app.choose("query", state.hover.query);
  } else if (event.key === "Escape") {
    if (state.token || state.hover) app.release();
    else app.look(null);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** The next cell; the next token where the view is close. */
function moved(layer, view, state, down, right) {
  const from = state.hover ?? { query: state.token?.side === "query" ? state.token.index : Math.floor(view.y),
    key: Math.floor(view.x) };
  const step = (width, span) => (span <= 6 * width ? 1 : width);
  return {
    query: clamp(from.query + down * step(layer.row_width, view.height), 0, layer.shape[0] - 1),
    key: clamp(from.key + right * step(layer.column_width, view.width), 0, layer.shape[1] - 1),
  };
}

/** A view within the bounds of a layer; null where it is all of it. */
function bounded(layer, view) {
  const [queries, keys] = layer.shape;
  const width = clamp(view.width, Math.min(4, keys), keys), height = clamp(view.height, Math.min(4, queries), queries);
  if (width >= keys && height >= queries) return null;
  return { width, height, x: clamp(view.x, 0, keys - width), y: clamp(view.y, 0, queries - height) };
}

/** Closer (factor below 1) or further, with one place kept where it is. */
function zoomed(layer, view, factor, { query, key }) {
  const [queries, keys] = layer.shape;
  const width = clamp(view.width * factor, Math.min(4, keys), keys), height = clamp(view.height * factor,
    Math.min(4, queries), queries);
  const x = key - ((key - view.x) / view.width) * width, y = query - ((query - view.y) / view.height) * height;
  return bounded(layer, { x, y, width, height });
}
