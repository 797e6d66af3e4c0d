import type { Me } from "./types";

/** Who is logged in; undefined until the server has said. */
export const session = $state<{ me: Me | null | undefined }>({ me: undefined });

/** Whether they may decide on names. */
export const mayVet = () => session.me?.role === "vetter" || session.me?.role === "admin";
