"""Mixes: properties that hold for any collection, and small ones counted by hand."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimo_eval.collections import Collection, load
from mimo_eval.errors import ConfigError
from mimo_eval.mixing import KINDS, Mix, corpora, partition, pools

LANGUAGES = ("de", "en", "fr", "zh")
TEXTS = [
    "parallel",
    "union",
    "partition",
    "partition(seed=5)",
    "partition(en=0.7,de=0.3)",
    "away",
    "away(de=3,zh=1,seed=2)",
    "monolingual",
    "cross-lingual",
    "bilingual",
    "bilingual(de+zh)",
    "parallel(max_documents=4)",
    "partition(max_documents=3)",
    "monolingual(max_documents=2,seed=1)",
]
quick = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def rows(draw):
    """Documents and queries that stand in any of four languages, and graded judgements between their groups."""
    versions = st.sets(st.sampled_from(LANGUAGES), min_size=1)
    documents = [(f"g{n}", sorted(found)) for n, found in enumerate(draw(st.lists(versions, min_size=1, max_size=9)))]
    queries = [(f"h{n}", sorted(found)) for n, found in enumerate(draw(st.lists(versions, min_size=1, max_size=4)))]
    pairs = st.tuples(st.integers(0, len(queries) - 1), st.integers(0, len(documents) - 1))
    judged = draw(st.dictionaries(pairs, st.integers(0, 2), max_size=10).filter(lambda found: any(found.values())))
    return (
        [{"_id": f"{lang}:{g}", "text": f"{lang} {g}", "lang": lang, "group": g} for g, found in documents for lang in found],
        [{"_id": f"{lang}:{h}", "text": f"{lang} {h}?", "lang": lang, "group": h} for h, found in queries for lang in found],
        [f"h{q}\tg{d}\t{gain}" for (q, d), gain in judged.items()],
    )


def write(folder: Path, corpus, queries, qrels) -> Path:
    folder.mkdir(parents=True)
    for name, part in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    (folder / "qrels.tsv").write_text("\n".join(["query_group\tdoc_group\trel", *qrels, ""]))
    return folder


def made(content) -> Collection:
    with tempfile.TemporaryDirectory() as temporary:
        return load(str(write(Path(temporary) / "toy", *content)))


def groups(collection: Collection, at: np.ndarray) -> list[str]:
    return collection.documents.column("group").take(at).to_pylist()


def picture(collection: Collection, mix: Mix) -> list[tuple]:
    """What a mix is, in names instead of rows."""
    return [
        (
            pool.name,
            pool.dropped,
            {lang: sorted(collection.documents.ids(at)) for lang, at in pool.documents.items()},
            sorted(collection.queries.ids(pool.queries)),
            sorted(
                zip(
                    collection.queries.ids(pool.queries[pool.judged_query]),
                    collection.documents.ids(pool.judged_document),
                    pool.judged_gain.tolist(),
                    strict=True,
                )
            ),
        )
        for pool in pools(collection, mix)
    ]


def fits(collection: Collection, text: str) -> Mix | None:
    """The mix, if the collection has the languages that it names."""
    mix = Mix.parse(text)
    named = {lang for lang, _ in mix.shares} | set(mix.pair or ())
    return mix if named <= set(collection.documents.languages) else None


class TestProperties:
    @quick
    @given(rows(), st.integers(0, 1000))
    def test_any_order_and_any_sharding_of_the_input_give_the_same_mix(self, content, seed):
        shuffle = random.Random(seed)
        with tempfile.TemporaryDirectory() as temporary:
            first = load(str(write(Path(temporary) / "a", *content)))
            second = load(str(write(Path(temporary) / "b", *(shuffle.sample(part, len(part)) for part in content))))
            for lang in LANGUAGES:
                parts = [[row for row in part if row["lang"] == lang] for part in content[:2]]
                write(Path(temporary) / "c" / lang, *parts, content[2] if lang == "de" else [])
            third = load(str(Path(temporary) / "c"))
        assert first.revision == second.revision == third.revision
        for mix in filter(None, (fits(first, text) for text in TEXTS)):
            assert picture(first, mix) == picture(second, mix) == picture(third, mix)

    @quick
    @given(rows())
    def test_pools_hold_what_they_promise(self, content):
        collection = made(content)
        relevance = {tuple(row.split("\t")[:2]): int(row.split("\t")[2]) for row in content[2]}
        texts = {row["_id"]: row for part in content[:2] for row in part}
        for mix in filter(None, (fits(collection, text) for text in TEXTS)):
            for _, _, documents, queries, judged in picture(collection, mix):
                inside = {name for found in documents.values() for name in found}
                assert all(texts[name]["lang"] == lang for lang, found in documents.items() for name in found)
                # every positive is reachable, and every asked query has one
                assert {d for _, d, _ in judged} <= inside
                assert {q for q, _, gain in judged if gain > 0} == set(queries)
                # exactly the judgements of the asked queries on the members of the corpus
                assert set(judged) == {
                    (q, d, relevance[texts[q]["group"], texts[d]["group"]])
                    for q in queries
                    for d in inside
                    if (texts[q]["group"], texts[d]["group"]) in relevance
                }

    @quick
    @given(rows(), st.integers(0, 5), st.sampled_from(["partition", "away"]))
    def test_no_group_stands_twice_in_a_partition_and_none_is_lost(self, content, seed, kind):
        collection = made(content)
        chosen = groups(collection, np.flatnonzero(partition(collection, Mix(kind, seed))))
        assert len(set(chosen)) == len(chosen)
        assert set(chosen) == {row["group"] for row in content[0]}

    @quick
    @given(rows(), st.integers(0, 5))
    def test_away_asks_only_what_no_document_of_the_querys_language_answers(self, content, seed):
        collection = made(content)
        asked = {}
        for kind in ("partition", "away"):
            ((*_, documents, queries, judged),) = picture(collection, Mix(kind, seed)) or [({}, [], [])]
            asked[kind] = documents, set(queries), judged
        positives = [(q, d) for q, d, gain in asked["away"][2] if gain > 0]
        assert not [pair for pair in positives if pair[0][:2] == pair[1][:2]]
        at_home = {q for q, d, gain in asked["partition"][2] if gain > 0 and q[:2] == d[:2]}
        assert asked["away"][1] == asked["partition"][1] - at_home
        if asked["away"][1]:
            assert asked["away"][0] == asked["partition"][0]

    @quick
    @given(rows(), st.integers(1, 30), st.sampled_from(["parallel", "partition", "monolingual", "bilingual"]))
    def test_a_sample_keeps_judged_documents_and_whole_groups_within_its_size(self, content, most, kind):
        collection = made(content)
        full = {pool.name: pool for pool in pools(collection, Mix(kind))}
        sampled = pools(collection, Mix(kind, max_documents=most))
        assert {pool.name for pool in sampled} == set(full)
        for pool in sampled:
            members = np.concatenate(list(pool.documents.values()))
            all_of = np.concatenate(list(full[pool.name].documents.values()))
            kept = set(groups(collection, members))
            assert set(pool.judged_document) <= set(members.tolist())
            assert len(pool.judged_document) == len(full[pool.name].judged_document)
            assert {n for n, g in zip(all_of.tolist(), groups(collection, all_of), strict=True) if g in kept} == set(
                members.tolist()
            )
            demanded = set(groups(collection, pool.judged_document))
            needed = sum(g in demanded for g in groups(collection, all_of))
            assert pool.size <= max(most, needed)

    @quick
    @given(
        st.sampled_from(["partition", "away"]),
        st.dictionaries(st.sampled_from(["de", "en", "sr-Latn"]), st.floats(0, 1e9, allow_subnormal=False)),
        st.integers(0, 10**9),
        st.none() | st.integers(1, 10**9),
    )
    def test_a_mix_is_read_back_from_what_it_prints(self, kind, shares, seed, most):
        if not shares or sum(shares.values()) > 0:
            mix = Mix(kind, seed, tuple(sorted(shares.items())), max_documents=most)
            assert Mix.parse(str(mix)) == mix


@pytest.fixture
def parallel(collect):
    """Build a fully parallel collection of some size; every query group asks for one document group."""

    def build(size, languages=LANGUAGES, queries=2):
        documents = {lang: {f"g{n}": f"{lang} {n}" for n in range(size)} for lang in languages}
        asked = {lang: {f"h{n}": f"{lang} {n}?" for n in range(queries)} for lang in languages}
        return collect(documents, asked, {f"h{n}": {f"g{n}": 1} for n in range(queries)}, f"toy{size}")

    return build


def share(collection, mix, lang):
    chosen = partition(collection, mix)
    return float(chosen[collection.documents.rows(lang)].sum() / chosen.sum())


@pytest.mark.parametrize("seed", range(3))
def test_shares_come_out_within_four_standard_errors(parallel, seed):
    collection = parallel(4000)
    for lang in LANGUAGES:
        assert share(collection, Mix("partition", seed), lang) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)
    given_shares = {"de": 0.1, "en": 0.7, "fr": 0.2}
    mix = Mix("partition", seed, tuple(given_shares.items()))
    for lang, wanted in given_shares.items():
        assert share(collection, mix, lang) == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / 4000) ** 0.5)
    assert share(collection, mix, "zh") == 0


def test_only_the_ratio_of_shares_counts(parallel):
    collection = parallel(300)
    one, two = (Mix.parse(f"partition({text})") for text in ("en=0.2,de=0.8", "en=1,de=4"))
    assert np.array_equal(partition(collection, one), partition(collection, two))


def test_a_raised_share_only_moves_groups_to_that_language(parallel):
    collection = parallel(300)
    less, more = (partition(collection, Mix.parse(f"partition(en={n},de=1,fr=1)")) for n in (1, 2))
    for lang in ("de", "fr"):
        assert not (more & ~less)[collection.documents.rows(lang)].any()


def test_seeds_differ(parallel):
    collection = parallel(300)
    one, two = (partition(collection, Mix("partition", seed)) for seed in (0, 1))
    rows = collection.documents.rows("en")
    both = (one & two)[rows].sum()
    assert both == pytest.approx(300 / 16, abs=18)  # independent draws agree on 1/4 × 1/4 of the groups
    samples = [{d for found in p[2].values() for d in found} for seed in (0, 1)
               for p in picture(collection, Mix("parallel", seed, max_documents=100))]  # fmt: skip
    assert samples[0] != samples[1]


def test_the_draw_of_a_group_does_not_depend_on_what_else_is_there(parallel):
    small, large = parallel(50), parallel(300)
    chosen = [{name for name in c.documents.ids(np.flatnonzero(partition(c, Mix("partition"))))} for c in (small, large)]
    assert chosen[0] == {name for name in chosen[1] if int(name[4:]) < 50}


def test_a_draw_is_fixed_for_all_time(collect):
    collection = collect({lang: {f"g{n}": "x" for n in range(8)} for lang in LANGUAGES}, {"en": {"h": "?"}}, {"h": {"g0": 1}})
    chosen = sorted(collection.documents.ids(np.flatnonzero(partition(collection, Mix("partition", 7)))), key=lambda i: i[3:])
    assert " ".join(chosen) == FIXED


FIXED = "zh:g0 en:g1 fr:g2 zh:g3 fr:g4 zh:g5 zh:g6 zh:g7"


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_draw_does_not_depend_on_how_many_names_are_read_at_a_time(parallel, monkeypatch, piece):
    collection = parallel(40)
    before = partition(collection, Mix("partition", 3))
    monkeypatch.setattr(corpora, "PIECE", piece)
    assert np.array_equal(partition(collection, Mix("partition", 3)), before)


def test_families_have_a_corpus_per_language_or_pair(parallel):
    collection = parallel(3, ("de", "en", "zh"))
    names = {kind: [pool.name for pool in pools(collection, Mix.parse(kind))] for kind in KINDS}
    assert names["multi-monolingual"] == ["de", "en", "zh"]
    assert names["cross-lingual"] == ["de-en", "de-zh", "en-de", "en-zh", "zh-de", "zh-en"]
    assert names["bilingual"] == ["en+de", "en+zh"]
    assert names["mlir"] == names["union"] == names["away"] == [""]
    for pool in pools(collection, Mix("bilingual")):
        assert pool.size == 6
        assert len(pool.queries) == 4
        assert len(pool.judged_document) == 8  # four queries, both versions each
    (pair,) = pools(collection, Mix.parse("bilingual(zh+de)"))
    assert (pair.name, sorted(pair.documents)) == ("zh+de", ["de", "zh"])


def test_counts_of_a_parallel_pool_are_known(parallel):
    (pool,) = pools(parallel(5), Mix())
    assert (pool.size, len(pool.queries), len(pool.judged_document)) == (20, 8, 32)
    assert pool.dropped == {}


def test_partially_parallel_collections_lose_what_nobody_can_answer(collect):
    collection = collect(
        {"de": {"g0": "a", "g1": "b"}, "en": {"g0": "c"}},
        {"de": {"h0": "?", "h1": "?"}, "en": {"h1": "?"}, "sw": {"h0": "?"}},
        {"h0": {"g0": 1}, "h1": {"g1": 1}},
    )
    assert [(p[0], p[1], p[3]) for p in picture(collection, Mix("monolingual"))] == [("de", {}, ["de:h0", "de:h1"])]
    cross = {p[0]: (p[1], p[3]) for p in picture(collection, Mix("cross-lingual"))}
    why = "no relevant document in the corpus"
    assert cross == {
        "de-en": ({why: 1}, ["de:h0"]),
        "en-de": ({}, ["en:h1"]),
        "sw-de": ({}, ["sw:h0"]),
        "sw-en": ({}, ["sw:h0"]),
    }


def test_away_counts_what_it_does_not_ask(collect):
    collection = collect({"de": {"g": "a"}}, {"de": {"h": "?", "i": "?"}, "en": {"h": "?"}}, {"h": {"g": 1}})
    (pool,) = pools(collection, Mix("away"))
    assert collection.queries.ids(pool.queries) == ["en:h"]
    assert pool.dropped == {
        "no relevant document in the corpus": 1,
        "a relevant document in the query's own language": 1,
    }


def test_one_query_and_one_document_make_a_corpus(collect):
    collection = collect({"de": {"g": "a"}}, {"de": {"h": "?"}}, {"h": {"g": 1}})
    for text in ("parallel", "union", "partition", "monolingual", "partition(de=1)", "parallel(max_documents=1)"):
        (pool,) = pools(collection, Mix.parse(text))
        assert (pool.size, pool.queries.tolist(), pool.judged_document.tolist()) == (1, [0], [0])
    for text in ("away", "cross-lingual", "bilingual"):
        assert pools(collection, Mix.parse(text)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paralel", "unknown mix 'paralel'; did you mean parallel?"),
        ("xyz", "choose one of away, bilingual"),
        ("parallel(en)", "unknown argument 'en' of parallel; it takes seed, max_documents"),
        ("monolingual(en=1)", "unknown argument 'en' of monolingual"),
        ("parallel(max_docs=3)", "unknown argument 'max_docs' of parallel (did you mean 'max_documents'?)"),
        ("partition(seeds=3)", "did you mean seed?"),
        ("partition(maxdocuments=3)", "did you mean max_documents?"),
        ("partition(uniform,en=1)", "unknown argument 'uniform' of partition"),
        (
            "partition(unifrom)",
            "unknown argument 'unifrom' of partition; it takes uniform or shares such as en=0.7,de=0.3",
        ),
        ("partition(xx=1)", "'xx' is not a known language"),
        ("partition(en=-1)", "must be a number of at least 0, not -1"),
        ("partition(en=nan)", "must be a number of at least 0, not 'nan'"),
        ("partition(en=true)", "must be a number"),
        ("partition(en=0,de=0)", "the shares are all 0"),
        ("partition(en=1,eng=2)", "a language has two shares"),
        ("partition(en=1,en=2)", "given twice"),
        ("bilingual(en)", "it takes a pair such as en+de"),
        ("bilingual(en+de+fr)", "unknown argument 'en+de+fr' of bilingual"),
        ("bilingual(en+xx)", "'xx' is not a known language"),
        ("bilingual(en+eng)", "needs two languages"),
        ("parallel(seed=-1)", "seed must be a whole number of at least 0"),
        ("parallel(seed=1.5)", "not 1.5"),
        ("parallel(seed=true)", "not True"),
        ("parallel(max_documents=0)", "at least 1, not 0"),
        ("", "a name is missing"),
        ("parallel(", "closing bracket is missing"),
    ],
)
def test_a_bad_mix_is_refused_with_the_remedy(text, message):
    with pytest.raises(ConfigError) as refused:
        Mix.parse(text)
    assert message in str(refused.value)


def test_a_bad_mix_made_in_python_is_refused_too():
    for options, message in (({"kind": "mlir2"}, "unknown mix"), ({"seed": -1}, "seed"), ({"max_documents": 0}, "max_doc")):
        with pytest.raises(ConfigError, match=message):
            Mix(**options)


def test_languages_that_the_collection_lacks_are_named(parallel):
    collection = parallel(2, ("de", "en"))
    for text in ("partition(en=1,fr=1)", "away(fr=1)", "bilingual(en+fr)"):
        with pytest.raises(ConfigError, match="has no documents in fr; it has de, en"):
            pools(collection, Mix.parse(text))
    assert len(pools(collection, Mix.parse("partition(en=1,fr=0)"))) == 1


def test_settings_and_kinds_are_both_understood():
    assert Mix.parse("mlir") == Mix.parse("parallel") == Mix()
    assert Mix.parse("multi-monolingual").setting == "multi-monolingual"
    assert str(Mix.parse("bilingual( en + de )".replace(" ", ""))) == "bilingual(en+de)"
    assert Mix.parse("partition(uniform)") == Mix("partition")
    assert Mix.parse("partition(deu=2,en_US=1)").shares == (("de", 2.0), ("en", 1.0))
