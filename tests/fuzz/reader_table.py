"""Every reader of files that others wrote, with lines of a good file: what both fuzzers, hypothesis and atheris, run over."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mimo_eval import measures, results, runs
from mimo_eval.benchmark import read_benchmark
from mimo_eval.collections import Collection, archives, jsonl, tables
from mimo_eval.collections.downloads import Record
from mimo_eval.collections.folder import FolderSource
from mimo_eval.collections.hf import _configs
from mimo_eval.collections.records import Problems
from mimo_eval.embeddings import read_chunk
from mimo_eval.errors import MimoEvalError
from mimo_eval.files import read_json, read_lines
from mimo_eval.gate.policy import load_policy
from mimo_eval.integrations.model_card import Section, updated
from mimo_eval.integrations.mteb.results import read_task_results
from mimo_eval.integrations.trec import read_table
from mimo_eval.leaderboard.entries import read_card, read_sources
from mimo_eval.leaderboard.schema import read_board
from mimo_eval.mixing import Mix
from mimo_eval.models.debias.sample import read_sample
from mimo_eval.models.sources import ModelFiles
from mimo_eval.models.weights import first_pickle
from mimo_eval.safe_yaml import read_yaml
from mimo_eval.search.index_store import intact
from mimo_eval.specs import parse_spec
from mimo_eval.study.definition import load_study
from mimo_eval.study.rows import read_row
from mimo_eval.training.data.readers import packs
from mimo_eval.training.recipe import load_recipe

RESULT: dict[str, Any] = {
    **{name: {} for name in ("fingerprints", "benchmark", "encoded", "timings", "environment", "geometry", "files")},
    "schema_version": 1,
    "key": "k",
    "created": "2026",
    "model": {"name": "m"},
    "collections": [],
    "settings": [],
    "search": "",
    "peak_memory": 1,
    "checksum": "",
}


class Reader(NamedTuple):
    """A reader, and what it reads."""

    name: str
    file: str
    """What its file is called."""
    read: Callable[[Path], Any]
    lines: tuple[str, ...] = ()
    """Of a good file, or near one."""


def _text(parse: Callable[[str], Any]) -> Callable[[Path], Any]:
    return lambda path: parse(path.read_bytes().decode("utf-8", "replace"))


def _with_problems(read: Callable[..., Any], *arguments: Any) -> Callable[[Path], Any]:
    def run(path: Path) -> Any:
        problems = Problems()
        found = list(read(path, *arguments, problems))
        problems.refuse(str(path))
        return found

    return run


def _model(path: Path) -> Any:
    files = ModelFiles(str(path.parent))
    return files.config, first_pickle(files)


TABLES = ('{"id": "a", "text": "one"}', "id,text", 'a,"one"', "id\ttext", "a\tone")
READERS = (
    Reader("run", "run.trec", runs.read_run, ("q1 Q0 d1 1 0.5 tag", "q1 Q0 d2 2 0.25 tag", "q 0 d 1")),
    Reader("qrels", "qrels.tsv", runs.read_qrels, ("q1 0 d1 1", "q1\td1\t1", "query-id\tcorpus-id\tscore", "q1 0 d1 x")),
    Reader(
        "jsonl",
        "corpus.jsonl",
        _with_problems(jsonl.read_texts),
        ('{"_id": "a", "text": "one", "lang": "en"}', '{"id": 1, "text": null}', '{"_id": "b", "text": "two", "lang": "xx-"}'),
    ),
    Reader(
        "judgements", "qrels.tsv", _with_problems(jsonl.read_judgements), ("query-id\tcorpus-id\tscore", "q\td\t1", "q d 1")
    ),
    Reader("trec judgements", "qrels.txt", _with_problems(tables.read_trec_qrels), ("q1 0 d1 1", "q2 0 d2 -1", "q 0 d 1e3")),
    Reader("languages", "languages.tsv", read_table, ("d1\ten", "d2 zh-Hant", "d3\txx")),
    Reader("sample", "sample.jsonl", _with_problems(read_sample), ('{"text": "one", "lang": "en", "group": "g"}',)),
    *(
        Reader(kind, f"table.{kind}", _with_problems(tables.read_records, ("id", "text")), TABLES)
        for kind in ("tsv", "csv", "parquet")
    ),
    Reader("lines", "lines.tsv", lambda path: list(read_lines(path)), ("a\tone", "id\ttext", "1\t2\t3")),
    Reader("gzip", "lines.jsonl.gz", lambda path: list(read_lines(path)), ("\x1f",)),
    Reader("zstandard", "lines.jsonl.zst", lambda path: list(read_lines(path)), ("(",)),
    Reader("zip", "data.zip", archives.unpacked, ("PK",)),
    Reader("tar", "data.tar.gz", archives.unpacked, ("\x1f",)),
    Reader("json", "x.json", read_json, ('{"a": [1, "x", null]}', "{", "}")),
    Reader("yaml", "x.yaml", read_yaml, ("a: &x 1", "b: {c: [1, 2]}", "- 1", "? {a: b}", ": c", "n: 1:20:30", "d: 2026-11-21")),
    Reader(
        "benchmark",
        "b.yaml",
        read_benchmark,
        ("name: b", "tasks:", "  - collection: mini", "    mixes: [parallel]", "measures: [nDCG@10]", "depth: 1", "a: 1"),
    ),
    Reader(
        "policy",
        "p.yaml",
        load_policy,
        ("tolerance: 0.01", "alpha: 0.05", "rules:", "  - measure: nDCG@10", "    tolerance: 1"),
    ),
    Reader(
        "recipe",
        "r.yaml",
        lambda path: load_recipe(str(path)),
        (
            "name: r",
            "student: {kind: static}",
            "method: distill",
            "languages: [en, de]",
            "stages: {distillation: {lr: 0.1}}",
            "data:",
            "  parallel: [{reader: packs, options: {path: x}}]",
        ),
    ),
    Reader(
        "study",
        "s.yaml",
        lambda path: load_study(str(path)),
        ("name: s", "recipe: mimo-mini", "runs: {a: distill}", "seeds: 1"),
    ),
    Reader(
        "result",
        "result.json",
        results.read_result,
        (json.dumps(RESULT), '{"schema_version": 1, "key": "k"}', '"settings": []'),
    ),
    Reader("query scores", "queries.parquet", results.read_queries, ("PAR1",)),
    Reader(
        "submission",
        "results/b/m/k/result.json",
        lambda path: read_sources([path.parents[3]]),
        (json.dumps({**RESULT, "benchmark": {"name": "mini", "tasks": []}}), json.dumps(RESULT)),
    ),
    Reader("card", "card.json", lambda path: read_card(path.parent), ('{"name": "m", "link": "https://x"}', "{}")),
    Reader("board", "board.json", read_board, ('{"schema_version": 1, "groups": []}', "{}")),
    Reader(
        "mteb result",
        "Task.json",
        read_task_results,
        ('{"task_name": "T", "dataset_revision": "1", "mteb_version": "2", "scores": {"test": [{"main_score": 1}]}}',),
    ),
    Reader(
        "readme of a model",
        "README.md",
        _text(lambda text: updated(text, "m", Section([], "# x"))),
        ("---", "model-index: [{name: m, results: []}]", "license: mit", "# Title"),
    ),
    Reader(
        "readme of data",
        "README.md",
        lambda path: _configs([path]),
        ("---", "configs:", "- config_name: corpus-en", "  data_files: [{split: test, path: x}]"),
    ),
    Reader("model's settings", "config_sentence_transformers.json", _model, ('{"prompts": {"query": "q: "}}', "[]")),
    Reader("model's modules", "modules.json", _model, ('[{"path": "1_Dense", "type": "x"}]', "{}", "[1]")),
    Reader("collection's settings", "collection.json", lambda path: FolderSource(path.parent).info, ('{"name": "n"}', "[]")),
    Reader("study's row", "rows/r/fold-1.json", lambda path: read_row(path.parents[2], "r", 0), ('{"label": "r", "fold": 0}',)),
    Reader("pack", "p.jsonl", _with_problems(packs._rows), ('{"group": "g", "lang": "en", "text": "one"}',)),
    Reader("chunk", "000000.safetensors", read_chunk, ('{"rows": {"dtype": "U32", "shape": [1], "data_offsets": [0, 4]}}',)),
    Reader(
        "index", "index/manifest.json", lambda path: intact(path.parent), ('{"format": 1, "documents": 3, "files": {}}', "[]")
    ),
    Reader(
        "built collection", "collection.json", lambda path: Collection.open(path.parent), ('{"info": {}, "rows": {}}', "[]")
    ),
    Reader(
        "downloads",
        "commit.json",
        lambda path: Record.read(path.with_suffix("")),
        ('{"listed": {"a": {"size": 1}}, "here": {"a": [1, 2]}, "gated": false}',),
    ),
    Reader("names of models", "typed", _text(parse_spec), ("rrf(bm25, org/model, k=60)", "sparse(a(b=1), c=true)")),
    Reader("mixes", "typed", _text(Mix.parse), ("partition(en=0.7,de=0.3)", "bilingual(en+de)", "away(seed=1)")),
    Reader("measures", "typed", _text(measures.parse), ("nDCG@10", "P(rel=2)@5", "LPR", "RBP(p=0.8)")),
)


def survives(read: Callable[[Path], Any], path: Path, data: bytes) -> Any:
    """Return what a reader gives; errors of this package are fine, others are what this is about."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(path)
    except MimoEvalError as error:
        assert str(error)
        assert "\n  File " not in str(error)
    return None


def quiet() -> None:
    """Let no reader's warnings fill the screen."""
    logging.getLogger("mimo_eval").setLevel(logging.CRITICAL)
