"""A real HTTP server that speaks OpenAI's chat protocol, well or badly: the name of the model says how."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECES = ("Good ", "morning, ", "na", "ïve ", "🙂.")
TEXT = "".join(PIECES)
ODD = "one\u2028two\u2029three\u0085na\u00efve"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": self.server.fake.models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake: FakeOpenAI = self.server.fake
        fake.asked.append({**body, "path": self.path, "key": self.headers.get("Authorization")})
        how = fake.moods.pop(0) if fake.moods else body["model"]
        getattr(self, f"_{how.replace('-', '_')}")(body)

    def _good(self, body: dict[str, Any], pause: float = 0.0, pieces: int = len(PIECES)) -> None:
        self._head("text/event-stream; charset=utf-8")
        for piece in PIECES[:pieces]:
            self._event({"model": "good-1", "system_fingerprint": "fp_1", "choices": [{"delta": {"content": piece}}]})
            time.sleep(pause)
        if pieces == len(PIECES):
            self._event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
            self._event({"choices": [], "usage": {"completion_tokens": 7}})
            self.wfile.write(b"data: [DONE]\n\n")

    def _slow(self, body: dict[str, Any]) -> None:
        self._good(body, pause=0.15)

    def _dies(self, body: dict[str, Any]) -> None:
        self._good(body, pieces=2)

    def _hangs(self, body: dict[str, Any]) -> None:
        self._head("text/event-stream")
        self._event({"choices": [{"delta": {"content": "Er"}}]})
        self.server.fake.released.wait(20)

    def _endless(self, body: dict[str, Any]) -> None:
        self._head("text/event-stream")
        for _ in range(50):
            self._event({"choices": [{"delta": {"content": "x" * 10_000}}]})

    def _whole(self, body: dict[str, Any]) -> None:
        told = {"model": "whole-1", "choices": [{"message": {"content": TEXT}, "finish_reason": "length"}]}
        self._json(200, {**told, "usage": {"completion_tokens": 5}})

    def _textless(self, body: dict[str, Any]) -> None:
        self._json(200, {"choices": [{"message": {"content": None}}]})

    def _garbage(self, body: dict[str, Any]) -> None:
        self._head("text/event-stream")
        self.wfile.write(b"data: <html>\xff\xfe oops</html>\n\n")

    def _page(self, body: dict[str, Any]) -> None:
        self._head("text/html")
        self.wfile.write(b"<html>please log in</html>")

    def _error(self, body: dict[str, Any]) -> None:
        self._head("text/event-stream")
        self._event({"error": {"message": "out of memory"}})

    def _busy(self, body: dict[str, Any]) -> None:
        self._json(429, {"error": {"message": "slow down"}})

    def _broken(self, body: dict[str, Any]) -> None:
        self._json(500, {"error": {"message": "engine died"}})

    # legal oddities ------------------------------------------------------------------------------------------

    def _says(self, body: dict[str, Any]) -> None:
        """What ``fake.says`` is, as one message."""
        self._message({"content": self.server.fake.says})

    def _parts(self, body: dict[str, Any]) -> None:
        self._message({"content": [{"type": "text", "text": "Good "}, {"type": "text", "text": "day."}]})

    def _refusal(self, body: dict[str, Any]) -> None:
        self._message({"content": None, "refusal": "I would rather not."})

    def _filtered(self, body: dict[str, Any]) -> None:
        self._message({"content": None}, "content_filter")

    def _tool(self, body: dict[str, Any]) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        self._message({"content": None, "tool_calls": [call]}, "tool_calls")

    def _thinks(self, body: dict[str, Any]) -> None:
        self._message({"content": None, "reasoning_content": "The answer is A, since"}, "length")

    def _error_inside(self, body: dict[str, Any]) -> None:
        self._json(200, {"error": {"message": "the quota is used up"}})

    def _busy_inside(self, body: dict[str, Any]) -> None:
        self._json(200, {"error": {"message": "overloaded", "code": 529}})

    def _wait(self, body: dict[str, Any]) -> None:
        self._json(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"})

    def _wait_long(self, body: dict[str, Any]) -> None:
        self._json(429, {"error": {"message": "come back tomorrow"}}, {"Retry-After": "86400"})

    def _moved(self, body: dict[str, Any]) -> None:
        self._json(307, {}, {"Location": "/elsewhere/chat/completions"})

    def _moved_away(self, body: dict[str, Any]) -> None:
        self._json(307, {}, {"Location": "http://elsewhere.invalid/v1/chat/completions"})

    def _forbidden(self, body: dict[str, Any]) -> None:
        self._json(401, {"error": {"message": "this key is no key"}})

    def _refuses(self, body: dict[str, Any]) -> None:
        self._json(400, {"error": {"message": "max_tokens is not supported, use max_completion_tokens"}})

    def _reset(self, body: dict[str, Any]) -> None:
        self.connection.shutdown(2)
        self.close_connection = True

    def _odd_stream(self, body: dict[str, Any]) -> None:
        """Carriage returns, comments, a character in two chunks, and line separators inside JSON."""
        self._head("text/event-stream")
        self.wfile.write(b": hello\r\n\r\nevent: message\r\n")
        event = {"choices": [{"delta": {"content": ODD}}]}
        data = f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n".encode()
        half = data.index("\u00ef".encode()) + 1
        for piece in (data[:half], data[half:]):
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(b'data:{"choices": [{"delta": {}, "finish_reason": "stop"}]}\r\n\r\ndata: [DONE]\r\n\r\n')

    def _message(self, message: dict[str, Any], finish: str = "stop") -> None:
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        self._json(200, {"choices": [choice], "usage": None})

    def _head(self, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _event(self, what: dict[str, Any]) -> None:
        try:
            self.wfile.write(f"data: {json.dumps(what)}\n\n".encode())
            self.wfile.flush()
        except OSError:  # the one who asked has hung up
            self.close_connection = True

    def _json(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._head("application/json", status, headers)
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


class FakeOpenAI:
    """The server, in a thread. ``moods`` are used up one a request before the model's name counts."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.moods: list[str] = []
        self.says = "Answer: A"
        self.models: list[dict[str, Any]] = []
        self.released = threading.Event()
        self._server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Gone; also what hangs."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
