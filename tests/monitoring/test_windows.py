from hypothesis import given, settings
from hypothesis import strategies as st

from harness.monitoring.records import Faults, Place, Record
from harness.monitoring.windows import Windows


def make():
    return Windows(length=10, per_period=3, lateness=2, ahead=50)


def record(number, time, file="a", content=b"-" * 8):
    place = Place(file, number, number + 1)
    return Record(number.to_bytes(8, "big"), time, place, reading=False, content=content)


def run(times, keys=None):
    """Feeds records; returns what each closed window held, and the faults."""
    windows, faults, judged = make(), Faults(), []
    for number, time in enumerate(times):
        windows.add(record(number if keys is None else keys[number], time), faults)
        while (window := windows.over()) is not None:
            judged.append((window, [one.time for one in windows.open.get(window, [])]))
            windows.close()
    return windows, faults, judged


def test_windows_close_in_order_once_the_median_clock_has_passed():
    _, faults, judged = run([301, 305, 309, 311, 312, 313, 314, 315, 325])
    assert judged == [(30, [301, 305, 309])]
    assert not faults.counts


def test_a_window_without_records_is_closed_too():
    _, _, judged = run([301, 302, 303, 304, 305, 335, 336, 337])
    assert judged == [(30, [301, 302, 303, 304, 305]), (31, []), (32, [])]


def test_one_mad_clock_closes_nothing_and_its_record_is_kept():
    windows, faults, judged = run([301, 302, 303, 304, 305, 9000, 306, 307])
    assert judged == []
    assert faults.counts["ahead of the stream's time"] == 1
    assert faults.counts["clock went back"] == 1
    assert [one.time for one in windows.open[30]] == [301, 302, 303, 304, 305, 9000, 306, 307]


def test_a_mad_clock_on_the_first_record_does_not_set_the_time():
    for first in (9000, 11):
        windows, _, judged = run([first, 301, 302, 303, 304, 305, 306])
        assert windows.next == 30
        assert judged == []
        assert len(windows.open[30]) == 7


def test_late_records_go_to_the_oldest_open_window():
    _, faults, judged = run([301, 302, 303, 313, 314, 315, 303.5, 316, 317, 323, 324, 325])
    assert faults.counts["late"] == 1
    assert judged == [(30, [301, 302, 303]), (31, [313, 314, 315, 303.5, 316, 317])]


def test_duplicates_are_left_out_within_and_after_their_period():
    keys = [0, 1, 2, 3, 4, 0, *range(6, 20), 1]
    times = [301, 302, 303, 304, 305, 306, *[345 + n for n in range(14)], 361]
    _, faults, judged = run(times, keys)
    assert faults.counts["duplicate"] == 2
    assert judged[0] == (30, [301, 302, 303, 304, 305])


def test_faults_are_counted_in_the_window_of_the_streams_time():
    windows, faults = make(), Faults()
    windows.fault("unplaced")
    for number, time in enumerate([301, 302, 303, 304, 305, 9000]):
        windows.add(record(number, time), faults)
    assert windows.faults == {30: {"unplaced": 1, "ahead": 1}}
    for number, time in enumerate([312, 313, 314, 315, 301]):
        windows.add(record(10 + number, time), faults)
        if windows.over() is not None:
            windows.close()
    windows.fault("unplaced", 3)
    assert windows.faults == {31: {"late": 1, "unplaced": 3}}
    again = make()
    again.restore(windows.state())
    assert again.faults == windows.faults


def test_what_says_otherwise_than_an_earlier_record_is_a_contradiction_even_after_its_period():
    windows, faults = make(), Faults()
    for number, time in enumerate([301, 302, 303, 304, 305]):
        windows.add(record(number, time), faults)
    windows.add(record(0, 306), faults)
    assert not windows.faults
    windows.add(record(0, 306, content=b"rejected"), faults)
    assert windows.faults == {30: {"contradicted": 1}}
    for number, time in enumerate([345, 346, 347]):
        windows.add(record(10 + number, time), faults)
    while windows.over() is not None:
        windows.close()
    assert windows.seen
    windows.add(record(1, 348, content=b"rejected"), faults)
    windows.add(record(2, 348), faults)
    assert windows.faults == {34: {"contradicted": 1}}
    assert faults.counts["says otherwise than an earlier record of its study"] == 2
    assert faults.counts["duplicate"] == 2


times = st.lists(
    st.floats(300, 420) | st.floats(100, 1000).map(lambda x: round(x, 1)), min_size=5, max_size=60
)


@given(times)
@settings(max_examples=150)
def test_no_record_is_lost_or_judged_twice(given_times):
    windows, faults, judged = run(given_times)
    held = [time for window, records in windows.open.items() if window >= windows.next for time in records]
    told = [time for _, records in judged for time in records] + [one.time for one in held]
    assert sorted(told) == sorted(given_times)
    assert [window for window, _ in judged] == list(range(windows.next - len(judged), windows.next))
    assert "duplicate" not in faults.counts


@given(times, st.integers(1, 60))
@settings(max_examples=150)
def test_a_resume_holds_the_same_records(given_times, upto):
    """State and a second reading of the lines from the first place on give back what was open."""
    windows, faults = make(), Faults()
    for number, time in enumerate(given_times[:upto]):
        windows.add(record(number, time), faults)
        while windows.over() is not None:
            windows.close()
    if windows.next is None:
        return
    again = make()
    again.restore(windows.state())
    again.remember(windows.seen)
    first = windows.first_places().get("a")
    for number, time in enumerate(given_times[:upto]):
        if first is not None and number >= first.offset:
            again.refill(record(number, time))
    assert {w: [r.time for r in records] for w, records in again.open.items()} == {
        w: [r.time for r in records] for w, records in windows.open.items()
    }
    assert again.keys == windows.keys
    assert again.over() == windows.over()
