/** A new element. Children are elements or texts; a text is never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const clamp = (value, least, most) => Math.max(least, Math.min(most, value));

/** A token as it can be read: white space is made visible, but for a space between words. */
const shown = (token) => (token === "" ? "∅" : token.replace(/\n/g, "⏎").replace(/[^\S ]|(?<!\S) | (?!\S)/g, "␣"));

/** A number with three digits that count. */
function digits(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001) return value.toExponential(2).replace("e-", "e−");
  if (size < 0.1) return value.toPrecision(3);
  return size >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1
    ? 2 : 3);
}

const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + digits(Math.abs(value));

/** Name and unit of what is measured of a head; others are shown under their own names. */
const STATISTICS = {
  entropy_bits: ["entropy", "bits"],
  largest_weight: ["largest weight", ""],
  mean_distance: ["distance", "positions"],
  sink_share: ["sink", "%"],
  previous_share: ["previous token", "%"],
  window_share: ["near", "%"],
  evenness: ["evenness", ""],
  permitted_keys: ["permitted keys", ""],
  distance_spread: ["spread of distance", "positions"],
  total_weight: ["total weight", ""],
  logsumexp: ["log-sum-exp", "nats"],
  largest_logit: ["largest logit", "nats"],
};
const NUM_MAIN = 6;
const nameOf = (statistic) => (STATISTICS[statistic] ?? [statistic.replaceAll("_", " "), ""])[0];

/** Means that say something of keys in a row only, which the patches of an image are not. */
const OF_A_ROW = ["mean_distance", "distance_spread", "sink_share", "previous_share", "window_share"];

/** Means in the order of the statistics, those without a name of their own last; over an image those that are true of one. */
const inOrder = (means, image) => {
  const place = (name) => (name in STATISTICS ? Object.keys(STATISTICS).indexOf(name) : 99);
  const isTrue = (name) => !image || !OF_A_ROW.includes(name) || (name === "sink_share" && image.leading > 0);
  return Object.entries(means).filter(([name]) => isTrue(name)).sort(([a], [b]) => place(a) - place(b));
};

const many = (noun) => (noun === "patch" ? "patches" : noun === "query" ? "queries" : `${noun}s`);
const counted = (count, noun) => `${count.toLocaleString("en")} ${count === 1 ? noun : many(noun)}`;

/** A mean with its unit. */
function withUnit(statistic, value, write = digits) {
  const unit = (STATISTICS[statistic] ?? ["", ""])[1];
  if (value === null || value === undefined) return "–";
  if (unit === "%") return `${write(100 * value)} %`;
  return `${write(value)}${unit ? ` ${unit === "positions" ? "tokens" : unit}` : ""}`;
}

/** What tells names apart: the front and the end that all share are left out. */
function shortNames(names) {
  if (names.length < 2) return names.slice();
  const words = names.map((name) => name.split("."));
  const least = Math.min(...words.map((parts) => parts.length));
  const same = (at) => words.every((parts) => at(parts) === at(words[0]));
  let front = 0, end = 0;
  while (front < least - 1 && same((parts) => parts[front])) front++;
  while (end < least - front - 1 && same((parts) => parts[parts.length - 1 - end])) end++;
  return words.map((parts) => parts.slice(front, parts.length - end).join("."));
}

/** A menu of [value, text]. */
function menu(label, choices, change) {
  const select = make("select", { "aria-label": label, change: () => change(select.value) });
  select.append(...choices.map(([value, text]) => make("option", { value }, text)));
  return select;
}
