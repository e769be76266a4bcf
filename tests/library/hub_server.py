# SPDX-License-Identifier: MIT
"""A small server that speaks as Hugging Face does, and can misbehave."""

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlparse

COMMIT = "c0ffee" * 6 + "c0ff"
REPO = "maker/model-GGUF"


@dataclass
class HubServer:
    """Serves one repository on loopback; what it does wrong is set on it."""

    files: dict[str, bytes]
    drop_after: list[int] = field(default_factory=list)
    """Each GET of a file takes the first and ends after so many bytes."""
    claimed_size: int | None = None
    """Told in the listing in place of the real size."""
    claimed_sha256: str | None = None
    gated: bool = False
    broken: bool = False
    """Whether it has nothing to say but that it is broken."""
    opens_to: str | None = None
    """The one token that opens its repository."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range of what was asked."""
    tokens: set[str | None] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def endpoint(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def sha256(self, name: str) -> str:
        return self.claimed_sha256 or hashlib.sha256(self.files[name]).hexdigest()

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, data in self.files.items():
            size = self.claimed_size or len(data)
            lfs = {"sha256": self.sha256(name), "size": size, "pointerSize": 134}
            siblings.append({"rfilename": name, "size": size, "blobId": "b" * 40, "lfs": lfs})
        return {"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": siblings, "tags": ["gguf"]}


def _handler(server: HubServer) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"hub": server})


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = urlparse(self.path).path
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        self.hub.tokens.add(self.headers.get("Authorization"))
        prefix = f"/{REPO}/resolve/"
        shown = self.headers.get("Authorization")
        if self.hub.opens_to is not None and shown != f"Bearer {self.hub.opens_to}":
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif self.hub.broken:
            self._send(503, b"", {}, body=body)
        elif self.hub.gated:
            self._send(403, b"", {"X-Error-Code": "GatedRepo"}, body=body)
        elif path == "/api/models":
            self._json([self.hub.listing()])
        elif path.startswith(f"/api/models/{REPO}"):
            self._json(self.hub.listing())
        elif path.startswith(prefix):
            name = path.removeprefix(prefix).partition("/")[2]
            self._file(name, self.hub.files[name], body=body)
        else:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"}, body=body)

    def _json(self, value: Any) -> None:
        headers = {"Content-Type": "application/json"}
        self._send(200, json.dumps(value).encode(), headers, body=True)

    def _file(self, name: str, data: bytes, *, body: bool) -> None:
        headers = {"ETag": f'"{self.hub.sha256(name)}"', "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if start else 200, data[start:], headers, body=body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        drops = "/resolve/" in self.path and bool(self.hub.drop_after)
        with contextlib.suppress(ConnectionError):  # A client that has gone has gone.
            if body:
                self.wfile.write(data[: self.hub.drop_after.pop(0)] if drops else data)
        self.close_connection = drops
