"""MLQA: passages and questions in seven languages, partly parallel: a question stands in two to seven of them.

A question's translations share an id and form a group; passages are not translations of each other, so each is its own group
and every passage that answers the question, in whichever language, is relevant. Read are the files whose passages and
questions are in one language: the other 42 repeat their rows in other combinations.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import NamedTuple

from mimo_eval.collections.jsonl import clean
from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Layout, Published, Remote, Repo, chosen
from mimo_eval.collections.tables import need_fields, read_records
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import read_json

NAME = "mlqa"
SPLITS = {"test": "test", "validation": "dev"}
"""Name of a split on the hub to its name in the official archive."""
FIELDS = ("id", "context", "question")
QUESTIONS = {"ar": 5335, "de": 4517, "en": 11590, "es": 5253, "hi": 4918, "vi": 5495, "zh": 5137}
"""Of the test split, as the paper counts them; of passages there are somewhat fewer."""
LANGUAGES = tuple(QUESTIONS)
BYTES_PER_QUESTION = 700
"""About what a question with its passage takes in a Parquet file."""


class _Row(NamedTuple):
    lang: str
    question_id: str
    document: str
    context: str
    question: str
    where: str


class MLQA:
    """Passages and questions of the chosen languages.

    :param data: folder with the hub's Parquet files (`MLQA.de.de/test-00000-of-00001.parquet`), or the official archive or what
        it holds (`MLQA_V1/test/test-context-de-question-de.json`).
    :param wanted: languages to read; None for all that are there.
    :param split: `test` or `validation`.
    """

    grouped_judgements = True

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None, split: str = "test") -> None:
        repo = _repo(LANGUAGES, split)
        self.paths = _official(data, wanted, split)
        if not self.paths:
            layout = Layout(data, NAME)
            langs = layout.there(wanted, LANGUAGES, repo, lambda lang: _path(lang, split))
            self.paths = {lang: layout.need(repo, _path(lang, split)) for lang in langs}
        self.info = Info(
            name=NAME if split == "test" else f"{NAME}-{split}",
            title=f"MLQA, passages and questions, {split}",
            licence="CC BY-SA 3.0",
            provenance="facebookresearch/MLQA",
            citation="Lewis et al., MLQA: Evaluating Cross-lingual Extractive Question Answering, ACL 2020",
        )

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, split: str = "test") -> Remote:
        """Say what is downloaded for some languages and a split."""
        langs = chosen(NAME, wanted, LANGUAGES)
        if split != "test":
            return Remote((_repo(langs, split),))
        queries = {lang: QUESTIONS[lang] for lang in langs}
        source = "MLQA's paper, which counts questions, size estimated"
        return Remote((_repo(langs, split),), Published(source, {}, queries, sum(queries.values()) * BYTES_PER_QUESTION))

    def files(self) -> list[Path]:
        """Return the files of the chosen languages."""
        return [path for paths in self.paths.values() for path in paths]

    def _rows(self, problems: Problems) -> Iterator[_Row]:
        for lang, paths in self.paths.items():
            for path in paths:
                records = _read_squad(path) if path.suffix == ".json" else read_records(path, FIELDS, problems)
                for record, where in records:
                    values = need_fields(record, FIELDS, where, problems)
                    if values is not None:
                        name, context, question = values[0], clean(values[1]), clean(values[2])
                        short = md5(context.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:16]
                        yield _Row(lang, name, f"{lang}:{short}", context, question, where)

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield each passage once."""
        seen: set[str] = set()
        for row in self._rows(problems):
            if row.document not in seen:
                seen.add(row.document)
                yield Text(row.document, row.context, row.lang, where=row.where)

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the questions; translations share a group. What is wrong with a row was noted with the passages."""
        for row in self._rows(Problems()):
            yield Text(f"{row.lang}:{row.question_id}", row.question, row.lang, row.question_id, where=row.where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield question to every passage that answers it."""
        for row in self._rows(Problems()):
            yield Judgement(row.question_id, row.document, 1, row.where)


def _read_squad(path: Path) -> Iterator[tuple[dict[str, str], str]]:
    """Yield a record per question of a file in SQuAD's layout."""
    try:
        for number, article in enumerate(read_json(path)["data"]):
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    yield (
                        {"id": qa["id"], "context": paragraph["context"], "question": qa["question"]},
                        f"{path}: article {number}",
                    )
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not in SQuAD's layout ({type(error).__name__}: {error})") from error


def _official(data: Path, wanted: tuple[str, ...] | None, split: str) -> dict[str, list[Path]]:
    """Return the files of the official archive's layout, by language."""
    name = SPLITS[split]
    for folder in (data / "MLQA_V1" / name, data / name, data):
        found = {lang: folder / f"{name}-context-{lang}-question-{lang}.json" for lang in chosen(NAME, wanted, LANGUAGES)}
        there = {lang: [path] for lang, path in found.items() if path.is_file()}
        if there:
            return there
    return {}


def _path(lang: str, split: str) -> str:
    return f"MLQA.{lang}.{lang}/{split}*.parquet"


def _repo(langs: tuple[str, ...], split: str) -> Repo:
    if split not in SPLITS:
        raise ConfigError(f"mlqa has no split '{split}'; choose {' or '.join(SPLITS)}")
    # XTREME holds MLQA as Parquet; facebook/mlqa is a script. No commit of it was published with these files' names, so the
    # branch is resolved at the first download and recorded
    return Repo("google/xtreme", "main", tuple(_path(lang, split) for lang in langs), "CC BY-SA 3.0")
