/* How a question and its answer look in the conversation. */

import { element, prose, spoken } from "./elements.js";
import * as words from "./words.js";

/** Return the customer's message as an element. */
export function questionElement(text) {
  return element(
    "article",
    { class: "turn question" },
    element("p", { class: "bubble", dir: "auto" }, spoken("You asked: "), text),
  );
}

/** Return the answer as an element: text, sources, and how it came about. */
export function answerElement(answer) {
  return element(
    "article",
    { class: "turn answer", "data-status": answer.cache.status },
    spoken("TRIA answered:"),
    answer.needs_human ? personBadge() : null,
    element("div", { class: "text", dir: "auto" }, prose(answer.answer)),
    answer.sources.length ? sourceList(answer.sources) : null,
    howItCameAbout(answer),
  );
}

function personBadge() {
  return element("p", { class: "badge" }, "A person is needed");
}

function sourceList(sources) {
  return element(
    "section",
    { class: "sources", "aria-label": "Sources" },
    element("h3", {}, sources.length === 1 ? "Source" : "Sources"),
    sources.map(sourceElement),
  );
}

function sourceElement(source) {
  const place =
    source.section && source.section !== source.title
      ? [element("span", { class: "arrow", "aria-hidden": "true" }, " › "), source.section]
      : [];
  return element(
    "details",
    { class: "source" },
    element(
      "summary",
      { dir: "auto" },
      element("span", {}, element("span", { class: "document" }, source.title), " ", place),
    ),
    element("blockquote", { dir: "auto" }, prose(source.passage)),
  );
}

/** Return the line that says where the answer came from, how long it took and what it cost. */
function howItCameAbout(answer) {
  const { cache, cost, timing_ms: timing } = answer;
  const facts = [
    cache.level ? words.level(cache.level) : null,
    words.milliseconds(timing.total),
    `spent ${words.money(cost.spent_usd)}`,
    words.saved(cost),
    cache.reason ? whyNot(answer) : null,
    ...freshness(cache),
  ];
  return element(
    "div",
    { class: "how" },
    element(
      "ul",
      { class: "facts", "aria-label": "How this answer came about" },
      element("li", { class: `status ${cache.status}` }, cache.status),
      facts.filter((fact) => fact !== null).map((fact) => element("li", {}, fact)),
    ),
    timingDetails(answer),
  );
}

/** Return the reason in words. Of a reused reply it says why the complete answer in front of it was not reused. */
function whyNot({ cache, needs_human: isHandedOff }) {
  const said = words.reason(cache.reason);
  const isOfAnother = cache.level === "reply" && cache.status !== "stale" && !isHandedOff;
  return isOfAnother ? `complete answer not reused: ${said}` : said;
}

/** Return what to say of the stored answer's age and remaining time; both are null where none is stored. */
function freshness({ status, age_s: ageS, ttl_s: ttlS }) {
  const said = [];
  if (ageS !== null && status !== "miss") said.push(`made ${words.duration(ageS)} ago`);
  if (ttlS !== null) said.push(ttlS > 0 ? `fresh for ${words.duration(ttlS)}` : "no longer fresh");
  return said;
}

function timingDetails({ cache, intent, timing_ms: timing }) {
  const rows = Object.entries(timing).map(([stage, spentMs]) => {
    const bar = element("span", { class: "spent" });
    // Through the object model, which the content security policy allows; a style attribute it would not.
    bar.style.setProperty("--share", timing.total > 0 ? Math.min(1, spentMs / timing.total) : 0);
    return element(
      "tr",
      { class: stage === "total" ? "total" : null },
      element("th", { scope: "row" }, words.STAGES[stage] ?? stage),
      element("td", { class: "share", "aria-hidden": "true" }, bar),
      element("td", { class: "number" }, words.milliseconds(spentMs)),
    );
  });
  const confidence = Math.round(intent.confidence * 100);
  return element(
    "details",
    { class: "timing" },
    element("summary", {}, "Timing by stage"),
    element("p", {}, words.status(cache)),
    element(
      "table",
      {},
      element("caption", { class: "visually-hidden" }, "Time spent in each stage"),
      element("tbody", {}, rows),
    ),
    element("p", {}, `Understood as “${intent.name.replaceAll("_", " ")}”, ${confidence} % sure.`),
  );
}
