import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pytest
from made_up import HOSTILE, made_up

from mimo_eval.leaderboard import FILES, build_board, read_board, render, write_board
from mimo_eval.leaderboard.page import LIMIT, embedded, packed, page
from mimo_eval.leaderboard.tables import csv_table, latex, markdown, ranked


class Parts(HTMLParser):
    """Elements of a page, and the text inside scripts and styles."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.inside, self._open = [], {}, None
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs).get("type")) if tag in ("script", "style") else None

    def handle_data(self, data):
        if self._open:
            self.inside[self._open] = self.inside.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = None


@pytest.fixture(scope="module")
def hostile():
    return made_up(len(HOSTILE) + 2, 3)


def test_the_page_holds_names_only_as_data(hostile):
    content = page(hostile)
    parts = Parts(content)
    data = json.loads(parts.inside["script", "application/json"])
    assert [e["name"] for e in data["groups"][0]["entries"]][: len(HOSTILE)] == list(HOSTILE)
    assert "alert" not in content.replace(parts.inside["script", "application/json"], "")
    assert not re.search(r"[<>&\u2028\u2029]", parts.inside["script", "application/json"])
    assert sum(tag == "script" for tag, _ in parts.tags) == 2
    assert "<title>toy &lt;b&gt;&amp;amp;</title>" in content


def test_the_page_fetches_nothing_and_runs_only_its_own_script(hostile):
    content = page(hostile)
    parts = Parts(content)
    policy = next(a["content"] for t, a in parts.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    for kind, element in (("script-src", ("script", None)), ("style-src", ("style", None))):
        digest = base64.b64encode(hashlib.sha256(parts.inside[element].encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    for tag, attributes in parts.tags:
        assert not {"src", "style"} & set(attributes), tag
        assert attributes.get("href", "#").startswith(("#", "data:,"))
        assert not any(name.startswith("on") for name in attributes)
    script = parts.inside["script", None]
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|(?<!-)\beval\b|Function\(|fetch\(|XMLHttp|import\("
    assert not re.search(forbidden, script)


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028", "&lt;", '"\\'])
def test_embedded_json_cannot_leave_its_element(text):
    written = embedded({"x": text})
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written) == {"x": text}


def test_a_hundred_models_in_twenty_languages_fit_into_two_megabytes():
    content = page(made_up(100, 20)).encode()
    assert len(content) <= LIMIT
    print("bytes:", len(content))  # noqa: T201
    data = json.loads(Parts(content.decode()).inside["script", "application/json"])
    assert len(data["groups"][0]["settings"][0]["byLanguage"]) == 14  # nothing had to be left out


def test_a_larger_board_loses_values_by_language_of_other_measures_only():
    board = made_up(10, 5)
    whole, cut = packed(board)["groups"][0]["settings"][0], packed(board, only_tested=True)["groups"][0]["settings"][0]
    assert cut["scores"] == whole["scores"] and cut["intervals"] == whole["intervals"]
    assert list(cut["byLanguage"]) == [0, 1]


def test_packed_numbers_are_the_boards():
    board = made_up(3, 2)
    data, group = packed(board)["groups"][0], board.groups[0]
    places = {m["name"]: m["places"] for m in data["measures"]}
    assert places["M0@10"] == 5 and places["Far"] == 2
    for number, measure in enumerate(data["measures"]):
        for i, entry in enumerate(group.entries):
            assert data["settings"][0]["scores"][number][i] / 10 ** measure["places"] == pytest.approx(
                entry.scores[0][measure["name"]], abs=10 ** -measure["places"]
            )
    bits = base64.b64decode(data["settings"][0]["distinct"][0][0])
    assert int.from_bytes(bits, "little") == group.settings[0].distinct["M0@10"][0][0]


def test_csv_comes_back_with_every_mean_and_no_formula(hostile):
    rows = list(csv.DictReader(io.StringIO(csv_table(hostile))))
    assert not any(value.lstrip().startswith(("=", "@", "＝")) for row in rows for value in row.values())
    assert not any(row["model"].startswith(("+", "-")) for row in rows)
    entry = hostile.groups[0].entries[-1]
    mine = [r for r in rows if r["model"] == entry.name and r["mix"] == "parallel" and r["measure"] == "M0@10"]
    assert [r["language"] for r in mine] == ["", "ar", "bn", "de"]
    assert float(mine[0]["value"]) == entry.scores[0]["M0@10"] and float(mine[1]["value"]) == entry.languages[0]["M0@10"][0]
    assert {r["rank"] for r in rows if r["measure"] == "Share@10"} == {""}


def test_markdown_keeps_its_columns_and_shows_names_as_code(hostile):
    content = markdown(hostile)
    tables = [line for line in content.splitlines() if line.startswith("|")]
    cells = [len(re.split(r"(?<!\\)\|", line)) for line in tables]
    assert set(cells[: 2 + len(hostile.groups[0].entries)]) == {cells[0]}
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", content)
    assert "<script" not in outside and "onerror" not in outside and "javascript:" not in outside and "@someone" not in outside


def test_latex_has_a_row_per_model_with_specials_escaped(hostile):
    content = latex(hostile)
    assert content.count(r"\\") == 1 + len(hostile.groups[0].entries)
    assert r"\textbackslash{}input\{/etc/passwd\} \$x\$ \& 50\% \#\_\textasciicircum{}\textasciitilde{}\{\}" in content
    body = content.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert {len(re.split(r"(?<!\\)&", row)) for row in body.strip().split("\\\\\n")} <= {10, 1}


def test_ranks_letters_and_borda_stand_together(results):
    group = build_board([results], samples=10).groups[0]
    found = ranked(group, 0, "nDCG@20")
    assert found.order.tolist() == [0, 1, 2] and found.ranks.tolist() == [1, 2, 3]
    assert found.letters[0] == "a" and found.letters[2] not in ("", "a")
    assert ((found.borda >= 0) & (found.borda <= 1)).all()
    assert ranked(group, 1, "LPR").letters == ["", "", ""]  # not in a corpus of one language


def test_every_file_is_made_from_board_json_alone(results, tmp_path):
    board = build_board([results], samples=10)
    sizes = write_board(tmp_path / "board", board)
    assert set(sizes) == set(FILES) == {p.name for p in (tmp_path / "board").iterdir()}
    again = render(read_board(tmp_path / "board"))
    for name, content in again.items():
        assert (tmp_path / "board" / name).read_bytes() == content.encode("utf-8")
