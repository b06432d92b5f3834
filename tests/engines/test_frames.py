import multiprocessing
import os
import threading
import time

import pytest

from harness.engines.frames import read, write


@pytest.fixture
def pipe():
    ours, theirs = multiprocessing.Pipe()
    yield ours, theirs
    ours.close()
    theirs.close()


def soon():
    return time.monotonic() + 30


@pytest.mark.parametrize("message", ["", ("ok", {"words": 3}, None), b"x" * 3_000_000])
def test_a_message_arrives_as_it_was(pipe, message):
    ours, theirs = pipe
    sender = threading.Thread(target=write, args=(theirs, message))
    sender.start()
    assert read(ours, soon()) == message
    sender.join()


def test_messages_one_after_another(pipe):
    ours, theirs = pipe
    for number in range(3):
        write(theirs, number)
        assert read(ours, soon()) == number


def test_what_is_there_whole_is_read_after_the_time_limit(pipe):
    ours, theirs = pipe
    write(theirs, "ready")
    assert read(ours, time.monotonic() - 1) == "ready"


@pytest.mark.parametrize("part", [b"", b"\0" * 5, b"\0" * 7 + b"\x09" + b"half"])
def test_half_a_message_is_waited_for_no_longer_than_the_limit(pipe, part):
    ours, theirs = pipe
    os.write(theirs.fileno(), part)
    with pytest.raises(TimeoutError):
        read(ours, time.monotonic() + 0.05)


def test_an_end_in_the_middle_of_a_message(pipe):
    ours, theirs = pipe
    os.write(theirs.fileno(), b"\0" * 7 + b"\x09" + b"half")
    theirs.close()
    with pytest.raises(EOFError):
        read(ours, soon())
