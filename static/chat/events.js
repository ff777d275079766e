/* Reading server-sent events from a response, as they come. */

/** Whether the response is a stream of events. */
export function isStream(response) {
  return (response.headers.get("Content-Type") ?? "").startsWith("text/event-stream");
}

/** Yield the response's events as { name, data }; `data` is what its JSON says. Comments are left out. */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (unread + value).split("\n\n");
    unread = blocks.pop();
    yield* blocks.map(eventOf).filter((event) => event.name);
  }
}

function eventOf(block) {
  const fields = Object.fromEntries(
    block
      .split("\n")
      .filter((line) => !line.startsWith(":"))
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
  return { name: fields.event, data: JSON.parse(fields.data ?? "null") };
}
