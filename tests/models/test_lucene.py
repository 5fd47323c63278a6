"""Lucene's BM25: run for real; where the extra is missing every test fails with the line that installs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import bm25s
import numpy as np
import pytest

from mimo_eval.benchmark import load_benchmark
from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.evaluation import changed, run
from mimo_eval.models import jvm, lucene, lucene_analyzers, tokenizing
from mimo_eval.models.java import find_jar
from mimo_eval.models.lucene import MARGIN, Lucene
from mimo_eval.models.lucene_analyzers import ANALYZERS, STANDARD, Choice, choose
from mimo_eval.protocols import StoredRetriever

MIRACL = ["ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh"]


@pytest.fixture(scope="module", autouse=True)
def running():
    """Start Java; without the extra this raises an error with its install line, for every test."""
    jvm.start()


@pytest.fixture
def fresh():
    """Forget what serves which language, before and after."""
    choose.cache_clear()
    lucene._warn.cache_clear()
    yield
    choose.cache_clear()
    lucene._warn.cache_clear()


def analyse(choice, text):
    """Return the tokens of a text as they are indexed."""
    utils = jvm.java_class("io.anserini.analysis.AnalyzerUtils")
    return [str(token) for token in utils.analyze(lucene._analyzer(choice.java), lucene._prepared(choice, text)).toArray()]


def tokens(lang, text):
    return analyse(choose(lang), text)


def found(model, texts, query, lang="en", k=10):
    index = model.index(texts, langs=[lang] * len(texts))
    hits = model.search(index, [query], langs=[lang], k=k)
    return [(int(d), float(s)) for d, s in zip(hits.documents[0], hits.scores[0], strict=True) if d >= 0]


@pytest.mark.parametrize(
    ("lang", "text", "expected"),
    [
        ("el", "Οι γάτες στο σπίτι", ["γατ", "σπιτ"]),
        ("ro", "Pisicile dorm în casele mari", ["pisic", "dorm", "cas", "mar"]),
        ("vi", "Ngôi nhà lớn", ["ngôi", "nhà", "lớn"]),
        ("hi", "लड़कियों ने किताबें", ["लडक", "किताब"]),
        ("zh", "北京大学", ["北京", "京大", "大学"]),
        ("yue", "香港人", ["香港", "港人"]),
        ("ja", "東京都に行きました", ["東京", "都", "行く"]),
        ("ko", "대한민국", ["대한", "한민", "민국"]),
        ("en", "houses running the dog's", ["hous", "run", "dog"]),
        ("de", "Die Häuser der Universitäten", ["haus", "universitat"]),
        ("ar", "الكتب والمكتبات", ["كتب", "مكتب"]),
        ("bn", "বইগুলো", ["বই"]),
        ("fa", "کتاب‌ها", ["كتاب"]),
        ("fi", "talojen kirjat", ["talo", "kirj"]),
        ("fr", "l'avion des chevaux", ["avion", "cheval"]),
        ("id", "membacakan buku", ["baca", "buku"]),
        ("ru", "книги домов", ["книг", "дом"]),
        ("te", "పుస్తకాలు", ["పుస్తకా"]),
        ("tr", "Evlerin kitapları", ["ev", "kitap"]),
        ("sw", "Vitabu vya watoto", ["vitabu", "vya", "watoto"]),
        ("yo", "Àwọn ìwé", ["àwọn", "ìwé"]),
        ("sr", "кућа", ["kuc"]),
        ("sr-Latn", "kuća", ["kuc"]),
    ],
)
def test_each_language_has_its_own_analyzer(lang, text, expected):
    assert tokens(lang, text) == expected


@pytest.mark.parametrize("lang", sorted(set(ANALYZERS) - {"th"}))
def test_every_analyzer_of_the_table_is_in_the_jar_and_works(lang):
    chosen = choose(lang)
    assert (chosen.name, chosen.fallback) == (ANALYZERS[lang], None)
    assert analyse(chosen, "Zebra 123")


def test_no_language_analyzer_of_the_jar_is_left_out():
    """A jar with more of them should be noticed."""
    import zipfile

    general = {"standard", "classic", "core", "custom", "email", "miscellaneous", "query"}
    with zipfile.ZipFile(find_jar()) as jar:
        held = re.findall(r"org/apache/lucene/analysis/((\w+)/\w+Analyzer)\.class", "\n".join(jar.namelist()))
    found = {name.replace("/", ".") for name, package in held if package not in general}
    assert found - set(ANALYZERS.values()) == {"ja.JapaneseCompletionAnalyzer"}


@pytest.mark.parametrize("lang", MIRACL)
def test_every_language_of_miracl_is_served(lang):
    assert choose(lang).fallback is None or lang in ("sw", "yo", "th")
    assert found(Lucene(), ["2024 Nairobi", "Ankara"], "Nairobi", lang)[0][0] == 0


def test_thai_words_are_found_whatever_java():
    thai = choose("th")
    assert {"แมว", "นอน", "บ้าน"} <= set(analyse(thai, "แมวนอนในบ้าน"))
    assert (thai.name == "th.ThaiAnalyzer") == bool(thai.fallback is None)
    assert [d for d, _ in found(Lucene(), ["สุนัขวิ่งเร็ว", "แมวนอนในบ้าน"], "แมว", "th")] == [1]


def test_a_java_without_thai_is_served_by_pythainlp(monkeypatch, fresh):
    monkeypatch.setattr(lucene_analyzers, "_java_cuts_thai", lambda: False)
    thai = choose("th")
    assert re.fullmatch(r"pythainlp:newmm [\d.]+ \+ core\.WhitespaceAnalyzer", thai.name)
    assert thai.fallback == "this Java cannot segment Thai"
    assert analyse(thai, "แมวนอนในบ้าน") == ["แมว", "นอน", "ใน", "บ้าน"]


def test_without_pythainlp_thai_is_cut_into_character_pairs(monkeypatch, fresh):
    monkeypatch.setattr(lucene_analyzers, "_java_cuts_thai", lambda: False)
    monkeypatch.setattr(tokenizing, "_newmm", lambda: None)
    tokenizing.analyzer.cache_clear()
    thai = choose("th")
    tokenizing.analyzer.cache_clear()
    assert thai.name == "character-bigrams + core.WhitespaceAnalyzer"
    assert analyse(thai, "แมว") == ["แม", "มว"]


def test_a_java_with_thai_uses_lucenes_analyzer(monkeypatch, fresh):
    monkeypatch.setattr(lucene_analyzers, "_java_cuts_thai", lambda: True)
    assert choose("th") == Choice("th.ThaiAnalyzer", "th.ThaiAnalyzer")


def test_scripts_without_spaces_that_lucene_lacks_are_cut_into_character_pairs():
    assert choose("lo").name == "character-bigrams + core.WhitespaceAnalyzer"
    assert tokens("km", "ភាសា") == ["ភា", "ាស", "សា"]


def test_a_fallback_is_logged_once_and_stands_in_the_result(caplog, fresh):
    model = Lucene()
    for _ in range(2):
        model.index(["Ngôi nhà"], langs=["vi"])
    model.index(["ένα"], langs=["el"])
    assert [record.getMessage() for record in caplog.records if record.name == lucene.__name__] == [
        "pyserini: 'vi' is analysed by standard.StandardAnalyzer (Lucene has none for it; words and lower case, no stemming)"
    ]
    described = model.describe()
    assert described["analyzers"] == {"el": "el.GreekAnalyzer", "vi": STANDARD}
    assert list(described["fallbacks"]) == ["vi"]


def test_an_analyzer_that_an_older_jar_lacks_falls_back(monkeypatch, fresh):
    monkeypatch.setitem(ANALYZERS, "el", "el.NoSuchAnalyzer")
    assert choose("el").name == STANDARD
    assert choose("el").fallback == "this jar has no el.NoSuchAnalyzer; words and lower case, no stemming"


def test_scores_are_those_of_bm25s_on_whitespace_tokens():
    """Documents stay below 41 tokens: longer lengths are rounded by Lucene, which keeps them in one byte."""
    generator = np.random.default_rng(7)
    words = [f"w{n}" for n in range(60)]
    texts = [" ".join(generator.choice(words, size=generator.integers(1, 40))) for _ in range(300)]
    queries = [" ".join(generator.choice(words, size=4)) for _ in range(40)] + ["w1 w1 w2"]
    for k1, b in ((0.9, 0.4), (1.2, 0.75), (0.0, 0.0), (2.0, 1.0)):
        oracle = bm25s.BM25(k1=k1, b=b, method="lucene")
        oracle.index([text.split() for text in texts], show_progress=False)
        model = Lucene(k1=k1, b=b, analyzers="whitespace")
        index = model.index(texts, langs=["en"] * len(texts))
        hits = model.search(index, queries, langs=["en"] * len(queries), k=len(texts))
        assert hits.scores.dtype == np.float32
        for row, query in enumerate(queries):
            scores = np.full(len(texts), 0, np.float32)
            some = hits.documents[row] >= 0
            scores[hits.documents[row][some]] = hits.scores[row][some]
            np.testing.assert_allclose(scores, oracle.get_scores(query.split()), atol=1e-4)


def test_lengths_are_exact_up_to_40_tokens():
    """What the test above and the class's documentation rest on."""
    small = jvm.java_class("org.apache.lucene.util.SmallFloat")
    kept = [small.byte4ToInt(small.intToByte4(length)) for length in range(60)]
    assert kept[:41] == list(range(41))
    assert kept[41] == 40


def test_a_score_by_hand():
    """idf = ln(1 + (2 - 1 + 0.5) / (1 + 0.5)); tf = 1 / (1 + 0.9 (1 - 0.4 + 0.4 · 2 / 1.5))."""
    expected = np.log(2) / (1 + 0.9 * (0.6 + 0.4 * 2 / 1.5))
    assert found(Lucene(), ["green tea", "coffee"], "teas") == [(0, pytest.approx(expected, rel=1e-6))]


@pytest.mark.parametrize("copies", [3, MARGIN + 5, 400])
def test_a_tie_at_the_cut_is_complete(copies):
    texts = ["cat dog", *["a cat sat here"] * copies, "cat " * 3, "bird"]
    hits = found(Lucene(), texts, "cat", k=3)
    assert len(hits) == copies + 2
    assert {d for d, _ in hits[:2]} == {0, copies + 1}
    assert len({score for _, score in hits[2:]}) == 1


def test_without_a_tie_exactly_k_are_returned():
    texts = ["cat " * (n + 1) for n in range(12)]
    assert [d for d, _ in found(Lucene(), texts, "cat", k=5)] == [11, 10, 9, 8, 7]


def test_documents_keep_their_places_over_many_segments_and_merges(monkeypatch):
    monkeypatch.setattr(lucene, "BUFFER_MB", 0.2)
    texts = [f"word{n} common" + " filler" * (n % 97) for n in range(30_000)]
    model = Lucene(analyzers="whitespace")
    index = model.index(texts, langs=["en"] * len(texts))
    assert index.searcher.getIndexReader().leaves().size() > 1
    asked = list(range(0, 30_000, 7))
    hits = model.search(index, [f"word{n}" for n in asked], langs=["en"] * len(asked), k=1)
    assert hits.documents[:, 0].tolist() == asked


@pytest.mark.parametrize("query", ["", "   ", "zebra", "the", "?!", "\x00", 'AND OR NOT ( [ " * : ~'])
def test_a_query_without_known_words_finds_nothing(query):
    hits = Lucene().search(Lucene().index(["a cat"], langs=["en"]), [query], langs=["en"], k=5)
    assert hits.documents.tolist() == [[-1]]
    assert hits.scores.tolist() == [[-np.inf]]


def test_rows_are_padded():
    model = Lucene()
    index = model.index(["cat", "cat dog", "bird"], langs=["en"] * 3)
    hits = model.search(index, ["cat", "zebra", "bird"], langs=["en"] * 3, k=2)
    assert hits.documents.tolist() == [[0, 1], [-1, -1], [2, -1]]
    assert np.isneginf(hits.scores[hits.documents < 0]).all()


@pytest.mark.parametrize(("texts", "expected"), [(["one cat"], [0]), ([""], []), (["", "cat", ""], [1]), ([], [])])
def test_few_and_empty_documents(texts, expected):
    assert [d for d, _ in found(Lucene(), texts, "cat")] == expected


def test_no_queries():
    assert Lucene().search(Lucene().index(["cat"], langs=["en"]), [], langs=[], k=3).documents.shape[0] == 0


def test_a_query_as_long_as_a_document():
    query = " ".join(f"w{n}" for n in range(5000))
    assert found(Lucene(analyzers="whitespace"), ["w1 w2", "x"], query)[0][0] == 0


@pytest.mark.parametrize("text", ["𠮷野家", "😀", "𝒳", "naïve", "a\x00b cat"])
def test_characters_beyond_16_bits_survive(text):
    """On both ways into Java, and back."""
    assert "".join(analyse(Choice("", "core.KeywordAnalyzer"), text)) == text
    other = "".join(chr(ord(character) & 0xFFFF) if ord(character) > 0xFFFF else "?" for character in text)
    assert [d for d, _ in found(Lucene(analyzers="whitespace"), [other, text], text.split()[0])] == [1]


def test_a_lone_surrogate_does_no_harm():
    assert [d for d, _ in found(Lucene(), ["cat \ud800 dog"], "dog \udfff")] == [0]


def test_the_neutral_analyzer_takes_all_languages_in_one_index(fresh):
    model = Lucene(analyzers="neutral")
    assert model.per_language is False
    index = model.index(["The houses", "Die Häuser", "τα σπίτια"], langs=["en", "de", "el"])
    hits = model.search(index, ["die häuser", "σπίτια", "house"], langs=["de", "el", "en"], k=3)
    assert hits.documents[:, 0].tolist() == [1, 2, -1]
    assert model.describe()["analyzers"] == {"*": STANDARD}
    assert model.describe()["merge"].startswith("none")


def test_several_languages_in_one_index_are_an_error():
    with pytest.raises(ModelError, match="one language is indexed at a time, not de, en"):
        Lucene().index(["a", "b"], langs=["en", "de"])


def test_queries_are_analysed_as_the_documents():
    model = Lucene()
    index = model.index(["Die Häuser"], langs=["de"])
    assert model.search(index, ["haus"], langs=["en"], k=1).documents.tolist() == [[0]]


@pytest.mark.parametrize("given", [{"k1": -1}, {"k1": float("nan")}, {"b": 1.1}, {"k1": "x"}, {"analyzers": "english"}])
def test_arguments_out_of_range_are_refused(given):
    with pytest.raises(ConfigError, match=next(iter(given))):
        Lucene(**given)


def test_the_fingerprint_tells_what_changes_a_score():
    one = Lucene().fingerprint()
    assert one["reading"] == {"k1": 0.9, "b": 0.4, "merge": "raw"}  # carried out in searching: no index changes with them
    assert one["engine"].startswith("anserini-") and one["thai"] == choose("th").name
    for other in (Lucene(merge="rrf"), Lucene(analyzers="neutral"), Lucene(k1=1.2)):
        assert one != other.fingerprint()


def test_a_saved_index_answers_as_the_one_that_was_saved(tmp_path):
    texts = ["the cats sleep", "a cat", "dogs bark", "", "one cat, two cats"]
    model = Lucene()
    assert isinstance(model, StoredRetriever)
    index = model.index(texts, langs=["en"] * 5)
    (tmp_path / "saved").mkdir()
    model.save(index, tmp_path / "saved")
    wanted = model.search(index, ["cat", "barking dog", "none"], langs=["en"] * 3, k=2)
    index.close()
    fresh = Lucene(k1=0.9)
    loaded = fresh.load(tmp_path / "saved")
    found = fresh.search(loaded, ["cat", "barking dog", "none"], langs=["en"] * 3, k=2)
    assert found.documents.tolist() == wanted.documents.tolist() and found.scores.tolist() == wanted.scores.tolist()
    assert fresh.describe()["analyzers"] == {"en": "en.EnglishAnalyzer"}
    loaded.close()
    assert {path.name for path in (tmp_path / "saved").iterdir()} >= {"content.json", "segments_1"}
    assert not (tmp_path / "saved" / "write.lock").exists()


def test_k1_and_b_are_looked_at_when_a_loaded_index_is_searched(tmp_path):
    texts = ["cat cat dog", "cat fish bird cow"]
    made = Lucene().index(texts, langs=["en"] * 2)
    Lucene().save(made, tmp_path)
    other = Lucene(k1=2.0, b=0.9)
    wanted = other.search(other.index(texts, langs=["en"] * 2), ["cat"], langs=["en"], k=2)
    found = other.search(other.load(tmp_path), ["cat"], langs=["en"], k=2)
    assert found.scores.tolist() == wanted.scores.tolist() != Lucene().search(made, ["cat"], langs=["en"], k=2).scores.tolist()


def test_an_index_of_another_analyzer_is_built_again(tmp_path):
    model = Lucene()
    model.save(model.index(["katzen"], langs=["de"]), tmp_path)
    content = tmp_path / "content.json"
    content.write_text(content.read_text().replace("de.GermanAnalyzer", "de.OlderAnalyzer"))
    with pytest.raises(ValueError, match=r"it was made with de.OlderAnalyzer, and de.GermanAnalyzer is here"):
        model.load(tmp_path)


def test_indexes_are_kept_over_runs_and_merging_strategies(cache):
    mini = changed(load_benchmark("mini"), mixes="parallel", measures="nDCG@20")
    first = run(Lucene(), mini).result
    assert first.encoded["read"] == 0 < first.encoded["encoded"]
    again = run(Lucene(), mini).result
    assert again.encoded == {"encoded": 0, "read": first.encoded["encoded"]}
    assert again.settings == first.settings and again.model["analyzers"] == first.model["analyzers"]
    assert run(Lucene(merge="rrf"), mini).result.encoded["encoded"] == 0
    assert run(Lucene(analyzers="neutral"), mini).result.encoded["encoded"] > 0
    assert run(Lucene(analyzers="neutral"), mini).result.encoded["encoded"] == 0


def test_a_closed_index_is_an_error_and_its_files_are_gone(monkeypatch, tmp_path):
    monkeypatch.setattr(lucene.tempfile, "tempdir", str(tmp_path))
    model = Lucene()
    index = model.index(["cat"], langs=["en"])
    assert len(list(tmp_path.iterdir())) == 1
    index.close()
    index.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ModelError, match="the index is closed"):
        model.search(index, ["cat"], langs=["en"], k=1)


def test_an_index_goes_with_its_last_reference(monkeypatch, tmp_path):
    monkeypatch.setattr(lucene.tempfile, "tempdir", str(tmp_path))
    for n in range(50):
        index = Lucene().index([f"cat {n}"], langs=["en"])
    assert len(list(tmp_path.iterdir())) == 1
    del index
    assert list(tmp_path.iterdir()) == []


def test_a_failed_index_leaves_no_files(monkeypatch, tmp_path):
    monkeypatch.setattr(lucene.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(AttributeError):
        Lucene().index(["cat", None], langs=["en", "en"])
    assert list(tmp_path.iterdir()) == []


def test_an_exception_of_java_names_what_was_done():
    expected = r'^indexing: Java says java.lang.NumberFormatException: For input string: "x"$'
    with pytest.raises(ModelError, match=expected), jvm.java_errors("indexing"):
        jvm.java_class("java.lang.Integer").parseInt("x")


def test_too_little_memory_names_the_option():
    with pytest.raises(ModelError, match="JAVA_TOOL_OPTIONS=-Xmx8g"), jvm.java_errors("indexing"):
        jvm.java_class("java.util.Collections").nCopies(2**31 - 1, "x").toArray()


def python(code, **environment):
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
    )


START = "from mimo_eval.models.lucene import Lucene\nm = Lucene()\nindex = m.index(['a cat'], langs=['en'])\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_is_told_and_leaves_its_parents_index_alone(tmp_path):
    done = python(
        START
        + "import os, sys\n"
        + "pid = os.fork()\n"
        + "if pid == 0:\n"
        + "    try: m.search(index, ['cat'], langs=['en'], k=1)\n"
        + "    except Exception as error: print(type(error).__name__, error, flush=True)\n"
        + "    sys.exit(3)\n"
        + "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(os.listdir(os.environ['TMPDIR'])))\n"
        + "print(m.search(index, ['cat'], langs=['en'], k=1).documents.tolist())\n",
        TMPDIR=str(tmp_path),
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ModelError Java was started before this process was forked"), done.stderr
    assert lines[1:] == ["3 1", "[[0]]"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_before_java_starts_may_use_it():
    done = python("import os\nif os.fork() == 0:\n    pass\nelse:\n    os.wait()\n" + START + "print('searched')\n")
    assert done.stdout.splitlines() == ["searched", "searched"], done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_reaches_python():
    code = START + "print('ready', flush=True)\nwhile True: m.search(index, ['cat'] * 100, langs=['en'] * 100, k=1)\n"
    wrapped = (
        "try:\n" + "".join(f"    {line}\n" for line in code.splitlines()) + "except KeyboardInterrupt: print('interrupted')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", wrapped], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=240)[0] == "interrupted\n"
        assert process.returncode == 0


def test_nothing_is_printed_and_pyserini_is_not_imported():
    done = python(START + "m.search(index, ['cat'], langs=['en'], k=1)\nimport sys\nprint('pyserini' in sys.modules)\n")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_environment_variables_are_put_back():
    done = python(f"import os\nbefore = dict(os.environ)\n{START}print(dict(os.environ) == before)\n", JVM_PATH="unused")
    assert done.stdout == "True\n", done.stderr
