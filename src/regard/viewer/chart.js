const LINE_SIDE = 64;
const LABEL_ROOM = 8.5;
const fontOf = (pixels,
  step) => `${step > 1 ? 12 : clamp(Math.floor(pixels) + 0.5, 9, 12)}px ui-monospace, 'SFMono-Regular', Menlo, Consolas, monospace`;

/** The part of a line that a view shows, [start, stop, value], with a mean of what falls on one pixel. */
function steps(values, width, from, span, pixels) {
  const found = [], joined = Math.max(1, Math.ceil(span / pixels / width));
  for (let i = Math.max(0, Math.floor(from / width / joined) * joined); i < values.length && i * width < from + span;
    i += joined) {
    const run = values.subarray(i, i + joined).filter((value) => !Number.isNaN(value));
    if (run.length) found.push([i * width, (i + joined) * width, run.reduce((sum, value) => sum + value, 0) / run.length]);
  }
  return found;
}

/** Entropy of each query, to the right of the map. */
function drawEntropy(context, box, view, line, theme) {
  if (!line.values?.length) return;
  const most = largest(line.values) || 1, x = box.x + box.width + 12, high = LINE_SIDE - 22;
  context.fillStyle = theme.css("--line-query");
  for (const [start, stop, value] of steps(line.values, line.width, view.y, view.height, box.height)) {
    const top = Math.max(box.y, box.toY(start)), bottom = Math.min(box.y + box.height, box.toY(stop));
    context.fillRect(x, top, Math.max(0.5, (value / most) * high), Math.max(0.7, bottom - top - (bottom - top > 6 ? 1 : 0)));
  }
  caption(context, theme, "bits", x, box.y - 7, "left");
  caption(context, theme, digits(most), x + high, box.y + box.height + 13, "right");
}

/** Mass received by each key, below the map; its root, since a sink is thousands of times larger than the rest. */
function drawReceived(context, box, view, line, theme) {
  if (!line.values?.length) return;
  const most = largest(line.values) || 1, y = box.y + box.height + 12, high = LINE_SIDE - 22;
  context.fillStyle = theme.css("--line-key");
  for (const [start, stop, value] of steps(line.values, line.width, view.x, view.width, box.width)) {
    const left = Math.max(box.x, box.toX(start)), right = Math.min(box.x + box.width, box.toX(stop));
    const size = Math.max(0.5, Math.sqrt(Math.abs(value) / most) * high);
    context.fillRect(left, y, Math.max(0.7, right - left - (right - left > 6 ? 1 : 0)), size);
  }
  caption(context, theme, "received", box.x - 8, y + 10, "right");
  caption(context, theme, `0–${digits(most)}`, box.x - 8, y + 25, "right");
}

function caption(context, theme, text, x, y, align) {
  context.fillStyle = theme.css("--soft");
  context.font = "11px system-ui, sans-serif";
  context.textAlign = align;
  context.textBaseline = "alphabetic";
  context.fillText(text, x, y);
}

/** Steps between labels: one a token where there is room, else round numbers. */
function labelStep(pixels, room) {
  if (pixels >= room) return 1;
  const least = (room * 2.4) / pixels, scale = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * scale).find((step) => step >= least && step >= 2);
}

/** Texts at the left of the rows that a view shows; the tags that were predicted stand before them. */
function drawRowLabels(context, box, view, side, theme) {
  const pixels = box.height / view.height, step = labelStep(pixels, LABEL_ROOM);
  context.font = fontOf(pixels, step);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (let row = Math.ceil(view.y / step) * step; row < Math.min(side.count, view.y + view.height); row += step) {
    const y = box.toY(row + (step === 1 ? 0.5 : 0));
    if (y < box.y - 1 || y > box.y + box.height) continue;
    const text = step === 1 ? side.label(row) : row.toLocaleString("en");
    context.fillStyle = theme.css(row === side.marked ? "--mark" : step === 1 ? "--ink" : "--soft");
    context.fillText(cut(context, text, box.x - 14), box.x - 8, y);
    const tag = step === 1 ? side.tag(row) : "";
    if (!tag) continue;
    const right = box.x - 14 - context.measureText(cut(context, text, box.x - 14)).width;
    context.fillStyle = theme.css("--mark");
    context.fillText(cut(context, tag, right - 4), right, y);
  }
}

/** Texts above the columns that a view shows. */
function drawColumnLabels(context, box, view, side, theme) {
  const pixels = box.width / view.width, step = labelStep(pixels, LABEL_ROOM), turn = step === 1 && !side.isShort;
  const every = step === 1 ? 1 : labelStep(pixels, 26);
  context.font = fontOf(pixels, step);
  context.textBaseline = "middle";
  for (let key = Math.ceil(view.x / every) * every; key < Math.min(side.count, view.x + view.width); key += every) {
    const x = box.toX(key + (step === 1 ? 0.5 : 0));
    if (x < box.x - 1 || x > box.x + box.width) continue;
    context.fillStyle = theme.css(key === side.marked ? "--mark" : step === 1 ? "--ink" : "--soft");
    context.save();
    context.translate(x, box.y - (turn ? 7 : 11));
    if (turn) context.rotate(-Math.PI / 3);
    context.textAlign = turn ? "left" : "center";
    const text = step === 1 ? side.label(key) : key.toLocaleString("en");
    context.fillText(turn ? cut(context, text, (box.y - 10) * 1.15) : text, 0, 0);
    context.restore();
  }
}

function cut(context, text, most) {
  if (context.measureText(text).width <= most) return text;
  const kept = [...text].slice(0, Math.max(1, Math.floor(most / 7.3) - 1));
  return `${kept.join("")}…`;
}
