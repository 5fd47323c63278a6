"""Boards of random numbers, of any size, whose first models have hostile names."""

from __future__ import annotations

import numpy as np

from mimo_eval.leaderboard.schema import Board, BoardMeasure, BoardSetting, Entry, Group, Pairs
from mimo_eval.leaderboard.significance import pack

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    '=HYPERLINK("http://x","y")',
    "+1|2`code`**bold** [a](javascript:x) @someone #1",
    r"\input{/etc/passwd} $x$ & 50% #_^~{}",
    "a\u202egpj.exe\u2066b\u200b",
    "<!-- --><!--<script>",
    "نموذج عربي ไทย 日本語モデル",
)
LANGUAGES = tuple("ar bn de el en es fa fi fr hi id ja ko ru sw te th tr vi zh".split())  # noqa: SIM905


def made_up(models: int, languages: int, seed: int = 0) -> Board:
    """Return a board with random scores: two settings of a real shape, six in all, and the usual number of measures."""
    rng = np.random.default_rng(seed)
    codes = sorted(LANGUAGES[:languages])
    measures = [BoardMeasure(name=f"M{k}@10", direction="higher", answers=f"measure {k}") for k in range(12)]
    measures += [BoardMeasure(name="Far", direction="lower"), BoardMeasure(name="Share@10", direction="none")]
    mixes = ("parallel", "monolingual", "cross-lingual", "bilingual", "partition", "away")
    names = [m.name for m in measures]

    def distinct() -> list[int]:
        chosen = rng.random((models, models)) < 0.7
        return pack(np.triu(chosen, 1) | np.triu(chosen, 1).T)

    settings = [
        BoardSetting(
            collection="toy",
            setting={"parallel": "mlir", "monolingual": "multi-monolingual"}.get(mix, mix),
            mix=mix,
            main="M0@10",
            languages=codes,
            cells=[1] * languages,
            questions=100,
            distinct={"M0@10": [distinct() for _ in range(languages + 1)], "M1@10": [distinct() for _ in range(languages + 1)]},
        )
        for mix in mixes
    ]
    entries = []
    for i in range(models):
        values = rng.random((len(mixes), len(names), languages)).round(6)
        values[:, names.index("Far")] *= 500
        mean = values.mean(axis=2).round(6)
        entries.append(
            Entry(
                name=HOSTILE[i] if i < len(HOSTILE) else f"organisation/model-{i:03}-with-a-usual-name",
                key=f"{i:032x}",
                kind=("dense", "bm25", "fusion", "debiased")[i % 4],
                created="2026-01-01T00:00:00+00:00",
                version="1.0",
                licence=HOSTILE[0] if i == 1 else ("Apache-2.0", "MIT", "")[i % 3],
                link="https://example.org/model" if i % 2 else "",
                parameters=None if i % 4 == 1 else int(10 ** rng.uniform(6, 10)),
                dimension=384 * (1 + i % 3),
                rate=float(rng.integers(10, 5000)),
                device="cpu",
                revision="r" * 40,
                prompts={"query": f"query {HOSTILE[0]}: "} if i % 3 == 0 else {},
                marks=["prompts"] if i % 3 == 0 else [],
                scores=[dict(zip(names, row.tolist(), strict=True)) for row in mean],
                languages=[{n: v.tolist() for n, v in zip(names, row, strict=True)} for row in values],
                intervals=[
                    {
                        n: [(m - 0.02, m + 0.02), *((v - 0.05, v + 0.05) for v in values[k, names.index(n)].tolist())]
                        for n in ("M0@10", "M1@10")
                        for m in (float(mean[k, names.index(n)]),)
                    }
                    for k in range(len(mixes))
                ],
                pairs={"toy": rng.random((languages, languages)).round(4).tolist()},
                geometry={"toy": {"alignment": float(rng.uniform(0.2, 1.8)), "uniformity": float(-rng.uniform(1, 4))}},
            )
        )
    group = Group(
        benchmark="toy",
        title="A board of random numbers",
        protocol={"benchmark": "toy", "data: toy": "f" * 64, "depth": "100"},
        differs=[],
        notes=[],
        measures=measures,
        tested=["M0@10", "M1@10"],
        settings=settings,
        pairs={"toy": Pairs(measure="M0@10", queries=codes, documents=codes)},
        entries=entries,
    )
    return Board(title="toy <b>&amp;", level=0.95, samples=2000, seed=0, groups=[group])
