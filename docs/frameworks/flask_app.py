"""Users log in, order, and see their orders as they come. Run: flask --app flask_app run --port 8001"""

import os
import secrets

from flask import Flask, abort, redirect, render_template, request, session
from flask.typing import ResponseReturnValue
from tokens import token_for, token_to_publish

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
PASSWORDS = {"anna": "blue", "bruno": "green"}  # yours are hashed, in a database

app = Flask(__name__)
app.secret_key = secrets.token_hex()  # yours stays over a restart


@app.post("/orders")
def order() -> ResponseReturnValue:
    if "user" not in session:
        abort(403)
    with SSEClient.sync(HUB, token=token_to_publish) as hub:
        hub.publish({"item": request.form["item"]}, channel=f"user.{session['user']}", event="order", deadline=5)
    return "", 204


@app.get("/")
def page() -> ResponseReturnValue:
    if user := session.get("user"):
        stream = f"{HUB}/realtime/user.{user}?replay=20&token={token_for(user)}"
        return render_template("orders.html", user=user, stream=stream)
    return render_template("orders.html")


@app.post("/login")
def login() -> ResponseReturnValue:
    user = request.form["user"]
    if PASSWORDS.get(user) != request.form["password"]:
        abort(403)
    session["user"] = user
    return redirect("/")
