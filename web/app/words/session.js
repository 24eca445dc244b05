// Words of signing in and of the subscribers: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const SESSION = {
  session: ["Signing in", "Entrar"],
  tokenWanted: ["This server asks readers or publishers for a token.", "Este servidor pede um token a quem lê ou publica."],
  token: ["Token", "Token"],
  signIn: ["Sign in", "Entrar"],
  signOut: ["Sign out", "Sair"],
  signedIn: ["Signed in: {who}, until {until}", "Sessão de {who}, até {until}"],
  signedInForever: ["Signed in: {who}", "Sessão de {who}"],
  somebody: ["somebody without a name", "alguém sem nome"],
  expired: ["The session has expired. Sign in again.", "A sessão expirou. Entre de novo."],
  subscribers: ["Subscribers", "Assinantes"],
  address: ["Address", "Endereço"],
  channels: ["Channels", "Canais"],
  since: ["Since", "Desde"],
  lag: ["Behind, s", "Atraso, s"],
  queued: ["Queued, bytes", "Na fila, bytes"],
  subject: ["Signed in as", "Sessão de"],
  end: ["End", "Encerrar"],
  endReally: ["Really end?", "Encerrar mesmo?"],
  endStream: ["End the stream of {address}: {channels}", "Encerrar o fluxo de {address}: {channels}"],
  endedStream: ["The stream of {address} was ended.", "O fluxo de {address} foi encerrado."],
  moreSubscribers: ["and {n} more", "e mais {n}"],
};
