"""Prompts of known families, and what wins over them."""

from __future__ import annotations

import re

import pytest

from mimo_eval.models.prompts import FAMILIES, FILES, NONE, Prompt, family, find, own

INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


@pytest.mark.parametrize(
    ("model", "name", "query", "document"),
    [
        ("intfloat/multilingual-e5-small", "e5", "query: ", "passage: "),
        ("intfloat/e5-large-v2", "e5", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large-instruct", "e5 instruct", f"{INSTRUCT} ", ""),
        ("BAAI/bge-base-en-v1.5", "bge, English", "Represent this sentence for searching relevant passages: ", ""),
        ("BAAI/bge-small-zh", "bge, Chinese", "为这个句子生成表示以用于检索相关文章：", ""),
        ("BAAI/bge-m3", "bge-m3", "", ""),
        ("Alibaba-NLP/gte-Qwen2-1.5B-instruct", "gte instruct", f"{INSTRUCT} ", ""),
        ("Alibaba-NLP/gte-multilingual-base", "gte", "", ""),
        ("Qwen/Qwen3-Embedding-0.6B", "qwen", INSTRUCT, ""),
        ("google/embeddinggemma-300m", "gemma", "task: search result | query: ", "title: none | text: "),
        ("jinaai/jina-embeddings-v2-base-de", "jina v2", "", ""),
        ("google/embeddinggemma-2", "gemma", "task: search result | query: ", "title: none | text: "),
        ("jinaai/jina-embeddings-v4", "jina v4", "Query: ", "Passage: "),
        ("jinaai/jina-embeddings-v5-text-small", "jina v5", "Query: ", "Document: "),
        ("jinaai/jina-embeddings-v5-text-nano-retrieval", "jina v5", "Query: ", "Document: "),
        (r"C:\models\e5-base/", "e5", "query: ", "passage: "),
    ],
)
def test_families(model: str, name: str, query: str, document: str) -> None:
    known = family(model)
    assert known is not None and known.name == name
    assert [find(model, {}, role).text for role in ("query", "document")] == [query, document]
    assert find(model, {}, "query").source == f"family {name}: https://huggingface.co/{known.card}"


@pytest.mark.parametrize("model", ["BAAI/bge-reranker-v2-m3", "org/e5-small-tuned", "org/my-e5-small", "bert-base-cased"])
def test_other_models_have_no_family(model: str) -> None:
    assert family(model) is None and find(model, {}, "query") == Prompt("", NONE)


def test_every_family_holds_the_model_whose_card_it_cites_and_no_other_family_does() -> None:
    for known in FAMILIES:
        last = known.card.split("/")[1]
        assert [f.name for f in FAMILIES if re.fullmatch(f.ids, last, re.I)] == [known.name]


def test_a_models_own_prompts_win_also_for_the_role_they_leave_out() -> None:
    config = {"prompts": {"query": "own: "}}
    assert find("intfloat/e5-small", config, "query") == Prompt("own: ", FILES)
    assert find("intfloat/e5-small", config, "document") == Prompt("", FILES)
    assert find("intfloat/e5-small", {"prompts": {"query": "", "document": ""}}, "document").text == "passage: "
    assert find("intfloat/e5-small", {"prompts": {"sts": "same? "}}, "query") == Prompt("", NONE)


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({"retrieval.query": "q", "retrieval.passage": "p"}, "q", "p"),
        ({"Retrieval-query": "q", "Retrieval-document": "d"}, "q", "d"),
        ({"web_search_query": "w", "sts_query": "s"}, "w", ""),
        ({"query": "", "passage": "p", "document": ""}, "", "p"),
    ],
)
def test_names_that_models_use(prompts: dict[str, str], query: str, document: str) -> None:
    assert (own(prompts, None, "query"), own(prompts, None, "document")) == (query, document)
