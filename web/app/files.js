// Events as files: what is shown in the log, as NDJSON or CSV.

/**
 * @typedef {{id: ?string, timestamp: string, channel: string, event: string, data: string}} Row
 * @type {(keyof Row)[]}
 */
const FIELDS = ["id", "timestamp", "channel", "event", "data"];

/** @param {readonly Row[]} events */
export function ndjson(events) {
  return events.map((event) => JSON.stringify(Object.fromEntries(FIELDS.map((name) => [name, event[name]]))) + "\n").join("");
}

/**
 * RFC 4180. A cell that a spreadsheet would run as a formula is made text by an apostrophe.
 *
 * @param {readonly Row[]} events
 */
export function csv(events) {
  /** @param {?string} value */
  const cell = (value) => {
    const text = /^[=+\-@\t\r]/.test(value ?? "") ? `'${value}` : value ?? "";
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [FIELDS, ...events.map((event) => FIELDS.map((name) => event[name]))]
    .map((row) => row.map(cell).join(",") + "\r\n")
    .join("");
}

/**
 * Offer a text as a download.
 *
 * @param {string} name
 * @param {string} type
 * @param {string} text
 */
export function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
