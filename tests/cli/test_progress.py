"""Progress where stderr is no terminal: lines in a long job, none in a short one."""

from __future__ import annotations

import re
import threading
import time

import pytest

from mimo_eval.cli import progress
from mimo_eval.cli.progress import Bars, Counted, Every, amount, clock


@pytest.fixture
def quick(monkeypatch):
    """A line every twentieth of a second."""
    monkeypatch.setattr(progress, "SECONDS", 0.05)


@pytest.fixture
def watch(monkeypatch):
    """A clock that is set by hand."""
    hands = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: hands[0])
    return hands


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_short_job_is_silent(capsys):
    bars = Bars("m")
    for name in ("encode mini", "search mini"):
        with bars.phase(name, 3, "texts") as advance:
            advance(3)
    assert capsys.readouterr() == ("", "")


def test_a_long_job_says_how_far_it_is_and_when_phases_begin_and_end(quick, capsys):
    bars = Bars("m")
    with bars.phase("encode mini", 200, "texts") as advance:
        advance(50)
        time.sleep(0.2)
    with bars.phase("search mini", 7, "scores") as advance:
        advance(7)
    found = lines(capsys)
    assert re.fullmatch(r"m: encode mini: 50 of 200 texts \(25 %\), [\d,.]+ texts/s, \d:\d\d left", found[0])
    assert found[-3:] == [
        "m: encode mini: 50 texts in 0:00",
        "m: search mini begins: 7 scores",
        "m: search mini: 7 scores in 0:00",
    ]
    assert len(found) >= 5


def test_what_counts_nothing_for_long_still_shows_that_it_lives(quick, capsys):
    with Bars("m").phase("read", 1, "collections"):
        time.sleep(0.2)
    assert lines(capsys)[0] == "m: read: 0 of 1 collections, 0:00 so far"


def test_a_phase_within_another_is_in_the_same_line(quick, capsys):
    bars = Bars("m")
    with bars.phase("score mini", 4, "corpora") as outer:
        outer(1)
        with bars.phase("re-rank", 10, "pairs") as inner:
            inner(5)
            time.sleep(0.15)
    first = lines(capsys)[0]
    assert re.fullmatch(r"m: score mini: 1 of 4 corpora .* left; re-rank: 5 of 10 pairs \(50 %\), .* left", first)


def test_a_phase_that_fails_has_not_ended_and_leaves_no_thread(quick, capsys):
    before = threading.active_count()
    with pytest.raises(ValueError, match="no"), Bars("m").phase("encode", 10, "texts"):
        time.sleep(0.12)
        raise ValueError("no")
    assert threading.active_count() == before
    assert not [line for line in lines(capsys) if " in " in line]


def test_the_time_left_follows_the_rate_of_late_not_what_was_there_at_once(watch):
    counted = Counted("encode", 1_000_000, "texts")
    counted.advance(500_000)  # from the store
    for _ in range(progress.WINDOW):
        watch[0] += 30
        counted.advance(300)
        line = counted.line()
    assert "503,000 of 1.0 M texts (50 %), 1,677 texts/s" in line  # 503,000 in 300 s: the start is still in the window
    watch[0] += 30
    counted.advance(300)
    assert counted.line() == "encode: 503,300 of 1.0 M texts (50 %), 10 texts/s, 13:47:50 left"  # 496,700 / 10 s


def test_it_is_time_for_another_line_after_half_a_minute(watch):
    every = Every()
    assert not every.due()
    watch[0] += 29.9
    assert not every.due()
    watch[0] += 0.1
    assert every.due() and not every.due()


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05")])
def test_times(seconds, said):
    assert clock(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (2.25, "2.2"), (3, "3"), (12.7, "13"), (512_000, "512,000"), (1.5e6, "1.5 M"), (2e12, "2.0 T")],
)
def test_amounts(number, said):
    assert amount(number) == said
