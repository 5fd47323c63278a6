"""Run files in bulk and line by line: one content, one refusal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo_eval.errors import DataError
from mimo_eval.measures import trec

SPACES = [" ", "\t", "\n", "\r\n", "\u00a0", "\u2028", "\x1c"]
PIECES = [*SPACES, "q", "Q0", "d1", "1", "2.5", "tag", "中", "-0", "nan", "1e39", "x", "+1", "1_0"]
NUMBERS = ["1", "-2.5e-3", ".5", "1.", "+3", "1_000", "1e38", "3.4028236e38", "inf", "nan", "0x1p3", "1e", "", "4,5", "1e400"]
LINE = st.tuples(
    st.sampled_from(["q", "w", "é"]),
    st.sampled_from([" ", "\t", "  ", " \t"]),
    st.sampled_from(["a", "b", "c", "#,'\"", "\\n", "NA", "null", "中", "\ufeffx", "a\u00a0b"]),
    st.sampled_from(NUMBERS),
    st.sampled_from(["\n", "\r\n", " \n", "\n\n", "\n \n"]),
)


def outcome(read, path):
    try:
        run = read(path)
    except DataError as error:
        return str(error)
    return None if run is None else (run.query.to_pylist(), run.document.to_pylist(), run.score.tolist())


def agree(path, content: bytes) -> None:
    path.write_bytes(content)
    wanted = outcome(trec._line_by_line, path)
    assert outcome(trec.read_run, path) == wanted
    bulk = outcome(trec._in_bulk, path)
    assert bulk in (None, wanted) or "stands twice" in str(wanted)


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(LINE, max_size=6), end=st.booleans(), chunk=st.integers(1, 80))
def test_lines_that_are_nearly_right(tmp_path_factory, lines, end, chunk):
    text = "".join(gap.join([q, "Q0", d, "1", score, "tag"]) + stop for q, gap, d, score, stop in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trec, "CHUNK", chunk)
        agree(tmp_path_factory.getbasetemp() / "run", (text if end else text.rstrip("\n")).encode())


@settings(max_examples=200, deadline=None)
@given(text=st.lists(st.sampled_from(PIECES), max_size=40).map("".join), raw=st.binary(max_size=3))
def test_anything_else(tmp_path_factory, text, raw):
    agree(tmp_path_factory.getbasetemp() / "run", text.encode() + raw)
    agree(tmp_path_factory.getbasetemp() / "run", b"q Q0 d 1 0.5 " + raw + b"\n" + text.encode())


@pytest.mark.parametrize("gap", [" ", "\t"])
def test_plain_files_are_read_in_bulk(tmp_path, gap):
    lines = [gap.join([f"q{i % 3}", "Q0", f"dé{i}", "1", repr(i / 7), "x"]) for i in range(30)]
    (tmp_path / "run").write_text("\n".join(lines), encoding="utf-8")
    run = trec._in_bulk(tmp_path / "run")
    assert run is not None
    np.testing.assert_array_equal(run.score, (np.arange(30) / 7).astype(np.float32))
    assert run.document.to_pylist() == [f"dé{i}" for i in range(30)]


def test_a_repeat_is_found_wherever_it_stands(tmp_path, monkeypatch):
    """Far from the first, with other queries in between."""
    monkeypatch.setattr(trec, "CHUNK", 64)
    lines = [f"q{i % 5} Q0 d{i // 5} 1 0.5 x\n" for i in range(50)]
    (tmp_path / "run").write_text("".join([*lines, "q1 Q0 d0 1 0.25 x\n"]))
    with pytest.raises(DataError, match=r"run:51: document 'd0' stands twice for query 'q1'"):
        trec.read_run(tmp_path / "run")
