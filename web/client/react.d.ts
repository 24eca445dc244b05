import type { FollowOptions, Hub, HubEvent, Listener, State } from "./types.js";

/** What a component shows. */
export interface Shown {
  /** The last events, oldest first. */
  events: readonly HubEvent[];
  state: State;
}

export interface ChannelOptions extends FollowOptions, Listener {
  /** How many events are kept: 100 unless said. */
  keep?: number;
}

/** Follow channels while a component is there. It is rendered at most once a frame, whatever comes. */
export function useChannel(hub: Hub, channels: string | readonly string[], options?: ChannelOptions): Shown;
