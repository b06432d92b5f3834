"""A server on loopback in a thread, for tests that decide every byte of an answer."""

import asyncio
import threading


class Loopback:
    """Serves while its `with` block lasts; a subclass answers connections in `_serve`."""

    address, ssl = "127.0.0.1", None

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        started = threading.Event()

        async def start():
            self.server = await asyncio.start_server(self._serve, self.address, 0, ssl=self.ssl)
            started.set()

        def run():
            self.loop.create_task(start())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert started.wait(10)
        name = f"[{self.address}]" if ":" in self.address else self.address
        self.host = f"{name}:{self.server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *error):
        async def stop():
            self.server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def _serve(self, reader, writer):
        raise NotImplementedError
