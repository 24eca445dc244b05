// Words of the charts and of the view of figures: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const CHART = {
  chartMoment: ["Moment", "Momento"],
  cursorNow: ["now", "agora"],
  cursorReset: ["Now", "Agora"],
  chartEmpty: ["no values yet", "ainda sem valores"],
  chartWords: ["now {now}, between {low} and {high}", "agora {now}, entre {low} e {high}"],
  figureCpu: ["CPU", "CPU"],
  figureMemory: ["Memory", "Memória"],
  figureNetwork: ["Network", "Rede"],
  figureIn: ["in", "entrada"],
  figureOut: ["out", "saída"],
  figureRequests: ["Requests", "Pedidos"],
  figureErrors: ["Errors", "Erros"],
  figureEvents: ["Events", "Eventos"],
  figurePublished: ["published", "publicados"],
  figureDelivered: ["delivered", "entregues"],
  figureSubscribers: ["Subscribers", "Assinantes"],
  figuresWaiting: ["Waiting for figures …", "Esperando números …"],
  figuresNone: [
    "No figures come from this hub. It publishes them on the channel “metrics” every second, unless it was started with --no-demo.",
    "Nenhum número vem deste hub. Ele os publica no canal “metrics” a cada segundo, a menos que tenha sido iniciado com --no-demo.",
  ],
  figuresStopped: ["No figures have come for {n} s. The charts stand still.", "Nenhum número chega há {n} s. Os gráficos estão parados."],
  figuresRefused: ["The hub refuses the channel “metrics”: {why}", "O hub recusa o canal “metrics”: {why}"],
  figuresTable: ["As a table", "Como tabela"],
  figuresName: ["Figure", "Número"],
  figuresNow: ["Now", "Agora"],
  figuresLow: ["Lowest", "Menor"],
  figuresMean: ["Mean", "Média"],
  figuresHigh: ["Highest", "Maior"],
};
