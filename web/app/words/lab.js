// Words of the lab: English, then Portuguese.

/** @type {Record<string, [english: string, portuguese: string]>} */
export const LAB = {
  labAbout: [
    "A stream is easy while all goes well. These experiments show what happens when it does not. Each uses channels of its own, publishes a few dozen small events, and leaves nothing behind.",
    "Um fluxo é fácil enquanto tudo vai bem. Estes experimentos mostram o que acontece quando não vai. Cada um usa canais próprios, publica algumas dezenas de eventos pequenos e não deixa nada para trás.",
  ],
  labStart: ["Start", "Começar"],
  labCancel: ["Cancel", "Cancelar"],
  labProgress: ["Progress of the experiment", "Andamento do experimento"],
  labTimeline: ["Timeline", "Linha do tempo"],
  labBytes: ["What goes over the connection", "O que passa pela conexão"],
  labReal: ["This happens at the real hub.", "Isto acontece no hub de verdade."],
  labSimulated: [
    "The hub of this experiment is simulated in this page: no visitor can do this to a real one. The reader is the real client, and the bytes are those that the real hub sends.",
    "O hub deste experimento é simulado nesta página: nenhum visitante pode fazer isto com um de verdade. O leitor é o cliente de verdade, e os bytes são os que o hub de verdade envia.",
  ],
  labSimulatedProxy: [
    "The hub is the real one. The proxy is simulated in this page: it passes bytes on when it has 1,500 of them. Real proxies wait for 4,096 or more.",
    "O hub é o de verdade. O proxy é simulado nesta página: ele passa os bytes adiante quando tem 1.500 deles. Proxies de verdade esperam por 4.096 ou mais.",
  ],
  labPublished: ["published", "publicado"],
  labArrived: ["arrived", "chegou"],
  labDirect: ["without the proxy", "sem o proxy"],
  labBuffered: ["behind the proxy", "atrás do proxy"],
  labQuick: ["another reader", "outro leitor"],
  labSlow: ["the slow reader", "o leitor lento"],
  labTab: ["tab {n}", "aba {n}"],
  labState: ["Client: {state}. {why}", "Cliente: {state}. {why}"],
  labCancelled: ["Cancelled. The hub has forgotten the channels of the experiment.", "Cancelado. O hub esqueceu os canais do experimento."],
  labTooLong: ["After a minute the experiment was still not over, and was ended. Is the hub reachable?", "Depois de um minuto o experimento ainda não tinha acabado e foi encerrado. O hub está acessível?"],
  labRefused: [
    "This hub does not let you do this: {why} The experiment needs a token that may publish to lab.*; sign in with one, or choose an experiment that is simulated.",
    "Este hub não permite isto a você: {why} O experimento precisa de um token que possa publicar em lab.*; entre com um, ou escolha um experimento simulado.",
  ],
  labFailed: ["The experiment could not go on: {why}", "O experimento não pôde continuar: {why}"],
  labConnecting: ["Connecting", "Conectando"],
  labCutting: ["The connection is cut. Publishing goes on.", "A conexão é cortada. A publicação continua."],
  labWaitingForAll: ["Waiting until the client is back and has everything", "Esperando o cliente voltar e ter tudo"],

  labTitle_cut: ["Cut the connection and resume", "Cortar a conexão e retomar"],
  labFirst_cut: [
    "Every event has an id. The client remembers the id of the last event that it got: its cursor. When the connection breaks, it waits for the time that the hub named (retry), and asks again, with its cursor.",
    "Todo evento tem um id. O cliente guarda o id do último evento que recebeu: seu cursor. Quando a conexão cai, ele espera o tempo que o hub disse (retry) e pede de novo, com o cursor.",
  ],
  labSecond_cut: [
    "The hub has a log. It sends what came after the cursor, then “live”, and then events as they happen. Watch the second request: it has lastEventId, and the hollow ticks are the events that it brought.",
    "O hub tem um log. Ele envia o que veio depois do cursor, então “live”, e então os eventos no momento em que acontecem. Observe o segundo pedido: ele tem lastEventId, e as marcas vazadas são os eventos que ele trouxe.",
  ],
  labCutSeen: [
    "All {n} events arrived, in order and each once. {replayed} of them were published while there was no connection, and came from the log.",
    "Todos os {n} eventos chegaram, em ordem e cada um uma vez. {replayed} deles foram publicados enquanto não havia conexão, e vieram do log.",
  ],
  labCutFailed: ["Of {n} events, some did not arrive in order. That should not be: please report it.", "De {n} eventos, alguns não chegaram em ordem. Isso não deveria acontecer: por favor, avise-nos."],

  labTitle_behind: ["Fall behind and be fed from the log", "Ficar para trás e ser alimentado pelo log"],
  labFirst_behind: [
    "A reader that is too slow must not slow down others, and must not fill the memory of the hub. So the hub keeps no queue for it. When the connection takes no more, the reader is behind: the hub only remembers its cursor.",
    "Um leitor lento demais não pode atrasar os outros, nem encher a memória do hub. Por isso o hub não mantém uma fila para ele. Quando a conexão não aceita mais, o leitor está atrasado: o hub só guarda o cursor dele.",
  ],
  labSecond_behind: [
    "As soon as the connection takes bytes again, the hub feeds the reader from the log, at the reader's pace, until nothing is left. Then it is live again. Here a reader stops for some seconds; another one beside it notices nothing.",
    "Assim que a conexão aceita bytes de novo, o hub alimenta o leitor com o log, no ritmo do leitor, até não sobrar nada. Então ele está ao vivo de novo. Aqui um leitor para por alguns segundos; outro ao lado não percebe nada.",
  ],
  labStopsReading: ["The slow reader stops reading. Its connection still takes a few events.", "O leitor lento para de ler. A conexão dele ainda aceita alguns eventos."],
  labFellBehind: ["From event {n} on, the connection takes no more: the slow reader is behind.", "A partir do evento {n}, a conexão não aceita mais: o leitor lento está atrasado."],
  labReadsAgain: ["It reads again. The other reader has {quick} events, and this one {slow}.", "Ele volta a ler. O outro leitor tem {quick} eventos, e este tem {slow}."],
  labBehindSeen: [
    "The slow reader has all {n} events: those that its connection could not take came from the log. The other reader was live all the time.",
    "O leitor lento tem todos os {n} eventos: os que a conexão dele não aceitou vieram do log. O outro leitor esteve ao vivo o tempo todo.",
  ],

  labTitle_lose: ["Lose events and be told", "Perder eventos e ser avisado"],
  labFirst_lose: [
    "No log is endless. If a client stays away for too long, what it missed is gone. Many servers then say nothing, and the client believes that it has seen everything.",
    "Nenhum log é infinito. Se um cliente fica longe por tempo demais, o que ele perdeu não existe mais. Muitos servidores não dizem nada, e o cliente acredita que viu tudo.",
  ],
  labSecond_lose: [
    "This hub says it in the stream: “connected” has lost: true, and a client that is connected gets the event “lost”. Here the client is cut off, and the channel is forgotten (DELETE /realtime/…) before it is back.",
    "Este hub diz isso no fluxo: “connected” traz lost: true, e um cliente conectado recebe o evento “lost”. Aqui o cliente é cortado, e o canal é esquecido (DELETE /realtime/…) antes de ele voltar.",
  ],
  labForgetting: ["The hub forgets what the channel has. The client is still away.", "O hub esquece o que o canal tem. O cliente ainda está longe."],
  labLoseSeen: [
    "The client got the events {seen}, and was told of the rest: everything after {after} and before {next} is gone.",
    "O cliente recebeu os eventos {seen} e foi avisado do resto: tudo depois de {after} e antes de {next} se perdeu.",
  ],

  labTitle_full: ["A hub that is full", "Um hub que está cheio"],
  labFirst_full: [
    "A hub takes so many subscribers and no more. The usual answer would be 503. But a browser's EventSource gives up for ever after any status but 200 (WHATWG HTML, section 9.2.3).",
    "Um hub aceita um certo número de assinantes e não mais. A resposta usual seria 503. Mas o EventSource de um navegador desiste para sempre depois de qualquer status que não seja 200 (WHATWG HTML, seção 9.2.3).",
  ],
  labSecond_full: [
    "So the hub answers 200 with a short stream: a retry with some chance in it, an event “error” that says why, and the end. The browser comes back by itself, and gets in when somebody has left.",
    "Por isso o hub responde 200 com um fluxo curto: um retry em parte sorteado, um evento “error” que diz por quê, e o fim. O navegador volta sozinho e entra quando alguém sai.",
  ],
  labFullConnecting: ["Connecting to a hub whose only place is taken", "Conectando a um hub cujo único lugar está ocupado"],
  labFullLeaves: ["The other subscriber leaves", "O outro assinante sai"],
  labFullSeen: ["After {n} answers that the hub is full, the client got in by itself.", "Depois de {n} respostas de que o hub está cheio, o cliente entrou sozinho."],

  labTitle_restart: ["A hub that restarts", "Um hub que reinicia"],
  labFirst_restart: [
    "When a hub is told to end, it gives each subscriber a retry of its own and the event “closing”, and ends the streams. So a thousand clients do not come back in the same second.",
    "Quando um hub recebe ordem de terminar, dá a cada assinante um retry próprio e o evento “closing”, e termina os fluxos. Assim, mil clientes não voltam no mesmo segundo.",
  ],
  labSecond_restart: [
    "Until it is back, attempts fail, and the client waits longer each time. Then it asks with its cursor, and gets what was published meanwhile at another node with the same store.",
    "Até ele voltar, as tentativas falham, e o cliente espera mais a cada vez. Então ele pede com o cursor e recebe o que foi publicado nesse meio-tempo em outro nó com o mesmo armazenamento.",
  ],
  labRestartStops: ["The hub ends, and cannot be reached. Another node goes on publishing.", "O hub termina e não pode ser alcançado. Outro nó continua publicando."],
  labRestartStarts: ["The hub is back. The client does not know it yet.", "O hub voltou. O cliente ainda não sabe."],
  labRestartSeen: [
    "The client waited {waits} times and came back by itself. Nothing is missing: {replayed} events came from the log.",
    "O cliente esperou {waits} vezes e voltou sozinho. Nada falta: {replayed} eventos vieram do log.",
  ],

  labTitle_tabs: ["Seven tabs with one connection", "Sete abas com uma conexão"],
  labFirst_tabs: [
    "Over HTTP/1.1, a browser opens six connections to a host. With an EventSource in each of seven tabs, the seventh waits for ever, and so does every other request to that host.",
    "Com HTTP/1.1, um navegador abre seis conexões com um host. Com um EventSource em cada uma de sete abas, a sétima espera para sempre, e com ela qualquer outro pedido a esse host.",
  ],
  labSecond_tabs: [
    "This client lets one tab lead: it holds the connection and passes on to the others what comes (Web Locks, BroadcastChannel). When it is closed, another leads. The seven tabs here are seven clients in this page; they find each other as tabs do.",
    "Este cliente deixa uma aba liderar: ela mantém a conexão e passa às outras o que chega (Web Locks, BroadcastChannel). Quando é fechada, outra lidera. As sete abas aqui são sete clientes nesta página; elas se acham como abas se acham.",
  ],
  labTabsInsecure: [
    "On plain http, a browser has no Web Locks, and each tab has a connection of its own. This experiment needs https or localhost.",
    "Com http simples, um navegador não tem Web Locks, e cada aba tem sua própria conexão. Este experimento precisa de https ou localhost.",
  ],
  labTabsOpening: ["Seven tabs are opened", "Sete abas são abertas"],
  labTabsClosing: ["Tab {n}, which holds the connection, is closed", "A aba {n}, que mantém a conexão, é fechada"],
  labTabsSeen: [
    "Seven tabs had all events over one stream at a time (requests while they joined: {before}). When tab {leader} was closed, tab {next} took over, and no tab missed anything.",
    "Sete abas tiveram todos os eventos por um fluxo de cada vez (pedidos enquanto entravam: {before}). Quando a aba {leader} foi fechada, a aba {next} assumiu, e nenhuma aba perdeu nada.",
  ],

  labTitle_proxy: ["A proxy that buffers", "Um proxy com buffer"],
  labFirst_proxy: [
    "Some proxies collect an answer before they pass it on. Then small events wait for others, and come in bursts, or not at all while little happens. It looks as if the server were slow.",
    "Alguns proxies juntam uma resposta antes de passá-la adiante. Então eventos pequenos esperam por outros e chegam em rajadas, ou não chegam enquanto pouco acontece. Parece que o servidor é lento.",
  ],
  labSecond_proxy: [
    "The hub sends X-Accel-Buffering: no and Cache-Control: no-transform, which nginx and others obey. If you see bursts like those in the lower lane, look for what stands between you and the hub. The silence between two bursts is longer than three pings where it is bad, and then the client says so.",
    "O hub envia X-Accel-Buffering: no e Cache-Control: no-transform, que o nginx e outros obedecem. Se você vê rajadas como as da faixa de baixo, procure o que está entre você e o hub. Quando é grave, o silêncio entre duas rajadas é maior que três pings, e então o cliente avisa.",
  ],
  labProxyConnecting: ["Two readers connect; one of them is behind the proxy.", "Dois leitores se conectam; um deles está atrás do proxy."],
  labProxyPublishing: ["An event is published every 0.3 s", "Um evento é publicado a cada 0,3 s"],
  labProxySeen: [
    "Without the proxy, every event was there at once. Behind it, {n} events came {mean} s late on average and {worst} s at worst; {left} are still in the buffer.",
    "Sem o proxy, todo evento chegou na hora. Atrás dele, {n} eventos chegaram com {mean} s de atraso em média e {worst} s no pior caso; {left} ainda estão no buffer.",
  ],
  labProxyNothing: ["Nothing has come through the proxy: the buffer is not full yet.", "Nada passou pelo proxy: o buffer ainda não encheu."],
};
