from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from mimo_eval.models import tokenizing
from mimo_eval.models.tokenizing import analyzer


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    analyzer.cache_clear()
    yield
    analyzer.cache_clear()


@pytest.mark.parametrize(
    ("lang", "text", "tokens"),
    [
        ("en", "The bridges, bridging I", ["the", "bridg", "bridg", "i"]),
        ("de", "Straße STRASSE", ["strass", "strass"]),
        ("zh", "东京是首都", ["东京", "京是", "是首", "首都"]),
        ("ja", "東京タワーは333mです", ["東京", "京タ", "タワ", "ワー", "ーは", "333m", "です"]),
        ("ko", "한국어 AI", ["한국", "국어", "ai"]),
        ("zh", "我 C语言", ["我", "c", "语言"]),
        ("vi", "Hà Nội", ["hà", "nội"]),
        ("sr-Latn", "grad", ["grad"]),
        ("km", "ខ្មែរ", ["ខ្", "្ម", "មែ", "ែរ"]),
        ("xx", "Ünï-123", ["ünï", "123"]),
    ],
)
def test_how_a_text_becomes_tokens(lang: str, text: str, tokens: list[str]) -> None:
    assert analyzer(lang).tokens(text) == tokens


def test_thai_is_cut_into_words_of_a_dictionary() -> None:
    assert analyzer("th").name == "pythainlp:newmm"
    assert analyzer("th").tokens("ภาษาไทยง่าย, 12") == ["ภาษาไทย", "ง่าย", "12"]


def test_thai_without_its_package_falls_back_to_pairs_of_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythainlp.tokenize", None)
    assert analyzer("th").name == "character-bigrams"
    assert analyzer("th").tokens("ไทย") == ["ไท", "ทย"]


def test_hindi_vowel_signs_do_not_cut_words() -> None:
    assert len(analyzer("hi").tokens("हिन्दी भाषा")) == 2


@pytest.mark.parametrize(
    ("lang", "name"),
    [("en", "snowball:english"), ("zh", "cjk-bigrams"), ("yue", "cjk-bigrams"), ("lo", "character-bigrams"), ("sw", "words")],
)
def test_an_analyzer_has_a_name_for_the_result(lang: str, name: str) -> None:
    assert analyzer(lang).name == name


def test_a_stemmer_that_is_not_installed_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tokenizing.STEMMERS, "en", "no-such-language")
    assert analyzer("en").name == "words"
    assert analyzer("en").tokens("bridges") == ["bridges"]


@pytest.mark.parametrize("lang", ["en", "zh", "th", "hi", "sw", "km"])
@pytest.mark.parametrize("text", ["", "  ", "?!", "…", "\u200b"])
def test_a_text_without_words_has_no_tokens(lang: str, text: str) -> None:
    assert analyzer(lang).tokens(text) == []
