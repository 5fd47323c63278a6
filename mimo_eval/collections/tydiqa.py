"""TyDi QA GoldP as retrieval: natural questions and Wikipedia passages in nine languages, judged within each language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mimo_eval.collections.jsonl import find_file, read_relevance, read_texts
from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Published, Remote, chosen
from mimo_eval.collections.tables import read_columns
from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import normalise

NAME = "tydiqa"
SPLITS = ("dev", "train")
# language: (passages of both splits, dev questions), counted in the files
COUNTS = {
    **{"ar": (842, 921), "bn": (105, 113), "en": (3857, 440), "fi": (634, 782), "id": (514, 565)},
    **{"ko": (1488, 276), "ru": (778, 812), "sw": (1981, 499), "te": (601, 669)},
}
HEADER = ["query_group", "para_group", "rel", "split"]


class TyDiQA:
    """Passages of the chosen languages, and the questions of one split.

    :param data: folder with `corpus.jsonl`, `queries.jsonl` and `qrels.tsv` (columns query_group, para_group, rel, split).
    :param wanted: languages to read; None for all.
    :param split: `dev` (9 languages) or `train` (en, ko and sw); passages of the other split stay in as distractors.
    """

    grouped_judgements = True

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None, split: str = "dev") -> None:
        if split not in SPLITS:
            raise ConfigError(f"tydiqa has no split '{split}'; choose {' or '.join(SPLITS)}")
        paths = [find_file(data, name) for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv")]
        if not all(paths):
            raise DataError(f"{data}: corpus.jsonl, queries.jsonl and qrels.tsv of TyDi QA GoldP are expected here")
        self.corpus, self.asked, self.qrels = (path for path in paths if path)
        self.wanted, self.split = wanted, split
        self.info = Info(
            name=NAME if split == "dev" else f"{NAME}-{split}",
            title=f"TyDi QA GoldP as retrieval, {split}",
            licence="Apache-2.0 (passages CC BY-SA 3.0)",
            provenance="google-research-datasets/tydiqa",
            citation="Clark et al., TyDi QA, TACL 2020",
            judged_within_language=True,
        )

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None, split: str = "dev") -> Remote:
        """Say how much there is; the layout is this project's and not on the hub."""
        langs = chosen(NAME, wanted, COUNTS)
        queries = {lang: COUNTS[lang][1] for lang in langs} if split == "dev" else {}
        return Remote((), Published("counted in the files", {lang: COUNTS[lang][0] for lang in langs}, queries))

    def files(self) -> list[Path]:
        """Return the three files."""
        return [self.corpus, self.asked, self.qrels]

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield the passages of the chosen languages."""
        return (text for text in read_texts(self.corpus, problems) if self._is_wanted(text))

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the questions of the split."""
        judged = {judgement.query for judgement in self._judgements(Problems())}
        return (text for text in read_texts(self.asked, problems) if text.group in judged and self._is_wanted(text))

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield question to passage, for the chosen languages."""
        other = {text.group for text in read_texts(self.asked, Problems()) if not self._is_wanted(text)}
        return (judgement for judgement in self._judgements(problems) if judgement.query not in other)

    def _judgements(self, problems: Problems) -> Iterator[Judgement]:
        for fields, where in read_columns(self.qrels, 4, problems):
            if fields == HEADER or fields[3] != self.split:
                continue
            gain = read_relevance(fields[2], problems, where)
            if gain is not None:
                yield Judgement(fields[0], fields[1], gain, where)

    def _is_wanted(self, text: Text) -> bool:
        if self.wanted is None:
            return True
        try:
            return normalise(text.lang) in self.wanted
        except DataError:
            return True  # kept, so that the check names it
