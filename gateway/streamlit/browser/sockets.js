// Streamlit's front end takes every closed socket for a network that comes back, and shows a spinner for ever. A socket
// that the gateway has ended on purpose says so in its close code: then the page is loaded again, and the visitor sees
// what a request gets now, the page of the refusal as a rule. Should the page itself still be served, and its socket be
// ended at once again, the reason is shown instead of a page that reloads without end.
const ENDED = new Set([4401, 4403]);
const STREAM = "/_stcore/stream";
const KEY = "gateway-socket-ended";
const AGAIN = 10000; // milliseconds in which a second end is not answered by loading the page once more
let leaving = false;

const leave = (url, reason) => {
  if (leaving) return;
  leaving = true;
  let last = 0;
  try {
    last = Number(sessionStorage.getItem(KEY));
    sessionStorage.setItem(KEY, String(Date.now()));
  } catch {} // storage may be forbidden; then the page is loaded again each time
  if (Date.now() - last > AGAIN) return location.reload();
  const base = new URL(url).pathname.slice(0, -STREAM.length);
  location.replace(`${base}/.gateway/closed?reason=${encodeURIComponent(reason)}`);
};

// A handshake that is refused has no close code, and the browser tells nobody its status.
const look = (url) =>
  fetch(location.href, { method: "HEAD", cache: "no-store", redirect: "manual" }).then(
    (answer) => answer.status >= 400 && answer.status !== 429 && answer.status !== 503 && leave(url, ""),
    () => {}, // no network: Streamlit's spinner is right
  );

const Native = window.WebSocket;
window.WebSocket = class extends Native {
  constructor(...args) {
    super(...args);
    if (!new URL(this.url).pathname.endsWith(STREAM)) return;
    let opened = false;
    this.addEventListener("open", () => (opened = true));
    this.addEventListener("close", (event) => {
      if (ENDED.has(event.code)) leave(this.url, event.reason);
      else if (!opened) look(this.url);
    });
  }
};
