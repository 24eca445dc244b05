// Words of the lines that describe events: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const SUMMARIES = {
  summaryDeliveries: ["deliveries/s", "entregas/s"],
  summarySubscriber: ["1 subscriber", "1 assinante"],
  summarySubscribers: ["{n} subscribers", "{n} assinantes"],
  summaryUptime: ["up for {n} s", "no ar há {n} s"],
  summaryEnd: ["The channel has ended: {reason}", "O canal terminou: {reason}"],
  summaryLost: ["Events after {after} are gone; going on at {next}", "Os eventos depois de {after} se perderam; continuamos em {next}"],
  summaryConnected: ["Connected; nothing was lost", "Conectado; nada se perdeu"],
  summaryConnectedLost: ["Connected; events are gone", "Conectado; eventos se perderam"],
  summaryLine: ["(+1 line)", "(+1 linha)"],
  summaryLines: ["(+{n} lines)", "(+{n} linhas)"],
};
