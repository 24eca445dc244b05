import type { Hub, Options } from "./types.js";

export type * from "./types.js";

/**
 * A hub. `base` is where it is, with a slash at the end. In a page it may be relative, and is by default where the page
 * is.
 */
export function connect(base?: string | URL, options?: Options): Hub;

/** Whether the id `a` comes after `b`; null is before all. */
export function isAfter(a: string, b: string | null | undefined): boolean;

/** Whether a channel is meant by a name or pattern. */
export function covers(pattern: string, channel: string): boolean;
