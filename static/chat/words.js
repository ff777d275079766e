/* Numbers and the cache's words, as people read them. */

export const STATUSES = {
  hit: "A stored answer was reused. No model was called for it.",
  miss: "Nothing that could be reused was stored, so the answer was made anew.",
  stale: "The answer could not be made anew, so a stored one was reused past its time.",
  collapsed: "Somebody else was asking the same at that moment. Both got the one answer that was made.",
  bypass: "The stored answers were left out of it, for the reason given.",
};

const REASONS = {
  absent: "nothing stored for it yet",
  expired: "the stored one had expired",
  flushed: "the stored one had been flushed",
  "policies-changed": "the policies have changed since",
  "max-age": "the stored one was older than allowed",
  unreadable: "the stored one could not be read",
  "mixed-up": "the stored one belonged to another question",
  "store-out": "the cache could not be reached",
  disabled: "the cache is disabled",
  "switched-off": "the cache is switched off",
  "level-off": "this level of the cache is switched off",
  "no-store": "asked not to keep it",
  "no-cache": "asked to make it anew",
  personal: "it is personal, so it is not shared",
  "person-wanted": "a person was asked for",
  "no-passages": "the policies do not say",
  "validation-failed": "no reply could be proven from the policies",
  refused: "the language model declined",
  "dates-changed": "a policy's dates have changed it",
};

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

/** Return why no complete answer was reused, in words; a reason that has none as it is. */
export function reason(name, level) {
  const said = REASONS[name] ?? name.replaceAll("-", " ");
  return level === "reply" ? `complete answer not reused: ${said}` : said;
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
