// better-sse on Node's own HTTP server: a channel for each path. Its batches are for one session at a time;
// broadcast() is what it has for all.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const channels = new Map();

function channelOf(path) {
  if (!channels.has(path)) channels.set(path, createChannel());
  return channels.get(path);
}

const server = createServer(async (request, response) => {
  const channel = channelOf(request.url);
  if (request.method === "POST") {
    const parts = [];
    for await (const part of request) parts.push(part);
    channel.broadcast(Buffer.concat(parts).toString(), "message");
    const answer = JSON.stringify({ subscribers: channel.sessionCount });
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": answer.length });
    response.end(answer);
    return;
  }
  const session = await createSession(request, response, { serializer: (data) => data });
  session.push("", "connected");
  channel.register(session);
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.error(`better-sse is at http://127.0.0.1:${server.address().port}/`);
});
