// What was said of results: the same person, or not. It is remembered by the service for every search to come.

import { probeName } from "./asking.js";

export class Said {
  // query: of the answer, which names the probe.
  constructor(api, gallery, query) {
    this.api = api;
    this.path = `v1/galleries/${encodeURIComponent(gallery)}/feedback`;
    this.probe = probeName(query);
  }

  say(id, verdict) {
    return this.api.send("POST", this.path, { json: { item_id: id, verdict, ...this.probe } });
  }

  takeBack(id) {
    return this.api.send("DELETE", this.path, { params: Object.entries({ item_id: id, ...this.probe }) });
  }

  // Ids that are left out of the answers for this probe.
  async leftOut(signal) {
    const { feedback } = await this.api.get(this.path, { signal });
    const [[name, value]] = Object.entries(this.probe);
    return feedback.filter((one) => one[name] === value && one.verdict === "different").map((one) => one.item_id);
  }
}
