"""A tunnel on loopback that writes down every HTTP request which goes through it, byte for byte, and changes none.

usage: record.py URL PID RECORDS      prints the tunnel's own URL; ends when the process PID behind URL does

RECORDS gets a JSON line per request: method, target, headers in their order, and of the body its length, SHA-256 and CRC32C, and
the bytes themselves up to 1 MiB.
"""

import asyncio
import base64
import hashlib
import json
import os
import socket
import struct
import sys
from urllib.parse import urlsplit

from crc32c import crc32c

MOST = 1 << 20


class Requests:
    """Cuts one connection's bytes into requests. Bodies have a Content-Length: our client sends no others."""

    def __init__(self, out):
        self.out, self.head, self.left, self.record = out, b"", 0, None

    def feed(self, data):
        while data:
            data = self.body(data) if self.record else self.header(data)

    def header(self, data):
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        lines, rest = self.head[:end].decode("latin-1").split("\r\n"), self.head[end + 4 :]
        method, target, _ = lines[0].split(" ")
        headers = [[name, value.strip(" ")] for name, _, value in (line.partition(":") for line in lines[1:])]
        given = {name.lower(): value for name, value in headers}
        self.head, self.left = b"", int(given.get("content-length", 0))
        self.record = {"method": method, "target": target, "headers": headers, "chunked": "transfer-encoding" in given}
        self.kept, self.crc, self.length, self.sha = b"", 0, 0, hashlib.sha256()
        if not self.left:
            self.end()
        return rest

    def body(self, data):
        part, rest = data[: self.left], data[self.left :]
        self.left -= len(part)
        self.length += len(part)
        self.sha.update(part)
        self.crc = crc32c(part, self.crc)
        if self.length <= MOST:
            self.kept += part
        if not self.left:
            self.end()
        return rest

    def end(self):
        whole = self.length <= MOST
        self.record.update(length=self.length, sha256=self.sha.hexdigest(),
                           crc32c=base64.b64encode(struct.pack(">I", self.crc)).decode(),
                           body=base64.b64encode(self.kept).decode() if whole else None)
        self.out.write(json.dumps(self.record) + "\n")
        self.out.flush()
        self.record = None


async def pump(reader, writer, seen=None):
    while data := await reader.read(1 << 18):
        if seen:
            seen.feed(data)
        writer.write(data)
        await writer.drain()


def reset(writer):
    if writer.transport.is_closing():  # the peer was quicker
        return
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def tunnel(reader, writer, where, out):
    try:
        up_reader, up_writer = await asyncio.open_connection(*where)
    except OSError:
        return reset(writer)
    ways = [asyncio.create_task(pump(reader, up_writer, Requests(out))), asyncio.create_task(pump(up_reader, writer))]
    done, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    broken = False
    for task in pending:
        task.cancel()
    for task in done:
        error = task.exception()
        if error and not isinstance(error, ConnectionError):
            print("record: %r" % error, file=sys.stderr)
        broken = broken or error is not None
    for w in (up_writer, writer):
        reset(w) if broken else w.close()


async def main():
    url, pid, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    where = (urlsplit(url).hostname, urlsplit(url).port)
    with open(path, "a", encoding="ascii") as out:
        server = await asyncio.start_server(lambda r, w: tunnel(r, w, where, out), "127.0.0.1", 0, backlog=512)
        print("http://127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        while os.path.exists("/proc/%d" % pid):
            await asyncio.sleep(0.05)


asyncio.run(main())
