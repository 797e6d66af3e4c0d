/** The address bar is the state: every filter and every opened row can be linked. */

export const route = $state({ path: location.pathname, params: new URLSearchParams(location.search) });

function read() {
  route.path = location.pathname;
  route.params = new URLSearchParams(location.search);
}

addEventListener("popstate", read);

/** Goes to a path with filters; empty ones are left out. */
export function go(path: string, params: Record<string, string | null | undefined> = {}, replace = false) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value) search.set(key, value);
  const text = search.toString();
  const url = text === "" ? path : `${path}?${text}`;
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  read();
}

/** The screen of a name. */
export const namePath = (name: string) => `/name/${encodeURIComponent(name)}`;

/** The queries behind a number: a path with filters. */
export function queriesPath(filters: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(filters)) if (value !== null && value !== undefined && value !== "") search.set(key, String(value));
  return `/queries?${search.toString()}`;
}

/** Changes some filters of the page that is open. */
export function change(params: Record<string, string | null>, replace = true) {
  go(route.path, { ...Object.fromEntries(route.params), ...params }, replace);
}

/** For links: a plain click stays in the application, all others are the browser's. */
export function follow(event: MouseEvent) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.currentTarget;
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  read();
}
