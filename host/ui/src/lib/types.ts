/** What the API sends; see host/src/api. */

export type Action = "allow" | "nxdomain" | "nodata" | "null" | "honeypot" | "custom" | "refused" | "drop";
export type Decision = "benign" | "malicious" | "honeypot" | "none";
export type Scope = "suffix" | "exact";

export interface TraceLine {
  step: string;
  said: string;
  decided?: boolean;
  score?: number;
}

export interface Verdict {
  action: Action;
  would: Action | null;
  reasons: string[];
  rule: string | null;
  model: string | null;
  group: string;
  snapshot: string;
  ttl_s: number;
}

export interface Query {
  /** Digits, of a number that may be too long for a JavaScript one. */
  id: string;
  source: string;
  seq: number;
  time_ms: number;
  client: string;
  name: string;
  qtype: number;
  type: string;
  door: string;
  took_us: number;
  not_confident: boolean;
  headline: string;
  verdict: Verdict;
  score: number | null;
  trace: TraceLine[];
  /** Only of one query asked for by its id, and while the model that scored it is there. */
  attribution?: Attribution;
}

/** What each character moved a model's logit: above 0 for malicious, below for benign. */
export interface Attribution {
  name: string;
  model: string;
  logit: number;
  /** What no character is to blame for. */
  rest: number;
  /** One for each byte of the name, which is ASCII. */
  bytes: number[];
  /** The strongest, first. */
  spans: { at: number; text: string; logit: number }[];
}

export interface Page {
  items: Query[];
  next: string | null;
}

export interface Waiting {
  name: string;
  queries: number;
  clients: number;
  score: number | null;
  first_ms: number;
  last_ms: number;
  last_id: string;
}

export interface Decided {
  name: string;
  decision: Decision;
  scope: Scope;
  author: string;
  time_ms: number;
  before: Decision;
}

export interface Vetting {
  waiting: Waiting[];
  decided: Decided[];
}

/** A decision that waits for another person. */
export interface Proposed {
  state: "proposed";
  detail: string;
}

export interface InForce {
  state: "in_force";
  name: string;
  decision: Decision;
  scope: Scope;
  serial: number;
  snapshot: string;
  took_ms: number;
}

export interface ListStatus {
  name: string;
  role: string;
  entries: number;
  rejected: number;
  first_rejected: string | null;
}

export interface Overview {
  since_ms: number;
  queries: number;
  blocked: number;
  actions: [string, number][];
  reasons: [string, number][];
  bucket_s: number;
  /** Start (ms), allowed, not confident, blocked. */
  series: [number, number, number, number][];
  blocked_names: [string, number][];
  clients: [string, number][];
  dropped: number;
  /** Source, events, last time (ms). */
  sources: [string, number, number][];
  waiting: number;
  snapshot: { id: string; serial: number; built_ms: number; problem: string | null; lists: ListStatus[] };
}

export interface Me {
  user: string;
  role: "viewer" | "vetter" | "admin" | "filter";
}
