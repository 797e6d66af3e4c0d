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
  /** The second person, where one was needed. */
  confirmed_by?: string;
}

/** Names of the queue that belong together. */
export interface Cluster {
  id: string;
  kind: "domain" | "shape";
  label: string;
  names: string[];
  clients: number;
}

/** A decision that waits for a second person. */
export interface Proposal {
  name: string;
  decision: Decision;
  scope: Scope;
  author: string;
  time_ms: number;
  why: "popular" | "many";
}

/** A name that somebody who was blocked wants to reach. */
export interface UnblockRequest {
  name: string;
  author: string;
  note: string;
  asked: number;
  first_ms: number;
  last_ms: number;
}

export interface Vetting {
  waiting: Waiting[];
  clusters: Cluster[];
  requests: UnblockRequest[];
  /** The newest proposals, and how many there are. */
  proposed: Proposal[];
  proposals: number;
  decided: Decided[];
}

/** What became of decisions on many names. */
export interface Together {
  state: "in_force" | "proposed";
  in_force: string[];
  proposed: Proposal[];
  detail: string | null;
  took_ms: number;
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

/** `GET /api/v1/name`: what is known of one name. */
export interface NameStory {
  name: string;
  known: boolean;
  registrable: string | null;
  since_ms: number;
  until_ms: number;
  bucket_s: number;
  queries: number;
  /** Start (ms), allowed, not confident, blocked. */
  series: Bucket[];
  /** Raw events that verdicts and clients are counted from, and whether there are more. */
  counted: number;
  more: boolean;
  verdicts: [string, number][];
  /** Address, queries, of them blocked. */
  clients: [string, number, number][];
  clients_count: number;
  first_ms: number | null;
  last_ms: number | null;
  /** Name, queries, of them blocked. */
  related: [string, number, number][];
  related_more: boolean;
  decision: Decided | null;
  /** Mandatory lists that hold it whatever is decided. */
  mandatory: string[];
  last: Query | null;
  /** Whether there is a registry service to ask. */
  rdap: boolean;
}

/** Start (ms), allowed, not confident, blocked. */
export type Bucket = [number, number, number, number];

/** `GET /api/v1/check`. */
export interface Checked {
  name: string;
  verdict: Verdict;
  score: number | null;
  trace: TraceLine[];
}

/** `POST /api/v1/rdap`. */
export interface Registration {
  name: string;
  registrar: string | null;
  registrant: string | null;
  status: string[];
  registered: string | null;
  changed: string | null;
  expires: string | null;
  nameservers: string[];
  service: string;
  asked_ms: number;
  cached: boolean;
}

/** A name of `GET /api/v1/names`. */
export interface Ranked {
  name: string;
  queries: number;
  blocked: number;
  action: Action | null;
  would: Action | null;
  reason: string | null;
  not_confident: boolean;
  score: number | null;
  last_id: string | null;
  last_ms: number | null;
}

export interface Ranking {
  since_ms: number;
  until_ms: number;
  names: Ranked[];
  more: boolean;
}

/** How often a list decided. */
export interface Hits {
  blocked: number;
  /** In log mode. */
  would: number;
  allowed: number;
}

/** A list of `GET /api/v1/lists`. */
export interface ListOfPolicy extends ListStatus {
  source: string;
  phase: "idle" | "waiting" | "fetching" | "compiling";
  last_fetched_ms: number | null;
  last_changed_ms: number | null;
  next_fetch_ms: number | null;
  problem: string | null;
  kept_back: { why: string; since_ms: number; entries: number } | null;
  hits: Hits;
}

export interface GroupOfPolicy {
  name: string;
  clients: string[];
  /** Path ids, certificates and tokens; how many, never which. */
  secrets: number;
  lists: "off" | "log" | "enforce";
  models: "off" | "log" | "enforce";
  failure_mode: string;
  block_action: string;
  use_lists: string[];
  bundles: string[];
  rules: number;
  schedules: number;
}

export interface ListsAndPolicy {
  serial: number;
  problem: string | null;
  lists: ListOfPolicy[];
  groups: GroupOfPolicy[];
  /** Rules that decided and are no list in force. */
  other: ({ rule: string } & Hits)[];
}

export interface ModelRef {
  id: string;
  dvm_blake3: string;
  onnx_blake3: string;
}

export interface Example {
  name: string;
  champion: number;
  challenger: number;
}

/** What a challenger saw beside the model in force. */
export interface Challenge {
  model: ModelRef;
  author: string;
  since_ms: number;
  saw: {
    champion: string;
    names: number;
    agreed: number;
    both_block: number;
    only_champion_blocks: number;
    only_challenger_blocks: number;
    champion_examples: Example[];
    challenger_examples: Example[];
  };
}

export interface Promotion {
  time_ms: number;
  author: string;
  what: string;
  from: ModelRef;
  to: ModelRef;
  even_so: boolean;
}

/** `GET /api/v1/models`. */
export interface Models {
  in_force: ModelRef;
  before: ModelRef | null;
  challenger: Challenge | null;
  drift: {
    has_baseline: boolean;
    filled: number;
    looked_at: number;
    last: { time_ms: number; names: number; score: number; tld: number; uncertain: number; alarms: string[] } | null;
  };
  history: Promotion[];
}

/** A model of `GET /api/v1/models/registry`. */
export interface Described {
  name: string;
  manifest: {
    id: string;
    parameters: number;
    tokenizer: number;
    thresholds: { allow_below: number; block_above: number; false_block_budget: number };
    made_by: string;
    sources: { source: string; licence: string; names: number }[];
  } | null;
  card: string;
  filters: boolean;
  problem: string | null;
}
