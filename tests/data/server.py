"""A real HTTP server on this machine that serves files from memory, with the faults that a test asks for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What is served, how, and what was asked.

    Attributes:
        files: Bodies by path.
        address: Of the server, without a slash at its end.
        ranges: Whether it knows the Range header.
        etag: Its name for the version of every file; None if it gives none.
        cut: Bytes of a body after which the connection is closed, once for each number.
        shift: How far from the byte that was asked for a part begins.
        refuse: Status codes to answer the next requests with; 0 hangs up without an answer.
        asked: Path and Range header of every request.
    """

    files: dict[str, bytes]
    address: str = ""
    ranges: bool = True
    etag: str | None = '"v1"'
    cut: list[int] = field(default_factory=list)
    shift: int = 0
    refuse: list[int] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[Served]:
    state = Served(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append((self.path, wanted))
            body = state.files.get(self.path)
            if state.refuse and not state.refuse[0]:
                state.refuse.pop(0)
                self.close_connection = True
                return
            if state.refuse or body is None:
                self.send_error(state.refuse.pop(0) if state.refuse else 404)
                return
            start = 0
            same = self.headers.get("If-Range") in (None, state.etag)
            if wanted and state.ranges and same:
                start = int(wanted.removeprefix("bytes=").rstrip("-")) + state.shift
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            if state.etag:
                self.send_header("ETag", state.etag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if state.cut:
                self.wfile.write(body[start : start + state.cut.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(body[start:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
