/** The picture whose patches are tokens, under the weights that they have. A click chooses a patch. */
function createImage(app, label) {
  const picture = make("img", { alt: "" }), canvas = make("canvas",
    { role: "application", tabindex: 0, "aria-label": `${label}. Arrow keys move between patches.` });
  const leading = make("div", { class: "tools" }), element = make("div", { class: "image" }, leading,
    make("div", { class: "frame" }, picture, canvas));
  const image = { element, picture, canvas, leading, given: null, choose: () => {} };
  image.set = (given, tokens) => {
    if (image.given === given) return;
    Object.assign(image, { given, tokens });
    picture.src = given.source;
    leading.replaceChildren(...Array.from({ length: given.leading }, (_, i) =>
      make("button", { type: "button", class: "chip", click: () => image.choose(i) }, shown(tokens[i] ?? String(i)))));
  };
  image.draw = (shades, chosen) => {
    Object.assign(image, { shades, chosen });
    [...leading.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
    drawPatches(app, image);
  };
  picture.addEventListener("load", () => { if (image.given) drawPatches(app, image); });
  const patchAt = (event) => {
    const bounds = canvas.getBoundingClientRect(), { rows, columns, leading: before } = image.given;
    const row = clamp(Math.floor(((event.clientY - bounds.top) / bounds.height) * rows), 0, rows - 1);
    return before + row * columns + clamp(Math.floor(((event.clientX - bounds.left) / bounds.width) * columns), 0, columns - 1);
  };
  canvas.addEventListener("click", (event) => image.choose(patchAt(event)));
  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    event.stopPropagation();
    const { rows, columns, leading: before } = image.given, [down, right] = STEPS[event.key];
    const from = Math.max(0, image.chosen - before), row = clamp(Math.floor(from / columns) + down, 0, rows - 1);
    image.choose(before + row * columns + clamp((from % columns) + right, 0, columns - 1));
  });
  return image;
}

/** Weights as warm light on the dimmed picture. */
function drawPatches(app, image) {
  const { canvas, given, shades, chosen } = image, { rows, columns, leading } = given;
  const frame = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: Math.max(1, frame.width * scale), height: Math.max(1, frame.height * scale) });
  const context = canvas.getContext("2d"), wide = canvas.width / columns, high = canvas.height / rows;
  for (let patch = 0; shades && patch < rows * columns; patch++) {
    const shade = shades(leading + patch);
    const [red, green, blue] = [16 + 239 * shade, 18 + 152 * shade, 24 + 6 * shade].map(Math.round);
    context.fillStyle = `rgb(${red} ${green} ${blue} / ${0.55 - 0.05 * shade})`;
    const row = Math.floor(patch / columns), column = patch % columns, x = Math.round(column * wide),
      y = Math.round(row * high);
    context.fillRect(x, y, Math.round((column + 1) * wide) - x, Math.round((row + 1) * high) - y);
  }
  if (chosen < leading) return;
  const at = chosen - leading;
  context.lineWidth = 2.5 * scale;
  context.strokeStyle = "#fff";
  context.strokeRect((at % columns) * wide, Math.floor(at / columns) * high, wide, high);
}
