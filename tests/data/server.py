"""A real HTTP server on this machine that serves files from memory, with the faults that a test asks for."""

import contextlib
import threading
import time
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
        cut: Bytes of a body after which the connection is closed, once for each number.
        refuse: Status codes to answer the next requests with; 0 hangs up without an answer.
        reason: What stands beside such a status code.
        redirect: Where every request is sent on to.
        length: Content-Length in place of the true one; empty for none.
        pause: Seconds between single bytes of a body; 0 sends it whole.
        drip: Seconds between the bytes of a header that never ends; 0 sends none.
        asked: Path of every request.
    """

    files: dict[str, bytes]
    address: str = ""
    cut: list[int] = field(default_factory=list)
    refuse: list[int] = field(default_factory=list)
    reason: str | None = None
    redirect: str = ""
    length: str | None = None
    pause: float = 0
    drip: float = 0
    asked: list[str] = field(default_factory=list)


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[Served]:
    state = Served(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.asked.append(self.path)
            body = state.files.get(self.path)
            if state.refuse and not state.refuse[0]:
                state.refuse.pop(0)
                self.close_connection = True
                return
            if state.redirect:
                self.send_response(302)
                self.send_header("Location", state.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if state.refuse or body is None:
                self.send_response(state.refuse.pop(0) if state.refuse else 404, state.reason)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            length = str(len(body)) if state.length is None else state.length
            if length:
                self.send_header("Content-Length", length)
            self.close_connection = not length
            while state.drip:
                self.flush_headers()
                self.wfile.write(b"x")
                time.sleep(state.drip)
            self.end_headers()
            if state.cut:
                self.wfile.write(body[: state.cut.pop(0)])
                self.close_connection = True
                return
            for at in range(0, len(body), 1 if state.pause else max(len(body), 1)):
                self.wfile.write(body[at : at + 1] if state.pause else body)
                time.sleep(state.pause)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # the client has had enough
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
