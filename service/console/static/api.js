// The service's HTTP API, asked from a page. Addresses are relative to the page, so that a proxy may add a prefix.
//
// The key is kept for this tab only. Events tell what concerns every page: `key-wanted` (401, detail: the problem),
// `not-ready` (503, detail: the problem) and `waiting` (429, detail: seconds until it is asked again).

import { Problem } from "./problem.js";

const KEY = "vantage-key";
const TRIES = 4;
const LONGEST_WAIT = 20;
const NOT_READY = ["not-ready", "shutting-down"];

export class Api extends EventTarget {
  constructor(base = new URL(".", location.href)) {
    super();
    this.base = base;
  }

  get key() {
    return sessionStorage.getItem(KEY);
  }

  set key(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  }

  // Paths begin with v1/ or as the service gives them (/v1/...); what stands in them is percent-encoded by the caller.
  address(path, params) {
    const url = new URL(path.replace(/^\//, ""), this.base);
    for (const [name, value] of params ?? []) url.searchParams.append(name, value);
    return url;
  }

  get(path, options) {
    return this.send("GET", path, options);
  }

  // options: params (pairs or URLSearchParams), json or body, headers, signal. What is answered, null where it is empty.
  async send(method, path, options = {}) {
    const answer = await this.request(method, path, options);
    const text = await answer.text();
    return text ? JSON.parse(text) : null;
  }

  async blob(path, options) {
    return (await this.request("GET", path, options)).blob();
  }

  // The answer itself; anything but 2xx is thrown as a Problem. What is refused for being too much is asked again.
  async request(method, path, { params, json, body, headers, signal } = {}) {
    const sent = new Headers(headers);
    if (json !== undefined) sent.set("Content-Type", "application/json");
    for (let tried = 1; ; tried++) {
      const key = this.key;
      if (key) sent.set("Authorization", `Bearer ${key}`);
      const answer = await this.#fetch(this.address(path, params), {
        method, headers: sent, body: json === undefined ? body : JSON.stringify(json), signal, cache: "no-store",
      });
      if (answer.ok) return answer;
      const problem = await Problem.of(answer);
      const wait = problem.retryAfter ?? 1;
      if (problem.status !== 429 || tried === TRIES || wait > LONGEST_WAIT) throw this.#told(problem, key);
      this.dispatchEvent(new CustomEvent("waiting", { detail: wait }));
      await pause(wait, signal);
    }
  }

  async #fetch(url, options) {
    try {
      return await fetch(url, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      throw error instanceof TypeError ? Problem.unreachable() : error;
    }
  }

  #told(problem, key) {
    if (problem.status === 401 && key === this.key) {  // else another one was entered meanwhile
      this.key = null;
      this.dispatchEvent(new CustomEvent("key-wanted", { detail: { problem, refused: key !== null } }));
    } else if (NOT_READY.includes(problem.type)) {
      this.dispatchEvent(new CustomEvent("not-ready", { detail: problem }));
    }
    return problem;
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
