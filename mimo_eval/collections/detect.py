"""Texts that look like another language than declared: an optional check, with py3langid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mimo_eval.collections.records import Problems, Source, Text
from mimo_eval.errors import DataError, require
from mimo_eval.languages import normalise

LETTERS = 40
"""Shorter texts are names and numbers as often as language."""

LONGEST = 1000
"""Characters that are looked at."""

MARGIN = 2.0
"""How much likelier, in nats per square root of a byte, another language must be than the declared one. On XQuAD-R's 8,535
questions of 12 languages it finds the three Greek ones that are in English and no other, on 22,694 sentences of NTREX in 21
languages (Indonesian and Malay among them) one, a list of English names."""


def check_languages(source: Source, problems: Problems) -> None:
    """Note the texts that are in another language than declared.

    Only the languages that the source declares, and English, are told apart; those the detector does not know are left out.

    :param source: where the texts come from; it is read twice.
    :param problems: where "looks like another language" is noted; nothing else is.
    :raises MissingExtraError: if py3langid is not installed.
    """
    detector = require("py3langid", "langid")
    declared = {lang for _, lang in _texts(source)}
    known = _names(detector)
    chosen = {_base(lang) for lang in declared | {"en"}} & known
    if len(chosen) < 2:
        return
    detector.set_languages(sorted(chosen))
    try:
        for text, lang in _texts(source):
            other = _other(detector, text.text, _base(lang)) if _base(lang) in chosen else None
            if other:
                problems.add("looks like another language", text.where, f"{text.id} is declared {lang}, looks like {other}")
    finally:
        detector.set_languages()


def _texts(source: Source) -> Iterator[tuple[Text, str]]:
    """Yield the texts of known languages up to where a file cannot be read; what else is wrong others note."""
    for read in (source.documents, source.queries):
        try:
            for text in read(Problems()):
                try:
                    yield text, normalise(text.lang)
                except DataError:
                    continue
        except DataError:
            continue


def _other(detector: Any, text: str, declared: str) -> str | None:
    sample = text[:LONGEST]
    if sum(map(str.isalpha, sample)) < LETTERS:
        return None
    ranking = dict(detector.rank(sample))
    best = max(ranking, key=lambda lang: ranking[lang])
    margin = (ranking[best] - ranking[declared]) / math.sqrt(len(sample.encode("utf-8", "replace")))
    return str(best) if margin > MARGIN else None


def _names(detector: Any) -> set[str]:
    detector.set_languages()
    return {lang for lang, _ in detector.rank("a")}


def _base(lang: str) -> str:
    return {"nb": "no", "fil": "tl"}.get(base := lang.partition("-")[0], base)
