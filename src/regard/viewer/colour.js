/** Colours of the page as [red, green, blue], by the names of the style sheet. */
function themeOf(root) {
  const style = getComputedStyle(root);
  const colour = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
  };
  const css = (name) => style.getPropertyValue(name).trim();
  const ramp = ["--ramp-0", "--ramp-1", "--ramp-2", "--ramp-3", "--ramp-4"].map(colour);
  const less = [ramp[0], ...["--less-1", "--less-2"].map(colour)], more = [ramp[0], ...["--more-1", "--more-2"].map(colour)];
  return { css, ramp: table(ramp), less: table(less), more: table(more), blank: pixel(colour("--blank")) };
}

const pixel = ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red;

/** 256 pixels between the stops. */
function table(stops) {
  return Int32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2), share = at - k;
    return pixel(stops[k].map((low, c) => Math.round(low + (stops[k + 1][c] - low) * share)));
  });
}

const cssOf = (value) => `rgb(${value & 255} ${(value >> 8) & 255} ${(value >> 16) & 255})`;

const SCALES = {
  root: (share) => Math.sqrt(share),
  log: (share) => (share <= 1e-4 ? 0 : 1 + Math.log10(share) / 4),
  linear: (share) => share,
};

/** The largest size among numbers; NaN does not count. */
function largest(values) {
  let most = 0;
  for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}

/** The weight at the end of the colour scale: the largest cell, but at least four even shares, so that an even head stays pale. */
const endOf = (cells, columns) => Math.max(largest(cells), Math.min(1, 4 / columns)) || 1;

/** From 0 to 1, how dark a weight is shown. */
const shadeOf = (value, end, scale) => clamp(SCALES[scale](Math.min(1, Math.abs(value) / end)), 0, 1);

/** A canvas with a pixel for each cell. */
function painted({ cells, rows, columns, end, isDifference }, theme, scale, canvas = document.createElement("canvas")) {
  canvas.width = Math.max(1, columns);
  canvas.height = Math.max(1, rows);
  if (!cells || !cells.length) return canvas;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  const pixels = new Int32Array(image.data.buffer);
  for (let i = 0; i < cells.length; i++) {
    const value = cells[i];
    const ramp = isDifference ? (value < 0 ? theme.less : theme.more) : theme.ramp;
    pixels[i] = Number.isNaN(value) ? theme.blank : ramp[Math.round(255 * shadeOf(value, end, scale))];
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
