/** A map of weights on a canvas, with its labels and lines: rows look at columns. All maps of a page share one view. */
function createMap(app, name) {
  const canvas = make("canvas", { class: "map", tabindex: 0, role: "application" });
  const element = make("figure", {}, make("figcaption", { hidden: !name }, name), canvas);
  const map = { element, canvas, box: null, source: null, images: new Map() };
  map.show = (source) => {
    if (map.source !== source) map.images.clear();
    map.source = source;
    map.draw();
  };
  map.repaint = () => { map.images.clear(); };
  map.draw = () => { if (map.source && element.isConnected) drawMap(app, map); };
  map.at = (event) => {
    const bounds = canvas.getBoundingClientRect(), { box, source } = map, view = viewOf(app.state, source.layer);
    const x = event.clientX - bounds.left, y = event.clientY - bounds.top;
    const key = view.x + ((x - box.x) / box.width) * view.width, query = view.y + ((y - box.y) / box.height) * view.height;
    return { query, key, isInside: x >= box.x && y >= box.y && x < box.x + box.width && y < box.y + box.height };
  };
  listen(app, map);
  return map;
}

/** The part of a layer's map that is shown, in tokens: all of it until someone zooms. */
function viewOf(state, layer) {
  const [queries, keys] = layer.shape;
  return state.view ?? { x: 0, y: 0, width: Math.max(1, keys), height: Math.max(1, queries) };
}

/** Where the plot lies on its canvas. */
function layOut(app, map) {
  const { layer } = map.source, view = viewOf(app.state, layer), sides = app.sides(layer);
  const wide = Math.max(240, map.element.clientWidth), isNarrow = wide < 460;
  const isLabelled = (span, side) => side / span >= LABEL_ROOM;
  const longest = (side, most) => Math.min(most, 22 + 7.3 * Math.max(3, ...side.sample.map((text) => [...text].length)));
  const x = isLabelled(view.height, 620) ? Math.max(longest(sides.query, isNarrow ? 84 : 150), 58) : 64;
  const y = sides.key.isShort || !isLabelled(view.width, wide - x - LINE_SIDE) ? 26
    : Math.min(104, longest(sides.key, 120) * 0.87 + 8);
  const room = wide - x - LINE_SIDE, most = Math.min(app.maps.length > 1 ? 520 : 660, window.innerHeight * 0.74);
  const [queries, keys] = layer.shape, size = Math.min(room / keys, 34, most / queries);
  let width = size * keys, height = size * queries;
  if (width < 150) width = Math.min(room, 150);
  if (height < 90) height = Math.min(220, Math.max(90, 20 * queries));
  const box = { x, y, width: Math.round(width), height: Math.round(height) };
  box.toX = (key) => box.x + ((key - view.x) / view.width) * box.width;
  box.toY = (query) => box.y + ((query - view.y) / view.height) * box.height;
  return { box, view, sides };
}

function drawMap(app, map) {
  const { canvas, source } = map, { box, view, sides } = layOut(app, map), { theme, state } = app,
    scale = window.devicePixelRatio || 1;
  const width = box.x + box.width + LINE_SIDE, height = box.y + box.height + LINE_SIDE - 6;
  map.box = box;
  canvas.dataset.plot = [box.x, box.y, box.width, box.height].join(" ");
  Object.assign(canvas, { width: width * scale, height: height * scale });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.imageSmoothingEnabled = false;
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  place(context, box, view, imageOf(app, map, source), source.layer);
  for (const rectangle of source.rectangles) placeRectangle(app, map, context, rectangle);
  drawGrid(context, box, view, theme);
  drawPointers(context, box, state, source, theme, isClose(box, view));
  context.restore();
  context.strokeStyle = theme.css("--line");
  context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
  drawRowLabels(context, box, view, sides.query, theme);
  drawColumnLabels(context, box, view, sides.key, theme);
  if (source.isDifference) return;
  drawEntropy(context, box, view, source.entropy, theme);
  drawReceived(context, box, view, source.received, theme);
}

function imageOf(app, map, source) {
  const key = app.state.scale;
  if (!map.images.has(source)) map.images.set(source, {});
  const kept = map.images.get(source);
  return (kept[key] ??= painted(source, app.theme, app.state.scale));
}

/** The block map, each cell as wide as its run of tokens. */
function place(context, box, view, image, layer) {
  const [queries, keys] = layer.shape;
  context.save();
  context.beginPath();
  context.rect(box.toX(0), box.toY(0), box.toX(keys) - box.toX(0), box.toY(queries) - box.toY(0));
  context.clip();
  const right = box.toX(layer.columns * layer.column_width), bottom = box.toY(layer.rows * layer.row_width);
  context.drawImage(image, box.toX(0), box.toY(0), right - box.toX(0), bottom - box.toY(0));
  context.restore();
}

/** Exact weights, where the view is close enough to tell them apart; else only where they lie. */
function placeRectangle(app, map, context, rectangle) {
  const { box } = map, [left, right] = rectangle.keys.map(box.toX), [top, bottom] = rectangle.queries.map(box.toY);
  const isShown = (right - left) / rectangle.columns >= 2 && bottom - top >= 4;
  if (isShown) context.drawImage(imageOf(app, map, rectangle), left, top, right - left, bottom - top);
  context.strokeStyle = app.theme.css("--mark");
  context.globalAlpha = isShown ? 0.9 : 0.55;
  context.setLineDash([4, 3]);
  context.strokeRect(left - 0.5, top - 0.5, Math.max(2, right - left + 1), Math.max(2, bottom - top + 1));
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** The exact weights that all of a view lies in; undefined where it is not. */
const rectangleIn = (source, view) => source.rectangles.find(({ queries, keys }) =>
  view.x >= keys[0] && view.x + view.width <= keys[1] && view.y >= queries[0] && view.y + view.height <= queries[1]);

/** Hairlines between cells that are large enough. */
function drawGrid(context, box, view, theme) {
  if (Math.min(box.width / view.width, box.height / view.height) < 11) return;
  context.fillStyle = theme.css("--grid");
  for (let key = Math.ceil(view.x); key < view.x + view.width; key++) context.fillRect(box.toX(key), box.y, 1, box.height);
  for (let query = Math.ceil(view.y); query < view.y + view.height; query++) context.fillRect(box.x, box.toY(query),
    box.width, 1);
}

/** The token that was chosen, and the cell that is pointed at. */
function drawPointers(context, box, state, { layer, known }, theme, close) {
  const band = (start, width, isRow) => {
    const [from, to] = isRow ? [box.toY(start), box.toY(start + width)] : [box.toX(start), box.toX(start + width)];
    if (isRow) context.strokeRect(box.x + 0.75, from, box.width - 1.5, Math.max(1.5, to - from));
    else context.strokeRect(from, box.y + 0.75, Math.max(1.5, to - from), box.height - 1.5);
  };
  context.lineWidth = 1.5;
  context.strokeStyle = theme.css("--mark");
  if (state.token) band(state.token.index, 1, state.token.side === "query");
  if (state.hover) {
    const cell = cellAt(layer, known, state.hover, close);
    context.globalAlpha = 0.75;
    context.strokeStyle = theme.css("--ink");
    const [x, y] = [box.toX(cell.keys[0]), box.toY(cell.rows[0])];
    context.strokeRect(x, y, Math.max(3, box.toX(cell.keys[1]) - x), Math.max(3, box.toY(cell.rows[1]) - y));
    context.globalAlpha = 1;
  }
  context.lineWidth = 1;
}

/** Whether single tokens can be pointed at. */
const isClose = (box, view) => box.width / view.width >= 2 && box.height / view.height >= 2;

/** The cell that a pair lies in: the pair itself where its weight is exact and the view close enough to tell it from others. */
function cellAt(layer, known, { query, key }, close) {
  if (close && known && exactWeight(layer, known, query, key) !== null) return { rows: [query, query + 1],
    keys: [key, key + 1], isExact: true };
  const run = (position, width, most) => [Math.floor(position / width) * width,
    Math.min(most, (Math.floor(position / width) + 1) * width)];
  return { rows: run(query, layer.row_width, layer.shape[0]), keys: run(key, layer.column_width, layer.shape[1]),
    isExact: false };
}
