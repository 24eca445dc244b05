// Lists that the server gives in pages.

const LIMIT = 1000; // most that one page may have

/**
 * The pages of a list, to its end or to as many entries as are wanted.
 *
 * @template T
 * @param {string} path of the list
 * @param {string} key under which an answer has it
 * @param {{most?: number, check?: (response: Response) => Response}} options `check` sees each answer
 * @returns {Promise<?{entries: T[], more: boolean}>} null if the list is refused; `more` if it was not read to its end
 */
export async function list(path, key, { most = Infinity, check = (response) => response } = {}) {
  /** @type {T[]} */
  const entries = [];
  const url = new URL(path, document.baseURI);
  url.searchParams.set("limit", String(Math.min(most, LIMIT)));
  for (;;) {
    const response = check(await fetch(url));
    if (!response.ok) return null;
    const { [key]: page, next } = await response.json();
    entries.push(...page);
    if (next === undefined || entries.length >= most) return { entries, more: next !== undefined };
    url.searchParams.set("after", next);
  }
}
