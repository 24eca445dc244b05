// Ids and channel names, as the hub compares them. Used by sse.js.

/** Whether the id `a` comes after `b`: ids are pairs of integers, so they are not compared as text. */
export function isAfter(a, b) {
  if (!b) return true;
  const [[aMs, aSequence], [bMs, bSequence]] = [a.split("-").map(BigInt), b.split("-").map(BigInt)];
  return aMs === bMs ? aSequence > bSequence : aMs > bMs;
}

/** Whether a channel is meant by a name or pattern, in which `*` is any run of characters. */
export function covers(pattern, channel) {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === channel;
  const first = parts.shift();
  const last = parts.pop();
  const end = channel.length - last.length;
  if (end < first.length || !channel.startsWith(first) || !channel.endsWith(last)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = channel.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
