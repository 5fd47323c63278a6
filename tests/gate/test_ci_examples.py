"""action.yml and the examples for GitHub and GitLab, their shell steps run as their runners would."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from runner import ROOT, Runner

EXAMPLES = ROOT / "docs" / "examples"
SHORT = {"MIMO_EVAL_RUN_LANGUAGES": "en,de"}
"""Evaluates two languages of ten: what is tested here are the steps."""


@pytest.fixture
def environment(tmp_path):
    """An environment whose `pip` notes what it was asked to install: the network is not for tests."""
    tools = tmp_path / "bin"
    tools.mkdir()
    pip = tools / "pip"
    pip.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/pip.log"\n')
    pip.chmod(pip.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "GITHUB_ACTIONS")}
    return {**kept, **SHORT, "PATH": path, "CI": "true", "RUNNER_TEMP": str(tmp_path)}


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """A baseline of `hashing`, written as a person would, not in CI."""
    folder = tmp_path_factory.mktemp("trusted")
    here = {**os.environ, **SHORT, "CI": "", "GITHUB_ACTIONS": "", "MIMO_EVAL_CACHE": str(folder / "cache")}
    for command in (["run", "hashing", "-o", "results"], ["check", "results", "--baseline", "base", "--update"]):
        shell = [sys.executable, "-m", "mimo_eval.cli.main", *command]
        subprocess.run(shell, env=here, cwd=folder, check=True, capture_output=True)
    return folder / "base"


@pytest.fixture
def base(tmp_path, trusted):
    return Path(shutil.copytree(trusted, tmp_path / "base"))


def test_the_action_passes_and_fails(tmp_path, environment, base):
    runner = Runner(tmp_path, environment)
    done = runner.action(model="hashing", baseline="base", constraints="c.txt")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pip.log").read_text().split() == ["install", "-c", "c.txt", "mimo-eval[cpu]"]
    assert done.summary.startswith("### ✅ passed: hashing on mini")
    assert done.outputs["verdict"] == "passed" and next(Path(done.outputs["result"]).rglob("result.json"))
    worse = runner.action(model="hashing(dim=32)", baseline="base")
    assert worse.returncode == 1 and "::error title=mimo-eval%3A regression" in worse.stderr
    assert worse.outputs["verdict"] == "regression"
    assert len(json.loads(Path(worse.outputs["report"]).read_text("utf-8"))["failures"]) > 0
    suite = ElementTree.parse(tmp_path / "mimo-eval.xml").find("testsuite")
    assert int(suite.get("failures")) > 0
    absent = runner.action(model="hashing", baseline="none")
    assert (absent.returncode, absent.outputs["verdict"]) == (4, "no-baseline")


def test_options_reach_the_run_and_nothing_else_does(tmp_path, environment, base):
    runner = Runner(tmp_path, environment)
    done = runner.action(model="hashing", baseline="base", args="--languages 'en, fr' '--no-such thing'")
    assert (done.returncode, done.outputs["verdict"]) == (2, "not-checked") and "--no-such thing" in done.stderr
    done = runner.action(model="hashing", baseline="base", args="--languages 'en,fr'")
    assert (done.returncode, done.outputs["verdict"]) == (3, "not-checked") and "languages" in done.stderr


def test_what_one_run_encoded_the_next_one_finds(tmp_path, environment, base, cache):
    runner = Runner(tmp_path, environment)

    def read(**inputs):
        shutil.rmtree(cache, ignore_errors=True)
        done = runner.action(model="hashing", baseline="base", **inputs)
        assert done.returncode == 0, done.stderr
        return json.loads(next(Path(done.outputs["result"]).rglob("result.json")).read_text("utf-8"))["encoded"]["read"]

    assert read() == 0
    assert read(cache="1KB") > 400 and not any((cache / "embeddings").glob("*"))
    assert read(cache="") == 0


def test_an_input_is_never_a_command(tmp_path, environment, base):
    bad = "x'; touch owned; '$(touch owned)`touch owned`"
    runner = Runner(tmp_path, environment)
    for given in ({"model": bad, "benchmark": bad, "args": bad, "cache": bad}, {"args": "$(touch owned)"}, {"policy": bad}):
        done = runner.action(**{"model": "hashing", "baseline": "base", **given})
        assert done.returncode not in (0, 1) and not (tmp_path / "owned").exists()


@pytest.mark.parametrize(("model", "code"), [("hashing", 0), ("hashing(dim=32)", 1)])
def test_the_github_example(tmp_path, environment, base, model, code):
    done = Runner(tmp_path, environment).workflow(EXAMPLES / "github-workflow.yml", model=model, baseline="base")
    assert done.returncode == code, done.stderr
    cache = ["actions/cache/restore", "actions/cache/save"]
    assert done.used == ["actions/checkout", "actions/setup-python", *cache, "actions/upload-artifact"]


def test_the_gitlab_example(tmp_path, environment, base):
    content = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text("utf-8"))
    job = content["retrieval"]
    variables = {**content["variables"], "MODEL": "hashing", "BASELINE": "base"}
    for line in job["script"]:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line], env={**environment, **variables}, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, line
    written = [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"], *job["cache"]["paths"]]
    assert all((tmp_path / name).exists() for name in written)


def git(folder, *arguments):
    """Call git and return what it says; its commits have an author of their own."""
    author = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def submissions(tmp_path_factory):
    """A board of one model in a repository, and the submission of another beside it."""
    folder = tmp_path_factory.mktemp("submissions")
    here = {**os.environ, "MIMO_EVAL_CACHE": str(folder / "cache")}
    for model, to in (("hashing", "repository/leaderboards/mini"), ("hashing(dim=64)", "submission")):
        for command in (["run", model, "-o", f"out/{to}"], ["leaderboard", "submit", f"out/{to}", "-o", to]):
            shell = [sys.executable, "-m", "mimo_eval.cli.main", *command]
            subprocess.run(shell, env=here, cwd=folder, check=True, capture_output=True)
    repository = folder / "repository"
    (repository / "leaderboards" / "mini" / "PULL_REQUEST.md").unlink()
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "a board")
    return folder


@pytest.fixture
def pull_request(submissions, tmp_path):
    """A checkout with the submission on its board, and the commit that the pull request starts from."""
    repository = Path(shutil.copytree(submissions / "repository", tmp_path / "repository"))
    added = submissions / "submission" / "results"
    shutil.copytree(added, repository / "leaderboards" / "mini" / "results", dirs_exist_ok=True)
    return repository, git(repository, "rev-parse", "HEAD")


def checked(pull_request, environment):
    repository, base = pull_request
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "a submission")
    runner = Runner(repository, environment, {"github.event.pull_request.base.sha": base})
    return runner.workflow(EXAMPLES / "github-leaderboard.yml")


def test_a_submission_is_validated_and_its_board_is_built(pull_request, environment):
    done = checked(pull_request, environment)
    assert done.returncode == 0, done.stderr
    assert done.summary.startswith("### ✅ 1 result can be added to a board") and "`hashing(dim=64)`" in done.summary
    board = json.loads((pull_request[0] / "boards" / "mini" / "board.json").read_text("utf-8"))
    assert [entry["name"] for entry in board["groups"][0]["entries"]] == ["hashing", "hashing(dim=64)"]


def test_a_pull_request_with_anything_else_fails(pull_request, environment):
    board = pull_request[0] / "leaderboards" / "mini" / "results"
    file = next((board / "hashing").glob("*/result.json"))
    file.write_text(file.read_text("utf-8").replace('"created": "2', '"created": "3'), "utf-8")
    (board / "hashing" / "a b\n.sh").write_text("touch owned")
    done = checked(pull_request, environment)
    assert done.returncode == 3 and done.summary.startswith("### ❌ 2 of 3 cannot be added to a board")
    assert "changed by hand" in done.summary and "a b .sh`\n\n- `is no part of a result" in done.summary
    assert not (pull_request[0] / "boards").exists()
