"""MIRACL with hard negatives, as MTEB has it: the 250 best passages per query of three systems, up to 1,000 queries a language.

The realistic size for one machine. Judged within each language, like MIRACL.
"""

from __future__ import annotations

from pathlib import Path

from mimo_eval.collections.hf import PARTS, README, HubRetrieval
from mimo_eval.collections.records import Info
from mimo_eval.collections.remote import Published, Remote, Repo, chosen

NAME = "miracl-hn"
REPO = "mteb/MIRACLRetrievalHardNegatives"
REVISION = "d7d94fa4b946cec4a27c84653aa0cf6b33f74a3c"
LICENCE = "CC BY-SA 4.0"
BYTES_PER_PASSAGE = 300
"""About what a passage takes in a Parquet file."""
# language: (passages, dev queries), as in mteb's descriptive statistics
COUNTS = {
    "ar": (192_103, 1000),
    "bn": (297_265, 411),
    "de": (71_277, 305),
    "en": (178_768, 799),
    "es": (146_750, 648),
    "fa": (133_596, 632),
    "fi": (194_415, 1000),
    "fr": (75_357, 343),
    "hi": (63_066, 350),
    "id": (168_173, 960),
    "ja": (185_319, 860),
    "ko": (43_293, 213),
    "ru": (219_114, 1000),
    "sw": (131_924, 482),
    "te": (101_961, 828),
    "th": (116_649, 733),
    "yo": (49_043, 119),
    "zh": (81_309, 393),
}


class MiraclHardNegatives(HubRetrieval):
    """Passages and dev queries of the chosen languages.

    :param data: folder of downloads, or a copy of the repository.
    :param wanted: languages to read; None for all 18.
    """

    positional: tuple[str, ...] = ()

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None) -> None:
        super().__init__(data, wanted, REPO, revision=REVISION, licence=LICENCE)
        self.info = Info(
            name=NAME,
            title="MIRACL with hard negatives, dev",
            licence=LICENCE,
            provenance=REPO,
            citation="Zhang et al., MIRACL, TACL 2023; hard negatives of MTEB, Enevoldsen et al., MMTEB, ICLR 2025",
            judged_within_language=True,
        )

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None) -> Remote:  # type: ignore[override]
        """Say what is downloaded for some languages."""
        langs = chosen(NAME, wanted, COUNTS)
        paths = tuple(f"{lang}-{part}/*" for lang in langs for part in PARTS)
        documents, queries = ({lang: COUNTS[lang][side] for lang in langs} for side in (0, 1))
        counts = Published(
            "mteb's descriptive statistics, size estimated", documents, queries, sum(documents.values()) * BYTES_PER_PASSAGE
        )
        return Remote((Repo(REPO, REVISION, (README, *paths), LICENCE),), counts)
