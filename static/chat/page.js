/* The chat page: what happens when. */

import { answerElement, questionElement } from "./answer.js";
import { ask } from "./ask.js";
import { element } from "./elements.js";
import { UNDER_WAY } from "./words.js";

const HISTORY_TURNS = 20;
const SLOW_AFTER_MS = 6000;

const [welcome, log, waiting, problem, form, input, send, count] = [
  "welcome", "log", "waiting", "problem", "composer", "message", "send", "count",
].map((id) => document.getElementById(id));
const maxChars = Number(form.dataset.maxChars);
const service = { endpoint: form.action, session: form.dataset.session };
const hasKeyboard = matchMedia("(pointer: fine)");
const wantsCalm = matchMedia("(prefers-reduced-motion: reduce)");

/** What the service is told of the conversation so far: answered questions and their answers. */
let history = [];
/** The request under way, or null. One at a time: a second send is refused until it is back. */
let underWay = null;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sendInput();
});

input.addEventListener("keydown", (event) => {
  // While an input method composes a character, Enter picks the character.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sendInput();
});

input.addEventListener("input", showInput);
document.getElementById("new-conversation").addEventListener("click", startAnew);
welcome.addEventListener("click", (event) => {
  const example = event.target.closest("[data-question]");
  if (example && !underWay) submit(example.dataset.question);
});
showInput();
if (hasKeyboard.matches) input.focus();

function sendInput() {
  const question = input.value.trim();
  if (!question) {
    input.focus();
  } else if (underWay) {
    waiting.querySelector("p")?.replaceChildren("Still answering the last question. Yours stays in the box.");
  } else {
    setInput("");
    submit(question);
  }
}

/** Ask, and show what comes back. */
async function submit(question) {
  const request = new AbortController();
  underWay = request;
  problem.replaceChildren();
  welcome.hidden = true;
  const asked = questionElement(question);
  log.append(asked);
  showWaiting(true);
  focusAfterSending();
  show(asked);
  try {
    const answer = await ask(service, question, history.slice(-HISTORY_TURNS), request.signal, showStage);
    log.append(answerElement(answer));
    history.push({ role: "user", content: question }, { role: "assistant", content: answer.answer });
  } catch (error) {
    if (request.signal.aborted) return;
    showProblem(error, question, asked);
  } finally {
    if (underWay === request) {
      underWay = null;
      showWaiting(false);
    }
  }
  show(asked.isConnected ? asked : problem);
}

/** Say what went wrong. The question goes back into the box, unless something new is being written there. */
function showProblem(error, question, asked) {
  const isFree = input.value.trim() === "";
  if (isFree) {
    asked.remove();
    setInput(question);
  } else {
    asked.classList.add("unanswered");
  }
  const retry = element("button", { type: "button", class: "retry" }, "Try again");
  retry.addEventListener("click", () => {
    // What is in the box may have been mended since: then that is what is meant.
    if (isFree) {
      sendInput();
    } else {
      asked.remove();
      submit(question);
    }
  });
  const details = error.details ?? [];
  if (!error.details) console.error(error);
  problem.replaceChildren(
    element("h2", {}, error.details ? error.message : "The answer could not be shown"),
    ...details.map((detail) => element("p", {}, detail)),
    element("p", { class: "kept" }, isFree ? "Your question is still in the box below." : "Your question was not answered."),
    retry,
  );
}

let slowTimer;

function showWaiting(isWaiting) {
  clearTimeout(slowTimer);
  // aria-disabled keeps the button reachable, so that the keyboard's place on the page is not lost.
  send.setAttribute("aria-disabled", String(isWaiting));
  log.setAttribute("aria-busy", String(isWaiting));
  if (!isWaiting) {
    waiting.replaceChildren();
    return;
  }
  const text = element("p", {}, "Looking for the answer…");
  waiting.replaceChildren(element("span", { class: "dots", "aria-hidden": "true" }, element("i"), element("i"), element("i")), text);
  slowTimer = setTimeout(() => text.replaceChildren("Still working. A new question can take some seconds."), SLOW_AFTER_MS);
}

/** Say what is being done for the answer. */
function showStage(stage) {
  if (!(stage in UNDER_WAY)) return;
  clearTimeout(slowTimer);
  waiting.querySelector("p")?.replaceChildren(UNDER_WAY[stage]);
}

function startAnew() {
  underWay?.abort();
  underWay = null;
  history = [];
  showWaiting(false);
  log.replaceChildren();
  problem.replaceChildren();
  welcome.hidden = false;
  setInput("");
  window.scrollTo({ top: 0 });
  input.focus();
}

/** Keep the keyboard where one types. On a touch screen that would raise the keyboard over the answer. */
function focusAfterSending() {
  if (hasKeyboard.matches) input.focus({ preventScroll: true });
  else if (document.activeElement !== input) log.focus({ preventScroll: true });
}

function show(target) {
  target.scrollIntoView({ block: "start", behavior: wantsCalm.matches ? "auto" : "smooth" });
}

function setInput(text) {
  input.value = text;
  showInput();
}

/** Make the box as high as its text, and count the characters once they come near the limit. */
function showInput() {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
  const length = [...input.value].length;
  const isNear = length > maxChars * 0.9;
  count.textContent = isNear ? `${length.toLocaleString("en-GB")} of ${maxChars.toLocaleString("en-GB")} characters` : "";
  count.classList.toggle("over", length > maxChars);
}
