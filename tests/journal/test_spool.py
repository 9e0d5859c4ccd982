"""Records on their way: nothing is lost with a process, and the disk is never filled."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import rmtree

import pytest

from blended.journal import spool_files
from blended.journal.records import Record, from_line
from blended.journal.spool import Spool
from tests.journal.samples import response

MIB = 2**20


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def arrived(spool: Spool) -> list[Record]:
    """Take everything out of a spool, as a flush would."""
    records = []
    while batch := spool.waiting(MIB):
        for file in batch:
            records += [from_line(line) for line in spool_files.lines_of(file)]
            spool.remove(file)
    return records


def test_records_come_out_as_they_went_in(tmp_path: Path) -> None:
    """All of them, in their order, once."""
    clock = Clock()
    spool = Spool(tmp_path, MIB, clock, stopwatch=clock)
    for number in range(100):
        spool.append(response(number))
        clock.now += 0.1
        spool.write()
    spool.write(last=True)

    assert arrived(spool) == [response(number) for number in range(100)]
    assert spool.status().bytes == 0


def test_a_file_is_whole_after_a_second(tmp_path: Path) -> None:
    """Until then it is written to, and not yet flushed."""
    clock = Clock()
    spool = Spool(tmp_path, MIB, clock, stopwatch=clock)
    spool.append(response(1))
    spool.write()
    waiting = spool.waiting(MIB)
    clock.now += 1
    spool.append(response(2))
    spool.write()

    assert waiting == []
    assert arrived(spool) == [response(1), response(2)]


def test_what_a_killed_process_had_written_is_adopted(tmp_path: Path) -> None:
    """A writer takes over the folder of one that was killed, its unfinished file included."""
    script = (
        "import sys, time; from pathlib import Path; from blended.journal.spool import Spool\n"
        "from tests.journal.samples import response\n"
        "spool = Spool(Path(sys.argv[1]), 2**20)\n"
        "for number in range(3):\n"
        "    spool.append(response(number)); spool.write()\n"
        "print('written', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    spool = Spool(tmp_path, MIB)
    spool.adopt()
    before = arrived(spool)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    spool.adopt()

    assert before == []  # its writer was alive
    assert arrived(spool) == [response(number) for number in range(3)]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    """A record that was being written when the machine went down breaks no other."""
    spool = Spool(tmp_path, MIB)
    spool.append(response(1))
    spool.write(last=True)
    [file] = spool.waiting(MIB)
    with file.open("a") as half:
        half.write('{"record": "resp')

    assert arrived(spool) == [response(1)]


def test_beyond_its_bound_contents_go_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The oldest records lose their contents, none is lost, and the log says so."""
    clock = Clock()
    spool = Spool(tmp_path, 40_000, clock, stopwatch=clock)
    content = {"messages": ["x" * 1000]}
    with caplog.at_level(logging.ERROR):
        for number in range(25):
            spool.append(response(number, content=content))
            spool.write(last=True)
            clock.now += 1

    status, records = spool.status(), arrived(spool)
    kept = [record.content is not None for record in records if hasattr(record, "content")]
    assert len(records) == 25
    assert status.bytes <= 40_000
    assert 0 < status.dropped_contents < 25
    assert kept == sorted(kept)  # the oldest lost theirs
    assert status.dropped_records == 0
    assert "spool is full" in caplog.text


def test_a_damaged_line_keeps_no_spool_from_its_bound(tmp_path: Path) -> None:
    """What is no record stays as it is while contents go; whoever ships it sets it aside."""
    clock = Clock()
    spool = Spool(tmp_path, 30_000, clock, stopwatch=clock)
    spool.append(response(0, content={"messages": ["x" * 1000]}))
    spool.write(last=True)
    [file] = spool.waiting(MIB)
    with file.open("a") as damaged:
        damaged.write("nonsense\n")
    for number in range(1, 20):
        clock.now += 1
        spool.append(response(number, content={"messages": ["x" * 500]}))
        spool.write(last=True)

    lines = list(spool_files.lines_of(spool.waiting(MIB)[0]))
    assert lines[1] == "nonsense"
    assert from_line(lines[0]) == response(0)
    assert spool.status().bytes <= 30_000


def test_beyond_its_bound_the_oldest_records_go_last(tmp_path: Path) -> None:
    """Where no content is left to give up, the oldest records are, and are counted."""
    clock = Clock()
    spool = Spool(tmp_path, 20_000, clock, stopwatch=clock)
    for number in range(50):
        spool.append(response(number))
        spool.write(last=True)
        clock.now += 1

    status, records = spool.status(), arrived(spool)
    assert status.bytes <= 20_000
    assert status.dropped_records == 50 - len(records) > 0
    assert records == [response(number) for number in range(50 - len(records), 50)]


def test_the_status_tells_how_long_the_oldest_waits(tmp_path: Path) -> None:
    """Age and bytes grow while nothing is shipped."""
    clock = Clock()
    spool = Spool(tmp_path, MIB, clock, stopwatch=clock)
    empty = spool.status()
    spool.append(response())
    spool.write()
    clock.now += 90
    spool.write()

    assert (empty.bytes, empty.age_s) == (0, 0)
    assert spool.status().age_s == 90
    assert spool.status().bytes == sum(f.stat().st_size for f in spool.waiting(MIB))


@pytest.mark.parametrize("jump_s", [-3600, 3600])
def test_a_clock_that_is_set_holds_no_record_up(tmp_path: Path, jump_s: float) -> None:
    """A file is whole after a second, and as old as it is, whatever the time of day becomes."""
    clock, stopwatch = Clock(), Clock()
    spool = Spool(tmp_path, MIB, clock, stopwatch=stopwatch)
    spool.append(response(1))
    spool.write()
    clock.now += jump_s
    stopwatch.now += 1
    spool.append(response(2))
    spool.write()
    stopwatch.now += 5
    age_s = spool.status().age_s

    assert arrived(spool) == [response(1), response(2)]
    assert age_s == 6


def test_a_spool_that_is_deleted_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file that was being written is written again; it is said that whole ones are gone."""
    spool = Spool(tmp_path / "spool", MIB)
    spool.append(response(1))
    spool.write(last=True)
    spool.append(response(2))
    spool.write()
    rmtree(tmp_path / "spool")
    spool.append(response(3))
    spool.write(last=True)

    assert arrived(spool) == [response(2), response(3)]
    assert "with 1 files of records" in caplog.text
    spool.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_full_disk_costs_nothing_that_fits_into_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be written is written later, after a half-written batch was taken back."""
    spool = Spool(tmp_path, MIB)
    spool.append(response(1))
    spool.write()
    [part] = tmp_path.glob("*/*.part")
    limit = part.stat().st_size + 100
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        spool.append(response(2))
        for _ in range(3):
            spool.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert caplog.text.count("cannot be written") == 1

    spool.append(response(3))
    spool.write(last=True)

    assert arrived(spool) == [response(1), response(2), response(3)]
    assert all(json.loads(line) for f in tmp_path.glob("*/*") for line in spool_files.lines_of(f))


def test_an_empty_spool_leaves_nothing_behind(tmp_path: Path) -> None:
    """Closing removes the folder when all has been shipped, and leaves it otherwise."""
    shipped, unshipped = Spool(tmp_path, MIB), Spool(tmp_path, MIB)
    shipped.close()
    unshipped.append(response())
    unshipped.write(last=True)
    unshipped.close()

    heir = Spool(tmp_path, MIB)
    heir.adopt()
    assert arrived(heir) == [response()]
    heir.close()
    assert list(tmp_path.iterdir()) == []


def test_the_files_are_nobody_elses(tmp_path: Path) -> None:
    """Records may hold texts: folders and files are closed to other users."""
    spool = Spool(tmp_path / "spool", MIB)
    spool.append(response())
    spool.write(last=True)

    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "spool").rglob("*")}
    assert modes == {0}
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
