import socket
import threading
from contextlib import contextmanager

import pytest

from harness.errors import ServiceError
from harness.service import server
from harness.service.server import Address


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_token(host):
    Address(host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "hospital.example", "127.0.0.1.example"])  # noqa: S104
def test_others_do_not_reach_it_without_one(host, tmp_path):
    with pytest.raises(ServiceError, match="others can reach"):
        Address(host).check()
    Address(host, token="t" * 32).check()
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    with pytest.raises(ServiceError, match="others can reach"):
        Address(host, certificate=pem, key=pem).check()
    Address(host, certificate=pem, key=pem, client_authority=pem).check()


def test_halves(tmp_path):
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    for address, told in (
        (Address(certificate=pem), "both"),
        (Address(key=pem), "both"),
        (Address(client_authority=pem), "needs --tls-certificate"),
        (Address(certificate=pem, key=tmp_path / "none"), "no such file"),
    ):
        with pytest.raises(ServiceError, match=told):
            address.check()


@contextmanager
def listening(monkeypatch):
    """The address of a server that answers everything with 204, and waits half a second for a header."""
    uvicorn = pytest.importorskip("uvicorn")
    monkeypatch.setattr(server, "_HEADER_S", 0.5)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    running = uvicorn.Server(
        uvicorn.Config(app, http=server._protocol(), lifespan="off", log_config=None, timeout_keep_alive=60)
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        running.should_exit = True
        thread.join()


WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(("whole", "begun"), [(0, b""), (0, WHOLE[:-2]), (1, WHOLE[:-2]), (2, WHOLE[:-2])])
def test_a_header_that_does_not_end_is_not_waited_for(monkeypatch, whole, begun):
    with listening(monkeypatch) as address, socket.create_connection(address, timeout=20) as client:
        for _ in range(whole):
            client.sendall(WHOLE)
            assert client.recv(1000).startswith(b"HTTP/1.1 204")
        client.sendall(begun)
        assert client.recv(1000) == b""  # closed, not timed out


def test_a_connection_that_was_of_use_stays(monkeypatch):
    with listening(monkeypatch) as address, socket.create_connection(address, timeout=20) as client:
        for _ in range(2):
            client.sendall(WHOLE)
            assert client.recv(1000).startswith(b"HTTP/1.1 204")
            threading.Event().wait(1)  # longer than a header may take
