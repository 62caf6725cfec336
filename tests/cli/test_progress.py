"""What each progress mode writes for the same work."""

import base64
import io
import json
import threading

import pytest

from polyarch.cli.progress.display import Display, Quiet
from polyarch.cli.progress.live import Live
from polyarch.cli.progress.plain import Plain
from polyarch.cli.progress.rawjson import RawJson
from polyarch.errors import UsageError
from polyarch.progress import Event, Finished, OutputChunk, Started, Transferred, Warned
from polyarch.render import text


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def screen(written: str) -> list[str]:
    """The screen of a terminal after `written`; understands the sequences that the live display uses."""
    lines, row, column = [""], 0, 0
    rest = written
    while rest:
        if rest.startswith("\x1b["):
            end = next(position for position, sign in enumerate(rest) if position > 1 and sign.isalpha())
            code, count = rest[end], rest[2:end]
            if code == "F":
                row, column = row - int(count), 0
            elif code == "K":
                lines[row] = lines[row][:column]
            elif code == "J":
                lines[row:] = [lines[row][:column]]
            rest = rest[end + 1 :]
        elif rest[0] == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
            rest = rest[1:]
        else:
            lines[row] = lines[row][:column] + rest[0] + lines[row][column + 1 :]
            column += 1
            rest = rest[1:]
    return [line.rstrip() for line in lines]


def test_plain_numbers_the_units_and_stamps_their_output() -> None:
    stream, clock = io.StringIO(), Clock()
    emit = Plain(stream, clock)
    emit(Started("a", "[2/5] RUN make", ("linux/arm64",)))
    clock.now = 0.1234
    emit(OutputChunk("a", 1, b"one\ntw"))
    emit(OutputChunk("a", 1, b"o\r\nrest"))
    emit(Started("b", "[1/2] FROM busybox", ("linux/amd64", "linux/arm64")))
    emit(Finished("b", cached=True))
    clock.now = 0.3
    emit(Finished("a"))
    emit.close()
    assert stream.getvalue().splitlines() == [
        "#1 [linux/arm64 2/5] RUN make",
        "#1 0.123 one",
        "#1 0.123 two",
        "#2 [linux/amd64,linux/arm64 1/2] FROM busybox",
        "#2 CACHED",
        "",
        "#1 0.300 rest",
        "#1 DONE 0.3s",
        "",
    ]


def test_plain_says_what_failed_in_one_line() -> None:
    stream = io.StringIO()
    emit = Plain(stream)
    emit(Started("a", "push x"))
    emit(Finished("a", error="refused\nwith details"))
    assert "#1 ERROR: refused\n" in stream.getvalue()
    assert "details" not in stream.getvalue()


def test_plain_mentions_a_transfer_when_it_is_done_and_seldom_before() -> None:
    stream, clock = io.StringIO(), Clock()
    emit = Plain(stream, clock)
    emit(Started("a", "push x"))
    for done in range(0, 1000, 100):
        emit(Transferred("a", "sha256:1", done, 1000))
    clock.now = 6.0
    emit(Transferred("a", "sha256:1", 950, 1000))
    emit(Transferred("a", "sha256:1", 1000, 1000))
    emit(Transferred("a", "sha256:1", 1000, 1000))
    emit(Transferred("a", "sha256:2", 0, 9, "mounted"))
    assert stream.getvalue().splitlines()[1:] == [
        "#1 sha256:1 950B / 1kB",
        "#1 sha256:1 1kB done",
        "#1 sha256:2 mounted",
    ]


def test_output_cannot_move_the_cursor_or_colour_what_follows() -> None:
    stream = io.StringIO()
    emit = Plain(stream, Clock())
    emit(Started("a", "x"))
    emit(OutputChunk("a", 1, b"\x1b[2Jgone\x1b[31m\tred\n50%\r100%\n\xff\n"))
    assert stream.getvalue().splitlines()[1:] == ["#1 0.000 gone    red", "#1 0.000 100%", "#1 0.000 �"]


def test_rawjson_is_buildkits_solve_status() -> None:
    stream, clock = io.StringIO(), Clock()
    emit = RawJson(stream, clock)
    clock.now = 1.5
    for event in (
        Started("sha256:a", "RUN x"),
        OutputChunk("sha256:a", 2, b"hi\n"),
        Transferred("sha256:a", "blob", 5, 5),
        Finished("sha256:a", error="bad"),
        Warned("careful", "line"),
    ):
        emit(event)
    started, logged, moved, finished, warned = map(json.loads, stream.getvalue().splitlines())
    assert started["vertexes"] == [{"digest": "sha256:a", "name": "RUN x", "started": "1970-01-01T00:00:01.500000000Z"}]
    assert base64.b64decode(logged["logs"][0]["data"]) == b"hi\n"
    assert moved["statuses"][0]["completed"]
    assert finished["vertexes"][0] == started["vertexes"][0] | {
        "completed": "1970-01-01T00:00:01.500000000Z",
        "error": "bad",
    }
    assert base64.b64decode(warned["warnings"][0]["short"]) == b"careful"


def test_quiet_writes_nothing() -> None:
    stream = io.StringIO()
    with Display("quiet", stream) as emit:
        emit(Started("a", "x"))
    assert stream.getvalue() == ""
    Quiet()(Warned("x"))


def test_an_unknown_mode_is_a_usage_error_that_lists_the_modes() -> None:
    with pytest.raises(UsageError, match="unknown progress mode 'fancy'") as raised:
        Display("fancy", io.StringIO())
    assert "auto, tty, plain, rawjson, quiet" in (raised.value.hint or "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_draws_on_a_terminal_unless_it_is_dumb() -> None:
    for stream, dumb, drawn in ((Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)):
        with Display("auto", stream, dumb=dumb) as emit:
            emit(Started("a", "x"))
        assert ("\x1b[" in stream.getvalue()) is drawn


def live(clock: Clock, columns: int = 60, rows: int = 20) -> tuple[Live, io.StringIO]:
    stream = io.StringIO()
    return Live(stream, colour=False, clock=clock, size=lambda: (columns, rows)), stream


def test_the_live_display_redraws_a_line_for_each_unit_in_place() -> None:
    clock = Clock()
    emit, stream = live(clock)
    emit(Started("a", "[2/2] RUN make", ("linux/arm64",)))
    emit(Started("b", "[1/2] FROM busybox"))
    emit(OutputChunk("a", 1, b"compiling\n"))
    clock.now = 1.0
    emit(Finished("b", cached=True))
    assert screen(stream.getvalue()) == [
        "[+] Building 1.0s (1/2)",
        " => [linux/arm64 2/2] RUN make                         1.0s",
        " => => # compiling",
        " => CACHED [1/2] FROM busybox                          1.0s",
        "",
    ]
    clock.now = 2.0
    emit(Finished("a"))
    emit.close()
    assert screen(stream.getvalue()) == [
        "[+] Building 2.0s (2/2) FINISHED",
        " => [linux/arm64 2/2] RUN make                         2.0s",
        " => CACHED [1/2] FROM busybox                          1.0s",
        "",
    ]


def test_the_live_display_shows_bytes_while_they_move() -> None:
    clock = Clock()
    emit, stream = live(clock, columns=80)
    emit(Started("a", "push x"))
    clock.now = 1.0
    emit(Transferred("a", "sha256:" + "1" * 64, 500_000, 1_000_000))
    emit.close()
    assert " => => sha256:111111111111 500kB / 1MB  " in "\n".join(screen(stream.getvalue()))


def test_the_live_display_fits_the_terminal() -> None:
    clock = Clock()
    emit, stream = live(clock, columns=40, rows=8)
    for number in range(30):
        emit(Started(str(number), f"[{number}] RUN 构建一个很长的名字很长的名字很长的名字"))
        if number < 20:
            emit(Finished(str(number)))
    clock.now = 1.0
    emit(OutputChunk("29", 1, b"x" * 500 + b"\n"))
    emit.close()
    shown = screen(stream.getvalue())
    assert len(shown) <= 8
    assert all(text.width(line) <= 40 for line in shown)


def test_a_warning_stays_above_the_live_display() -> None:
    clock = Clock()
    emit, stream = live(clock)
    emit(Started("a", "x"))
    clock.now = 1.0
    emit(Warned("careful", "the detail"))
    emit.close()
    assert screen(stream.getvalue())[:3] == ["WARNING: careful", "the detail", "[+] Building 1.0s (0/1)"]


def test_what_a_failed_unit_wrote_last_is_left_to_the_error_that_repeats_it() -> None:
    clock = Clock()
    emit, stream = live(clock)
    emit(Started("a", "RUN false"))
    emit(OutputChunk("a", 2, b"no such file\n"))
    emit(Finished("a", error="exit status 1"))
    emit.close()
    assert screen(stream.getvalue()) == [
        "[+] Building 0.0s (1/1) FINISHED",
        " => ERROR RUN false                                    0.0s",
        "",
    ]


def test_a_terminal_that_became_narrower_has_wrapped_what_is_to_be_drawn_over() -> None:
    clock, stream, columns = Clock(), io.StringIO(), 60
    emit = Live(stream, clock=clock, size=lambda: (columns, 20))
    emit(Started("a", "x"))
    columns, clock.now = 25, 1.0
    emit(Started("b", "y"))
    # The head fits into a row of 25; the line of 59 columns now takes three.
    assert "\x1b[4F" in stream.getvalue()
    clock.now = 2.0
    emit(Finished("b"))
    assert stream.getvalue().count("\x1b[3F") == 1
    emit.close()


def test_closing_shows_the_cursor_again_and_nothing_is_drawn_afterwards() -> None:
    emit, stream = live(Clock())
    emit(Started("a", "x"))
    emit.close()
    emit.close()
    written = stream.getvalue()
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    emit(Finished("a"))
    assert stream.getvalue() == written


def test_no_thread_starts_before_another_one_lives() -> None:
    """The sandbox must enter its namespaces while the process has a single thread."""
    stream = io.StringIO()
    emit = Live(stream, size=lambda: (80, 24))
    before = threading.active_count()
    if before > 1:
        pytest.skip("pytest itself runs threads here")
    emit(Started("a", "x"))
    assert threading.active_count() == 1
    worker = threading.Thread(target=emit, args=(OutputChunk("a", 1, b"x\n"),))
    worker.start()
    worker.join()
    assert any(thread.name == "progress" for thread in threading.enumerate())
    emit.close()
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_events_from_many_threads_are_all_shown() -> None:
    stream = io.StringIO()
    emit = Plain(stream)

    def work(name: str) -> None:
        events: list[Event] = [
            Started(name, name),
            *(OutputChunk(name, 1, b"line\n") for _ in range(50)),
            Finished(name),
        ]
        for event in events:
            emit(event)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert sum(line.endswith(" line") for line in lines) == 400
    assert sum(" DONE " in line for line in lines) == 8
