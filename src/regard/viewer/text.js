const CHUNK = 400;

/** How a tokenizer marks where words begin: what to cut off a token, and whether there is a gap before it. */
function spelling(tokens) {
  const some = tokens.slice(0, 4000);
  if (some.some((token) => /^[Ġ▁]/.test(token))) return { text: (t) => t.replace(/^[Ġ▁]/, ""), hasGap: (t) => /^[Ġ▁]/.test(t) };
  if (some.some((token) => /^##./.test(token))) return { text: (t) => t.replace(/^##(?=.)/, ""),
    hasGap: (t) => !/^##./.test(t) };
  const isLetters = some.length > 0 && some.every((token) => [...token].length <= 2)
    || some.some((token) => /^ \S/.test(token));
  return { text: (t) => (isLetters ? t.replace(/^ (?=\S)/, "") : t), hasGap: (t) => !isLetters || /^ \S/.test(t) };
}

/** Tokens as flowing text, in chunks that are only there while they are near to be seen. */
function createText(app, label) {
  const flow = make("div", { class: "flow", role: "listbox", tabindex: 0, "aria-label": label });
  const count = make("output", { class: "found" });
  const search = make("input", { type: "search", "aria-label": `Find in: ${label}` });
  const heading = make("h3", {}, label);
  const element = make("div", { class: "text" }, make("div", { class: "tools" }, heading, make("span", { class: "space" }),
    count, search), flow);
  const text = { element, flow, search, heading, tokens: [], shades: null, chosen: -1, choose: () => {} };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) isIntersecting ? fillChunk(text, target) : emptyChunk(target);
  }, { root: flow, rootMargin: "600px" });

  text.set = (tokens, length, name, noun) => {
    heading.textContent = name;
    search.placeholder = `find a ${noun}`;
    flow.setAttribute("aria-label", name);
    if (text.tokens === tokens && text.length === length) return;
    Object.assign(text, { tokens, length, found: null, spelling: spelling(tokens), shades: null, chosen: -1 });
    count.textContent = "";
    search.value = "";
    seen.disconnect();
    flow.replaceChildren(...Array.from({ length: Math.ceil(length / CHUNK) }, (_, i) => newChunk(text, i)));
    for (const chunk of flow.children) seen.observe(chunk);
  };
  text.draw = (shades, chosen, isMoved) => {
    Object.assign(text, { shades, chosen });
    for (const chunk of flow.children) if (chunk.isFilled) shadeChunk(text, chunk);
    if (isMoved && chosen >= 0) reveal(text, chosen);
    flow.setAttribute("aria-activedescendant", chosen >= 0 ? optionName(text, chosen) : "");
  };
  flow.addEventListener("click", (event) => { const token = event.target.closest(".token");
    if (token) text.choose(token.index); });
  flow.addEventListener("keydown", (event) => onTextKey(text, event));
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") find(text, count, event.shiftKey ? -1 : 1); });
  search.addEventListener("input", () => { text.found = null; find(text, count, 0); });
  return text;
}

let numTexts = 0;
const optionName = (text, index) => `${(text.name ??= `text-${++numTexts}`)}-${index}`;

function newChunk(text, number) {
  const size = Math.min(CHUNK, text.length - number * CHUNK), chunk = make("div", { class: "chunk", role: "presentation" });
  chunk.style.minHeight = `${Math.ceil(size / 14) * 25}px`;
  Object.assign(chunk, { number, size, isFilled: false });
  if (number === 0) fillChunk(text, chunk);
  return chunk;
}

function fillChunk(text, chunk) {
  if (chunk.isFilled) return;
  const first = chunk.number * CHUNK, parts = [];
  if (text.length > CHUNK) parts.push(make("span", { class: "place", "aria-hidden": "true" }, first.toLocaleString("en")));
  for (let index = first; index < first + chunk.size; index++) {
    const raw = text.tokens[index], token = raw ?? String(index);
    const attributes = { class: "token", role: "option", id: optionName(text, index) };
    if (text.spelling.hasGap(token)) parts.push(" ");
    parts.push(Object.assign(make("span", attributes, shown(text.spelling.text(token))), { index }));
    if (raw?.includes("\n")) parts.push(make("br"));
  }
  chunk.replaceChildren(...parts);
  chunk.isFilled = true;
  chunk.style.minHeight = "0";
  shadeChunk(text, chunk);
}

function emptyChunk(chunk) {
  if (!chunk.isFilled || chunk.parentElement?.children.length === 1) return;
  chunk.style.minHeight = `${chunk.offsetHeight}px`;
  chunk.replaceChildren();
  chunk.isFilled = false;
}

function shadeChunk(text, chunk) {
  for (const span of chunk.querySelectorAll(".token")) {
    const shade = text.shades ? text.shades(span.index) : 0;
    span.style.setProperty("--shade", shade < 0.004 ? "0" : shade.toFixed(3));
    span.classList.toggle("deep", shade > 0.62);
    span.classList.toggle("chosen", span.index === text.chosen);
    span.setAttribute("aria-selected", String(span.index === text.chosen));
  }
}

/** Scroll the text, and nothing else, to a token. */
function reveal(text, index) {
  const { flow } = text, chunk = flow.children[Math.floor(index / CHUNK)];
  if (!chunk) return;
  fillChunk(text, chunk);
  const span = [...chunk.querySelectorAll(".token")].find((token) => token.index === index);
  const bounds = flow.getBoundingClientRect(), own = span.getBoundingClientRect();
  if (own.top < bounds.top + 8
    || own.bottom > bounds.bottom - 8) flow.scrollTop += own.top - bounds.top - flow.clientHeight / 3;
}

const MOVES = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, PageUp: -CHUNK, PageDown: CHUNK, Home: -Infinity,
  End: Infinity };

function onTextKey(text, event) {
  if (!(event.key in MOVES) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  const from = text.chosen < 0 ? (MOVES[event.key] > 0 ? -1 : 1) : text.chosen;
  const step = text.chosen < 0 ? Math.sign(MOVES[event.key]) : MOVES[event.key];
  text.choose(clamp(from + step, 0, text.length - 1), true);
}

/** All places of what is searched; tokens are joined as they are shown, so that a word of many tokens is found. */
function placesOf(text, wanted) {
  const starts = new Int32Array(text.tokens.length), parts = [];
  let length = 0;
  text.tokens.forEach((token, i) => {
    const part = (text.spelling.hasGap(token) ? " " : "") + text.spelling.text(token);
    starts[i] = length;
    length += part.length;
    parts.push(part);
  });
  const whole = parts.join("").toLowerCase(), places = [];
  for (let at = whole.indexOf(wanted); at >= 0 && places.length < 5000; at = whole.indexOf(wanted, at + 1)) {
    let low = 0, high = starts.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (starts[middle] <= at) low = middle; else high = middle - 1; }
    if (places.at(-1) !== low) places.push(low);
  }
  return places;
}

function find(text, count, step) {
  const wanted = text.search.value.toLowerCase();
  if (!wanted) { count.textContent = ""; return; }
  if (!text.found) text.found = { places: placesOf(text, wanted), at: 0 };
  else if (text.found.places.length) text.found.at = (text.found.at + step + text.found.places.length) % text.found.places.length;
  const { places, at } = text.found;
  count.textContent = places.length ? `${at + 1} of ${places.length}` : "not found";
  if (places.length) text.choose(places[at], true);
}
