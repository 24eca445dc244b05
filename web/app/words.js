// The words of the page in each of its languages, and putting them where they belong.

import { PARTS } from "./words/parts.js";

/** @type {Record<string, Record<string, string>>} */
const WORDS = {
  en: {
    tagline: "Events as they happen", streams: "Streams", addLabel: "Channel or pattern", add: "Add", all: "All streams",
    pause: "Pause", resume: "Go on", connect: "Connect", disconnect: "Disconnect", reconnect: "Reconnect", remove: "Remove",
    cut: "Cut my connection", behind: "Fall behind", charts: "Figures", sensors: "Sensors", events: "Events", publish: "Publish",
    type: "Type", channel: "Channel", text: "Text", every: "all", clear: "Clear", copy: "Copy", copied: "Copied",
    message: "Message", form: "Form", broadcast: "message with timestamp", raw: "data as it stands", ephemeral: "ephemeral",
    curl: "The same with curl", exportNdjson: "NDJSON", exportCsv: "CSV", export: "Export", details: "Event",
    choose: "Choose an event to read it.", theme: "Theme", system: "system", light: "light", dark: "dark", language: "Language",
    connecting: "connecting", live: "live", catching: "catching up", waiting: "back in {n} s", closed: "closed", ended: "ended",
    paused: "paused", rate: "events/s", total: "events", last: "last id", reconnects: "reconnects", losses: "losses",
    bytes: "bytes", latency: "latency", shown: "{shown} of {kept} kept, {total} in all", undrawn: "{n} passed undrawn",
    pausedWith: "paused, {n} more have come", leads: "this tab holds the connection of all tabs", follows: "another tab holds the connection",
    wentTo: "{id} reached {n} subscribers", unreachable: "The server cannot be reached: {why}",
    lost: "Events after {after} are gone; going on at {next}.", closing: "The server is ending; it asks us to come back.",
    behindRunning: "A second connection has stopped reading; {n} MB are published so far …",
    behindDone: "It read {read} of {sent} events. {lost}", behindLost: "The hub told it of the gap: {after} to {next}. Nobody else waited.",
    behindNone: "The log still had everything, so nothing was lost. Nobody else waited.", noFigures: "No figures come here (--no-demo).",
    cpu_percent: "CPU, %", memory_percent: "Memory, %", network_received_bytes_per_second: "Network in, B/s",
    network_sent_bytes_per_second: "Network out, B/s", requests_per_second: "Requests/s", error_rate: "Errors, share",
    deliveries_per_second: "Deliveries/s",
    session: "Signing in", tokenWanted: "This server takes a token from whoever reads or publishes.", token: "Token", signIn: "Sign in",
    signOut: "Sign out", signedIn: "Signed in: {who}, until {until}", subscribers: "Subscribers", address: "Address", since: "Since",
    lag: "Lag, s", queued: "Queued, bytes", subject: "Subject", end: "End", moreSubscribers: "and {n} more",
  },
  "pt-BR": {
    tagline: "Eventos no momento em que acontecem", streams: "Fluxos", addLabel: "Canal ou padrão", add: "Adicionar", all: "Todos os fluxos",
    pause: "Pausar", resume: "Continuar", connect: "Conectar", disconnect: "Desconectar", reconnect: "Reconectar", remove: "Remover",
    cut: "Cortar minha conexão", behind: "Ficar para trás", charts: "Números", sensors: "Sensores", events: "Eventos", publish: "Publicar",
    type: "Tipo", channel: "Canal", text: "Texto", every: "todos", clear: "Limpar", copy: "Copiar", copied: "Copiado",
    message: "Mensagem", form: "Formato", broadcast: "mensagem com data e hora", raw: "dados como estão", ephemeral: "efêmero",
    curl: "O mesmo com curl", exportNdjson: "NDJSON", exportCsv: "CSV", export: "Exportar", details: "Evento",
    choose: "Escolha um evento para lê-lo.", theme: "Tema", system: "sistema", light: "claro", dark: "escuro", language: "Idioma",
    connecting: "conectando", live: "ao vivo", catching: "recuperando", waiting: "volta em {n} s", closed: "encerrado", ended: "terminado",
    paused: "pausado", rate: "eventos/s", total: "eventos", last: "último id", reconnects: "reconexões", losses: "perdas",
    bytes: "bytes", latency: "latência", shown: "{shown} de {kept} guardados, {total} ao todo", undrawn: "{n} passaram sem ser desenhados",
    pausedWith: "pausado, chegaram mais {n}", leads: "esta aba mantém a conexão de todas", follows: "outra aba mantém a conexão",
    wentTo: "{id} chegou a {n} assinantes", unreachable: "Não foi possível alcançar o servidor: {why}",
    lost: "Os eventos depois de {after} se perderam; continuamos em {next}.", closing: "O servidor está encerrando; pede que voltemos.",
    behindRunning: "Uma segunda conexão parou de ler; {n} MB publicados até agora …",
    behindDone: "Ela leu {read} de {sent} eventos. {lost}", behindLost: "O hub avisou da lacuna: {after} a {next}. Ninguém mais esperou.",
    behindNone: "O log ainda tinha tudo, então nada se perdeu. Ninguém mais esperou.", noFigures: "Nenhum número chega aqui (--no-demo).",
    cpu_percent: "CPU, %", memory_percent: "Memória, %", network_received_bytes_per_second: "Rede, entrada, B/s",
    network_sent_bytes_per_second: "Rede, saída, B/s", requests_per_second: "Requisições/s", error_rate: "Erros, fração",
    deliveries_per_second: "Entregas/s",
    session: "Entrar", tokenWanted: "Este servidor pede um token a quem lê ou publica.", token: "Token", signIn: "Entrar",
    signOut: "Sair", signedIn: "Conectado: {who}, até {until}", subscribers: "Assinantes", address: "Endereço", since: "Desde",
    lag: "Atraso, s", queued: "Em espera, bytes", subject: "Sujeito", end: "Encerrar", moreSubscribers: "e mais {n}",
  },
};

for (const [key, [english, portuguese]] of Object.entries(PARTS)) {
  WORDS.en[key] = english;
  WORDS["pt-BR"][key] = portuguese;
}

export const LANGUAGES = Object.keys(WORDS);
let language = "en";

/**
 * The words for a key, with its gaps filled.
 *
 * @param {string} key
 * @param {Record<string, string>} gaps
 */
export function say(key, gaps = {}) {
  const words = WORDS[language][key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => gaps[name] ?? "");
}

/** The language that the page speaks. */
export const spoken = () => language;

/**
 * A number as this language writes it.
 *
 * @param {number} value
 */
export function number(value, digits = 0) {
  return value.toLocaleString(language, { maximumFractionDigits: digits });
}

/** The language of the page that fits the browser's best. */
export function browserLanguage() {
  return navigator.languages.some((each, at) => at === 0 && each.startsWith("pt")) ? "pt-BR" : "en";
}

/**
 * Speak this language from now on, everywhere below `root`.
 *
 * @param {string} name
 * @param {ParentNode} root
 */
export function speak(name, root = document) {
  language = WORDS[name] ? name : "en";
  document.documentElement.lang = language;
  translate(root);
}

/**
 * Put the words into the elements that name them: `data-words` as text, `data-label` as label.
 *
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-words]"))) {
    element.textContent = say(element.dataset.words ?? "");
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-label]"))) {
    element.setAttribute("aria-label", say(element.dataset.label ?? ""));
  }
}
