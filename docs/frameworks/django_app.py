"""Users log in, order, and see their orders as they come. Run: python django_app.py runserver --noreload 8001"""

import os
import secrets
import sys
from pathlib import Path

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.backends.utils import csrf_input
from django.urls import path
from django.views.decorators.http import require_POST
from tokens import token_for, token_to_publish

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
PASSWORDS = {"anna": "blue", "bruno": "green"}  # yours are those of django.contrib.auth
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [Path(__file__).with_name("templates")]}
]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),  # yours stays over a restart
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    TEMPLATES=TEMPLATES,
)


@require_POST
def order(request: HttpRequest) -> HttpResponse:
    if "user" not in request.session:
        raise PermissionDenied
    channel = f"user.{request.session['user']}"
    with SSEClient.sync(HUB, token=token_to_publish) as hub:
        hub.publish({"item": request.POST["item"]}, channel=channel, event="order", deadline=5)
    return HttpResponse(status=204)


def page(request: HttpRequest) -> HttpResponse:
    context = {"csrf_input": csrf_input(request)}
    if user := request.session.get("user"):
        stream = f"{HUB}/realtime/user.{user}?replay=20&token={token_for(user)}"
        context |= {"user": user, "stream": stream}
    return render(request, "orders.html", context)


@require_POST
def login(request: HttpRequest) -> HttpResponse:
    user = request.POST["user"]
    if PASSWORDS.get(user) != request.POST["password"]:
        raise PermissionDenied
    request.session["user"] = user
    return redirect("/")


urlpatterns = [path("", page), path("orders", order), path("login", login)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
