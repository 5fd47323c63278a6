"""Language codes: every spelling to one short form."""

from __future__ import annotations

import pytest

from mimo_eval.errors import ConfigError, DataError
from mimo_eval.languages import mteb_code, normalise, parse_languages


@pytest.mark.parametrize(
    ("code", "short"),
    [
        ("de", "de"),
        ("DE", "de"),
        (" de ", "de"),
        ("deu", "de"),
        ("ger", "de"),
        ("deu_Latn", "de"),
        ("deu-Latn", "de"),
        ("de-AT", "de"),
        ("cmn_Hans", "zh"),
        ("zho", "zh"),
        ("zh-cn", "zh"),
        ("zh-Hant", "zh-Hant"),
        ("zh-TW", "zh-Hant"),
        ("zh_HK", "zh-Hant"),
        ("zho-TW", "zh-Hant"),
        ("cmn-TW", "zh-Hant"),
        ("zh-Hans-TW", "zh"),
        ("zh-Hant-TW", "zh-Hant"),
        ("zh-SG", "zh"),
        ("yue-CN", "yue-Hans"),
        ("sr-ME", "sr-Latn"),
        ("sr-RS", "sr"),
        ("pa-PK", "pa-Arab"),
        ("pt-BR", "pt"),
        ("yue", "yue"),
        ("arb", "ar"),
        ("acm", "acm"),
        ("swh", "sw"),
        ("pes", "fa"),
        ("iw", "he"),
        ("in", "id"),
        ("jp", "ja"),
        ("dt", "nl"),
        ("sr", "sr"),
        ("sr-Cyrl", "sr"),
        ("sr-Latn", "sr-Latn"),
        ("srp_Latn", "sr-Latn"),
        ("English", "en"),
    ],
)
def test_spellings_of_a_language_become_one(code, short):
    assert normalise(code) == short
    assert normalise(short) == short


@pytest.mark.parametrize("code", ["", " ", "xx", "und", "123", "train", "de\0", "deutsch!", "-", "_", "\ud800", "a" * 1000])
def test_what_is_no_language_is_refused_with_an_example(code):
    with pytest.raises(DataError, match="use BCP 47 such as 'de'"):
        normalise(code)


@pytest.mark.parametrize(
    ("code", "mteb"), [("de", "deu-Latn"), ("ru", "rus-Cyrl"), ("sr-Latn", "srp-Latn"), ("ja", "jpn-Jpan")]
)
def test_mtebs_form_has_three_letters_and_a_script(code, mteb):
    assert mteb_code(code) == mteb
    assert normalise(mteb) == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("", None), ("en,de", ("en", "de")), ("deu, en ,de,,", ("de", "en")), ("zh", ("zh",)), (" , ", None)],
)
def test_lists_typed_by_users_keep_their_order(text, expected):
    assert parse_languages(text) == expected


def test_an_unknown_code_in_a_list_is_named():
    with pytest.raises(ConfigError, match="'xx'"):
        parse_languages("en,xx")
