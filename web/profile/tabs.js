/** Messages between the tabs of this origin that show profiles. */
export class Tabs {
  #channel = new BroadcastChannel("avatars-profile");

  /** @param {string} name @param {unknown} [detail] A value that can be cloned. */
  broadcast(name, detail) {
    this.#channel.postMessage({ name, detail });
  }

  /** @param {string} name @param {(detail: any) => void} listener */
  listen(name, listener) {
    this.#channel.addEventListener("message", ({ data }) => {
      if (data.name === name) listener(data.detail);
    });
  }
}
