"""Figures: files, bytes, text, and what is refused. How they look is for eyes to judge."""

from __future__ import annotations

import logging
import struct
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import itertools

from mimo_eval.errors import DataError, MissingExtraError
from mimo_eval.figures import (
    Files,
    ModelPoint,
    draw_alignment_uniformity,
    draw_composition,
    draw_language_pairs,
    draw_projection,
    draw_scores,
    lettering,
    score_matrix,
)
from mimo_eval.figures.canvas import ink, mark, sheet
from mimo_eval.figures.lettering import clean, families, legible
from mimo_eval.figures.names import with_name
from mimo_eval.figures.placement import Label, place
from mimo_eval.figures.projection import principal_plane
from mimo_eval.geometry.vectors import LabelledVectors

L18 = ["ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh"]
NASTY = ["cost_$5^{a}$ 100% <b>&amp; \\frac{1}{2}", "a_b$c$", "x--y", "<!-- a ]]>", "'a\"", "new\nline\ttab"]
FOREIGN = ["通义千问", "نموذج عربي", "हिन्दी", "กรุงเทพ", "日本語モデル", "한국어", "עברית"]

Draw = Callable[[Path], Files]


def texts(path: Path) -> list[str]:
    """Return the texts of an SVG file."""
    return ["".join(node.itertext()) for node in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def size(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG file in pixels."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def points(names: list[str]) -> list[ModelPoint]:
    """Place models on a curve."""
    return [ModelPoint(name, 0.2 + 0.1 * i, -3 + 0.2 * i, 0.01, 0.02) for i, name in enumerate(names)]


def cube(languages: list[str], items: int = 12, dimensions: int = 8) -> LabelledVectors:
    """Draw vectors of a fully parallel collection."""
    width = len(languages)
    vectors = np.random.default_rng(0).normal(size=(items * width, dimensions)).astype(np.float32)
    return LabelledVectors(vectors, np.tile(np.arange(width), items), np.repeat(np.arange(items), width), languages)


def square(count: int, seed: int = 0) -> np.ndarray:
    """Draw a symmetric matrix with an open diagonal."""
    values = np.random.default_rng(seed).uniform(0.2, 1.8, (count, count))
    values = (values + values.T) / 2
    if count > 1:
        np.fill_diagonal(values, np.nan)
    return values


def shares(count: int) -> np.ndarray:
    """Draw rows that sum to 1."""
    return np.random.default_rng(0).dirichlet(np.ones(count), count)


def every(languages: list[str]) -> dict[str, Draw]:
    """Return all figures of some languages."""
    count = len(languages)
    return {
        "points": lambda stem: draw_alignment_uniformity(stem, points(languages), [languages], title="all of them"),
        "pairs": lambda stem: draw_language_pairs(stem, square(count), languages, title="all of them"),
        "projection": lambda stem: draw_projection(stem, cube(languages), title="all of them"),
        "scores": lambda stem: draw_scores(stem, square(count), languages, languages, measure="nDCG@10", title="all of them"),
        "composition": lambda stem: draw_composition(
            stem, shares(count), languages, chance=np.full(count, 1 / count), title="all of them"
        ),
    }


FIGURES = list(every(["de"]))


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("languages", [["de"], ["de", "zh"], L18], ids=["1", "2", "18"])
def test_both_files_are_written_with_all_languages_as_text(tmp_path: Path, figure: str, languages: list[str]) -> None:
    """One language, two, and eighteen."""
    files = every(languages)[figure](tmp_path / "new" / "v1.5")
    assert files == (tmp_path / "new" / "v1.5.png", tmp_path / "new" / "v1.5.svg")
    shown = " ".join(texts(files.svg))
    assert "all of them" in shown
    assert all(code in shown.split() for code in (languages if figure != "points" else [languages[0], languages[-1]]))
    width, height = size(files.png)
    assert 250 < width < 3000
    assert 150 < height < 3000
    assert sorted(path.name for path in files.png.parent.iterdir()) == ["v1.5.png", "v1.5.svg"]


@pytest.mark.parametrize("figure", FIGURES)
def test_the_same_data_give_the_same_bytes(tmp_path: Path, figure: str) -> None:
    """No date, no version, no random ids; and not the user's settings either."""
    import matplotlib as mpl

    first = every(L18[:4])[figure](tmp_path / "a")
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "text.parse_math": True, "axes.facecolor": "red"}):
        second = every(L18[:4])[figure](tmp_path / "b")
        assert mpl.rcParams["font.size"] == 30
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"date" not in first.svg.read_bytes()
    assert b"Matplotlib" not in first.svg.read_bytes() + first.png.read_bytes()


def test_figures_can_be_drawn_in_threads(tmp_path: Path) -> None:
    """Settings are matplotlib's own, so threads wait for each other."""
    expected = every(L18[:3])["pairs"](tmp_path / "alone").svg.read_bytes()
    stems = [tmp_path / str(number) for number in range(4)]
    threads = [threading.Thread(target=every(L18[:3])["pairs"], args=(stem,)) for stem in stems]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(stem.with_suffix(".svg").read_bytes() == expected for stem in stems)


def test_pyplot_is_not_loaded(tmp_path: Path) -> None:
    """Neither a window system nor pyplot's list of open figures is touched."""
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; import mimo_eval.figures as f; assert 'matplotlib' not in sys.modules;"
        f"f.draw_language_pairs(Path({str(tmp_path / 'a')!r}), [[1.0]], ['de']); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)


@pytest.mark.parametrize("name", NASTY)
def test_names_are_never_formulas_or_markup(tmp_path: Path, name: str) -> None:
    """A name with $ _ % & < > stands in the SVG as it was given, on one line."""
    files = draw_alignment_uniformity(tmp_path / "a", points([name, "plain"]), title=name)
    assert texts(files.svg).count(" ".join(name.split())) == 2
    files = draw_language_pairs(tmp_path / "b", square(2), ["de", "fr"], label=name)
    assert " ".join(name.split()) in texts(files.svg)


def test_foreign_scripts_are_drawn_or_replaced_but_never_boxes(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Whatever fonts this machine has, matplotlib lacks no glyph."""
    files = draw_alignment_uniformity(tmp_path / "a", points(FOREIGN))
    assert legible(FOREIGN, "model") == [text for text in texts(files.svg) if text in legible(FOREIGN, "model")]
    draw_projection(tmp_path / "b", cube(["de", "中文"]), group_names=dict(enumerate(FOREIGN * 2)))
    assert not [warning for warning in recwarn if "missing from" in str(warning.message)]


@pytest.fixture
def only_base_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all fonts but matplotlib's own away."""
    monkeypatch.setattr(lettering, "_others", tuple)
    lettering._chosen.cache_clear()
    yield
    lettering._chosen.cache_clear()


@pytest.mark.usefixtures("only_base_font")
def test_without_fonts_numbers_and_remainders_stand_for_names(caplog: pytest.LogCaptureFixture) -> None:
    """The log says which is which."""
    with caplog.at_level(logging.WARNING):
        shown = legible(["ok", "通义千问", "bge-中文-large", "Über-Ωμ"], "model")
    assert shown == ["ok", "model 2", "bge-…-large", "Über-Ωμ"]
    assert "通义千问" in caplog.text
    assert "model 2" in caplog.text
    assert families(shown) == ["DejaVu Sans"]
    assert legible(["通义"], "item", instead=["item 17"]) == ["item 17"]
    assert legible(["e5-中", "e5-文"], "model") == ["e5-… (1)", "e5-… (2)"]


def test_unshaped_text_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matplotlib cannot join letters, Arabic is replaced although DejaVu has its letters."""
    monkeypatch.setattr(lettering, "_shapes", lambda: False)
    assert legible(["عربي", "Größe", "q\u0308"], "model") == ["model 1", "Größe", "q…"]
    assert legible(["bge-عربي"], "model") == ["bge-…"]


def test_shaped_text_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can, Arabic stays."""
    monkeypatch.setattr(lettering, "_shapes", lambda: True)
    assert legible(["عربي"], "model") == ["عربي"]


def test_long_names_lose_their_middle(tmp_path: Path) -> None:
    """Both ends tell models apart; what looks the same is numbered."""
    name = "sentence-transformers/paraphrase-multilingual-mpnet-base-v2-" + "x" * 200
    short = clean(name, 40)
    assert len(short) == 40
    assert short.startswith("sentence-transformer")
    assert short.endswith("xxxx")
    assert clean("漢" * 30, 21) == "漢" * 5 + "…" + "漢" * 5
    middles = [f"{'a' * 60}{i}{'b' * 60}" for i in range(2)]
    assert len(set(legible(middles, "model"))) == 2
    files = draw_alignment_uniformity(tmp_path / "a", points([name, *middles]))
    assert short in texts(files.svg)
    assert size(files.png)[0] < 1300
    width = size(draw_composition(tmp_path / "b", shares(2), [name, "de"]).png)[0]
    assert width < 1800


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\0b\x1b[31m", "a b [31m"),
        ("\u202egpj.exe", "gpj.exe"),
        ("\ud800lone", "lone"),
        ("  a \n b ", "a b"),
        ("", ""),
        ("e" + "\u0301" * 500, "é" + "\u0301" * 7),
        ("\ue000private\ufffe", "private"),
    ],
)
def test_unprintable_characters_are_left_out(given: str, kept: str) -> None:
    """Control characters, overrides of direction, surrogates, heaps of accents."""
    assert clean(given) == kept


def test_empty_names_get_a_number() -> None:
    """A point without a name can still be told apart."""
    assert legible(["", "\n", "a", "—"], "model") == ["model 1", "model 2", "a", "model 4"]


def test_language_names() -> None:
    """English names in Latin script; codes that are not known stay as they are."""
    assert with_name("zh") == "zh Chinese"
    assert with_name("sr-Latn") == "sr-Latn Serbian"
    assert with_name("xx") == "xx"
    assert all(name.isascii() or name == "Norwegian Bokmål" for name in map(with_name, L18))


def test_marks_of_neighbours_differ_in_colour_and_marker() -> None:
    """56 pairs before one comes again."""
    marks = [mark(number) for number in range(56)]
    assert len(set(marks)) == 56
    assert all(a.colour != b.colour and a.marker != b.marker for a, b in itertools.pairwise(marks))


def test_text_contrasts_with_its_ground() -> None:
    """The grey at which black and white contrast alike is 118 of 255."""
    assert [ink((grey / 255,) * 3) for grey in (0, 117, 118, 255)] == ["white", "white", "black", "black"]


def test_empty_cells_and_numbers_in_cells(tmp_path: Path) -> None:
    """Every cell with a value says it; None and NaN are the same."""
    files = draw_scores(
        tmp_path / "a", [[0.5, None], [float("nan"), 0.25], [0.125, 0]], ["de", "en", "fr"], ["de", "en"], measure="AP"
    )
    shown = texts(files.svg)
    assert [shown.count(text) for text in (".50", ".25", ".12", ".00")] == [1, 1, 1, 1]
    assert "nan" not in " ".join(shown).lower()
    assert {"Language of the query", "Language of the documents", "AP"} <= set(shown)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([[0.5, 0.52]], [".500", ".520"]),
        ([[1.0, 0.25]], ["1.00", "0.25"]),
        ([[12.345, 1.0]], ["12.3", "1.0"]),
        ([[120.0, 3.0]], ["120", "3"]),
        ([[-0.5, 0.5]], ["-.50", ".50"]),
        ([[0.3, 0.3]], [".30", ".30"]),
        ([[2380.0, 15.0]], ["2.4e+03", "15"]),
    ],
)
def test_numbers_are_as_long_as_they_need_to_be(tmp_path: Path, values: list[list[float]], shown: list[str]) -> None:
    """As many places as tell the values apart."""
    found = texts(draw_scores(tmp_path / "a", values, ["de"], ["de", "en"], measure="m").svg)
    assert all(text in found for text in shown)


def test_many_languages_have_no_numbers_but_stay_small(tmp_path: Path) -> None:
    """Sixty languages are still a picture."""
    codes = [f"l{number}" for number in range(60)]
    files = draw_language_pairs(tmp_path / "a", square(60), codes)
    assert max(size(files.png)) < 2600
    assert len(texts(files.svg)) < 150


def test_colour_limits(tmp_path: Path) -> None:
    """Given limits are those of the scale, so that figures can be compared."""
    shown = texts(draw_scores(tmp_path / "a", [[0.4, 0.5]], ["de"], ["de", "en"], measure="m", limits=(0, 1)).svg)
    assert {"0.0", "1.0"} <= set(shown)
    for limits in ((1, 0), (0, 0), (0, float("nan"))):
        with pytest.raises(DataError, match="limits"):
            draw_scores(tmp_path / "a", [[0.4, 0.5]], ["de"], ["de", "en"], measure="m", limits=limits)


def test_score_matrix_joins_settings() -> None:
    """Monolingual corpora give the diagonal, cross-lingual ones the rest."""
    diagonal = {"en": {"en": {"AP": 0.9}}, "de": {"de": {"AP": 0.8, "RR": 1.0}}}
    rest = {"de": {"en": {"AP": 0.7}}, "en": {"de": {"AP": None}}}
    matrix = score_matrix([diagonal, rest], "AP")
    assert (matrix.query_languages, matrix.document_languages) == (["de", "en"], ["de", "en"])
    np.testing.assert_array_equal(matrix.values, [[0.8, 0.7], [np.nan, 0.9]])
    assert score_matrix([diagonal, rest], "RR").document_languages == ["de"]
    with pytest.raises(DataError, match="nDCG"):
        score_matrix([diagonal], "nDCG@10")
    with pytest.raises(DataError, match="differ"):
        score_matrix([diagonal, {"de": {"de": {"AP": 0.1}}}], "AP")


def test_labels_do_not_cover_each_other(tmp_path: Path) -> None:
    """Twelve models in a heap: no two labels overlap, and all lie inside."""
    from matplotlib.text import Text

    figure = sheet(6.4, 5.0)
    axes = figure.add_subplot()
    rng = np.random.default_rng(3)
    places = rng.normal(0, 0.02, (12, 2))
    axes.scatter(*places.T)
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    place(axes, [Label(f"some-model-{i}", x, y, "black") for i, (x, y) in enumerate(places)], np.empty((0, 2)))
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to the point
    assert len(boxes) == 12
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert box.x0 > 0 < box.y0


def test_checkpoints_are_joined_in_the_order_given(tmp_path: Path) -> None:
    """An arrow is one more patch; labels of the ends are always there."""
    names = [f"mimo@{step}" for step in range(6)]
    crowd = [ModelPoint(name, 0.5 + 1e-4 * i, -2) for i, name in enumerate(names)]
    shown = texts(draw_alignment_uniformity(tmp_path / "a", [*crowd, ModelPoint("far", 1.5, -1)], [names]).svg)
    assert {"mimo@0", "mimo@5", "far"} <= set(shown)
    with_arrows = draw_alignment_uniformity(tmp_path / "b", points(names), [names]).svg.read_text().count('id="patch_')
    without = draw_alignment_uniformity(tmp_path / "c", points(names)).svg.read_text().count('id="patch_')
    assert with_arrows - without == len(names) - 1


def test_unknown_errors_have_no_bar(tmp_path: Path) -> None:
    """None, NaN and 0 are drawn alike."""
    svgs = [
        draw_alignment_uniformity(tmp_path / str(error), [ModelPoint("a", 1, -1, error, error)]).svg.read_bytes()
        for error in (None, float("nan"), 0.0)
    ]
    assert svgs[0] == svgs[1] == svgs[2]


@pytest.mark.parametrize(
    ("given", "runs", "message"),
    [
        ([], [], "no model"),
        ([ModelPoint("a", 1, 1), ModelPoint("a", 2, 2)], [], "twice"),
        ([ModelPoint("a", float("nan"), 1)], [], "'a'"),
        ([ModelPoint("a", 1, float("inf"))], [], "'a'"),
        ([ModelPoint("a", 1, 1, -0.1)], [], "standard error"),
        ([ModelPoint("a", 1, 1)], [["a", "b"]], "'b'"),
        ([ModelPoint("a", 1, 1)], [[]], "no checkpoint"),
        ([ModelPoint("a", 1, 1)], [["a", "a"]], "twice"),
    ],
)
def test_impossible_points_are_refused(tmp_path: Path, given: list[ModelPoint], runs: list[list[str]], message: str) -> None:
    """The message names the model."""
    with pytest.raises(DataError, match=message):
        draw_alignment_uniformity(tmp_path / "a", given, runs)
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize(
    ("matrix", "languages", "message"),
    [
        ([], [], "no (query )?language"),
        (np.empty((0, 0)), ["de"], "shape"),
        ([[1.0, 2.0]], ["de"], "shape"),
        ([[1.0]], ["de", "en"], "shape"),
        ([[1.0, 2.0], [3.0]], ["de", "en"], "not a table"),
        ([["x"]], ["de"], "not a table"),
        ([[float("nan")]], ["de"], "no number"),
        ([[float("inf")]], ["de"], "infinity"),
        (np.ones((2, 2)), ["de", "de"], "twice"),
        (None, ["de"], "shape"),
    ],
)
def test_impossible_matrices_are_refused(tmp_path: Path, matrix: object, languages: list[str], message: str) -> None:
    """For language pairs, scores and the composition alike."""
    for draw in (
        lambda: draw_language_pairs(tmp_path / "a", matrix, languages),
        lambda: draw_scores(tmp_path / "a", matrix, languages, languages, measure="m"),
        lambda: draw_composition(tmp_path / "a", matrix, languages),
    ):
        with pytest.raises(DataError, match=message):
            draw()


def test_the_composition_says_what_it_lacks(tmp_path: Path) -> None:
    """A language without queries, and documents of unknown language."""
    share = [[0.5, 0.3, 0.1], [np.nan] * 3, [0.0, 0.0, 1.0]]
    shown = texts(draw_composition(tmp_path / "a", share, ["de", "en", "fr"], chance=[0.2, 0.3, 0.5], cutoff=20).svg)
    assert {"de 50%", "fr 100%", "no query counts", "language not known", "its share of the corpus (chance)"} <= set(shown)
    assert "Mean share of the first 20 results, by document language" in shown
    shown = texts(draw_composition(tmp_path / "b", [[1.0, 0.0], [0.0, 1.0]], ["de", "en"]).svg)
    assert not {"language not known", "its share of the corpus (chance)"} & set(shown)


def test_chance_may_differ_by_query_language(tmp_path: Path) -> None:
    """Of a table, the diagonal is marked."""
    table = draw_composition(tmp_path / "a", shares(2), ["de", "en"], chance=[[0.2, 0.8], [0.6, 0.4]]).svg.read_bytes()
    assert table == draw_composition(tmp_path / "b", shares(2), ["de", "en"], chance=[0.2, 0.4]).svg.read_bytes()


@pytest.mark.parametrize(
    ("share", "chance", "message"),
    [
        ([[1.2, 0], [0, 1]], None, "between 0 and 1"),
        ([[-0.1, 0.5], [0, 1]], None, "between 0 and 1"),
        ([[0.7, 0.7], [0, 1]], None, "sum to 1"),
        (np.eye(2), [0.5, 1.5], "chance"),
        (np.eye(2), [0.5], "shape"),
    ],
)
def test_impossible_shares_are_refused(tmp_path: Path, share: object, chance: object, message: str) -> None:
    """Shares are shares."""
    with pytest.raises(DataError, match=message):
        draw_composition(tmp_path / "a", share, ["de", "en"], chance=chance)


def test_the_plane_is_that_of_the_largest_variance() -> None:
    """Against hand-made data: 9, 4 and 1 parts of the variance along three directions."""
    signs = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    plane = principal_plane(signs * [1, 3, -2] + 7)
    np.testing.assert_allclose(plane.shares, [9 / 14, 4 / 14])
    np.testing.assert_allclose(np.abs(plane.places), np.abs(signs[:, [1, 2]] * [3, 2]))
    np.testing.assert_allclose(principal_plane(-signs).places, -principal_plane(signs).places, atol=1e-12)


def test_vectors_on_a_line_or_a_point_are_drawn(tmp_path: Path) -> None:
    """One dimension, and no variance at all."""
    for number, vectors in enumerate((np.array([[1.0], [-1.0], [2.0], [3.0]]), np.ones((4, 3)))):
        labelled = LabelledVectors(vectors, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), ["de", "en"])
        draw_projection(tmp_path / str(number), labelled)
    assert principal_plane(np.ones((4, 3))).places.shape == (4, 2)


def test_the_sample_takes_whole_groups(tmp_path: Path) -> None:
    """Another seed draws others; the same seed the same."""
    vectors = cube(["de", "en", "fr"], items=200)
    drawn = [draw_projection(tmp_path / f"{i}", vectors, sample=90, seed=s).svg.read_bytes() for i, s in enumerate((1, 1, 2))]
    assert drawn[0] == drawn[1] != drawn[2]
    assert "all others" in texts(tmp_path / "0.svg")


def test_without_translations_there_is_one_panel(tmp_path: Path) -> None:
    """Nothing could be joined in the second."""
    vectors = cube(["de", "en"])
    alone = LabelledVectors(vectors.vectors, vectors.languages, np.arange(len(vectors)), ["de", "en"])
    shown = texts(draw_projection(tmp_path / "a", alone).svg)
    assert "Colour: language" in shown
    assert not [text for text in shown if "item" in text]


def test_impossible_vectors_are_refused(tmp_path: Path) -> None:
    """Too few, all zero, NaN."""
    labels = np.zeros(2, int)
    with pytest.raises(DataError, match="at least three"):
        draw_projection(tmp_path / "a", LabelledVectors(np.ones((2, 4)), labels, labels, ["de"]))
    vectors = cube(["de", "en"])
    with pytest.raises(DataError, match="not 0"):
        zero = np.zeros((len(vectors), 3))
        draw_projection(tmp_path / "a", LabelledVectors(zero, vectors.languages, vectors.groups, ["de", "en"]))
    broken = np.array(vectors.vectors)
    broken[3, 0] = np.nan
    with pytest.raises(DataError, match="NaN"):
        draw_projection(tmp_path / "a", LabelledVectors(broken, vectors.languages, vectors.groups, ["de", "en"]))


def test_matplotlib_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is the install line."""
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"mimo-eval\[report\]"):
        draw_language_pairs(tmp_path / "a", [[1.0]], ["de"])
