// A React hook. It uses what every React since 16.8 has.

import { useEffect, useRef, useState } from "react";

const KEPT = 100;
/** @type {import("./react.js").Shown} */
const NOTHING = { events: [], state: { name: "connecting" } };

/** @type {typeof import("./react.js").useChannel} */
export function useChannel(hub, channels, options = {}) {
  const { keep = KEPT, replay, from, after, conflate, raw, ...listener } = options;
  const [shown, show] = useState(NOTHING);
  const latest = useRef(listener); // functions are new with each rendering; that is no reason to follow anew
  latest.current = listener;
  const names = typeof channels === "string" ? [channels] : [...channels];
  const beginning = JSON.stringify([names, replay, from, after, conflate, raw]);

  useEffect(() => {
    /** @type {import("./types.js").HubEvent[]} */
    let events = [];
    /** @type {import("./types.js").State} */
    let state = { name: "connecting" };
    let drawing = 0;
    // Thousands may come in a second, and a rendering for each would freeze the page.
    const draw = () => {
      drawing ||= requestAnimationFrame(() => {
        drawing = 0;
        show({ events, state });
      });
    };
    const following = hub.follow(
      names,
      {
        event(event) {
          events = [...events, event].slice(Math.max(0, events.length + 1 - keep));
          latest.current.event?.(event);
          draw();
        },
        state(now) {
          state = now;
          latest.current.state?.(now);
          draw();
        },
        lost: (loss) => latest.current.lost?.(loss),
        end: (end) => latest.current.end?.(end),
        problem: (problem) => latest.current.problem?.(problem),
        closing: () => latest.current.closing?.(),
      },
      { replay, from, after, conflate, raw },
    );
    return () => {
      cancelAnimationFrame(drawing);
      following.close();
    };
  }, [hub, beginning, keep]);

  return shown;
}
