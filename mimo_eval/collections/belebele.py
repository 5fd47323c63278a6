"""Belebele: 900 questions on 488 passages of FLORES-200 in 122 language variants, fully parallel.

MIMO's suite takes Mesopotamian Arabic (`acm`) for Arabic; `ar` here is Modern Standard Arabic (`arb_Arab`).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

from mimo_eval.collections.records import Info, Judgement, Problems, Text
from mimo_eval.collections.remote import Layout, Published, Remote, Repo, chosen
from mimo_eval.collections.tables import need_fields, read_records
from mimo_eval.languages import normalise

NAME = "belebele"
FIELDS = ("link", "question_number", "flores_passage", "question")
KILOBYTES = 1000
"""About the size of one variant's file."""
FLORES = """
acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng azj_Latn bam_Latn
ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn ckb_Arab dan_Latn deu_Latn ell_Grek eng_Latn est_Latn
eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hin_Latn hrv_Latn
hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kac_Latn kan_Knda kat_Geor kaz_Cyrl
kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym
mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya pan_Guru
pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn rus_Cyrl shn_Mymr sin_Latn sin_Sinh slk_Latn slv_Latn sna_Latn
snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn tam_Taml tel_Telu tgk_Cyrl tgl_Latn
tha_Thai tir_Ethi tsn_Latn tso_Latn tur_Latn ukr_Cyrl urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn
yor_Latn zho_Hans zho_Hant zsm_Latn zul_Latn
"""
VARIANTS = {
    {"acm_Arab": "acm", "kor_Hang": "ko", "pbt_Arab": "pbt"}.get(variant, normalise(variant)): variant
    for variant in FLORES.split()
}
"""Language to the FLORES-200 code that names its file."""


class Belebele:
    """Passages and questions of the chosen variants; the answers to choose from are not used.

    :param data: folder with the files, `data/{variant}.jsonl`.
    :param wanted: languages to read; None for all whose file is there.
    """

    grouped_judgements = True
    info = Info(
        name=NAME,
        title="Belebele, passages and questions",
        licence="CC BY-SA 4.0",
        provenance="facebook/belebele",
        citation="Bandarkar et al., The Belebele Benchmark, ACL 2024",
    )

    def __init__(self, data: Path, wanted: tuple[str, ...] | None = None) -> None:
        repo, layout = _repo(tuple(VARIANTS)), Layout(data, NAME)
        langs = layout.there(wanted, VARIANTS, repo, _path)
        self.path = {lang: layout.need(repo, _path(lang))[0] for lang in langs}

    @classmethod
    def remote(cls, wanted: tuple[str, ...] | None = None) -> Remote:
        """Say what is downloaded for some languages."""
        langs = chosen(NAME, wanted, VARIANTS)
        counts = dict.fromkeys(langs, 488), dict.fromkeys(langs, 900)
        return Remote(
            (_repo(langs),), Published("the data set's README, size estimated", *counts, len(langs) * KILOBYTES * 1000)
        )

    def files(self) -> list[Path]:
        """Return one file per language."""
        return list(self.path.values())

    def _rows(self, problems: Problems) -> Iterator[tuple[str, str, list[str], str]]:
        """Yield (language, passage group, values of FIELDS, where); a passage is known by its link."""
        for lang, path in self.path.items():
            for record, where in read_records(path, FIELDS, problems):
                values = need_fields(record, FIELDS, where, problems)
                if values is not None:
                    yield lang, f"p-{_short(values[0])}", values, where

    def documents(self, problems: Problems) -> Iterator[Text]:
        """Yield each passage once."""
        seen: set[tuple[str, str]] = set()
        for lang, group, (_, _, passage, _), where in self._rows(problems):
            if (lang, group) not in seen:
                seen.add((lang, group))
                yield Text(f"{lang}:{group}", passage, lang, group, where=where)

    def queries(self, problems: Problems) -> Iterator[Text]:
        """Yield the questions; what is wrong with a row was noted with the passages."""
        for lang, _, values, where in self._rows(Problems()):
            yield Text(f"{lang}:{_question(values)}", values[3], lang, _question(values), where=where)

    def judgements(self, problems: Problems) -> Iterator[Judgement]:
        """Yield question to passage, once for all languages."""
        seen: set[str] = set()
        for _, group, values, where in self._rows(Problems()):
            name = _question(values)
            if name not in seen:
                seen.add(name)
                yield Judgement(name, group, 1, where)


def _question(values: list[Any]) -> str:
    return f"q-{_short(f'{values[0]}_{values[1]}')}"


def _short(text: str) -> str:
    return md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:12]


def _path(lang: str) -> str:
    return f"data/{VARIANTS[lang]}.jsonl"


def _repo(langs: tuple[str, ...]) -> Repo:
    paths = tuple(map(_path, langs))
    return Repo("facebook/belebele", "75b399394a9803252cfec289d103de462763db7c", paths, "CC BY-SA 4.0")
