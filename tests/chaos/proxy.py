"""A TCP proxy in front of a Redis' socket, for faults that only a network makes: a connection that is reset in the
middle of a reply or of a command, one on which nothing moves, one that is refused.

It runs in a thread of its own, with asyncio; every public method may be called from any thread. The port stays the
proxy's while connections are refused: a second socket is bound to it and never listens.
"""
import asyncio
import socket
import struct
import threading

CHUNK = 1 << 16
RESET = struct.pack('ii', 1, 0)  # SO_LINGER: close() sends RST


class Link:
    """One connection of a worker. `cut`: None, or (whether a reply is to be cut, where in it, 0 to 1)."""

    def __init__(self, worker, redis):
        self.worker, self.redis = worker, redis  # streams: (reader, writer)
        self.cut = None

    def reset(self):
        for _, writer in (self.worker, self.redis):
            raw = writer.get_extra_info('socket')
            if raw is not None and raw.family == socket.AF_INET:
                try:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                except OSError:
                    pass
            writer.transport.abort()


class Proxy:
    def __init__(self, redis_socket):
        self.redis_socket = redis_socket
        self.links, self.cuts_made = set(), 0
        self.keeper = self.make_socket(0)
        self.port = self.keeper.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self.moving = self.server = None
        ready = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    @staticmethod
    def make_socket(port):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(('127.0.0.1', port))
        return one

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.moving = asyncio.Event()
        self.moving.set()
        self.loop.run_until_complete(self.listen())
        ready.set()
        self.loop.run_forever()

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def listen(self):
        self.server = await asyncio.start_server(self.serve, sock=self.make_socket(self.port), limit=CHUNK)

    async def serve(self, reader, writer):
        try:
            redis = await asyncio.open_unix_connection(self.redis_socket, limit=CHUNK)
        except OSError:
            Link((reader, writer), (reader, writer)).reset()
            return
        link = Link((reader, writer), redis)
        self.links.add(link)
        pumps = [asyncio.create_task(self.pump(link, True)), asyncio.create_task(self.pump(link, False))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.links.discard(link)
            for pump in pumps:
                pump.cancel()
            link.reset()

    async def pump(self, link, replies):
        source, target = (link.redis, link.worker) if replies else (link.worker, link.redis)
        try:
            while data := await source[0].read(CHUNK):
                await self.moving.wait()
                if link.cut and link.cut[0] == replies and len(data) > 1:
                    target[1].write(data[:1 + int(link.cut[1] * (len(data) - 1))])
                    await target[1].drain()
                    self.cuts_made += 1
                    return
                target[1].write(data)
                await target[1].drain()
        except OSError:
            pass

    # ---- what tests ask for

    def cut(self, replies, where, every, which):
        """The next reply (else: command) is forwarded up to `where` (0 to 1), then the connection is reset: of every
        connection, or of the one at `which` (0 to 1) of them."""
        async def arm():
            links = sorted(self.links, key=id)
            for link in links if every else links[int(which * len(links)):][:1]:
                link.cut = (replies, where)
        self.do(arm())

    def stall(self):
        """Nothing moves, in no direction, until flow()."""
        self.loop.call_soon_threadsafe(self.moving.clear)

    def flow(self):
        self.loop.call_soon_threadsafe(self.moving.set)

    def refuse(self):
        """Resets all connections and refuses new ones, until accept()."""
        async def close():
            self.server.close()
            for link in list(self.links):
                link.reset()
        self.do(close())

    def accept(self):
        self.do(self.listen())

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.keeper.close()
