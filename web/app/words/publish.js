// Words of publishing: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const PUBLISH = {
  message: ["Message", "Mensagem"],
  form: ["Form", "Formato"],
  broadcast: ["message with timestamp", "mensagem com data e hora"],
  raw: ["data as it stands", "dados como estão"],
  lines: ["an event for each line", "um evento para cada linha"],
  ephemeral: ["ephemeral", "efêmero"],
  ephemeralLong: ["ephemeral: for those who are connected; not kept", "efêmero: para quem está conectado; não é guardado"],
  endWith: ["Then end the channel", "Depois terminar o canal"],
  endNot: ["no", "não"],
  send: ["Publish", "Publicar"],
  sameWithCurl: ["The same in a shell", "O mesmo num shell"],
  wentTo: ["{id} went to {n} subscribers.", "{id} foi para {n} assinantes."],
  wentToOne: ["{id} went to 1 subscriber.", "{id} foi para 1 assinante."],
  wentMany: ["{count} events, {first} to {last}.", "{count} eventos, {first} a {last}."],
  ephemeralWent: ["An ephemeral event", "Um evento efêmero"],
};
