/** Decisions on names: made, shown with their undo, and taken back. */
import { post, said } from "./api";
import type { Decided, Decision, InForce, Proposed, Scope, Together } from "./types";

export interface Note {
  key: number;
  text: string;
  name: string | null;
  bad: boolean;
  undo: (() => void) | null;
}

export const notes = $state<Note[]>([]);
/** Rises with each decision, so that lists know when to look again. */
export const decisions = $state({ count: 0 });

let key = 0;

export function note(text: string, bad = false, name: string | null = null, undo: (() => void) | null = null) {
  const mine = ++key;
  notes.push({ key: mine, text, name, bad, undo });
  if (notes.length > 4) notes.shift();
  setTimeout(() => dismiss(mine), bad ? 12_000 : 8_000);
}

export function dismiss(which: number) {
  const at = notes.findIndex((note) => note.key === which);
  if (at >= 0) notes.splice(at, 1);
}

/** Decides on a name; `before` is what undo goes back to. True once it is in force. */
export async function vet(name: string, decision: Decision, before: Decision = "none", scope: Scope = "suffix"): Promise<boolean> {
  try {
    const done = await post<InForce | Proposed>("/api/v1/vetting", { name, decision, scope });
    decisions.count++;
    if (done.state === "proposed") {
      note(`${decision}: not in force. ${done.detail}`, true, name);
      return false;
    }
    if (decision === "none") note(`Decision taken back, in force after ${done.took_ms} ms`, false, name);
    else note(`${decision}, in force after ${done.took_ms} ms`, false, name, () => void vet(name, before, decision, scope));
    return true;
  } catch (error) {
    note(said(error), true, name);
    return false;
  }
}

/** A cluster by its id, or names. */
export type Many = { id: string } | { names: string[] };

/**
 * Decides on many names in one step. `before` is what undo goes back to, name by name; one that is not in it was not
 * decided. True once something of it is in force.
 */
export async function vetAll(many: Many, decision: Decision, scope: Scope, before: Map<string, Decided> = new Map()): Promise<boolean> {
  try {
    const done = await post<Together>("/api/v1/vetting/clusters", { ...many, decision, scope });
    decisions.count++;
    const names = (n: number) => (n === 1 ? "1 name" : `${n} names`);
    const undo = done.in_force.length === 0 ? null : () => void takeBack(done.in_force, before);
    if (done.proposed.length > 0) note(`${names(done.proposed.length)} proposed as ${decision}, not in force. ${done.detail ?? ""}`, true);
    if (undo) note(`${names(done.in_force.length)}: ${decision === "none" ? "not vetted" : decision}, in force after ${done.took_ms} ms`, false, null, undo);
    return done.in_force.length > 0;
  } catch (error) {
    note(said(error), true);
    return false;
  }
}

/** Puts back what was decided before on each name. */
async function takeBack(names: string[], before: Map<string, Decided>) {
  const groups = new Map<string, { decision: Decision; scope: Scope; names: string[] }>();
  for (const name of names) {
    const { decision, scope } = before.get(name) ?? { decision: "none" as const, scope: "suffix" as const };
    const group = groups.get(decision + scope) ?? { decision, scope, names: [] };
    group.names.push(name);
    groups.set(decision + scope, group);
  }
  try {
    for (const { decision, scope, names } of groups.values()) await post<Together>("/api/v1/vetting/clusters", { names, decision, scope });
    note(`${names.length} taken back`);
  } catch (error) {
    note(said(error), true);
  }
  decisions.count++;
}

/** Takes the newest decision back. */
export function undoLast() {
  const last = notes.findLast((note) => note.undo !== null);
  if (!last?.undo) return;
  dismiss(last.key);
  last.undo();
}

/** The decision behind a key. */
export const decisionOf = (pressed: string): Decision | null =>
  ({ m: "malicious", b: "benign", h: "honeypot" } as Record<string, Decision>)[pressed] ?? null;

/** Whether a key press belongs to a field that is being typed in. */
export const typing = (event: KeyboardEvent) =>
  event.ctrlKey || event.metaKey || event.altKey ||
  (event.target instanceof HTMLElement && event.target.closest("input, select, textarea") !== null);
