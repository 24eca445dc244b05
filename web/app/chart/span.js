// How much time charts show.

/** Most that is shown, in milliseconds. */
export const SPAN_MS = 300_000;
/** Least that is shown. */
export const SHORTEST_MS = 60_000;
/** The time that is shown grows by so much at once, so that a line does not shrink all the time. */
export const STEP_MS = 60_000;
