/* Asking the service: one question out, one answer or one problem back. */

import { authorization } from "./session.js";

const TIMEOUT_MS = 120_000;

/** What went wrong, for people: a title, details, and what may help. */
export class Problem extends Error {
  constructor(title, details = []) {
    super(title);
    this.details = details;
  }
}

/**
 * Return the service's answer to `message` after `history`. `session`: where the page gets its session, if it
 * needs one.
 * Throws Problem; or, if `signal` was aborted, an AbortError.
 */
export async function ask({ endpoint, session }, message, history, signal) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const body = history.length ? { message, history } : { message };
  let response;
  let content;
  try {
    const either = AbortSignal.any([signal, timeout]);
    response = await fetch(endpoint, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Accept: "application/json, application/problem+json",
        ...(await authorization(session, either)),
      },
      body: JSON.stringify(body),
      signal: either,
    });
    content = await response.text();
  } catch (error) {
    if (signal.aborted) throw error;
    if (timeout.aborted) {
      throw new Problem("No answer came in time", ["The service took longer than two minutes."]);
    }
    throw new Problem("The service cannot be reached", [
      "It may be restarting, or you may be offline. Check your connection and try again.",
    ]);
  }
  const parsed = parse(content);
  if (!response.ok) throw problemOf(response, parsed);
  if (typeof parsed?.answer !== "string") throw new Problem("The service sent something that is not an answer");
  return parsed;
}

function parse(content) {
  try {
    return JSON.parse(content);
  } catch {
    return null;
  }
}

/** Return the Problem that an RFC 9457 document (or an error page that is none) tells of. */
function problemOf(response, found) {
  const details = [];
  if (typeof found?.detail === "string") details.push(found.detail);
  for (const row of Array.isArray(found?.errors) ? found.errors : []) {
    details.push(`${fieldName(String(row.field))}: ${row.detail}`);
  }
  const waitS = Number(response.headers.get("Retry-After"));
  if (waitS > 0) details.push(`Try again in ${waitS === 1 ? "a second" : `${waitS} seconds`}.`);
  if (!found) details.push(`HTTP status ${response.status}.`);
  return new Problem(found?.title ?? "The service answered with an error", details);
}

function fieldName(field) {
  return field === "message" ? "Your question" : field;
}
