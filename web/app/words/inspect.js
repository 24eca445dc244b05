// Words of the inspector's parts: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const INSPECT = {
  notJson: ["Text. It is no JSON from character {at} on.", "Texto. Não é JSON a partir do caractere {at}."],
  emptyData: ["The data are empty.", "Os dados estão vazios."],
  manyMembers: ["{n} members", "{n} membros"],
  oneMember: ["1 member", "1 membro"],
  sameKey: ["This key comes more than once.", "Esta chave aparece mais de uma vez."],
  moreMembersUnknown: ["more", "mais"],
  moreText: ["{n} more characters", "mais {n} caracteres"],
  moreBytes: ["{n} more bytes", "mais {n} bytes"],
  moreLines: ["{n} more lines", "mais {n} linhas"],
  wireLines: ["Lines of the event", "Linhas do evento"],
  wireBytes: ["Bytes {from} to {to} of {n}", "Bytes {from} a {to} de {n}"],
  wireAll: ["{n} bytes, {lines} lines", "{n} bytes, {lines} linhas"],
  wireStandard: ["What the standard does with it: WHATWG HTML, section 9.2.6", "O que a norma faz com isto: WHATWG HTML, seção 9.2.6"],
  wireEnvelope: [
    "Every EventSource of this channel gets these bytes. This page asks for envelopes (?envelope=1), so that one stream can carry many channels, and got:",
    "Todo EventSource deste canal recebe estes bytes. Esta página pede envelopes (?envelope=1), para que um fluxo leve muitos canais, e recebeu:",
  ],
  effect_comment: [
    "A comment. The reader passes it over; it shows that the connection is alive.",
    "Um comentário. O leitor o ignora; ele mostra que a conexão está viva.",
  ],
  effect_data: [
    "Appended to the data of this event. Between two such lines stands a line feed.",
    "Acrescentado aos dados deste evento. Entre duas dessas linhas fica uma quebra de linha.",
  ],
  effect_type: [
    "The type of this event. A page gets it by addEventListener with this name.",
    "O tipo deste evento. Uma página o recebe por addEventListener com este nome.",
  ],
  effect_id: [
    "The last event ID. After a break, the browser sends it as Last-Event-ID, and the hub goes on from there.",
    "O último ID de evento. Depois de uma queda, o navegador o envia como Last-Event-ID, e o hub continua dali.",
  ],
  effect_idIgnored: ["Passed over: an id must not have a NUL.", "Ignorado: um id não pode ter NUL."],
  effect_retry: [
    "The reconnection time: {value} ms. The browser waits so long after a break.",
    "O tempo de reconexão: {value} ms. O navegador espera esse tempo depois de uma queda.",
  ],
  effect_retryIgnored: ["Passed over: a reconnection time has only digits.", "Ignorado: um tempo de reconexão só tem dígitos."],
  effect_unknown: ["Passed over: the standard has no field of this name.", "Ignorado: a norma não tem campo com este nome."],
  effect_dispatch: [
    "An empty line ends the event. Now the page gets it.",
    "Uma linha vazia termina o evento. Agora a página o recebe.",
  ],
  effect_nothing: [
    "An empty line without data before it. The page gets nothing.",
    "Uma linha vazia sem dados antes dela. A página não recebe nada.",
  ],
  notCopied: ["Not copied", "Não copiado"],
  codeFollow: ["Follow this stream", "Seguir este fluxo"],
  codePublish: ["Publish this event", "Publicar este evento"],
  codePublishNote: [
    "The data go out byte for byte: line breaks stay, and an @ at the beginning names no file.",
    "Os dados saem byte por byte: as quebras de linha ficam, e um @ no início não nomeia um arquivo.",
  ],
  codeToken: [
    "This hub wants a token. Add it as a header: -H \"Authorization: Bearer $TOKEN\".",
    "Este hub pede um token. Acrescente-o como cabeçalho: -H \"Authorization: Bearer $TOKEN\".",
  ],
};
