"""Messages of a worker process, each read whole within a time limit.

`Connection.recv` waits without end for the rest of a message whose first byte is there.
"""

from __future__ import annotations

import os
import pickle
import struct
import time
from multiprocessing.connection import Connection
from typing import Any, Final

_LENGTH: Final = struct.Struct("!Q")
_CHUNK: Final = 1 << 20


def write(connection: Connection, message: object) -> None:
    """Sends a message, its length first.

    Raises:
        OSError: the other end is closed.
    """
    body = pickle.dumps(message)
    left = memoryview(_LENGTH.pack(len(body)) + body)
    while left:
        left = left[os.write(connection.fileno(), left) :]


def read(connection: Connection, until: float) -> Any:
    """The next message; the other end writes no second one before it is asked again.

    Args:
        connection: this end.
        until: on the clock of `time.monotonic`; what is there by then is read even later.

    Raises:
        TimeoutError: it was not there whole in time. EOFError, OSError: the other end is closed.
    """
    found, length = bytearray(), _LENGTH.size
    while len(found) < length:
        if not connection.poll(max(0.0, until - time.monotonic())):
            raise TimeoutError
        chunk = os.read(connection.fileno(), _CHUNK)
        if not chunk:
            raise EOFError
        found += chunk
        if length == _LENGTH.size <= len(found):
            length += _LENGTH.unpack_from(found)[0]
    return pickle.loads(memoryview(found)[_LENGTH.size :])  # noqa: S301 - from a process started here
