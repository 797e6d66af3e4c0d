/** Numbers, times and names as people read them. */
import type { Query, Ranked, Verdict } from "./types";

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const numberFormat = new Intl.NumberFormat();

/** The time of day; with the date if it was not today. */
export function time(ms: number): string {
  const date = new Date(ms);
  return date.toDateString() === new Date().toDateString() ? clockFormat.format(date) : dayFormat.format(date);
}

/** The day and the minute. */
export const dateTime = (ms: number) => dayFormat.format(new Date(ms));
export const fullTime = (ms: number) => fullFormat.format(new Date(ms));
export const count = (n: number) => numberFormat.format(n);

/** How long ago, roughly. */
export function ago(ms: number, now = Date.now()): string {
  const s = Math.max(0, Math.round((now - ms) / 1000));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.round(s / 60)} min ago`;
  if (s < 86400) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} d ago`;
}

/** Microseconds with a fitting unit. */
export function took(us: number): string {
  if (us < 1000) return `${us} µs`;
  if (us < 1_000_000) return `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
  return `${(us / 1_000_000).toFixed(1)} s`;
}

export const percent = (share: number) => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** A name in two parts: the front may be cut, the end (about the registrable domain) stays readable. */
export function ends(name: string): [string, string] {
  const labels = name.split(".");
  let tail = labels.slice(-2).join(".");
  const third = labels.at(-3);
  if (third !== undefined && tail.length < 8) tail = `${third}.${tail}`;
  if (tail.length > 40) return [name, ""];
  return [name.slice(0, name.length - tail.length), tail];
}

/** What the family of a verdict is told by. */
type Judged = Pick<Query, "not_confident"> & { verdict: Pick<Verdict, "action" | "would"> };

/** Verdict families: their colour, shape and word are the same everywhere. */
export type Family = "allow" | "block" | "unsure" | "honeypot" | "log";

export function family(query: Judged): Family {
  if (query.verdict.action === "honeypot") return "honeypot";
  if (query.verdict.action !== "allow") return "block";
  if (query.verdict.would) return "log";
  return query.not_confident ? "unsure" : "allow";
}

export const familyWord: Record<Family, string> = {
  allow: "allow",
  block: "block",
  unsure: "not sure",
  honeypot: "honeypot",
  log: "would block",
};

/** The family of an action, or of `not_confident`, as counts are told by. */
export const familyOf = (action: string): Family =>
  action === "not_confident" ? "unsure" : action === "allow" ? "allow" : action === "honeypot" ? "honeypot" : "block";

/** The family of a name by its last verdict; by its count, where no event is left. */
export function familyOfRanked(row: Ranked): Family {
  if (row.action === null) return row.blocked > 0 ? "block" : "allow";
  return family({ not_confident: row.not_confident, verdict: { action: row.action, would: row.would } });
}

/** How sure a score is, whichever way it points. */
export const confidence = (score: number) => Math.max(score, 1 - score);

/** Reasons as words. */
export const reasonWord = (reason: string) => (reason === "none" ? "other" : reason.replaceAll("_", "-").replace("not-confident", "not confident"));

/** Steps of the cascade as words. */
export const stepWord = (step: string) => ({ decode: "question", look_alike: "look-alike", model: "small model" })[step] ?? step;
