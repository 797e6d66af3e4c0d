/** How many names wait for a person: the number beside "Vetting". */
import { get } from "./api";
import { decisions } from "./vet.svelte";
import type { Vetting } from "./types";

const EVERY_MS = 15_000;

class Waiting {
  count = $state(0);

  /** Looks now, after each decision and every few seconds; returns how to stop. */
  follow(): () => void {
    void decisions.count;
    void this.look();
    const timer = setInterval(() => void this.look(), EVERY_MS);
    return () => clearInterval(timer);
  }

  private async look() {
    try {
      this.count = (await get<Vetting>("/api/v1/vetting")).waiting.length;
    } catch {
      // The screen that is open says what is wrong.
    }
  }
}

export const waiting = new Waiting();
