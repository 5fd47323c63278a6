"""The tasks that MTEB gets, as data: which collection under which mix, and what a task's metadata must say of it.

A name stands for a fixed definition. A changed one gets a new name (`….v2`), as MTEB does it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mimo_eval.digests import digest
from mimo_eval.languages import normalise
from mimo_eval.mixing import Mix

SPLIT = "test"


@dataclass(frozen=True)
class Origin:
    """A collection as a task's metadata describes it; the fields are MTEB's own."""

    collection: str
    """Name, with options if need be."""
    languages: tuple[str, ...]
    """Languages of the documents, in any common spelling."""
    what: str
    """What is sought, for the description."""
    reference: str
    date: tuple[str, str]
    domains: tuple[str, ...]
    license: str
    annotations: str
    creation: str
    citation: str
    benchmark: str = ""
    """The benchmark of this package that the languages are taken from."""
    parent: str = ""
    """MTEB's own task on the same texts."""
    asked: tuple[str, ...] = ()
    """Languages of the queries; those of the documents if empty."""
    main: str = "ndcg_at_20"
    prompt: str = ""
    """Instruction for queries, where MTEB's task has one."""
    within: bool = False
    """Whether only documents in the query's own language are judged."""
    same: tuple[str, ...] = ()
    """Names of this collection in results, where they differ."""
    twin: str = ""
    """A collection with the same texts under other ids, which can be downloaded where this one cannot."""


@dataclass(frozen=True)
class Definition:
    """One task: a collection under a mix, a subset per query language."""

    name: str
    origin: Origin
    mix: str

    @property
    def languages(self) -> tuple[str, ...]:
        """Canonical codes of the documents' languages, sorted."""
        return tuple(sorted(normalise(code) for code in self.origin.languages))

    @property
    def asked(self) -> tuple[str, ...]:
        """Canonical codes of the queries' languages, sorted: the names of the subsets."""
        return tuple(sorted(normalise(code) for code in self.origin.asked or self.origin.languages))

    @property
    def sources(self) -> tuple[str, ...]:
        """Collections with the task's corpus, best first; not the twin where documents are drawn by their ids."""
        drawn = Mix.parse(self.mix).kind in ("partition", "away")
        return (self.origin.collection,) if drawn or not self.origin.twin else (self.origin.collection, self.origin.twin)

    @property
    def description(self) -> str:
        """What the task is, in a sentence or two."""
        kind = Mix.parse(self.mix).kind
        pool = POOLS["within" if kind == "union" and self.origin.within else kind]
        return f"{self.origin.what} {pool}".format(n=len(self.languages))


POOLS = {
    "parallel": (
        "in one corpus that holds every version in {n} languages; every version of an answer is relevant. A subset is the "
        "language of the queries; all subsets search the same corpus."
    ),
    "partition": (
        "in one corpus of {n} languages in which each document stands in one language, drawn by a hash; relevant is the "
        "version that was drawn. A subset is the language of the queries; all subsets search the same corpus."
    ),
    "away": (
        "in one corpus of {n} languages in which each document stands in one language, drawn by a hash; only queries whose "
        "answer is in another language than theirs are asked. A subset is the language of the queries."
    ),
    "union": (
        "in one corpus that unites {n} languages; what is relevant may be in any of them. A subset is the language of the "
        "queries; all subsets search the same corpus."
    ),
    "within": (
        "in one corpus that unites {n} languages; documents in other languages than the query's are not judged. A subset is "
        "the language of the queries; all subsets search the same corpus."
    ),
}
"""How the description of a mix ends."""

XQUAD_CITATION = r"""
@inproceedings{artetxe-etal-2020-cross,
  author = {Artetxe, Mikel and Ruder, Sebastian and Yogatama, Dani},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational Linguistics},
  pages = {4623--4637},
  title = {On the Cross-lingual Transferability of Monolingual Representations},
  year = {2020},
}

@inproceedings{roy-etal-2020-lareqa,
  author = {Roy, Uma and Constant, Noah and Al-Rfou, Rami and Barua, Aditya and Phillips, Aaron and Yang, Yinfei},
  booktitle = {Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing},
  pages = {5919--5930},
  title = {{LAReQA}: Language-Agnostic Answer Retrieval from a Multilingual Pool},
  year = {2020},
}
"""
BELEBELE_CITATION = r"""
@article{bandarkar2023belebele,
  author = {Lucas Bandarkar and Davis Liang and Benjamin Muller and Mikel Artetxe and Satya Narayan Shukla and Donald Husa and
Naman Goyal and Abhinandan Krishnan and Luke Zettlemoyer and Madian Khabsa},
  journal = {arXiv preprint arXiv:2308.16884},
  title = {The Belebele Benchmark: a Parallel Reading Comprehension Dataset in 122 Language Variants},
  year = {2023},
}
"""
MLQA_CITATION = r"""
@article{lewis2019mlqa,
  author = {Lewis, Patrick and Oguz, Barlas and Rinott, Ruty and Riedel, Sebastian and Schwenk, Holger},
  journal = {arXiv preprint arXiv:1910.07475},
  title = {MLQA: Evaluating Cross-lingual Extractive Question Answering},
  year = {2019},
}
"""
MMARCO_CITATION = r"""
@article{bonifacio2021mmarco,
  author = {Luiz Bonifacio and Israel Campiotti and Roberto de Alencar Lotufo and Rodrigo Frassetto Nogueira},
  journal = {CoRR},
  title = {mMARCO: {A} Multilingual Version of {MS} {MARCO} Passage Ranking Dataset},
  volume = {abs/2108.13897},
  year = {2021},
}
"""
MIRACL_CITATION = r"""
@article{10.1162/tacl_a_00595,
  author = {Zhang, Xinyu and Thakur, Nandan and Ogundepo, Odunayo and Kamalloo, Ehsan and Alfonso-Hermelo, David and Li,
Xiaoguang and Liu, Qun and Rezagholizadeh, Mehdi and Lin, Jimmy},
  doi = {10.1162/tacl_a_00595},
  journal = {Transactions of the Association for Computational Linguistics},
  pages = {1114--1131},
  title = {{MIRACL: A Multilingual Retrieval Dataset Covering 18 Diverse Languages}},
  volume = {11},
  year = {2023},
}
"""
MULTIEUP_CITATION = r"""
@inproceedings{yang-etal-2024-language-bias,
  author = {Yang, Jinrui and Jiang, Fan and Baldwin, Timothy},
  booktitle = {Proceedings of the Fourth Workshop on Multilingual Representation Learning (MRL 2024)},
  title = {Language Bias in Multilingual Information Retrieval: The Nature of the Beast and Mitigation Methods},
  year = {2024},
}
"""
NEUCLIR_CITATION = r"""
@article{lawrie2023overview,
  author = {Lawrie, Dawn and MacAvaney, Sean and Mayfield, James and McNamee, Paul and Oard, Douglas W and Soldaini, Luca and
Yang, Eugene},
  journal = {arXiv preprint arXiv:2304.12367},
  title = {Overview of the TREC 2022 NeuCLIR track},
  year = {2023},
}
"""
TYDIQA_CITATION = r"""
@article{clark-etal-2020-tydi,
  author = {Clark, Jonathan H. and Choi, Eunsol and Collins, Michael and Garrette, Dan and Kwiatkowski, Tom and Nikolaev,
Vitaly and Palomaki, Jennimaria},
  journal = {Transactions of the Association for Computational Linguistics},
  pages = {454--470},
  title = {{TyDi} {QA}: A Benchmark for Information-Seeking Question Answering in Typologically Diverse Languages},
  volume = {8},
  year = {2020},
}
"""

MMARCO_LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "id", "it", "ja", "nl", "pt", "ru", "vi", "zh")
MIRACL_LANGUAGES = (
    "ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh",
)  # fmt: skip
MIRACL_PROMPT = "Given a question, retrieve Wikipedia passages that answer the question"
LAREQA = {
    "what": "Questions on Wikipedia paragraphs (XQuAD-R), answered by the paragraph,",
    "reference": "https://github.com/google-research-datasets/lareqa",
    "date": ("2019-05-21", "2019-11-21"),
    "domains": ("Encyclopaedic", "Written"),
    "license": "cc-by-sa-4.0",
    "annotations": "human-annotated",
    "creation": "human-translated",
    "citation": XQUAD_CITATION,
    "parent": "XQuADRetrieval",
    "twin": "xquad",
}
XQUAD = Origin(
    "xquad-r",
    ("ar", "de", "en", "es", "hi", "ru", "vi", "zh"),
    benchmark="mimo",
    **LAREQA,  # type: ignore[arg-type]
)
XQUAD_R = Origin(
    "xquad-r",
    ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
    benchmark="xquad-r",
    **LAREQA,  # type: ignore[arg-type]
)
BELEBELE = Origin(
    collection="belebele",
    languages=("acm", *MMARCO_LANGUAGES[1:]),
    what="Reading-comprehension questions on news and travel passages (Belebele), answered by the passage,",
    reference="https://arxiv.org/abs/2308.16884",
    date=("2023-08-31", "2023-08-31"),
    domains=("Web", "News", "Written"),
    license="cc-by-sa-4.0",
    annotations="expert-annotated",
    creation="human-translated",
    citation=BELEBELE_CITATION,
    benchmark="mimo",
    parent="BelebeleRetrieval",
)
MLQA = Origin(
    collection="mlqa",
    languages=("ar", "de", "en", "es", "hi", "vi", "zh"),
    what="Questions on partly parallel Wikipedia paragraphs (MLQA), answered by the paragraph,",
    reference="https://github.com/facebookresearch/MLQA",
    date=("2019-01-01", "2020-12-31"),
    domains=("Encyclopaedic", "Written"),
    license="cc-by-sa-3.0",
    annotations="human-annotated",
    creation="found",
    citation=MLQA_CITATION,
    benchmark="mimo",
    parent="MLQARetrieval",
)
MMARCO = Origin(
    collection="mmarco",
    languages=MMARCO_LANGUAGES,
    what="Web search queries (MS MARCO, machine-translated), answered by a passage,",
    reference="https://github.com/unicamp-dl/mMARCO",
    date=("2016-01-01", "2016-12-30"),
    domains=("Web", "Written"),
    license="apache-2.0",
    annotations="derived",
    creation="machine-translated",
    citation=MMARCO_CITATION,
    benchmark="mmarco",
)
MIRACL = Origin(
    collection="miracl",
    languages=MIRACL_LANGUAGES,
    what="Questions of native speakers (MIRACL), answered by Wikipedia passages,",
    reference="http://miracl.ai/",
    date=("2022-06-01", "2023-01-30"),
    domains=("Encyclopaedic", "Written"),
    license="cc-by-sa-4.0",
    annotations="expert-annotated",
    creation="created",
    citation=MIRACL_CITATION,
    benchmark="miracl",
    parent="MIRACLRetrieval",
    main="ndcg_at_10",
    prompt=MIRACL_PROMPT,
    within=True,
)
MIRACL_HN = Origin(
    collection="miracl-hn",
    languages=MIRACL_LANGUAGES,
    what="Questions of native speakers (MIRACL), answered by Wikipedia passages among 250 hard negatives per question,",
    reference="http://miracl.ai/",
    date=("2022-06-01", "2023-01-30"),
    domains=("Encyclopaedic", "Written"),
    license="cc-by-sa-4.0",
    annotations="expert-annotated",
    creation="created",
    citation=MIRACL_CITATION,
    parent="MIRACLRetrievalHardNegatives",
    main="ndcg_at_10",
    prompt=MIRACL_PROMPT,
    within=True,
)
MULTIEUP = Origin(
    collection="multieup",
    languages=("de", "en", "es", "fr", "it", "pt"),
    what="Titles of debates in the European Parliament (Multi-EuP v2), answered by the debate's speeches,",
    reference="https://huggingface.co/datasets/unimelb-nlp/MultiEup-v2",
    date=("2020-01-01", "2024-12-31"),
    domains=("Government", "Spoken"),
    license="cc-by-4.0",
    annotations="derived",
    creation="found",
    citation=MULTIEUP_CITATION,
    benchmark="mimo",
)
NEUCLIR = {
    "languages": ("ru", "zh"),
    "asked": ("en",),
    "what": "English topics on news pools of hard negatives (TREC NeuCLIR), answered by articles",
    "reference": "https://neuclir.github.io/",
    "date": ("2021-08-01", "2022-06-30"),
    "domains": ("News", "Written"),
    "license": "odc-by",
    "annotations": "expert-annotated",
    "creation": "found",
    "citation": NEUCLIR_CITATION,
    "benchmark": "mimo",
}
NEUCLIR_2022 = Origin(
    "neuclir(year=2022, graded=false)",
    same=("neuclir-2022",),
    parent="NeuCLIR2022RetrievalHardNegatives",
    **NEUCLIR,  # type: ignore[arg-type]
)
NEUCLIR_2023 = Origin(
    "neuclir(year=2023, graded=false)",
    same=("neuclir-2023",),
    parent="NeuCLIR2023RetrievalHardNegatives",
    **NEUCLIR,  # type: ignore[arg-type]
)
TYDIQA = Origin(
    collection="tydiqa",
    languages=("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te"),
    what="Questions of native speakers (TyDi QA, gold passages), answered by Wikipedia passages,",
    reference="https://github.com/google-research-datasets/tydiqa",
    date=("2019-01-01", "2020-02-01"),
    domains=("Encyclopaedic", "Written"),
    license="apache-2.0",
    annotations="human-annotated",
    creation="created",
    citation=TYDIQA_CITATION,
    main="ndcg_at_10",
    within=True,
)

DEFINITIONS: tuple[Definition, ...] = (
    Definition("XQuADMixedRetrieval", XQUAD, "parallel"),
    Definition("XQuADPartitionRetrieval", XQUAD, "partition"),
    Definition("XQuADRMixedRetrieval", XQUAD_R, "parallel"),
    Definition("XQuADRPartitionRetrieval", XQUAD_R, "partition"),
    Definition("XQuADRAwayRetrieval", XQUAD_R, "away"),
    Definition("BelebeleMixedRetrieval", BELEBELE, "parallel"),
    Definition("BelebelePartitionRetrieval", BELEBELE, "partition"),
    Definition("MLQAMixedRetrieval", MLQA, "union"),
    Definition("MultiEuPMixedRetrieval", MULTIEUP, "union"),
    Definition("NeuCLIR2022MixedRetrieval", NEUCLIR_2022, "union"),
    Definition("NeuCLIR2023MixedRetrieval", NEUCLIR_2023, "union"),
    Definition("MMarcoPartitionRetrieval", MMARCO, "partition"),
    Definition("MIRACLUnionRetrieval", MIRACL, "union"),
    Definition("MIRACLHardNegativesUnionRetrieval", MIRACL_HN, "union"),
    Definition("TyDiQAUnionRetrieval", TYDIQA, "union"),
)

BENCHMARK = "MIMO(mixed, v1)"
SUITE = (
    "BelebeleMixedRetrieval",
    "XQuADMixedRetrieval",
    "MLQAMixedRetrieval",
    "MultiEuPMixedRetrieval",
    "NeuCLIR2022MixedRetrieval",
    "NeuCLIR2023MixedRetrieval",
)
"""The tasks of the benchmark."""
SUITE_DESCRIPTION = (
    "One corpus in many languages, and queries in each of them (English alone for NeuCLIR): the mixed corpora of MIMO's suite, "
    "nDCG@20. Language measures stand beside MTEB's scores in every result."
)


def revision(collection: str, mix: str) -> str:
    """Return the revision of a task's data: a hash of the collection's content and of what is made of it.

    :param collection: the revision of the collection, restricted to the task's languages.
    :param mix: the mix.
    :return: 32 hexadecimal characters.
    """
    return digest(collection, str(Mix.parse(mix)))


def find(collection: str, mix: str, languages: tuple[str, ...]) -> Definition | None:
    """Return the definition of a corpus, if a task is defined on it.

    :param collection: name of the collection.
    :param mix: the mix.
    :param languages: canonical codes of the documents' languages.
    :return: the definition, or None.
    """
    wanted = collection, str(Mix.parse(mix)), tuple(sorted(languages))
    known = {(name, str(Mix.parse(d.mix)), d.languages): d for d in DEFINITIONS for name in (*d.origin.same, *d.sources)}
    return known.get(wanted)
