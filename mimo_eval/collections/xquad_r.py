"""XQuAD-R: parallel paragraphs and questions in up to twelve languages, as paragraphs or as LAReQA's sentences.

Read from the official files (XQuAD's `xquad.{lang}.json`, LAReQA's `{lang}.json`) or from cleaned JSON Lines of the same.
Sources: Artetxe et al. 2020 (google-deepmind/xquad), Roy et al. 2020 (google-research-datasets/lareqa).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mimo_eval.collections.jsonl import clean, find_file, read_judgements, read_relevance, read_texts, usable_lines
from mimo_eval.collections.records import Info, Judgement, Problems, Text, lacking
from mimo_eval.collections.remote import Published, Remote, chosen
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.files import open_binary, read_json, read_lines
from mimo_eval.languages import normalise

FOLDERS = ("xquad", ".", "lareqa", "xquad-r")
BEGINNING = 2**16
"""Bytes of a file that are looked at to tell what it is."""
LEVELS = ("paragraph", "sentence")
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
SENTENCES = {
    **{"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244},
    **{"ru": 1219, "th": 852, "tr": 1167, "vi": 1209, "zh": 1196},
}
"""Language to number of LAReQA's candidates."""
CITATION = "Roy et al., LAReQA: Language-agnostic answer retrieval from a multilingual pool, EMNLP 2020"


class XQuADR:
    """The collection at paragraph level, or with LAReQA's sentence candidates.

    The title is left out of the indexed text: it is the English one in every language and would give the answer away.

    :param data: folder with the files.
    :param wanted: languages to read; None for all that are there.
    :param level: `paragraph` or `sentence`.
    :param context: at sentence level, append the paragraph to the sentence, as LAReQA encodes candidates.
    """

    def __init__(
        self, data: Path, wanted: tuple[str, ...] | None = None, level: str = "paragraph", context: bool = False
    ) -> None:
        if level not in LEVELS:
            raise ConfigError(f"xquad-r has no level '{level}'; choose {' or '.join(LEVELS)}")
        if not data.is_dir():
            raise DataError(f"{data}: no such folder")
        self.level, self.context, self.wanted = level, context, wanted
        self.grouped_judgements = level == "paragraph"
        cleaned = find_file(data, "corpus.jsonl") is not None
        self.layout = _Cleaned(data, level) if cleaned else _Official(data, level, wanted)
        self.info = Info(
            name="xquad-r" if level == "paragraph" else "xquad-r-sentences",
            title=f"XQuAD-R, {level}s",
            licence="CC BY-SA 4.0",
            provenance="google-deepmind/xquad and google-research-datasets/lareqa",
            citation=CITATION,
        )

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, level: str = "paragraph", context: bool = False) -> Remote:
        """Say how much there is; the files are on GitHub and not downloaded (`xquad` has the paragraphs from the hub)."""
        langs = chosen("xquad-r", wanted, LANGUAGES if level == "paragraph" else SENTENCES)
        documents = {lang: 240 if level == "paragraph" else SENTENCES[lang] for lang in langs}
        return Remote((), Published("counted in the upstream files", documents, dict.fromkeys(langs, 1190)))

    def files(self) -> list[Path]:
        """Return the files that are read."""
        return self.layout.files()

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield paragraphs or sentences of the wanted languages."""
        if self.level == "paragraph":
            yield from self._wanted(self.layout.paragraphs(problems))
            return
        paragraphs = {t.id: t.text for t in self.layout.paragraphs(Problems())} if self.context else {}
        for text, paragraph in self.layout.sentences(problems):
            if self._is_wanted(text):
                yield text._replace(text=f"{text.text} {paragraphs[paragraph]}") if self.context else text

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the questions of the wanted languages."""
        yield from self._wanted(self.layout.questions(problems))

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield question group to paragraph group, or each question version to each sentence that answers it."""
        if self.grouped_judgements:
            yield from self.layout.judgements(problems)
            return
        asked = sorted({text.lang for text in self.queries(Problems())})
        for judgement, lang in self.layout.sentence_judgements(problems):
            if self.wanted is None or lang in self.wanted:
                yield from (judgement._replace(query=f"{judgement.query}-{query_lang}") for query_lang in asked)

    def _wanted(self, texts: Iterator[Text]) -> Iterator[Text]:
        return (text for text in texts if self._is_wanted(text))

    def _is_wanted(self, text: Text) -> bool:
        return self.wanted is None or text.lang in self.wanted


class _Cleaned:
    """JSON Lines: corpus, queries, qrels over groups, sentences."""

    def __init__(self, data: Path, level: str) -> None:
        names = ["corpus.jsonl", "queries.jsonl", "qrels.tsv"]
        names += ["sentences.jsonl", "qrels_sentences.tsv"] if level == "sentence" else []
        self.path = {}
        for name in names:
            path = find_file(data, name)
            if path is None:
                raise DataError(f"{data}: {name} is missing")
            self.path[name] = path

    def files(self) -> list[Path]:
        return list(self.path.values())

    def paragraphs(self, problems: Problems) -> Iterator[Text]:
        return (t._replace(title="") for t in read_texts(self.path["corpus.jsonl"], problems))

    def questions(self, problems: Problems) -> Iterator[Text]:
        return read_texts(self.path["queries.jsonl"], problems)

    def sentences(self, problems: Problems) -> Iterator[tuple[Text, str]]:
        for text in read_texts(self.path["sentences.jsonl"], problems):
            yield text._replace(group=None), f"{text.group}-{text.lang}"

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        return read_judgements(self.path["qrels.tsv"], problems)

    def sentence_judgements(self, problems: Problems) -> Iterator[tuple[Judgement, str]]:
        path = self.path["qrels_sentences.tsv"]
        for line, where in usable_lines(path, problems):
            if line.number == 1:
                continue
            fields = line.text.split("\t")
            if len(fields) != 4:
                problems.add("unreadable line", where, f"{len(fields)} columns, expected 4")
                continue
            gain = read_relevance(fields[3].strip(), problems, where)
            if gain is not None:
                yield Judgement(fields[0], fields[2], gain, where), fields[1]


class _Official:
    """SQuAD-style JSON, one file per language; sentences need LAReQA's, which have `sentences` and `sentence_breaks`."""

    def __init__(self, data: Path, level: str, wanted: tuple[str, ...] | None) -> None:
        folders = ("lareqa", "xquad-r", ".") if level == "sentence" else FOLDERS
        found: dict[str, Path] = {}
        for lang, path in _official_files(data, folders):
            found.setdefault(lang, path)
        self.path = {lang: path for lang, path in found.items() if wanted is None or lang in wanted}
        if found and (absent := set(wanted or ()) - set(found)):
            raise lacking("xquad-r", absent, found)
        if not found:
            raise DataError(f"{data}: neither xquad.{{lang}}.json, nor LAReQA's {{lang}}.json, nor corpus.jsonl is here")

    def files(self) -> list[Path]:
        return list(self.path.values())

    def _walk(self) -> Iterator[tuple[str, str, dict[str, Any], str]]:
        """Yield (language, paragraph group, paragraph, where)."""
        for lang, path in self.path.items():
            content = read_json(path)
            with _squad(str(path)):
                articles = [article["paragraphs"] for article in content["data"]]
            for a, paragraphs in enumerate(articles):
                for p, paragraph in enumerate(paragraphs):
                    yield lang, f"xq{a:02d}-{p}", paragraph, f"{path}: article {a}, paragraph {p}"

    def paragraphs(self, problems: Problems) -> Iterator[Text]:
        for lang, group, paragraph, where in self._walk():
            with _squad(where):
                text = clean(paragraph["context"])
            yield Text(f"{group}-{lang}", text, lang, group, where=where)

    def questions(self, problems: Problems) -> Iterator[Text]:
        for lang, _, paragraph, where in self._walk():
            with _squad(where):
                texts = [(str(qa["id"]), clean(qa["question"])) for qa in paragraph["qas"]]
            yield from (Text(f"{name}-{lang}", text, lang, name, where=where) for name, text in texts)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        for _, group, paragraph, where in self._walk():
            with _squad(where):
                names = [str(qa["id"]) for qa in paragraph["qas"]]
            yield from (Judgement(name, group, 1, where) for name in names)

    def _spans(self, paragraph: dict[str, Any], where: str) -> list[tuple[int, int]]:
        with _squad(where):
            if "sentence_breaks" not in paragraph:
                raise DataError(f"{where}: no 'sentence_breaks'; sentence level needs LAReQA's XQuAD-R files")
            return [(int(start), int(end)) for start, end in paragraph["sentence_breaks"]]

    def sentences(self, problems: Problems) -> Iterator[tuple[Text, str]]:
        for lang, group, paragraph, where in self._walk():
            for number, (start, end) in enumerate(self._spans(paragraph, where)):
                name = f"{group}-{lang}-s{number:02d}"
                with _squad(where):
                    text = clean(paragraph["context"][start:end])
                yield Text(name, text, lang, where=where), f"{group}-{lang}"

    def sentence_judgements(self, problems: Problems) -> Iterator[tuple[Judgement, str]]:
        """Yield the sentence that holds the answer's first character, start ≤ answer < end, as XTREME does."""
        for lang, group, paragraph, where in self._walk():
            spans = self._spans(paragraph, where)
            with _squad(where):
                answers = [(str(qa["id"]), int(qa["answers"][0]["answer_start"])) for qa in paragraph["qas"]]
            for name, at in answers:
                for number, (start, end) in enumerate(spans):
                    if start <= at < end:
                        yield Judgement(name, f"{group}-{lang}-s{number:02d}", 1, where), lang


@contextmanager
def _squad(where: str) -> Iterator[None]:
    """Turn what a file in another layout runs into to a DataError."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not in SQuAD's layout ({type(error).__name__}: {error})") from error


def _official_files(data: Path, folders: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield language and path of `xquad.{lang}.json` and `{lang}.json` in some folders of `data`."""
    for folder in folders:
        for path in sorted((data / folder).glob("*.json")):
            match = re.fullmatch(r"(?:xquad\.)?([a-z]{2})\.json", path.name)
            if match and match[1] in LANGUAGES:
                yield normalise(match[1]), path


def is_xquad(data: Path) -> bool:
    """Tell whether a folder holds XQuAD-R in one of its layouts; of files named after a language, the beginning decides."""
    corpus = find_file(data, "corpus.jsonl")
    if corpus is None:
        files = (path for _, path in _official_files(data, FOLDERS))
        return any(path.name.startswith("xquad.") or _begins_like_squad(path) for path in files)
    if find_file(data, "sentences.jsonl") is None:
        return False
    first = next(iter(read_lines(corpus)), None)
    return first is not None and re.search(r'"docid"\s*:\s*"xq', first.text) is not None


def _begins_like_squad(path: Path) -> bool:
    """Tell whether a file begins with articles of paragraphs, each an object with a context or questions."""
    try:
        with open_binary(path) as stream:
            beginning = stream.read(BEGINNING).decode("utf-8-sig", "replace")
    except DataError:
        return False
    at = 0
    for pattern in (r"\s*\{", r'"data"\s*:\s*\[\s*\{', r'"paragraphs"\s*:\s*\[\s*\{', r'"(?:context|qas)"\s*:'):
        found = re.compile(pattern).search(beginning, at) if at else re.match(pattern, beginning)
        if found is None:
            return False
        at = found.end()
    return True
