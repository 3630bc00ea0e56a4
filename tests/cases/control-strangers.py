#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the controller that want too much. Usage: control-strangers.py PORT MIGRATION TOKEN WHAT

bodies       bodies that are announced and not sent: refused for their token before they come
boots        registrations after so many boots as are allowed, and one more
slow         the head of a request, a byte a second: cut off long before it is sent
connections  more connections of one worker than are allowed
leave        logs and events of one boot until no more are kept"""
import http.client
import json
import ssl
import sys
import uuid

port, migration, token, what = int(sys.argv[1]), *sys.argv[2:5]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
JSON = "application/json"


def connect():
    return http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=200)


def ask(c, method, path, body=b"", kind=JSON, session=None):
    """Status and document of an answer."""
    headers = {"Content-Type": kind}
    if session:
        headers["Authorization"] = "Bearer " + session
    c.request(method, "/v1" + path, body, headers)
    reply = c.getresponse()
    return reply.status, json.loads(reply.read())


def register(c):
    boot = str(uuid.uuid4())
    status, got = ask(c, "POST", "/register", json.dumps({
        "enroll_token": token, "boot_id": boot, "migration_id": migration, "nonce": "0" * 32, "facts": {}}))
    return status, got, boot


def announced(method, path, length, header="X-Nothing: 1"):
    """The status that comes although nothing of the body was sent."""
    c = connect()
    c.connect()
    c.sock.sendall(b"%s /v1%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s\r\n"
                   b"Content-Length: %d\r\n\r\n" % (method.encode(), path.encode(), header.encode(), length))
    return c.sock.recv(4096).split(b" ")[1]


def expect(got, wanted, text):
    if got != wanted:
        raise SystemExit("%s: %r, not %r" % (text, got, wanted))


if what == "bodies":
    _, got, _ = register(connect())
    result = "/workers/%s/result" % got["worker_id"]
    expect(announced("PUT", result, 900000), b"401", "no token")
    expect(announced("PUT", result, 900000, "Authorization: Bearer " + "0" * 64), b"401", "another token")
    expect(announced("PUT", "/workers/w-none/result", 900000), b"401", "no such worker")
    expect(announced("POST", "/register", 3 << 20), b"413", "a large registration")
    expect(announced("PUT", result, 3 << 20, "Authorization: Bearer " + got["session_token"]), b"413",
           "a large result")
elif what == "slow":
    c = connect()
    c.connect()
    c.sock.sendall(b"GET /v1/none HTTP/1.1\r\nX: ")
    c.sock.settimeout(1)
    for _ in range(100):
        try:
            c.sock.sendall(b"x")
            if not c.sock.recv(1):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        raise SystemExit("still heard after 100 bytes")
elif what == "boots":
    c = connect()
    for i in range(100):
        expect(register(c)[0], 200, "boot %d" % i)
    status, got, _ = register(c)
    expect((status, got["code"]), (410, "CTL_GONE"), "one boot more")
elif what == "connections":
    _, got, _ = register(connect())
    path, session = "/workers/%s/commands?after=0&wait=0" % got["worker_id"], got["session_token"]
    kept = [connect() for _ in range(9)]
    got = [ask(c, "GET", path, session=session)[0] for c in kept]
    expect(got, [200] * 8 + [503], "nine connections")
    kept[0].close()
    for _ in range(1000):  # until the server has seen that one is gone
        kept[8] = connect()
        last = ask(kept[8], "GET", path, session=session)[0]
        if last == 200:
            break
        kept[8].close()
    expect(last, 200, "a connection in the place of one that went")
elif what == "leave":
    c = connect()
    _, got, boot = register(c)
    at, session = "/workers/" + got["worker_id"], got["session_token"]
    for i in range(64):
        expect(ask(c, "PUT", at + "/logs/l%d.log?offset=0" % i, b"text", "text/plain", session)[0], 200, "a log")
    expect(ask(connect(), "PUT", at + "/logs/more.log?offset=0", b"text", "text/plain", session)[0], 413,
           "a log more")
    print("full", flush=True)
    sys.stdin.readline()
    c = connect()
    expect(ask(c, "PUT", at + "/logs/l0.log?offset=4", b"text" * 1000, "text/plain", session)[0], 413,
           "a log above the limit")
    for i in (1, 2):
        event = [{"specversion": "1.0", "id": "%012d" % i, "source": at + "/x", "type": "tw.state.v1",
                  "subject": migration, "time": "2026-01-01T00:00:00Z", "sequence": "%012d" % i,
                  "data": {"migration_id": migration, "worker_id": got["worker_id"], "boot_id": boot,
                           "state": "VERIFY", "attempt": 1, "monotonic_ms": 1, "text": "x" * 4000}}]
        status, reply = ask(c, "POST", at + "/events", json.dumps(event),
                            "application/cloudevents-batch+json", session)
        expect((status, reply["accepted"]), (200, 0), "an event above the limit")
    expect(ask(c, "PUT", at + "/result", json.dumps({"verdict": "success"}), JSON, session)[0], 200, "the result")
