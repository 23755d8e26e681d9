// What went wrong, as the service says it (RFC 9457), or as we must where it said nothing.

export class Problem extends Error {
  constructor(told, retryAfter = null) {
    super(told.detail || told.title || "Something went wrong.");
    this.name = "Problem";
    this.type = told.type;
    this.status = told.status;
    this.title = told.title;
    this.errors = told.errors ?? [];
    this.requestId = told.request_id ?? null;
    this.retryAfter = retryAfter;
  }

  static unreachable() {
    return new Problem({
      type: "unreachable", status: 0, title: "The service does not answer",
      detail: "No answer came from the service. See whether it still runs and this machine reaches it, then try again.",
    });
  }

  static async of(answer) {
    const retryAfter = Number(answer.headers.get("Retry-After")) || null;
    let told = null;
    if ((answer.headers.get("Content-Type") ?? "").includes("json")) told = await answer.json().catch(() => null);
    told ??= { type: "unknown", status: answer.status, title: "The answer cannot be read",
      detail: `Something between here and the service answered with ${answer.status}.` };
    return new Problem(told, retryAfter);
  }

  // The sentence, as one: the service begins in lower case and leaves the full stop out.
  get sentence() {
    const text = this.message.charAt(0).toUpperCase() + this.message.slice(1);
    return /[.!?]$/.test(text) ? text : `${text}.`;
  }
}

export function isAbort(error) {
  return error?.name === "AbortError";
}
