"""A shorter way from aiohttp's server to the handlers of the hub's own application.

aiohttp's way is made for any application. For each request it walks up the path through the router, prepares for
`Expect`, and builds a chain of the middlewares of all applications. Here, the route is found by one or two look-ups,
and `front` is the only middleware. All that is unusual goes aiohttp's way: a method or path without a route, a path
with percent-encoding, `Expect`, and every request of an application to which its owner, or a library that observes
requests, has added something.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import FunctionType
from typing import Any, NamedTuple

from aiohttp import web

from .app_keys import HUB, SETTINGS
from .eager import EagerServer
from .front import front
from .headers import complete_headers
from .patience import PatientServer
from .publish import broadcast, publish
from .request_log import count_answer
from .subscribe import follow_channel, follow_channels

__all__ = ["Runner"]

_EAGER = frozenset({publish, broadcast, follow_channel, follow_channels})
"""Handlers that may run without a task until they first wait, if the body has arrived."""


class Runner(web.AppRunner):
    """Runs the application of `create_app` by itself, not mounted in another one."""

    async def _make_server(self) -> web.Server:
        server, settings = await super()._make_server(), self.app[SETTINGS]
        if not _is_own(self.app):
            return PatientServer(server, settings)
        server.request_handler = shortcut = _Shortcut(self.app, server.request_handler)
        # Other stores than the log are asked first, and their time is limited, for which a task is needed.
        is_eager = self.app[HUB].archive is None and EagerServer.is_possible()
        return EagerServer(server, settings, shortcut.begin) if is_eager else PatientServer(server, settings)


def _is_own(app: web.Application) -> bool:
    """Whether nothing stands between the server and the handlers except what `create_app` has put there."""
    return (
        list(app.middlewares) == [front]
        and list(app.on_response_prepare) == [complete_headers, count_answer]
        and all(isinstance(each, web.PlainResource | web.DynamicResource) for each in app.router.resources())
        # `match_info` reads this private attribute. With an aiohttp that has another one, there is no shortcut.
        and hasattr(web.Request, "_match_info")
        and _is_original(web.Application, "_handle")
        and _is_original(web.UrlDispatcher, "resolve")
    )


def _is_original(owner: type, method: str) -> bool:
    """Whether a method of aiohttp is aiohttp's own. Libraries that observe requests put their own function in its
    place (Sentry does); they would see nothing of a request that is not handled by it."""
    function = vars(owner).get(method)
    return type(function) is FunctionType and function.__globals__ is vars(sys.modules[owner.__module__])


class _Resource(NamedTuple):
    pattern: re.Pattern[str]
    """The pattern of its paths."""
    routes: Mapping[str, web.AbstractRoute]
    """By method."""


class _Shortcut:
    """The handler of a server.

    :param app: has the routes.
    :param otherwise: aiohttp's way.
    """

    def __init__(
        self, app: web.Application, otherwise: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    ) -> None:
        self._app = app
        self._otherwise = otherwise
        self._resources: dict[str, list[_Resource]] = {}
        for each in app.router.resources():
            path, pattern = each.canonical, each.get_info().get("pattern")
            # As in aiohttp's router: the parts of the path before the first variable one.
            place = path.partition("{")[0].rpartition("/")[0] if pattern else path
            resource = _Resource(pattern or re.compile(re.escape(path)), {route.method: route for route in each})
            self._resources.setdefault(place.rstrip("/") or "/", []).append(resource)

    def __call__(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        """Answer a request."""
        assert isinstance(request, web.Request)
        match = self._match(request)
        return self._otherwise(request) if match is None else self._handle(request, match)

    def begin(self, request: web.Request) -> Coroutine[Any, Any, web.StreamResponse] | None:
        """Begin to handle a publish or a request for a stream; None for any other request. See `eager.Begin`."""
        match = self._match(request)
        return None if match is None or match.handler not in _EAGER else self._handle(request, match)

    def _handle(self, request: web.Request, match: web.UrlMappingMatchInfo) -> Coroutine[Any, Any, web.StreamResponse]:
        match.add_app(self._app)
        match.freeze()
        request._match_info = match
        return front(request, match.handler)

    def _match(self, request: web.Request) -> web.UrlMappingMatchInfo | None:
        return None if "Expect" in request.headers else self._find(request.rel_url.path_safe, request.method)

    def _find(self, path: str, method: str) -> web.UrlMappingMatchInfo | None:
        """The route of a path, with the values of its variables, if it is among the resources of the path or of its
        parent."""
        if "%" in path:
            return None
        for place in (path, path.rpartition("/")[0]):
            for pattern, routes in self._resources.get(place, ()):
                if found := pattern.fullmatch(path):
                    route = routes.get(method)
                    return None if route is None else web.UrlMappingMatchInfo(found.groupdict(), route)
        return None
