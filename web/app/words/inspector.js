// Words of the inspector's frame: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const INSPECTOR = {
  inspector: ["Inspector", "Inspetor"],
  event: ["Event", "Evento"],
  tab_parsed: ["Parsed", "Interpretado"],
  tab_wire: ["On the wire", "Na rede"],
  tab_headers: ["Headers", "Cabeçalhos"],
  tab_code: ["As code", "Em código"],
  tab_stream: ["Stream", "Fluxo"],
  id: ["id", "id"],
  noId: ["no id (ephemeral)", "sem id (efêmero)"],
  sentAt: ["published", "publicado"],
  size: ["on the wire", "na rede"],
  came: ["came", "chegou"],
  cameLive: ["live", "ao vivo"],
  cameReplayed: ["replayed from the log", "repetido do log"],
  copyData: ["Copy the data", "Copiar os dados"],
  noHeaders: ["No response is open for this stream.", "Nenhuma resposta está aberta para este fluxo."],
  headersOld: [
    "This event came by a response that has ended. The response that is open now:",
    "Este evento veio por uma resposta que terminou. A resposta aberta agora:",
  ],
  headersOf: ["The response that carries this stream:", "A resposta que traz este fluxo:"],
  headersHidden: [
    "A browser does not show all headers to a page, such as those of the connection itself.",
    "Um navegador não mostra todos os cabeçalhos a uma página, como os da própria conexão.",
  ],
  noteOfPage: ["This line is a note of the page. It did not come as an event.", "Esta linha é uma nota da página. Não veio como evento."],
  choose: ["Choose an event to read it.", "Escolha um evento para lê-lo."],
  primerWire: ["An event is a few lines of text:", "Um evento são algumas linhas de texto:"],
  primerBreak: [
    "When the connection breaks, the browser comes back and sends the id of the last event. Press “Cut” above, and see it.",
    "Quando a conexão cai, o navegador volta e envia o id do último evento. Aperte “Cortar” acima e veja.",
  ],
  primerRead: ["Read the stream in a shell:", "Leia o fluxo num shell:"],
  primerPublish: ["Publish an event from a shell:", "Publique um evento a partir de um shell:"],
};
