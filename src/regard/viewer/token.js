/** The texts (or the picture), and what is known of the token that was chosen. */
function createTokens(app) {
  const views = { query: createText(app, "Queries"), key: createText(app, "Keys") };
  const images = { query: createImage(app, "The image as queries"), key: createImage(app, "The image as keys") };
  const turn = make("button", { type: "button", click: () => app.turn(), title: "d" });
  const heading = make("h3"), says = make("p", { class: "says" }), list = make("div", { class: "bars" });
  const aside = make("aside", { "aria-label": "The chosen token", "aria-live": "polite" }, heading, says, list, turn);
  const sides = make("div", { class: "sides" });
  const element = make("section", { class: "tokens", "aria-label": "Tokens" }, sides);
  const tokens = { element, aside, views, images };

  tokens.draw = (isMoved = false) => {
    const { layer, known, picture } = app.now, { token } = app.state;
    const shown = viewsOf(app, views, images);
    const elements = shown.map(({ view }) => view.element), isThere = elements.length === sides.children.length
      && elements.every((one, i) => one === sides.children[i]);
    if (!isThere) sides.replaceChildren(...elements); // what is put in again would lose the focus
    element.classList.toggle("has-two", shown.length > 1);
    turn.hidden = shown.length > 1 || !token;
    turn.textContent = token?.side === "key" ? "What does it look at?" : "Who looks at it?";
    const found = token && (token.side === "query" ? rowOf : columnOf)(layer, known, token.index, app.noun(token.side));
    const lit = token ? (token.side === "query" ? "key" : "query") : "key";
    const shades = token ? shadesOf(found.values, app.state.scale) : shadesOfReceived(layer, known, app.state.scale);
    for (const { view, sides: own, set, side } of shown) {
      set();
      const chosen = token && own.includes(token.side) ? token.index : -1;
      view.choose = (index, isKept) => app.choose(own.length > 1 ? token?.side ?? "query" : side, index, isKept);
      view.draw(own.includes(lit) ? shades : null, chosen, isMoved);
    }
    describe(app, { heading, says, list }, found, picture);
  };
  return tokens;
}

/** One view where queries and keys are the same text, else one for each. */
function viewsOf(app, views, images) {
  const { layer } = app.now, [queries, keys] = layer.texts, isSame = queries === keys && layer.shape[0] === layer.shape[1];
  const one = (side, own) => {
    const image = app.imageOf(side), view = image ? images[side] : views[side];
    const set = image ? () => view.set(image, app.tokens(side)) : () => view.set(app.tokens(side),
      layer.shape[side === "query" ? 0 : 1], nameOfSide(app, side, isSame), app.noun(side));
    return { view, sides: own, side, set };
  };
  return isSame ? [one("key", ["query", "key"])] : [one("query", ["query"]), one("key", ["key"])];
}

function nameOfSide(app, side, isSame) {
  const number = app.now.layer.shape[side === "query" ? 0 : 1], count = counted(number, app.noun(side));
  if (isSame) return count;
  if (side === "query") return `Queries: ${count} that ${number === 1 ? "looks" : "look"}`;
  return `Keys: ${count} that ${number === 1 ? "is" : "are"} looked at`;
}

/** Of token i, how dark it is shown: relative to the largest weight, but at least four even shares. */
function shadesOf(values, scale) {
  const end = endOf(values, values.length);
  return (i) => (Number.isNaN(values[i]) ? 0 : shadeOf(values[i], end, scale));
}

/** Without a token, how much each is looked at by all. */
function shadesOfReceived(layer, known, scale) {
  if (!known.received) return null;
  const most = largest(known.received) || 1;
  return (i) => 0.8 * shadeOf(known.received[Math.floor(i / layer.received_width)] ?? 0, most, scale);
}

function describe(app, { heading, says, list }, found) {
  const { token } = app.state;
  list.replaceChildren();
  if (!token) {
    const noun = app.noun("key"), whole = noun === "patch" ? "image" : "text";
    heading.textContent = `Choose a ${noun}`;
    says.textContent = `Click a row of the map or a ${noun} of the ${whole}, or use the arrow keys in it. `
      + `Until then, the ${whole} is shaded by how much each ${noun} is looked at.`;
    return;
  }
  const { side, index } = token, { layer, known } = app.now;
  const numbered = (which) => app.noun(which) === "token"; // others are named by where they are
  heading.textContent = `“${app.label(side, index)}”${numbered(side) ? ` · ${index.toLocaleString("en")}` : ""}`;
  const bits = side === "query" && layer.entropy_width === 1 && known.entropy ? `, ${digits(known.entropy[index])} bits` : "";
  const mass = side === "key" && layer.received_width === 1 && known.received
    ? `, ${digits(known.received[index])} queries in all` : "";
  says.textContent = `${side === "query" ? "Looks at" : "Is looked at by"}: ${found.says}${bits}${mass}.`;
  const other = side === "query" ? "key" : "query", exact = largestOf(found, 10);
  const bars = exact.map(([place, weight]) => [app.label(other, place), numbered(other) ? String(place) : "", weight,
    () => app.choose(other, place, true)]);
  const runs = found.runs.slice().sort((a, b) => b[2] - a[2]).slice(0, bars.length ? 6
    : 10).filter(([, , weight]) => weight > 0);
  const most = Math.max(...bars.map((bar) => Math.abs(bar[2])), 1e-12),
    mostOfRuns = Math.max(...runs.map((run) => run[2]), 1e-12);
  list.append(...bars.map((bar) => barOf(...bar, most)));
  if (!runs.length) return;
  const byRuns = `by runs of ${many(app.noun(other))}`;
  list.append(make("h4", {}, side === "query" ? byRuns : `mean weight, ${byRuns}`));
  const runOf = (start, stop) => (numbered(other) ? runName(start, stop - start) : counted(stop - start, app.noun(other)));
  list.append(...runs.map(([start, stop, weight]) =>
    barOf(`${app.label(other, start)} …`, runOf(start, stop), weight, () => app.show(other, start, stop), mostOfRuns)));
}

function barOf(text, place, weight, click, most) {
  const bar = make("u");
  bar.style.width = `${(100 * Math.abs(weight)) / most}%`;
  return make("button", { type: "button", class: "bar", click }, make("span", { title: text }, text),
    make("small", {}, place), make("div", {}, bar), make("em", {}, digits(weight)));
}
