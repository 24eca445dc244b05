from aiohttp import web

from sse_server import HUB, Settings, create_app

events = create_app(Settings(no_demo=True))


async def order(request: web.Request) -> web.Response:
    await events[HUB].publish("sold: " + await request.text(), channel="orders", event="order")
    return web.Response(text="Thank you.\n")


app = web.Application()
app.add_routes([web.post("/order", order)])
app.add_subapp("/events", events)

if __name__ == "__main__":
    web.run_app(app, port=8001)
