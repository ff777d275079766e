/* Numbers and the cache's words, as people read them. */

/** The cache's words, as the service lists them: statuses, stale, levels and reasons, each by name. */
const WORDS = JSON.parse(document.querySelector("[data-words]").dataset.words);

export const STAGES = {
  total: "Total",
  lookup: "Look up",
  classify: "Classify",
  retrieve: "Retrieve",
  generate: "Generate",
  validate: "Validate",
};

export const UNDER_WAY = {
  classify: "Understanding the question…",
  retrieve: "Searching the policies…",
  generate: "Writing the answer…",
  validate: "Checking the answer against the policies…",
};

/** Return in a sentence how the answer came about. */
export function status({ status: name, reason: why }) {
  const said = name === "stale" ? WORDS.stale[why ?? ""] : null;
  return said ?? WORDS.statuses[name] ?? name;
}

/** Return what the answer was reused from, in words. */
export function level(name) {
  return WORDS.levels[name] ?? name;
}

/** Return the reason in words; one that has none as it is. */
export function reason(name) {
  return WORDS.reasons[name] ?? name.replaceAll("-", " ");
}

/** Return an amount of USD (a decimal string, or null where a price is not known) in words. */
export function money(amount) {
  if (amount === null || amount === undefined) return "an unknown amount";
  const value = Number(amount);
  if (value === 0) return "$0";
  if (value < 0.000001) return "under $0.000001";
  const digits = value >= 0.01 ? 4 : 6;
  return `$${value.toFixed(digits).replace(/\.?0+$/, "")}`;
}

/** Return what was saved: time, and money where answers cost any. */
export function saved({ saved_usd: usd, saved_s: seconds }) {
  const parts = [
    seconds > 0 ? (seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds)) : null,
    usd === "0" && seconds > 0 ? null : money(usd),
  ];
  return `saved ${parts.filter((part) => part !== null).join(" and ")}`;
}

/** Return a time given in milliseconds, exact where it is short. */
export function milliseconds(value) {
  const digits = value < 10 ? 1 : 0;
  return `${value.toLocaleString("en-GB", { minimumFractionDigits: 0, maximumFractionDigits: digits })} ms`;
}

/** Return a time given in seconds, in the largest unit that fits. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
