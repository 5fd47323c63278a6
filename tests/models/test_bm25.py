from __future__ import annotations

import math

import numpy as np
import pytest

from mimo_eval.errors import ConfigError
from mimo_eval.models.bm25 import BM25
from mimo_eval.models.loading import load_model


def search(texts: list[str], query: str, lang: str = "en", k: int = 10, model: BM25 | None = None) -> dict[int, float]:
    model = model or BM25()
    hits = model.search(model.index(texts, langs=[lang] * len(texts)), [query], langs=[lang], k=k)
    return {int(d): float(s) for d, s in zip(hits.documents[0], hits.scores[0], strict=True) if d >= 0}


def test_scores_are_those_of_lucene() -> None:
    # lengths 3, 2, 4, mean 3; "cat" is in two of three documents, "dog" in one
    texts = ["cat cat bird", "cat fish", "dog bird fish owl"]
    k1, b = 0.9, 0.4

    def weight(tf: int, df: int, length: int) -> float:
        return math.log(1 + (3 - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * length / 3))

    assert search(texts, "cat dog") == pytest.approx({0: weight(2, 2, 3), 1: weight(1, 2, 2), 2: weight(1, 1, 4)}, rel=1e-5)
    assert search(texts, "cat cat") == pytest.approx({0: 2 * weight(2, 2, 3), 1: 2 * weight(1, 2, 2)}, rel=1e-5)


def test_parameters_come_from_the_name_and_change_the_scores() -> None:
    texts = ["cat cat bird", "cat fish"]
    assert search(texts, "cat", model=load_model("bm25(k1=1.2,b=0.75)")) != search(texts, "cat")  # type: ignore[arg-type]
    assert BM25(k1=1.2).fingerprint() != BM25().fingerprint()
    for bad in ("bm25(k1=-1)", "bm25(b=2)", "bm25(b=much)"):
        with pytest.raises(ConfigError, match="k1 must be a number of at least 0 and b between 0 and 1"):
            load_model(bad)


@pytest.mark.parametrize(
    ("lang", "documents", "query"),
    [
        ("zh", ["长城是中国古代的防御工事。", "豆腐是用大豆做的食品。"], "大豆食品有哪些？"),
        ("ja", ["東京は日本の首都です。", "豆腐は大豆から作られる食品です。"], "大豆の食品は何ですか"),
        ("th", ["กรุงเทพเป็นเมืองหลวงของประเทศไทย", "เต้าหู้ทำจากถั่วเหลือง"], "อาหารจากถั่วเหลือง"),
        ("hi", ["दिल्ली भारत की राजधानी है।", "पनीर दूध से बनता है।"], "दूध और भोजन"),
        ("ar", ["القاهرة عاصمة مصر.", "الجبن يصنع من الحليب."], "حليب"),
        ("ru", ["Москва — столица.", "Сыр делают из молока."], "молоко и сыры"),
    ],
)
def test_words_are_found_in_every_script(lang: str, documents: list[str], query: str) -> None:
    found = search(documents, query, lang)
    assert max(found, key=found.__getitem__) == 1


def test_the_analyzers_used_are_recorded() -> None:
    model = BM25()
    for lang in ("zh", "en", "th"):
        model.index(["text"], langs=[lang])
    assert model.describe()["analyzers"] == {"en": "snowball:english", "th": "pythainlp:newmm", "zh": "cjk-bigrams"}
    assert model.describe()["merge"] == "raw"


def test_ties_are_not_cut_at_k() -> None:
    assert sorted(search(["cat"] * 5 + ["dog"], "cat", k=2)) == [0, 1, 2, 3, 4]
    assert sorted(search(["cat cat"] + ["cat dog"] * 3, "cat", k=1)) == [0]


def test_nothing_is_found_for_an_empty_query_or_unknown_words() -> None:
    assert search(["cat", "dog"], "") == search(["cat", "dog"], "?!") == search(["cat", "dog"], "unicorn") == {}
    assert search(["cat", "dog"], "unicorn cat") == search(["cat", "dog"], "cat")


def test_documents_without_tokens_are_not_found_and_do_no_harm() -> None:
    assert search(["...", "cat", ""], "cat").keys() == {1}
    assert search(["...", "!"], "cat") == {}


def test_a_word_in_every_document_still_scores() -> None:
    found = search(["cat", "cat"], "cat")
    assert found.keys() == {0, 1} and min(found.values()) > 0


def test_queries_are_answered_in_their_order() -> None:
    model = BM25()
    hits = model.search(model.index(["cat", "dog"], langs=["en"] * 2), ["dog", "", "cat"], langs=["en"] * 3, k=5)
    assert np.where(hits.documents >= 0, hits.documents, -1)[:, 0].tolist() == [1, -1, 0]
