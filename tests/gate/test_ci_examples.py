"""The shell steps of action.yml and of the GitLab example, run as their runners would."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
INPUT = re.compile(r"\$\{\{ inputs\.(\w+) \}\}|\$\{\{ steps\.(\w+)\.outputs\.(\w+) \}\}")


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
    return {**kept, "PATH": path, "CI": "true", "RUNNER_TEMP": str(tmp_path)}


def action(tmp_path, environment, **given):
    """Run the steps of the composite action and return the exit code of the first that fails, or 0."""
    content = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    inputs = {name: str(given.get(name, of.get("default", ""))) for name, of in content["inputs"].items()}
    assert not set(given) - set(inputs)
    outputs: dict[str, dict[str, str]] = {}
    for number, step in enumerate(content["runs"]["steps"]):
        assert "${{" not in step["run"], "an input in a script could hold commands; hand it over in the environment"
        env = {
            name: INPUT.sub(lambda m: inputs[m[1]] if m[1] else outputs[m[2]][m[3]], value)
            for name, value in step["env"].items()
        }
        files = {name: tmp_path / f"{name}-{number}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        env |= {name: str(path) for name, path in files.items()} | {"GITHUB_ACTIONS": "true"}
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(shell, env={**environment, **env}, cwd=tmp_path, capture_output=True, text=True, check=False)
        if done.returncode:
            return done
        if files["GITHUB_OUTPUT"].exists():
            lines = files["GITHUB_OUTPUT"].read_text().splitlines()
            outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
    return done


def baseline(tmp_path, environment, model):
    """Write a baseline as a person would, not in CI."""
    here = {**environment, "CI": ""}
    subprocess.run(["mimo-eval", "run", model, "-o", "trusted"], env=here, cwd=tmp_path, check=True, capture_output=True)
    shell = ["mimo-eval", "check", "trusted", "--baseline", "base", "--update"]
    subprocess.run(shell, env=here, cwd=tmp_path, check=True, capture_output=True)


def test_the_action_passes_and_fails(tmp_path, environment):
    baseline(tmp_path, environment, "hashing")
    done = action(tmp_path, environment, model="hashing", baseline="base", constraints="c.txt")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pip.log").read_text().split() == ["install", "-c", "c.txt", "mimo-eval[cpu]"]
    assert (tmp_path / "GITHUB_STEP_SUMMARY-2").read_text("utf-8").startswith("### ✅ passed: hashing on mini")
    worse = action(tmp_path, environment, model="hashing(dim=32)", baseline="base")
    assert worse.returncode == 1 and "::error title=mimo-eval%3A regression" in worse.stderr
    suite = ElementTree.parse(tmp_path / "mimo-eval.xml").find("testsuite")
    assert int(suite.get("failures")) > 0
    assert action(tmp_path, environment, model="hashing", baseline="none").returncode == 4


def test_an_input_is_never_a_command(tmp_path, environment):
    done = action(tmp_path, environment, model="hashing; touch owned", baseline="$(touch owned)")
    assert done.returncode not in (0, 1) and not (tmp_path / "owned").exists()


def test_the_gitlab_example(tmp_path, environment):
    content = yaml.safe_load((ROOT / "docs" / "examples" / "gitlab-ci.yml").read_text("utf-8"))
    baseline(tmp_path, environment, "hashing")
    variables = {**content["variables"], "MODEL": "hashing", "BASELINE": "base"}
    for line in content["retrieval"]["script"]:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line], env={**environment, **variables}, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, line
    written = [*content["retrieval"]["artifacts"]["paths"], content["retrieval"]["artifacts"]["reports"]["junit"]]
    assert all((tmp_path / name).exists() for name in written)
