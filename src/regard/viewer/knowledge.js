/** Where a query is among those whose largest weights were kept; −1 if it is not. */
function topPlace(top, query) {
  let low = 0, high = top ? top.queries.length : 0;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (top.queries[middle] < query) low = middle + 1;
    else high = middle;
  }
  return top && top.queries[low] === query ? low : -1;
}

const inside = ([start, stop], position) => position >= start && position < stop;

/** The exact weight of a pair, or null where only a mean is known. */
function exactWeight(layer, known, query, key) {
  for (const { rows, keys, cells } of known.rectangles) {
    if (inside(rows, query) && inside(keys, key)) return cells[(query - rows[0]) * (keys[1] - keys[0]) + key - keys[0]];
  }
  if (layer.row_width === 1 && layer.column_width === 1 && known.cells) return known.cells[query * layer.columns + key];
  const place = topPlace(known.top, query);
  if (place >= 0) {
    for (let i = 0; i < known.top.count; i++) {
      if (known.top.keys[place * known.top.count + i] === key) return known.top.weights[place * known.top.count + i];
    }
  }
  return null;
}

function cellWeight(layer, { cells }, query, key) {
  if (!cells?.length) return NaN;
  return cells[Math.floor(query / layer.row_width) * layer.columns + Math.floor(key / layer.column_width)];
}

/**
 * What a query looks at: `values` for each key, a mean over its cell where no more is known; `isExact` for each key;
 * `runs` of cells where these are wider than a key; `says`, in words, with `noun` for a query.
 */
function rowOf(layer, known, query, noun) {
  const [, count] = layer.shape, width = layer.column_width;
  const found = { values: new Float32Array(count), isExact: new Uint8Array(count), runs: [] };
  if (known.cells?.length) {
    const start = Math.floor(query / layer.row_width) * layer.columns;
    for (let key = 0; key < count; key++) found.values[key] = known.cells[start + Math.floor(key / width)] / width;
    if (width === 1 && layer.row_width === 1) found.isExact.fill(1);
    else for (let k = 0; k < layer.columns; k++) found.runs.push([k * width, Math.min(count, (k + 1) * width),
      known.cells[start + k]]);
  }
  const place = topPlace(known.top, query), kept = place < 0 ? 0 : known.top.count;
  for (let i = place * kept; i < (place + 1) * kept; i++) {
    if (known.top.keys[i] >= 0) setExact(found, known.top.keys[i], known.top.weights[i]);
  }
  for (const { rows, keys, cells } of known.rectangles) {
    if (!inside(rows, query)) continue;
    const own = (query - rows[0]) * (keys[1] - keys[0]);
    for (let key = keys[0]; key < keys[1]; key++) setExact(found, key, cells[own + key - keys[0]]);
  }
  return described(found, kept, layer.row_width, query, noun);
}

/** Who looks at a key: the same, for each query. */
function columnOf(layer, known, key, noun) {
  const [count] = layer.shape, width = layer.row_width;
  const found = { values: new Float32Array(count), isExact: new Uint8Array(count), runs: [] };
  if (known.cells?.length) {
    const at = (row) => known.cells[row * layer.columns + Math.floor(key / layer.column_width)] / layer.column_width;
    for (let query = 0; query < count; query++) found.values[query] = at(Math.floor(query / width));
    if (width === 1 && layer.column_width === 1) found.isExact.fill(1);
    else for (let q = 0; q < layer.rows; q++) found.runs.push([q * width, Math.min(count, (q + 1) * width), at(q)]);
  }
  if (known.top) {
    known.top.keys.forEach((at, i) => {
      if (at === key) setExact(found, known.top.queries[Math.floor(i / known.top.count)], known.top.weights[i]);
    });
  }
  for (const { rows, keys, cells } of known.rectangles) {
    if (!inside(keys, key)) continue;
    for (let query = rows[0]; query < rows[1]; query++) {
      setExact(found, query, cells[(query - rows[0]) * (keys[1] - keys[0]) + key - keys[0]]);
    }
  }
  return described(found, 0, layer.column_width, key, noun);
}

function setExact(found, place, weight) {
  found.values[place] = weight;
  found.isExact[place] = 1;
}

function described(found, numTop, width, position, noun) {
  const known = found.isExact.reduce((sum, is) => sum + is, 0);
  const run = noun === "token" ? `tokens ${runName(Math.floor(position / width) * width, width)}` : counted(width, noun);
  if (known === found.isExact.length) {
    found.runs = [];
    found.says = "exact weights";
  } else {
    const mean = width > 1 ? `a mean of ${run}` : "means over runs";
    found.says = numTop && known <= numTop ? `the ${numTop} largest weights are exact; the rest: ${mean}` : known
      ? `${known} weights are exact; the rest: ${mean}` : mean;
    if (!found.runs.length) found.says = known ? `${known} exact weights; the rest was not kept` : "not kept";
  }
  return found;
}

const runName = (start, width) => (width === 1 ? String(start)
  : `${start.toLocaleString("en")}–${(start + width - 1).toLocaleString("en")}`);

/** The largest exact weights, [position, weight], largest first. */
function largestOf({ values, isExact }, count) {
  const places = [];
  values.forEach((value, i) => { if (isExact[i] && value !== 0 && !Number.isNaN(value)) places.push(i); });
  return places.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a])).slice(0, count).map((i) => [i, values[i]]);
}

/** Cells of one head through two runs, later minus earlier; null where their shapes differ. */
function difference(layer, known, otherLayer, other) {
  const isSame = other && layer.rows === otherLayer.rows && layer.columns === otherLayer.columns
    && layer.shape.every((side, i) => side === otherLayer.shape[i]);
  return isSame && known.cells && other.cells ? known.cells.map((value, i) => other.cells[i] - value) : null;
}
