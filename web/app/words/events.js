// Words of the list of events: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const EVENTS = {
  filters: ["Filters", "Filtros"],
  find: ["Find in data, type and id", "Procurar em dados, tipo e id"],
  text: ["Text", "Texto"],
  channel: ["Channel", "Canal"],
  type: ["Type", "Tipo"],
  pauseKey: ["Pause (space)", "Pausar (espaço)"],
  resumeKey: ["Go on (space)", "Continuar (espaço)"],
  clear: ["Clear", "Limpar"],
  export: ["Export", "Exportar"],
  exportWhy: ["Save the events that the list shows", "Salvar os eventos que a lista mostra"],
  shown: ["{shown} shown", "mostrados: {shown}"],
  kept: ["{kept} of at most {most} kept", "guardados: {kept} de no máximo {most}"],
  inAll: ["{total} in all", "{total} ao todo"],
  paused: ["paused", "pausado"],
  standing: ["standing still", "parado"],
  newer: ["{n} new ↑", "novos: {n} ↑"],
  mutedShow: ["hidden: {names} – show", "ocultos: {names} – mostrar"],
  noEvents: ["No events yet.", "Ainda não há eventos."],
  noEventsHint: ["Publish one from a shell:", "Publique um a partir de um shell:"],
  noneMatch: ["No event passes the filters.", "Nenhum evento passa pelos filtros."],
  noFilters: ["Remove the filters", "Remover os filtros"],
};
