import { createRoot } from "react-dom/client";
import { connect } from "sse-hub-client";
import { useChannel } from "sse-hub-client/react";

const hub = connect("http://127.0.0.1:8000/");

function Orders() {
  const { events, state } = useChannel(hub, "orders", { replay: 10, keep: 10 });
  return (
    <>
      <p id="state">{state.name}</p>
      <ul id="orders">
        {events.map(({ id, data }) => (
          <li key={id}>{data}</li>
        ))}
      </ul>
    </>
  );
}

createRoot(document.body).render(<Orders />);
