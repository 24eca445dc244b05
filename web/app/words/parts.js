// The words of the parts, a file for each: English, then Portuguese.

import { INSPECT } from "./inspect.js";

/** @type {Record<string, [english: string, portuguese: string]>} */
export const PARTS = { ...INSPECT };
