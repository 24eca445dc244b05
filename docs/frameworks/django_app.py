"""A Django application of one file that publishes from a view. Run: python django_app.py runserver --noreload 8001"""

import os
import secrets
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY=secrets.token_hex(), ALLOWED_HOSTS=["127.0.0.1"])


@csrf_exempt  # so that curl may post; your forms keep their protection
def order(request: HttpRequest, item: str) -> JsonResponse:
    with SSEClient.sync(HUB, token=os.environ.get("SSE_TOKEN")) as hub:
        published = hub.publish({"item": item}, channel="orders.new", event="order", deadline=5)
    return JsonResponse({"event": published.id})


urlpatterns = [path("orders/<item>", order)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
