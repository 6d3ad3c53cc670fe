"""A page on this machine alone: one address that cannot be guessed, and nothing beside it."""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ldae.errors import InputError

HOST = "127.0.0.1"

NAMES = (HOST, "localhost")
"""Names under which the page may be asked for; others come from a web site that poses as us."""

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

logger = logging.getLogger(__name__)


class PageServer(ThreadingHTTPServer):
    """Serves one page to the programs of this machine that know its address.

    Parameters
    ----------
    page
        HTML.
    port
        Port, 0 for any that is free.

    Raises
    ------
    InputError
        If the port is taken or not allowed.
    """

    daemon_threads = True

    def __init__(self, page: str, port: int) -> None:
        self.page = page.encode()
        # Other users of the machine can reach the port as well, and must not see the scans.
        self.path = f"/{secrets.token_urlsafe(16)}/"
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            problem = f"the port cannot be used ({error.strerror})"
            raise InputError(f"--port {port}", problem, "Choose another, or none") from error

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}{self.path}"

    def answers(self, host: str | None, path: str) -> bool:
        """Whether a request is for the page, and under this machine's own name."""
        name, _, port = (host or "").rpartition(":")
        known = name in NAMES and port == str(self.server_port)
        return known and secrets.compare_digest(path.partition("?")[0].encode(), self.path.encode())


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page, or with nothing."""

    server: PageServer
    server_version, sys_version = "ldae", ""

    def do_GET(self) -> None:  # as http.server has it
        """The page, in answer to GET."""
        if self._begin():
            self.wfile.write(self.server.page)

    def do_HEAD(self) -> None:  # as http.server has it
        """Its headers, in answer to HEAD."""
        self._begin()

    def _begin(self) -> bool:
        """Send the headers; returns whether the page may follow."""
        if not self.server.answers(self.headers.get("Host"), self.path):
            self.send_error(HTTPStatus.NOT_FOUND)
            return False
        self.send_response(HTTPStatus.OK)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""
        logger.debug(format, *args)
