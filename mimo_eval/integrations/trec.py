"""A run's files, and where the languages of its ids come from: a table, a collection, or ids that say them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mimo_eval.collections import SOURCES, load
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import read_lines
from mimo_eval.integrations.run_scores import Languages, ScoredRun, read_qrels, score_frames
from mimo_eval.languages import normalise
from mimo_eval.measures import parse
from mimo_eval.runs import read_run

IDS = "ids"
NONE = "none"


def score_files(
    run: Path,
    qrels: Path,
    measures: str,
    *,
    languages: str | None = None,
    query_languages: Path | None = None,
    data: Path | None = None,
) -> ScoredRun:
    """Score a TREC run file.

    :param run: the run, plain, `.gz` or `.zst`; ranks in it are ignored, ties are put in trec_eval's order.
    :param qrels: judgements in TREC's or BEIR's layout.
    :param measures: as ir-measures writes them, separated by spaces or commas.
    :param languages: as for `find_languages`.
    :param query_languages: likewise.
    :param data: likewise.
    :return: the scores.
    :raises DataError: for a file that cannot be read, a line that is wrong, or an id without a language; with file and line.
    :raises ConfigError: for an unknown measure.
    """
    parsed = parse(measures)
    ranked, judged = read_run(run), read_qrels(qrels)
    known = find_languages(languages, query_languages, ranked, judged, data)
    if known is not None and known.whole:
        judged = read_qrels(qrels, known)  # once more: now a document that is not in the corpus can be told
    return score_frames(ranked, judged, parsed, known)


def find_languages(
    given: str | None, queries: Path | None, run: pd.DataFrame, qrels: pd.DataFrame, data: Path | None = None
) -> Languages | None:
    """Return the languages of a run's ids.

    :param given: a table of ids and languages, a collection (name or folder), `ids` for ids that read `{lang}:{id}`, or
        `none`. If None, ids are looked at, and taken if every one reads so.
    :param queries: a table for queries, if `given` is a table that lacks them.
    :param run: columns query_id, doc_id.
    :param qrels: likewise.
    :param data: where the files of a collection are.
    :return: the languages; None if there are none to be had.
    :raises DataError: if the table has a wrong line, or an id does not read `{lang}:{id}`.
    :raises ConfigError: if a table for queries is given, and none for documents.
    """
    if queries is not None and not (given and Path(given).is_file()):
        raise ConfigError("--query-languages goes with --languages FILE, the table of the documents")
    if given == NONE:
        return None
    if given in (None, IDS):
        return _from_ids(run, qrels, strict=given == IDS)
    assert given is not None
    if Path(given).is_file():
        return _from_table(Path(given), queries)
    if Path(given).is_dir() or given.partition("(")[0] in SOURCES:
        return _from_collection(given, data)
    raise DataError(f"--languages {given}: no such file, folder or collection; or write 'ids' for ids such as de:17")


def _from_ids(run: pd.DataFrame, qrels: pd.DataFrame, strict: bool) -> Languages | None:
    found: list[dict[str, str]] = []
    for column in ("doc_id", "query_id"):
        codes, wrong = {}, []
        for name in dict.fromkeys([*run[column].unique(), *qrels[column].unique()]):
            code = _prefix(name)
            if code is not None:
                codes[name] = code
            elif strict:
                wrong.append(name)
            else:
                return None
        if wrong:
            raise DataError(f"--languages ids: '{min(wrong)}' (and {len(wrong) - 1} more) does not read {{lang}}:{{id}}")
        found.append(codes)
    return Languages(found[0], found[1], "the ids, all of which read {lang}:{id}", whole=False)


def _prefix(name: str) -> str | None:
    code, colon, rest = name.partition(":")
    if not (colon and rest):
        return None
    try:
        return normalise(code)
    except DataError:
        return None


def _from_table(path: Path, queries: Path | None) -> Languages:
    documents = read_table(path)
    asked = documents if queries is None else read_table(queries)
    return Languages(documents, asked, " and ".join(map(str, filter(None, (path, queries)))), whole=queries is not None)


def read_table(path: Path) -> dict[str, str]:
    """Read a table of ids and languages: an id, a tab or spaces, a language code; no header.

    :param path: the file, plain, `.gz` or `.zst`.
    :return: id to canonical language code.
    :raises DataError: with file and line, for anything else than two columns, an unknown language, or an id that stands twice.
    """
    found: dict[str, str] = {}
    for line in read_lines(path):
        fields = line.text.split("\t") if "\t" in line.text else line.text.split()
        where = f"{path}:{line.number}"
        if line.problem in ("utf8", "nul") or len(fields) != 2 or fields[0].split() != [fields[0]]:
            raise DataError(f"{where}: expected two columns, an id without white space and a language code")
        name, code = fields
        if name in found:
            raise DataError(f"{where}: '{name}' stands twice")
        try:
            found[name] = normalise(code)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    return found


def _from_collection(name: str, data: Path | None) -> Languages:
    collection = load(name, data=data)
    texts = (collection.documents, collection.queries)
    documents, queries = (_by_id(text.ids(), [text.languages[n] for n in text.language]) for text in texts)
    groups = _by_id(collection.queries.ids(), collection.queries.column("group").to_pylist())
    return Languages(documents, queries, f"the collection {collection.name}", whole=True, groups=groups)


def _by_id(ids: Iterable[str], values: Iterable[str]) -> dict[str, str]:
    return dict(zip(ids, values, strict=True))
