"""A TCP proxy on a bad line. proxy.py DIR HOST PORT

DIR/port: where it listens. DIR/control (JSON, read whenever it changes): "rate" bytes a second upwards, for all connections together
(0: no limit); "delay" seconds before each piece goes up, one after the other; "latency" seconds that a round trip takes longer, as on a long
line: bytes arrive later and hold up none behind them, and a connection takes one round trip to be made; "refuse" true: no connection is taken and those there are reset; "cut_at" n:
once, when so many bytes have gone up, as with refuse. DIR/stats (JSON, several times a second): "up", "down" bytes, "cut": whether it was,
"first": the monotonic clock's time when the first byte went up since control changed.
"""
import asyncio
import json
import os
import socket
import sys
import time

DIR, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
control = {"rate": 0, "delay": 0, "latency": 0, "refuse": False, "cut_at": 0}
stats = {"up": 0, "down": 0, "cut": False, "first": None}
connections = set()
due = 0.0  # when the line is free again
PIECE = 65536
WINDOW = 64  # pieces under way on one connection: 4 MiB, about what TCP allows itself
LATE = 0.02  # seconds that a sleep may overrun and the line still make up for


def write(name, text):
    with open(f"{DIR}/{name}.new", "w") as f:
        f.write(text)
    os.rename(f"{DIR}/{name}.new", f"{DIR}/{name}")


def reset_all():
    for writer in list(connections):
        writer.transport.abort()


async def pace(n):
    global due
    if control["delay"]:
        await asyncio.sleep(control["delay"])
    if control["rate"]:
        now = time.monotonic()
        due = max(due, now - LATE) + n / control["rate"]
        await asyncio.sleep(due - now)


def count(way, n):
    stats[way] += n
    if way == "up" and stats["first"] is None:
        stats["first"] = time.monotonic()
    if way == "up" and control["cut_at"] and not stats["cut"] and stats["up"] >= control["cut_at"]:
        stats["cut"] = True
        control["refuse"] = True
        reset_all()


async def arrive(under_way, writer, way):
    """Writes what comes out of the line's other end; the rest is thrown away after an error, so that nobody waits for room."""
    broken = False
    while piece := await under_way.get():
        at, data = piece
        await asyncio.sleep(max(0, at - time.monotonic()))
        if broken:
            continue
        try:
            writer.write(data)
            await writer.drain()
            count(way, len(data))
        except OSError:
            writer.transport.abort()
            broken = True


async def pump(reader, writer, way):
    under_way = asyncio.Queue(WINDOW)
    other_end = asyncio.create_task(arrive(under_way, writer, way))
    late = control["latency"] if way == "up" else 0
    try:
        while data := await reader.read(PIECE):
            if way == "up":
                await pace(len(data))
            await under_way.put((time.monotonic() + late, data))
    except OSError:
        writer.transport.abort()
    await under_way.put(None)
    await other_end
    if not writer.transport.is_closing() and writer.can_write_eof():
        writer.write_eof()


async def serve(reader, writer):
    if control["refuse"]:
        writer.transport.abort()
        return
    await asyncio.sleep(control["latency"])
    try:
        there, back = await asyncio.open_connection(HOST, PORT)
    except OSError:
        writer.transport.abort()
        return
    connections.update((writer, back))
    await asyncio.gather(pump(reader, back, "up"), pump(there, writer, "down"))
    connections.difference_update((writer, back))
    writer.close()
    back.close()


async def attend():
    """Reads control, writes stats."""
    seen = 0
    while True:
        try:
            now = os.stat(DIR + "/control").st_mtime_ns
            if now != seen:
                seen = now
                stats["first"] = None
                with open(DIR + "/control") as f:
                    control.update(json.load(f))
                if control["refuse"]:
                    reset_all()
        except FileNotFoundError:
            pass
        write("stats", json.dumps(stats))
        await asyncio.sleep(0.05)


async def main():
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # a slow line is not to hold megabytes
    listening.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(serve, sock=listening)
    write("port", str(server.sockets[0].getsockname()[1]))
    await attend()


asyncio.run(main())
