#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTPS proxy between a worker and its controller that records the traffic and spoils it.

usage: control-proxy.py --backend URL --cert PEM --key PEM [--record FILE] [--faults FILE]

Prints the URL for workers. Each exchange becomes one line of JSON in the record. The faults file
is read before each request: one rule a line, "COUNT METHOD PATH-REGEX ACTION [ARGUMENT]", the first
rule that fits and was used less than COUNT times applies. Actions: drop-request and drop-reply
close the connection before or after the controller has seen the request; status CODE answers
without asking, with Retry-After: 1 or, as CODE/SECONDS, another one; delay SECONDS; huge answers 2 MiB; garbage answers 200 with
something else; cut sends half of the answer.
"""
import argparse
import http.client
import http.server
import json
import re
import ssl
import sys
import threading
import time
import urllib.parse

parser = argparse.ArgumentParser()
for name in ("--backend", "--cert", "--key"):
    parser.add_argument(name, required=True)
parser.add_argument("--record")
parser.add_argument("--faults")
args = parser.parse_args()
backend = urllib.parse.urlsplit(args.backend)
lock = threading.Lock()
used = {}


def fault_for(method, path):
    if not args.faults:
        return None, None
    with lock, open(args.faults) as f:
        for number, line in enumerate(f):
            words = line.split()
            if len(words) < 4 or words[1] != method or not re.search(words[2], path):
                continue
            if used.get((number, line), 0) < int(words[0]):
                used[number, line] = used.get((number, line), 0) + 1
                return words[3], words[4] if len(words) > 4 else None
    return None, None


def ask(method, path, headers, body):
    """Asks the controller, whose key is its own business here."""
    context = ssl._create_unverified_context()
    c = http.client.HTTPSConnection(backend.hostname, backend.port, context=context, timeout=90)
    try:
        c.request(method, path, body, headers)
        r = c.getresponse()
        return r.status, dict(r.getheaders()), r.read()
    finally:
        c.close()


def record(method, path, headers, body, status, reply_headers, reply):
    if not args.record:
        return
    line = json.dumps({
        "method": method, "path": path, "request_type": headers.get("Content-Type"),
        "auth": headers.get("Authorization"), "request": body.decode("utf-8", "replace"),
        "status": status, "reply_type": reply_headers.get("Content-Type"),
        "retry_after": reply_headers.get("Retry-After"), "reply": reply.decode()})
    with lock, open(args.record, "a") as f:
        f.write(line + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 90

    def log_message(self, *_):
        pass

    def answer(self, status, content_type, body, extra=(), part=None):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for key, value in extra:
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:part])

    def cut(self):
        self.close_connection = True
        self.connection.close()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: self.headers[k] for k in ("Content-Type", "Authorization") if self.headers[k]}
        action, argument = fault_for(self.command, self.path)
        if action == "drop-request":
            return self.cut()
        if action == "status":
            code, _, later = argument.partition("/")
            problem = {"title": "spoiled", "status": int(code), "code": "CTL_BUSY",
                       "retryable": True}
            return self.answer(int(code), "application/problem+json",
                               json.dumps(problem).encode(), [("Retry-After", later or "1")])
        if action == "huge":
            return self.answer(200, "application/json", b'{"x":"' + b"y" * (2 << 20) + b'"}')
        if action == "garbage":
            return self.answer(200, "application/json", b'{"commands":[{"seq":-1}],"size":"x"}')
        if action == "delay":
            time.sleep(float(argument))
        try:
            status, reply_headers, reply = ask(self.command, self.path, headers, body)
        except OSError:
            return self.cut()
        record(self.command, self.path, headers, body, status, reply_headers, reply)
        if action == "drop-reply":
            return self.cut()
        extra = [(k, v) for k, v in reply_headers.items() if k in ("Retry-After",)]
        self.answer(status, reply_headers["Content-Type"], reply, extra,
                    len(reply) // 2 if action == "cut" else None)
        if action == "cut":
            self.cut()

    do_GET = do_POST = do_PUT = do_DELETE = handle_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


server = Server(("127.0.0.1", 0), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(args.cert, args.key)
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(f"https://127.0.0.1:{server.server_port}{backend.path}", flush=True)
server.serve_forever()
