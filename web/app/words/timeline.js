// Words of the timeline: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const TIMELINE = {
  timelineOthers: ["other channels", "outros canais"],
  timelineMany: ["{n} events", "{n} eventos"],
  timelineReplayed: ["replayed", "repetido"],
  timelineWords: [
    "Timeline of the last {seconds} seconds: {events} events in {channels} channels, {gaps} times without a connection, {losses} losses.",
    "Linha do tempo dos últimos {seconds} segundos: {events} eventos em {channels} canais, {gaps} períodos sem conexão, {losses} perdas.",
  ],
};
