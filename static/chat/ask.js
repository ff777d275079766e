/* Asking the service: one question out, one answer or one problem back. */

import { eventsOf, isStream } from "./events.js";
import { authorization, forgetSession } from "./session.js";

const TIMEOUT_MS = 120_000;

/** What went wrong, for people: a title, details, and what may help. */
export class Problem extends Error {
  constructor(title, details = []) {
    super(title);
    this.details = details;
  }
}

/**
 * Return the service's answer to `message` after `history`. `service`: its endpoint, and where the page gets its
 * session, if it needs one. Calls `onStage` with each stage's name as it begins.
 * Throws Problem; or, if `signal` was aborted, an AbortError.
 */
export async function ask(service, message, history, signal, onStage) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const body = history.length ? { message, history } : { message };
  let reply;
  try {
    const either = AbortSignal.any([signal, timeout]);
    let response = await send(service, body, either);
    if (response.status === 401 && service.session) {
      forgetSession();
      response = await send(service, body, either);
    }
    reply = isStream(response) ? await lastOf(response, onStage) : await wholeOf(response);
  } catch (error) {
    if (signal.aborted) throw error;
    if (timeout.aborted) {
      throw new Problem("No answer came in time", ["The service took longer than two minutes."]);
    }
    throw new Problem("The service cannot be reached", [
      "It may be restarting, or you may be offline. Check your connection and try again.",
    ]);
  }
  const { isAnswer, status, found } = reply;
  if (!isAnswer) throw problemOf(status, found);
  if (typeof found?.answer !== "string") throw new Problem("The service sent something that is not an answer");
  return found;
}

async function send(service, body, signal) {
  return fetch(service.endpoint, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "text/event-stream, application/json;q=0.9",
      ...(await authorization(service.session, signal)),
    },
    body: JSON.stringify(body),
    signal,
  });
}

async function wholeOf(response) {
  return { isAnswer: response.ok, status: response.status, found: parse(await response.text()) };
}

/** Return what a stream of events ends with. One that breaks off throws, as a connection that does. */
async function lastOf(response, onStage) {
  for await (const { name, data } of eventsOf(response)) {
    if (name !== "stage") return { isAnswer: name === "answer", status: data.status, found: data };
    onStage(data.stage);
  }
  throw new TypeError("the stream has no end");
}

function parse(content) {
  try {
    return JSON.parse(content);
  } catch {
    return null;
  }
}

/** Return the Problem that an RFC 9457 document (or an error page that is none) tells of. */
function problemOf(status, found) {
  const details = [];
  if (typeof found?.detail === "string") details.push(found.detail);
  for (const row of Array.isArray(found?.errors) ? found.errors : []) {
    details.push(`${fieldName(String(row.field))}: ${row.detail}`);
  }
  const waitS = Number(found?.retry_after_s);
  if (waitS > 0) details.push(`Try again in ${waitS === 1 ? "a second" : `${waitS} seconds`}.`);
  if (!found) details.push(`HTTP status ${status}.`);
  return new Problem(found?.title ?? "The service answered with an error", details);
}

function fieldName(field) {
  return field === "message" ? "Your question" : field;
}
