"""Row 2: every setting of XQuAD-R in one run, against MTEB over a subset per corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.speed import peers
from benchmarks.speed.harness import Finding, Row, Settings, in_turn, ratios, rounded
from benchmarks.speed.xquad import Cut, all_settings, asked_of

ROWS = (Row(2, "XQuAD-R, all settings: 1 mixed corpus, 11 monolingual, 110 cross-lingual, 10 bilingual", "`mteb.evaluate`"),)
MIXES = ("parallel", "monolingual", "cross-lingual", "bilingual")
PARAGRAPHS, QUICK_PARAGRAPHS = 5, 2
"""Of 240, each with its questions, in all eleven languages: MTEB encodes nearly fourteen times what there is, hours for all."""


def measure(settings: Settings) -> Iterator[Finding]:
    """Time all corpora on both sides in turn, from the files to the scores."""
    from mimo_eval.models.dense import minilm

    encoder, corpora = minilm(), all_settings()
    model = encoder.encoder
    with TemporaryDirectory(prefix="mimo-eval-speed-") as temporary:
        folder = Path(temporary)
        cut = Cut.of(settings.data, folder / "cut", QUICK_PARAGRAPHS if settings.quick else PARAGRAPHS)
        batch_size = peers.best_batch_size(model, cut.texts())
        found: dict[str, dict[str, float]] = {}

        def ours(of: Cut) -> None:
            with peers.empty_cache(folder):
                found["ours"] = peers.scores_of(peers.ours(encoder, of.folder, MIXES).result, "nDCG@10")

        def mteb(of: Cut) -> None:
            found["mteb"] = peers.mteb(model, peers.mteb_task(of, corpora), batch_size)

        one = Cut.of(settings.data, folder / "one", 1)
        ours(one)
        peers.mteb(model, peers.mteb_task(one), batch_size)
        seconds = in_turn(settings.repeats, ours=lambda: ours(cut), mteb=lambda: mteb(cut))
        peers.agree(found["ours"], found["mteb"], "mteb.evaluate")
        encoded = sum(len(asked.queries) + len(asked.documents) for _, asked in asked_of(cut, corpora))
        detail = {
            "corpora": len(corpora),
            **cut.size,
            "texts encoded": f"{sum(cut.size.values()):,} and {encoded:,}",
            "peer's batch size": batch_size,
            **{name: f"{rounded(taken)} s" for name, taken in seconds.items()},
        }
        yield Finding(2, "ours / mteb.evaluate", ratios(seconds["ours"], seconds["mteb"]), 0.05, detail=detail)
