"""Who the visitor is behind a proxy: what the named proxies say is believed, and nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from mailapp.settings import Network, Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CLAIMS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_REAL_IP",
    # Not who the visitor is, but whose trace the request belongs to.
    "HTTP_TRACEPARENT",
    "HTTP_TRACESTATE",
)

# What a supervisor asks the instance itself.
_HEALTH = ("/livez", "/healthz")
# Where a request that such a proxy passed on is marked.
_PROXIED = "mailapp.proxied"


def init_app(app: Flask) -> None:
    """Wrap the application in TrustedProxies, or with PROXY_PROTOCOL in AnnouncedVisitors."""
    settings: Settings = app.extensions["settings"]
    app.wsgi_app = (  # type: ignore[method-assign]
        AnnouncedVisitors(app.wsgi_app)
        if settings.proxy_protocol
        else TrustedProxies(app.wsgi_app, settings.trusted_proxies)
    )


def came_by_proxy(environ: WSGIEnvironment) -> bool:
    """Whether it was one of the trusted proxies that passed this request on."""
    return _PROXIED in environ


class TrustedProxies:
    """WSGI middleware that takes the visitor's address, scheme and host from one trusted proxy.

    One hop: of X-Forwarded-For only the last entry is used, the one our own proxy appended. Where
    proxies stand in a row, the outermost tells the next who the visitor is (nginx: set_real_ip_from
    and real_ip_header), and the last one tells us. From anybody else the headers are removed, so
    that nothing behind this line can believe them by mistake.
    """

    def __init__(self, app: WSGIApplication, networks: tuple[Network, ...]) -> None:
        self._app = app
        self._behind_proxy = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._networks = networks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._trusts(environ.get("REMOTE_ADDR", "")):
            for name in _CLAIMS:
                environ.pop(name, None)
            return self._app(environ, start_response)
        environ[_PROXIED] = True
        last = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        if _address(last) is None:
            # "unknown" and the like: limits count by address, so the proxy's own is the honest one.
            environ.pop("HTTP_X_FORWARDED_FOR", None)
        return self._behind_proxy(environ, start_response)

    def _trusts(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


class AnnouncedVisitors:
    """WSGI middleware for connections that begin with a proxy's word about whose they are.

    The server has read it (PROXY_PROTOCOL), from one of TRUSTED_PROXIES, and REMOTE_ADDR is the
    visitor's. So X-Forwarded-* can be nobody's but the visitor's own, and is removed. A connection
    without it did not come through the balancer: it is told the instance's health and nothing else.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        for name in _CLAIMS:
            environ.pop(name, None)
        if "PROXY_PROTOCOL" in environ or environ.get("PATH_INFO") in _HEALTH:
            return self._app(environ, start_response)
        text = b"This server is reached through its balancer only.\n"
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        start_response("400 Bad Request", headers)
        return [text]


@lru_cache(maxsize=1024)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that listens on :: names IPv4 peers as ::ffff:10.0.0.1.
    return getattr(address, "ipv4_mapped", None) or address
