/** The live tail: events as the store commits them. */
import type { Query } from "./types";

/** Events kept while the list is not looking. */
const KEPT = 2_000;

export class Tail {
  connected = $state(false);
  fresh = $state.raw<Query[]>([]);

  /** Listens until the returned function is called; the browser connects again by itself. */
  open(): () => void {
    const source = new EventSource("/api/v1/events/stream");
    source.onopen = () => (this.connected = true);
    source.onerror = () => (this.connected = false);
    source.addEventListener("queries", (event) => {
      const { items } = JSON.parse(event.data as string) as { items: Query[] };
      this.fresh = [...this.fresh, ...items].slice(-KEPT);
    });
    return () => source.close();
  }

  /** What came since the last time. */
  take(): Query[] {
    const taken = this.fresh;
    this.fresh = [];
    return taken;
  }

  clear() {
    this.fresh = [];
  }
}
