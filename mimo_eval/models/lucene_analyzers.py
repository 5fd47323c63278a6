"""Which of Lucene's analyzers serves a language, and what stands in for one that the jar or Java lacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from mimo_eval.models import jvm, tokenizing

ANALYZERS = {
    "ar": "ar.ArabicAnalyzer", "bg": "bg.BulgarianAnalyzer", "bn": "bn.BengaliAnalyzer", "ca": "ca.CatalanAnalyzer",
    "ckb": "ckb.SoraniAnalyzer", "cs": "cz.CzechAnalyzer", "da": "da.DanishAnalyzer", "de": "de.GermanAnalyzer",
    "el": "el.GreekAnalyzer", "en": "en.EnglishAnalyzer", "es": "es.SpanishAnalyzer", "et": "et.EstonianAnalyzer",
    "eu": "eu.BasqueAnalyzer", "fa": "fa.PersianAnalyzer", "fi": "fi.FinnishAnalyzer", "fr": "fr.FrenchAnalyzer",
    "ga": "ga.IrishAnalyzer", "gl": "gl.GalicianAnalyzer", "hi": "hi.HindiAnalyzer", "hu": "hu.HungarianAnalyzer",
    "hy": "hy.ArmenianAnalyzer", "id": "id.IndonesianAnalyzer", "it": "it.ItalianAnalyzer", "ja": "ja.JapaneseAnalyzer",
    "ko": "cjk.CJKAnalyzer", "lt": "lt.LithuanianAnalyzer", "lv": "lv.LatvianAnalyzer", "nb": "no.NorwegianAnalyzer",
    "ne": "ne.NepaliAnalyzer", "nl": "nl.DutchAnalyzer", "nn": "no.NorwegianAnalyzer", "no": "no.NorwegianAnalyzer",
    "pl": "morfologik.MorfologikAnalyzer", "pt": "pt.PortugueseAnalyzer", "pt-BR": "br.BrazilianAnalyzer",
    "ro": "ro.RomanianAnalyzer", "ru": "ru.RussianAnalyzer", "sr": "sr.SerbianAnalyzer", "sv": "sv.SwedishAnalyzer",
    "ta": "ta.TamilAnalyzer", "te": "te.TeluguAnalyzer", "th": "th.ThaiAnalyzer", "tr": "tr.TurkishAnalyzer",
    "uk": "uk.UkrainianMorfologikAnalyzer", "yue": "cjk.CJKAnalyzer", "zh": "cjk.CJKAnalyzer",
}  # fmt: skip
"""Lucene's analyzers by language, below org.apache.lucene.analysis: all that Anserini's jar holds."""

STANDARD, WHITESPACE = "standard.StandardAnalyzer", "core.WhitespaceAnalyzer"


class Choice(NamedTuple):
    """What serves a language."""

    name: str
    """As a result records it."""
    java: str
    """Lucene's analyzer."""
    tokens: Callable[[str], list[str]] | None = None
    """What cuts a text into words before Lucene sees it."""
    fallback: str | None = None
    """Why this is not Lucene's own analyzer of that language; None if it is."""


@cache
def choose(lang: str) -> Choice:
    """Return what serves a language; Java must run, because one without Thai segmentation cannot serve Thai.

    :param lang: a short BCP 47 code.
    :return: its analyzer, and why if that is not Lucene's own.
    """
    base = lang.split("-")[0]
    java = ANALYZERS.get(lang, ANALYZERS.get(base))
    if base in tokenizing.UNSPACED and not (base == "th" and _java_cuts_thai()):
        return _pretokenised(base)
    if java is None:
        return Choice(STANDARD, STANDARD, None, "Lucene has none for it; words and lower case, no stemming")
    if not jvm.has_class(f"org.apache.lucene.analysis.{java}"):
        return Choice(STANDARD, STANDARD, None, f"this jar has no {java}; words and lower case, no stemming")
    return Choice(java, java)


def _pretokenised(base: str) -> Choice:
    """Return words found in Python, for scripts without spaces that Java or Lucene cannot cut."""
    why = "this Java cannot segment Thai" if base == "th" else "Lucene has none for it, and it is written without spaces"
    found = tokenizing.analyzer(base)
    name = found.name
    if name.startswith("pythainlp"):
        from importlib.metadata import version

        name = f"{name} {version('pythainlp')}"
    return Choice(f"{name} + {WHITESPACE}", WHITESPACE, found.tokens, why)


def _java_cuts_thai() -> bool:
    return bool(jvm.java_class("org.apache.lucene.analysis.th.ThaiTokenizer").DBBI_AVAILABLE)
