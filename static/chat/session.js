/* The page's session, where the service asks for one: a token that is renewed before it is over. */

const RENEW_BEFORE_S = 30;
let token = null;
let expiresAtS = 0;

/** Have the next question start a new session: this one is over, whatever the clock of this machine says. */
export function forgetSession() {
  token = null;
  expiresAtS = 0;
}

/** Return the headers that let this page ask; none where it needs no session (`url` is missing). */
export async function authorization(url, signal) {
  if (!url) return {};
  if (Date.now() / 1000 > expiresAtS - RENEW_BEFORE_S) {
    const response = await fetch(url, { method: "POST", signal });
    // Without a token the question itself tells what is wrong.
    if (!response.ok) return {};
    ({ token, expires_at: expiresAtS } = await response.json());
  }
  return { Authorization: `Bearer ${token}` };
}
