// The words of the parts, a file for each: English, then Portuguese.

import { CASES } from "./cases.js";
import { CHART } from "./chart.js";
import { INSPECT } from "./inspect.js";
import { LAB } from "./lab.js";
import { SUMMARIES } from "./summaries.js";
import { TIMELINE } from "./timeline.js";

/** @type {Record<string, [english: string, portuguese: string]>} */
export const PARTS = { ...CASES, ...CHART, ...INSPECT, ...LAB, ...SUMMARIES, ...TIMELINE };
