/** The live tail: events as the store commits them. */
import type { Query } from "./types";

/** Events kept while the list is not looking. */
const KEPT = 2_000;

export class Tail {
  connected = $state(false);
  /** Rises when the connection came back: what was committed meanwhile is missing. */
  gaps = $state(0);
  fresh = $state.raw<Query[]>([]);

  /** Listens until the returned function is called; the browser connects again by itself. */
  open(): () => void {
    const source = new EventSource("/api/v1/events/stream");
    let opened = false;
    source.onopen = () => {
      if (opened) this.gaps++;
      opened = true;
      this.connected = true;
    };
    source.onerror = () => (this.connected = false);
    source.addEventListener("queries", (event) => {
      const { items, skipped } = JSON.parse(event.data as string) as { items: Query[]; skipped: number };
      if (skipped > 0) this.gaps++;
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
