"""A receiver of OTLP/HTTP logs, made of the official protobuf definitions: for tests, and as a program that is killed.

It keeps the body of each log record, one a line, synced before it answers. `moods` says how each next request is
answered; when it is empty, as the specification says.
"""

import gzip
import json
import os
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

PROTOBUF = "application/x-protobuf"


class Receiver(ThreadingHTTPServer):
    """Listens at `port`; `requests` are the messages that it has taken, `times` when any came, `headers` theirs."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, path, port=0, certificate=None, pause=0.0, host="127.0.0.1"):
        super().__init__((host, port), _Handler)
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.path = Path(path)
        self.pause = pause
        self.moods = []
        self.requests = []
        self.times = []
        self.headers = []

    @property
    def port(self):
        return self.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def lines(self):
        return self.path.read_text().splitlines() if self.path.exists() else []

    def keep(self, message):
        self.requests.append(message)
        with self.path.open("ab") as file:
            for resource in message.resource_logs:
                for scope in resource.scope_logs:
                    for record in scope.log_records:
                        file.write(record.body.string_value.encode() + b"\n")
                        if self.pause:
                            file.flush()
                            time.sleep(self.pause)
            file.flush()
            os.fsync(file.fileno())

    def handle_error(self, request, client_address):
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        server.times.append(time.monotonic())
        server.headers.append(dict(self.headers))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mood = server.moods.pop(0) if server.moods else {}
        time.sleep(mood.get("slow", 0))
        if mood.get("status", 200) != 200:
            self._answer(mood["status"], mood.get("text", "").encode(), "text/plain", mood.get("headers", {}))
            return
        if self.path != "/v1/logs" or self.headers["Content-Type"] != PROTOBUF:
            self._answer(404 if self.path != "/v1/logs" else 415, b"", PROTOBUF)
            return
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        server.keep(ExportLogsServiceRequest.FromString(body))
        answer = ExportLogsServiceResponse()
        if "rejected" in mood:
            partial = ExportLogsPartialSuccess(rejected_log_records=mood["rejected"], error_message="too old")
            answer.partial_success.CopyFrom(partial)
        self._answer(
            200, mood.get("body", answer.SerializeToString()), mood.get("type", PROTOBUF), cut=mood.get("cut", 0)
        )

    def _answer(self, status, body, kind, headers=None, cut=0):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + cut))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if cut:
            self.close_connection = True

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    with Receiver(sys.argv[1], int(sys.argv[2]), pause=float(sys.argv[3])) as receiver:
        print(json.dumps({"listens": receiver.port}), flush=True)
        threading.Event().wait()
