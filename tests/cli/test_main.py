"""The command line as a user meets it: help, exit codes, interruption."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from calling import call

from mimo_eval.cli.main import COMMANDS

HEAVY = ("numpy", "pandas", "torch", "faiss", "datasets", "pyarrow", "pydantic", "ir_measures", "sentence_transformers", "rich")


def test_help_imports_nothing_heavy():
    """What `--help` may import decides how fast it answers."""
    code = (
        "import sys; sys.argv = ['mimo-eval', '--help']\n"
        "from mimo_eval.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"found = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "ours = sorted(m for m in sys.modules if m.startswith('mimo_eval'))\n"
        "print('FOUND', found, ours, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    allowed = ["mimo_eval", "mimo_eval.cli", "mimo_eval.cli.main", "mimo_eval.errors"]
    assert done.stderr.strip() == f"FOUND [] {allowed}"
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command, tmp_path):
    done = call(command, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["compare"], 2, "Missing argument"),
        (["run", "bm52"], 2, "did you mean bm25"),
        (["run", "bm25", "-b", "minni"], 2, "unknown benchmark 'minni'"),
        (["run", "bm25", "--mix", "paralel"], 2, "unknown mix 'paralel'"),
        (["run", "bm25", "--measures", "nDGC@10"], 2, "did you mean nDCG"),
        (["run", "bm25", "--languages", "en,klingon"], 2, "'klingon' is not"),
        (["run", "bm25", "--languages", "en,ko"], 3, "mini has no texts in ko; it has ar, de, en, es, fr, hi"),
        (["run", "bm25", "--languages", "ko"], 3, "mini has no texts in ko; it has ar, de, en, es, fr, hi"),
        (["run", "bm25(k2=1)"], 2, "unknown argument 'k2' of bm25; it takes k1, b, merge, analyzers"),
        (["run", "bm25", "-b", "xquad-r"], 3, "--data"),
        (["data", "validate", "nowhere/at/all"], 3, "no such folder"),
        (["no-such-command"], 2, "No such command"),
        (["leaderbord", "build"], 2, "did you mean leaderboard?"),
        (["analyze", "hashing", "--seed", "-1"], 2, "-1 is not in the range"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(arguments, code, message, tmp_path):
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


SLOW = """
import os, time
import numpy as np
class Slow:
    name, calls = "slow", 0
    def fingerprint(self, role):
        return {"model": "slow"}
    def encode(self, texts, *, role, lang):
        Slow.calls += 1
        if Slow.calls == 3 and "QUICK" not in os.environ:
            open("begun", "w").close()
            time.sleep(200)
        return np.random.default_rng(0).standard_normal((len(texts), 8)).astype(np.float32)
"""


def test_interrupt_keeps_what_was_encoded_and_exits_130(tmp_path):
    (tmp_path / "slow_model.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "mimo_eval.cli.main", "run", "slow_model:Slow", "--format", "json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    while not (tmp_path / "begun").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert out == ""
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("result.json"))
    quick = {**environment, "QUICK": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=quick, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)[0]
    assert result["encoded"]["read"] > 0
    assert sum(result["encoded"].values()) == 2010
