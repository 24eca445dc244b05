// What AI SDK's transport gets when a page with this chat is loaded: the text of the answer that is under way, or
// "nothing". Its arguments are the address of a hub and the id of the chat.

import { DefaultChatTransport } from "ai";

const [hub, chat] = process.argv.slice(2);
const transport = new DefaultChatTransport({
  prepareReconnectToStreamRequest: ({ id }) => ({
    api: `${hub}/realtime/chat.${id}?plain=1&from=start&ended=204`,
  }),
});
const stream = await transport.reconnectToStream({ chatId: chat });
let text = "";
if (stream !== null) {
  process.stderr.write("resumed\n");
  for await (const part of stream) if (part.type === "text-delta") text += part.delta;
}
process.stdout.write(stream === null ? "nothing" : text);
