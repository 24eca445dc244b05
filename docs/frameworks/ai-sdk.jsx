import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { createRoot } from "react-dom/client";

const hub = "http://127.0.0.1:8000";
const chat = new URLSearchParams(location.search).get("chat");
const transport = new DefaultChatTransport({
  api: `/chat?chat=${chat}`,
  prepareReconnectToStreamRequest: ({ id }) => ({
    api: `${hub}/realtime/chat.${id}?plain=1&from=start&ended=204`,
  }),
});

function Chat() {
  const { messages, sendMessage, status } = useChat({ id: chat, transport, resume: true });
  const parts = messages.filter(({ role }) => role === "assistant").flatMap(({ parts }) => parts);
  return (
    <>
      <button onClick={() => sendMessage({ text: "Hello?" })}>Ask</button>
      <button onClick={() => fetch(`${hub}/realtime/chat.${chat}?end=cancelled`, { method: "POST" })}>Stop</button>
      <p id="state">{status}</p>
      <p id="answer">{parts.map(({ text }) => text).join("")}</p>
    </>
  );
}

createRoot(document.body).render(<Chat />);
