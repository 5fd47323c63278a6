"""What is put before queries and documents: what the user gives, what a model's own files say, or what its family is known for.

A wrong or missing prompt changes scores silently, so each has its source beside it, which the result records. The model's own
files win over the table of families, which is for models whose files say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from mimo_eval.protocols import Role

OWN: dict[Role, tuple[str, ...]] = {
    "query": ("query", "retrieval.query", "Retrieval-query", "web_search_query"),
    "document": ("document", "passage", "corpus", "retrieval.passage", "Retrieval-document"),
}
"""Names under which models' own files keep the prompts of retrieval, the first that is not empty wins."""
GIVEN, FILES, NONE = "given", "the model's files", "none"
SEARCH = "Given a web search query, retrieve relevant passages that answer the query"
"""The task that instructed models name on their cards for retrieval."""
HUB = "https://huggingface.co/"


class Prompt(NamedTuple):
    """What is put before the texts of one role."""

    text: str
    source: str
    """`given`, `the model's files`, `none`, or the family with the address of the card that says so."""


class Family(NamedTuple):
    """Models that were trained with the same prompts."""

    name: str
    ids: str
    """Regular expression; a model belongs to the family if the last part of its id or folder matches as a whole."""
    query: str
    document: str
    card: str
    """A model of the family, whose card says so."""
    tasks: Mapping[Role, str] = {}
    """For models with an adapter per task, the adapters of retrieval: `task` of sentence-transformers' `encode`."""

    @property
    def source(self) -> str:
        """What a result records."""
        return f"family {self.name}: {HUB}{self.card}"


FAMILIES = (
    Family("e5", r"(multilingual-)?e5-(small|base|large)(-v2)?", "query: ", "passage: ", "intfloat/multilingual-e5-small"),
    Family(
        "e5 instruct", r"multilingual-e5-large-instruct|e5-mistral-7b-instruct", f"Instruct: {SEARCH}\nQuery: ", "",
        "intfloat/multilingual-e5-large-instruct",
    ),
    Family(
        "bge, English", r"bge-(small|base|large)-en(-v1\.5)?", "Represent this sentence for searching relevant passages: ", "",
        "BAAI/bge-base-en-v1.5",
    ),
    Family(
        "bge, Chinese", r"bge-(small|base|large)-zh(-v1\.5)?", "为这个句子生成表示以用于检索相关文章：", "",
        "BAAI/bge-base-zh-v1.5",
    ),
    Family("bge-m3", r"bge-m3(-unsupervised|-retromae)?", "", "", "BAAI/bge-m3"),
    Family(
        "bge, Gemma", r"bge-multilingual-gemma2", f"<instruct>{SEARCH}.\n<query>", "", "BAAI/bge-multilingual-gemma2"
    ),
    Family(
        "gte instruct", r"gte-qwen[\d.]+-[\d.]+b-instruct", f"Instruct: {SEARCH}\nQuery: ", "",
        "Alibaba-NLP/gte-Qwen2-7B-instruct",
    ),
    Family(
        "gte", r"gte-((small|base|large)(-zh|-en-v1\.5)?|multilingual-base|modernbert-base)", "", "",
        "Alibaba-NLP/gte-multilingual-base",
    ),
    Family("qwen", r"qwen3-embedding-[\d.]+b", f"Instruct: {SEARCH}\nQuery:", "", "Qwen/Qwen3-Embedding-0.6B"),
    Family(
        "gemma", r"embeddinggemma-(\d+m|2)", "task: search result | query: ", "title: none | text: ",
        "google/embeddinggemma-300m",
    ),
    Family("jina v2", r"jina-embeddings-v2-(small|base)-[a-z]{2,4}", "", "", "jinaai/jina-embeddings-v2-base-en"),
    Family(
        "jina v3", r"jina-embeddings-v3", "Represent the query for retrieving evidence documents: ",
        "Represent the document for retrieval: ", "jinaai/jina-embeddings-v3",
        {"query": "retrieval.query", "document": "retrieval.passage"},
    ),
    Family(
        "jina v4", r"jina-embeddings-v4", "Query: ", "Passage: ", "jinaai/jina-embeddings-v4",
        {"query": "retrieval", "document": "retrieval"},
    ),
    Family(
        "jina v5", r"jina-embeddings-v5-text-(small|nano)(-retrieval)?", "Query: ", "Document: ",
        "jinaai/jina-embeddings-v5-text-small", {"query": "retrieval", "document": "retrieval"},
    ),
)  # fmt: skip
"""Prompts of known families, empty where a family needs none."""


def family(model: str) -> Family | None:
    """Return the family of a model.

    :param model: hub id or folder.
    :return: its family by the last part of that name; None if it is of no known one.
    """
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return next((known for known in FAMILIES if re.fullmatch(known.ids, last, re.IGNORECASE)), None)


def task(model: str, role: Role) -> str | None:
    """Return the adapter that a model of a known family has for a role.

    :param model: hub id or folder.
    :param role: `query` or `document`.
    :return: its name; None where there is one model for everything.
    """
    known = family(model)
    return known.tasks.get(role) if known else None


def own(prompts: Mapping[str, Any], default: str | None, role: Role) -> str:
    """Return what a model's own prompts say of a role.

    :param prompts: name to text, as in `config_sentence_transformers.json`.
    :param default: name of the prompt that is put before every text if there is none for retrieval.
    :param role: `query` or `document`.
    :return: the text, empty if there is none.
    """
    for name in OWN[role]:
        if prompts.get(name):
            return str(prompts[name])
    if not any(name in prompts for names in OWN.values() for name in names):
        return str(prompts.get(default or "") or "")
    return ""


def find(model: str, config: Mapping[str, Any], role: Role) -> Prompt:
    """Return the prompt of a role: the model's own, else its family's.

    :param model: hub id or folder.
    :param config: the model's sentence-transformers settings.
    :param role: `query` or `document`.
    :return: the prompt and where it comes from.
    """
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if any(own(prompts, default, each) for each in OWN):
        return Prompt(own(prompts, default, role), FILES)
    known = family(model)
    if known is None or any(prompts.values()):
        return Prompt("", NONE)
    return Prompt(known.query if role == "query" else known.document, known.source)
