# SPDX-License-Identifier: Apache-2.0
"""An NBD server that holds its client to the specification, and uses all the freedom that leaves to a
server. Usage: copy-spec-server.py SOCKET LOG MODE-FILE IMAGE; each connection looks into MODE-FILE. A
line of LOG for each broken rule, "BAD ...", and for each connection "begin" and "end disc", "end abort"
or "end hard PHASE"."""
import os
import select
import socket
import struct
import sys
import threading

path, log_path, mode_path, image_path = sys.argv[1:5]
with open(image_path, "rb") as image_file:
    image = image_file.read()
ACK, INFO, META, ERROR = 1, 3, 4, 0x80000000
REFUSALS = {"go-unknown": 6, "go-policy": 2, "go-shutdown": 7, "go-invalid": 3, "go-tls": 5,
            "go-block-size": 8, "go-odd-error": 4242}
lock = threading.Lock()
reads = {}


def say(line):
    with lock, open(log_path, "a", encoding="ascii") as log:
        log.write(line + "\n")


class Session:
    def __init__(self, sock):
        self.sock = sock
        with open(mode_path, encoding="ascii") as mode_file:
            self.mode = mode_file.read()
        self.size = len(image)
        self.min, self.max = 1, 32 << 20
        if self.mode == "blocks":
            self.size -= self.size % 4096
            self.min, self.max = 4096, 65536
        self.leaving = False
        self.phase = "greeting"
        self.structured = self.extended = self.contexts = False
        self.export = None

    def get(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def check(self, good, text):
        if not good:
            say(f"BAD {self.mode}: {text}")

    # Option haggling

    def reply(self, option, kind, data=b""):
        self.sock.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data)

    def greet(self):
        offered = {"no-go-zeroes": 1, "unknown-flags": 0x8003}.get(self.mode, 3)
        self.sock.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", offered))
        flags, = struct.unpack(">I", self.get(4))
        self.check(not flags & ~(offered & 3), f"client flags {flags:#x}, offered {offered:#x}")
        self.check(flags & 1, "fixed newstyle is not answered")
        self.no_zeroes = flags & 2

    def haggle(self):
        """True when transmission follows."""
        while True:
            self.phase = "options"
            magic, option, length = struct.unpack(">8sII", self.get(16))
            self.check(magic == b"IHAVEOPT", f"option magic {magic}")
            self.check(length <= 65536, f"option of {length} bytes")
            data = self.get(length)
            if option not in (1, 2):  # a client waits for the final reply
                ahead = select.select([self.sock], [], [], 0.01)[0]
                self.check(not ahead, f"bytes behind option {option} before its reply")
            done = getattr(self, f"option_{option}", self.option_other)(option, data)
            if done is not None:
                return done

    def option_1(self, option, data):
        self.check(self.mode.startswith("no-go"), "EXPORT_NAME although GO is known")
        self.check(not self.extended or not data, "a name")
        self.sock.sendall(struct.pack(">QH", self.size, 0x8103) + (b"" if self.no_zeroes else bytes(124)))
        return True

    def option_2(self, option, data):
        self.check(not data, "ABORT with data")
        say("end abort")
        self.phase = None
        self.reply(option, ACK)  # nobody has to wait for it
        return False

    def option_5(self, option, data):
        self.check(not data, "STARTTLS with data")
        self.reply(option, ERROR | 1)

    def option_7(self, option, data):
        name_len, = struct.unpack(">I", data[:4])
        name, rest = data[4:4 + name_len], data[4 + name_len:]
        n, = struct.unpack(">H", rest[:2])
        self.check(len(rest) == 2 + 2 * n, "GO: length of its list")
        self.check(0 not in name and len(name) <= 4096, "GO: name")
        self.check(self.export in (None, name), f"GO for {name}, contexts for {self.export}")
        if self.mode.startswith("no-go"):
            self.reply(option, ERROR | 1)
            return None
        if self.mode in REFUSALS:
            self.reply(option, ERROR | REFUSALS[self.mode], b"no")
            return None
        asked = struct.unpack(f">{n}H", rest[2:])
        self.check(3 in asked, "GO: block sizes are kept only if asked for")
        self.reply(option, INFO, struct.pack(">H", 0x7F) + b"something new")
        self.reply(option, INFO, struct.pack(">H", 1) + name)
        self.reply(option, INFO, struct.pack(">H", 2) + "déscription".encode())
        if self.mode != "no-sizes":
            self.reply(option, INFO, struct.pack(">HIII", 3, self.min, 4096, self.max))
        self.reply(option, INFO, struct.pack(">HQH", 0, self.size, 0xE103))  # and flags of the future
        self.reply(option, ACK)
        return True

    def option_8(self, option, data):
        self.check(not data, "STRUCTURED_REPLY with data")
        self.check(not self.structured, "STRUCTURED_REPLY twice")
        if self.mode == "structured-shutdown":
            self.reply(option, ERROR | 7)
        elif self.mode in ("simple", "no-go", "no-go-zeroes"):
            self.reply(option, ERROR | 1)
        else:
            self.structured = True
            self.reply(option, ACK)

    def option_10(self, option, data):
        self.check(self.structured, "SET_META_CONTEXT without structured replies")
        n, = struct.unpack(">I", data[:4])
        self.export, rest = data[4:4 + n], data[4 + n:]
        count, = struct.unpack(">I", rest[:4])
        rest = rest[4:]
        for _ in range(count):
            n, = struct.unpack(">I", rest[:4])
            self.contexts |= rest[4:4 + n] == b"base:allocation" and self.mode != "no-meta"
            rest = rest[4 + n:]
        self.check(not rest, "SET_META_CONTEXT: bytes left over")
        if self.mode == "meta-error":
            self.contexts = False
            self.reply(option, ERROR | 3, b"what?")
            return
        if self.contexts:
            self.reply(option, META, struct.pack(">I", 0xF0000001) + b"base:allocation")
        self.reply(option, ACK)

    def option_11(self, option, data):
        self.check(not data, "EXTENDED_HEADERS with data")
        self.check(not self.structured, "EXTENDED_HEADERS behind STRUCTURED_REPLY")
        if self.mode.startswith("extended"):
            self.structured = self.extended = True
            self.reply(option, ACK)
        else:
            self.reply(option, ERROR | 1)

    def option_other(self, option, data):
        self.check(False, f"option {option}")
        self.reply(option, ERROR | 1)

    # Transmission

    def request(self):
        if self.extended:
            magic, flags, kind, cookie, off, n = struct.unpack(">IHHQQQ", self.get(32))
        else:
            magic, flags, kind, cookie, off, n = struct.unpack(">IHHQQI", self.get(28))
        self.check(magic == (0x21E41C71 if self.extended else 0x25609513), f"magic {magic:#x}")
        self.check(flags == 0, f"flags {flags:#x}")
        self.check(kind in (0, 2, 7), f"command {kind}")
        if kind == 2:
            self.check(off == 0 and n == 0, "DISC with a range")
        else:
            self.check(n > 0 and off + n <= self.size, f"range {off}+{n}")
            self.check(off % self.min == 0 and n % self.min == 0, f"range {off}+{n} is not aligned")
        self.check(kind != 0 or n <= self.max, f"read of {n} bytes")
        self.check(kind != 7 or self.contexts, "BLOCK_STATUS without a context")
        return kind, cookie, off, n

    def chunk(self, request, kind, data=b"", done=False):
        flags = 0x4000 | done  # a flag that nobody knows
        if self.extended:
            return struct.pack(">IHHQQQ", 0x6E8A278C, flags, kind, request[1], request[2],
                               len(data)) + data
        return struct.pack(">IHHQI", 0x668E33EF, flags, kind, request[1], len(data)) + data

    def status(self, request):
        _, cookie, off, n = request
        if self.mode == "status-error":
            return [struct.pack(">IIQ", 0x67446698, 22, cookie)]
        out, at, step = [], off, 65536
        while at < off + n and len(out) < 3:  # less than was asked for, more in the last one
            zero = not any(image[at:at + step])
            out.append((step - at % step, 0x100 | (3 if zero else 0)))
            at += out[-1][0]
        if self.extended:
            data = struct.pack(">II", 0xF0000001, len(out)) + b"".join(struct.pack(">QQ", *e) for e in out)
            return [self.chunk(request, 6, data, True)]
        data = struct.pack(">I", 0xF0000001) + b"".join(struct.pack(">II", *e) for e in out)
        return [self.chunk(request, 5, data), self.chunk(request, 0, b"", True)]

    def content(self, request):
        _, _, off, n = request
        chunks = []
        for at in range(off, off + n, 32768):
            part = image[at:min(at + 32768, off + n)]
            if any(part):
                chunks.append(self.chunk(request, 1, struct.pack(">Q", at) + part))
            else:
                chunks.append(self.chunk(request, 2, struct.pack(">QI", at, len(part))))
        return chunks[::-1]

    def read(self, request):
        _, cookie, off, n = request
        with lock:
            reads[self.mode] = reads.get(self.mode, 0) + 1
            first = reads[self.mode] == 1
            self.leaving |= self.mode == "shutdown" and reads[self.mode] == 3
        if not self.structured:
            return [struct.pack(">IIQ", 0x67446698, 0, cookie) + image[off:off + n]]
        end = self.chunk(request, 0, b"", True)
        if first and self.mode == "error-then-data":
            return [self.chunk(request, 0x8001, struct.pack(">IH", 5, 3) + b"bad")] + self.content(request) + [end]
        if first and self.mode == "error-offset":
            return [self.chunk(request, 1, struct.pack(">Q", off) + image[off:off + n]),
                    self.chunk(request, 0x8002, struct.pack(">IH", 5, 0) + struct.pack(">Q", off + n - 1), True)]
        if first and self.mode in ("error-unknown-value", "extended-error"):
            return [self.chunk(request, 0x8001, struct.pack(">IH", 4242, 0), True)]
        if first and self.mode == "error-unknown-kind":
            return [self.chunk(request, 0xFFFF, struct.pack(">IH", 5, 2) + b"no and more", True)]
        return self.content(request) + [end]

    def transmit(self):
        while True:
            self.phase = "transmission"
            batch = [self.request()]
            while select.select([self.sock], [], [], 0.01)[0] and len(batch) < 16 and batch[-1][0] != 2:
                batch.append(self.request())
            cookies = [r[1] for r in batch if r[0] != 2]
            self.check(len(set(cookies)) == len(cookies), "a cookie twice")
            gone = batch[-1][0] == 2
            self.check(not gone or len(batch) == 1, "DISC while requests are open")
            if gone:
                self.phase = None
                say("end disc")
                self.check(not self.sock.recv(1), "bytes behind DISC")
                return
            answers = [self.status(r) if r[0] == 7 else self.read(r) for r in batch][::-1]
            if self.leaving:
                self.sock.sendall(self.chunk(batch[0], 0x8001, struct.pack(">IH", 108, 0), True))
                while self.request()[0] != 2:  # sent before the client knew
                    pass
                self.phase = None
                say("end disc")
                return
            while any(answers):  # in turns, the last request first
                for chunks in answers:
                    if chunks:
                        self.sock.sendall(chunks.pop(0))

    def run(self):
        say("begin")
        try:
            self.greet()
            if self.haggle():
                self.transmit()
        except EOFError:
            if self.phase:
                say(f"end hard {self.phase}")
        except OSError as why:
            if self.phase:
                say(f"end hard {self.phase} ({why})")
        finally:
            self.sock.close()


listener = socket.socket(socket.AF_UNIX)
if os.path.exists(path):
    os.unlink(path)
listener.bind(path)
listener.listen(16)
while True:
    client, _ = listener.accept()
    threading.Thread(target=Session(client).run, daemon=True).start()
