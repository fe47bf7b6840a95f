/** All heads of a picture: a small map each, in rows of layers, or in order of a statistic. */
function createOverview(app) {
  const grid = make("div", { class: "heads", role: "group", "aria-label": "Heads. Arrow keys move, Enter opens.",
    keydown: (event) => onHeadKey(event, grid) });
  const roles = make("div", { class: "roles", role: "group", "aria-label": "Show only heads of a kind" });
  const tip = make("div", { class: "tip", role: "tooltip", hidden: true });
  const by = menu("Statistic under each head", [], (value) => app.set({ by: value }));
  const order = menu("Order of the heads", [["layer", "by layer"], ["down", "largest first"], ["up", "smallest first"]],
    (value) => app.set({ order: value }));
  const element = make("section", { class: "overview", "aria-label": "All heads" },
    make("div", { class: "tools" }, by, order), roles, grid, tip);
  const hide = () => { tip.hidden = true; };
  window.addEventListener("scroll", hide, { passive: true, capture: true });
  app.undo.push(() => window.removeEventListener("scroll", hide, { capture: true }));
  const overview = { element, buttons: [], by, order };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { seen.unobserve(target);
      paintThumb(app, target.place, target); }
  }, { rootMargin: "300px" });

  overview.build = () => {
    const heads = headsOf(app), { picture, state } = app.context();
    const statistics = statisticsOf(app, heads);
    if (!statistics.includes(state.by)) state.by = statistics[0];
    by.replaceChildren(...statistics.map((name) => make("option", { value: name }, nameOf(name))));
    by.value = state.by ?? "";
    order.value = state.order;
    seen.disconnect();
    overview.buttons.forEach((button) => button.remove());
    overview.buttons = heads.map((place) => thumb(app, place, tip));
    const most = Math.max(1, ...picture.layers.map((layer) => layer.heads.length));
    const room = Math.max(200, (grid.clientWidth || 420) - 44);
    const side = clamp(Math.floor(room / most) - 7, 19, heads.length <= 16 ? 104 : heads.length <= 48 ? 76 : 58);
    element.style.setProperty("--thumb", `${side}px`);
    grid.classList.toggle("large", side > 44);
    drawRoles(app, roles, heads);
    overview.arrange();
    overview.buttons.forEach((button) => seen.observe(button));
    overview.mark();
  };
  overview.arrange = () => {
    arrange(app, grid, overview.buttons);
    for (const chip of roles.children) chip.setAttribute("aria-pressed", String(chip.kind === app.state.role));
  };
  overview.mark = () => {
    for (const button of overview.buttons) {
      const isCurrent = button.place.l === app.state.layer && button.place.h === app.state.head;
      button.setAttribute("aria-pressed", String(isCurrent));
      button.tabIndex = isCurrent ? 0 : -1;
    }
  };
  overview.repaint = () => overview.buttons.forEach((button) => { if (button.isPainted) paintThumb(app, button.place, button);
    });
  return overview;
}

const headsOf = (app) => app.context().picture.layers.flatMap((layer, l) => layer.heads.map((head,
  h) => ({ l, h, layer, head })));

/** The number of a head, where its layer has others. */
const headName = (layer, head) => (layer.heads.length > 1 ? `head ${head.number}` : "");

/** The statistics that any head has a mean of, those with a name of their own first. */
function statisticsOf(app, heads) {
  const found = new Set(heads.flatMap(({ head }) => app.meansOf(head).map(([name]) => name)));
  return [...Object.keys(STATISTICS).filter((name) => found.has(name)), ...[...found].filter((name) => !(name in STATISTICS))];
}

function thumb(app, place, tip) {
  const { l, h, layer, head } = place, name = app.layerNames()[l];
  const bar = make("i"), label = make("small", {}, layer.heads.length > 1 ? String(head.number) : "");
  const means = app.meansOf(head).map(([key, value]) => `${nameOf(key)} ${withUnit(key, value)}`);
  const button = make("button", {
    type: "button", class: "head", "aria-label": [name, headName(layer, head), head.role,
      ...means.slice(0, 4)].filter(Boolean).join(", "),
    click: () => app.open(l, h),
    pointerenter: () => showTip(app, tip, button), focus: () => button.matches(":focus-visible") && showTip(app, tip, button),
    pointerleave: () => { tip.hidden = true; }, blur: () => { tip.hidden = true; },
  }, make("canvas", { width: 1, height: 1 }), bar, label);
  if (head.role) button.append(make("b", { class: `dot role-${roleNumber(app, head.role)}` }));
  return Object.assign(button, { place, bar });
}

async function paintThumb(app, { l, h }, button) {
  const { mode } = app.state;
  button.isPainted = true;
  const source = await app.sourceOf(l, h, mode);
  if (source && mode === app.state.mode) painted(source, app.theme, app.state.scale, button.querySelector("canvas"));
}

/** Order, bars, and which are dimmed. */
function arrange(app, grid, buttons) {
  const { by, order, role } = app.state, value = ({ place }) => place.head.means[by] ?? NaN;
  const values = buttons.map(value).filter((one) => !Number.isNaN(one)), most = Math.max(...values.map(Math.abs), 1e-12);
  for (const button of buttons) {
    button.bar.style.setProperty("--share", String(clamp(Math.abs(value(button)) / most || 0, 0, 1)));
    button.classList.toggle("dimmed", Boolean(role) && button.place.head.role !== role);
  }
  if (order === "layer") {
    const names = app.layerNames();
    grid.classList.toggle("stacked", names.length === 1 || names.some((name) => name.length > 9));
    grid.replaceChildren(...app.context().picture.layers.map((layer, l) => make("div", { class: "layer" },
      names.length > 1 ? make("span", { title: layer.name }, names[l]) : null,
        make("div", {}, ...buttons.filter((button) => button.place.l === l)))));
  } else {
    const up = order === "up" ? 1 : -1, last = (one) => (Number.isNaN(one) ? -Infinity : one);
    const sorted = buttons.slice().sort((a, b) => up * (last(value(a)) - last(value(b))));
    grid.replaceChildren(make("div", { class: "layer flat" }, make("div", {}, ...sorted)));
  }
}

const rolesOf = (app) => once(app.context().picture.layers,
  () => [...new Set(headsOf(app).map(({ head }) => head.role).filter(Boolean))].sort());
/** Its colour; grey for heads that do no one thing. */
const roleNumber = (app, role) => (role === "mixed" ? 7 : rolesOf(app).filter((one) => one !== "mixed").indexOf(role) % 7);

function drawRoles(app, element, heads) {
  element.replaceChildren(...rolesOf(app).map((role) => {
    const count = heads.filter(({ head }) => head.role === role).length;
    const choose = () => app.set({ role: app.state.role === role ? "" : role });
    const chip = make("button", { type: "button", class: "chip", click: choose },
      make("b", { class: `dot role-${roleNumber(app, role)}` }), `${role} `, make("small", {}, String(count)));
    return Object.assign(chip, { kind: role });
  }));
}

function showTip(app, tip, button) {
  const { l, layer, head } = button.place;
  const rows = app.meansOf(head).map(([name, value]) => make("div", {}, make("dt", {}, nameOf(name)),
    make("dd", {}, withUnit(name, value))));
  const names = [app.layerNames()[l], headName(layer, head), head.role];
  tip.replaceChildren(make("strong", {}, names.filter(Boolean).join(" · ")), make("dl", {}, ...rows));
  tip.hidden = false;
  const own = button.getBoundingClientRect(), hasRoom = own.bottom + tip.offsetHeight + 12 < window.innerHeight;
  tip.style.left = `${clamp(own.left, 8, Math.max(8, window.innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, hasRoom ? own.bottom + 6 : own.top - tip.offsetHeight - 6)}px`;
}

/** Arrow keys move between heads, by where they lie. */
function onHeadKey(event, grid) {
  const from = event.target.closest("button");
  if (!from || !(event.key in STEPS)) return;
  event.preventDefault();
  event.stopPropagation();
  const [down, right] = STEPS[event.key], own = from.getBoundingClientRect();
  let best = null, least = Infinity;
  for (const button of grid.querySelectorAll("button")) {
    const box = button.getBoundingClientRect(), x = box.left - own.left, y = box.top - own.top;
    const ahead = x * right + y * down, aside = Math.abs(x * down) + Math.abs(y * right);
    if (ahead > 2 && ahead + 3 * aside < least) { least = ahead + 3 * aside; best = button; }
  }
  best?.focus();
}
