"""Finding, naming and describing measures."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys

import ir_measures
import pytest

from mimo_eval import measures
from mimo_eval.errors import ConfigError
from mimo_eval.measures.base import LanguageMeasure
from mimo_eval.registry import Registry

NAMES = {"LPR", "LangNDCG", "CC", "CX", "WC", "WX", "PEER", "MRC", "RankDistance", "MaxR", "Comp", "TLR"}
NAMES |= {"SameR", "CrossR", "AWRF", "LAReQA", "OwnShare"}


def test_every_file_is_found():
    assert {d.name.split("(")[0].split("@")[0] for d in measures.describe() if d.needs} == NAMES
    assert set(ir_measures.measures.registry) >= NAMES


def test_importing_twice_changes_nothing():
    before = dict(ir_measures.measures.registry), len(ir_measures.DefaultPipeline.providers)
    importlib.reload(measures)
    assert (dict(ir_measures.measures.registry), len(ir_measures.DefaultPipeline.providers)) == before
    assert ir_measures.DefaultPipeline.providers[0].NAME == "mimo_eval"


def test_a_fresh_interpreter_needs_the_import_only():
    code = "import ir_measures, mimo_eval.measures; print(*map(ir_measures.parse_measure, ['LPR', 'PEER@20']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["LPR", "PEER@20"]
    assert done.stderr == ""


def test_attribute_access():
    assert repr(measures.PEER @ 20) == "PEER@20"
    with pytest.raises(AttributeError, match="Nope"):
        _ = measures.Nope


@pytest.mark.parametrize("text", ["nDCG@10 LPR PEER@20", "nDCG@10,LPR,PEER@20", " nDCG @ 10,\n LPR , PEER@20, LPR"])
def test_parse_lists(text):
    assert [str(m) for m in measures.parse(text)] == ["nDCG@10", "LPR", "PEER@20"]


def test_parse_keeps_brackets_together():
    texts = [str(m) for m in measures.parse("PEER(weights={0: 0.5, 1: 0.5}, compat=True)@20 LangNDCG(gain=0.5)@10")]
    assert texts == ["PEER(weights={0:0.5,1:0.5},compat=True)@20", "LangNDCG(gain=0.5)@10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ndcg@10", "did you mean nDCG"),
        ("lpr", "did you mean LPR"),
        ("Xyzzy", "known: AP"),
        ("", "no measure is given"),
        (" , ", "no measure is given"),
        ("R", "write for example R@10"),
        ("nDCG@0", "ranks start at 1"),
        ("nDCG@-1", "cannot understand"),
        ("nDCG@", "cannot understand"),
        ("nDCG(10)", "cannot understand"),
        ("nDCG@'a'", "cannot understand"),
        ("PEER(weights=@5", "cannot understand"),
        ("P(rel=)@5", "cannot understand"),
        ("nDCG(foo=1)@10", "unknown argument 'foo' of the measure nDCG; it takes @k, dcg, gains, judged_only$"),
        (
            "LangNDCG(gian=0.5)@10",
            r"unknown argument 'gian' of the measure LangNDCG \(did you mean 'gain'\?\); it takes @k, gain$",
        ),
        ("LPR@10", "unknown argument '@k' of the measure LPR; it takes none$"),
        ("__import__('os')", "unknown measure"),
    ],
)
def test_bad_names(text, message):
    with pytest.raises(ConfigError, match=message):
        measures.parse(text)


class Plugin(LanguageMeasure):
    """A measure of another package."""

    NAME, SHORT_DESC, SOURCE, USES = "Plugin", "Does it load?", "nowhere", ("Plugin",)


@pytest.mark.parametrize(
    ("name", "target", "loaded"),
    [
        ("Plugin", f"{__name__}:PLUGIN", True),
        ("Plugin", "no.such.module:X", False),
        ("Plugin", f"{__name__}:NAMES", False),
        ("nDCG", f"{__name__}:PLUGIN", False),
    ],
    ids=["good", "broken", "no measure", "taken"],
)
def test_plugins(monkeypatch, caplog, name, target, loaded):
    """A bad one is warned of and breaks nothing."""
    monkeypatch.setattr(
        measures, "registry", Registry("measure", "mimo_eval.none", {"LPR": measures._BUILTIN["LPR"], name: target})
    )
    with caplog.at_level(logging.WARNING):
        found = [m.NAME for m in measures._discover({"LPR"})]
    assert found == (["LPR", "Plugin"] if loaded else ["LPR"])
    assert bool(caplog.records) != loaded


PLUGIN = Plugin()
