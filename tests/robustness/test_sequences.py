"""Any sequence of commands on the same files, broken off anywhere: no file ever holds what nobody asked for."""

import json
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from breaking import WRITES, is_write
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from hf_rnn.commands import cli, predict
from hf_rnn.data.files.writers import write_rows
from hf_rnn.inference import bulk
from hf_rnn.tuning import learning_curve as curves

OUTPUTS = ("a.jsonl", "b.csv", "c.json")


class StandIn:
    """Answers texts as a model does, by all that its folder holds; quicker to train."""

    def __init__(self, folder, *_, **__):
        self.weights = (Path(folder) / "model.safetensors").read_text()
        self.decoder = SimpleNamespace(kind="label", usual_columns=("text",), labels=["a", "b"])
        self.model = SimpleNamespace(device=torch.device("cpu"))

    def predict(self, texts, *_, **options):
        """Return a label that depends on weights and text."""
        return [{"text": text, "label": f"{self.weights}:{len(text)}", "score": 0.5} for text in texts]


def killed(arguments, folder, write):
    """Run a command in a fork that ends, with nothing cleared up, before its n-th change in a folder; return its status."""
    child = os.fork()
    if child == 0:
        status, seen, own = 99, 0, os.getpid()

        def hook(event, values):
            nonlocal seen
            if event in ("open", *WRITES) and os.getpid() == own and is_write(event, values, str(folder)):
                seen += 1
                if seen == write:
                    os._exit(77)

        try:
            sys.addaudithook(hook)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            status = cli.main(arguments)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def stood_in(where):
    """Let a stand-in answer, in windows of three rows, and be trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "load", StandIn)
        patch.setattr(bulk, "WINDOW_ROWS", 3)
        patch.setattr(curves, "plot", lambda *_: None)
        patch.setattr(curves, "classify_texts", lambda inputs, labels, others: ["1"] * len(others))
        patch.setattr(curves, "train_by_options", lambda task, options: SimpleNamespace(metrics={"test_accuracy": 0.25}))
        patch.chdir(where)
        yield


class Files(RuleBasedStateMachine):
    """A folder with a model, an input and outputs; beside it, what they are to hold."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sequences"))
        self.context = stood_in(self.folder)
        self.context.__enter__()
        self.version, self.whole = 0, dict.fromkeys(OUTPUTS)
        self.texts = []
        self.curve_rows = None

    def teardown(self):
        """Take the folder away."""
        self.context.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    def state(self):
        """Return what all files hold, but for locks, which the next run takes over."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(".lock")]
        return {str(path): path.read_bytes() for path in files}

    @initialize(count=st.integers(1, 10))
    def begin(self, count):
        """Train a model, and write an input."""
        (self.folder / "model").mkdir()
        self.train()
        self.texts = [f"text {'x' * number}" for number in range(count)]
        self.write()

    def write(self):
        """Write the input."""
        (self.folder / "in.jsonl").write_text("".join(json.dumps({"text": text, "id": i}) + "\n" for i, text in enumerate(self.texts)))

    @rule()
    def train(self):
        """Train anew in the same folder."""
        self.version += 1
        (self.folder / "model" / "model.safetensors").write_text(f"v{self.version}")
        (self.folder / "model" / "config.json").write_text("{}")

    @rule(how=st.sampled_from(["append", "cut", "edit first", "edit last", "swap"]))
    def change(self, how):
        """Change the input."""
        if how == "append":
            self.texts.append(f"more {'y' * len(self.texts)}")
        elif how == "cut" and len(self.texts) > 1:
            self.texts.pop()
        elif how.startswith("edit"):
            self.texts[0 if how == "edit first" else -1] += "!"
        elif how == "swap":
            self.texts[0], self.texts[-1] = self.texts[-1], self.texts[0]
        self.write()

    def answers(self, name):
        """Return what an output of the model as it is to the input as it is holds."""
        rows = [
            {"id": number, "text": text, "label": f"v{self.version}:{len(text)}", "score": 0.5} for number, text in enumerate(self.texts)
        ]
        path = self.folder / f"expected{Path(name).suffix}"
        write_rows(path, lambda: iter(rows))
        content = path.read_bytes()
        path.unlink()
        return content

    @rule(
        name=st.sampled_from(OUTPUTS),
        resume=st.sampled_from([None, "true", "true", "false"]),
        batch=st.sampled_from(["1024", "1024", "7"]),
        end=st.one_of(st.none(), st.integers(1, 9), st.sampled_from(["interrupt 1", "interrupt 2", "error 2", "typing error"])),
    )
    def answer(self, name, resume, batch, end):
        """Answer the input; what is whole is right, what is refused changes nothing, and what is broken off loses nothing."""
        before, wanted = self.state(), self.answers(name)
        arguments = ["predict", "--model_name_or_path", "model", "--input_file", "in.jsonl", "--output_file", name, "--batch_size", batch]
        arguments += [] if resume is None else ["--resume", resume]
        if isinstance(end, int):
            status = killed(arguments, self.folder, end)
        elif end == "typing error":
            status = cli.main([*arguments, "--threshold", "seven"])
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(StandIn, "predict", failing(StandIn.predict, end))
                status = cli.main(arguments)
        # what is neither broken off nor finds a run to go on from is done
        is_left = str(self.folder / f"{name}.run") in before
        assert status == 0 or end is not None or (is_left and resume != "false")
        after, path = self.state(), str(self.folder / name)
        own = {each for each in after.keys() | before.keys() if Path(each).name.strip(".").startswith(name)}
        # other files are none of its business
        assert {each: after[each] for each in after.keys() - own} == {each: before[each] for each in before.keys() - own}
        # a process that ends by itself holds nothing; wrong options are told before it would take over what a killed one held
        assert status == 77 or end == "typing error" or not (self.folder / f".{name}.lock").exists()
        if status == 0:
            assert after[path] == wanted
            assert {Path(each).name for each in own & after.keys()} == {name}, own
        else:
            # killed between the last two changes it may be whole
            assert after.get(path) in (before.get(path), wanted if status == 77 else before.get(path))
            assert status in (1, 2, 130, 77)
        part, known = (each.get(f"{path}.part-0-of-1", b"") for each in (after, before))
        if status in (1, 2) and end != "error 2":
            assert after == before
        elif status != 0 and resume == "true":
            # what was answered stays, but for a window that was cut off, which is written again
            kept = b"".join(known.splitlines(keepends=True)[: known.count(b"\n") // 3 * 3])
            assert part.startswith(kept) or after.get(path) == wanted

    @rule(name=st.sampled_from(OUTPUTS))
    def damage(self, name):
        """Lose the end of what is answered, as a machine that stops may."""
        path = self.folder / f"{name}.part-0-of-1"
        if path.exists():
            path.write_bytes(path.read_bytes()[:-5])

    @rule(end=st.one_of(st.none(), st.integers(1, 12)), rows=st.sampled_from([8, 8, 8, 10]))
    def measure(self, end, rows):
        """Measure a learning curve: each point once, of the same rows alone."""
        lines = [json.dumps({"text": f"t {number}", "label": str(number % 2)}) + "\n" for number in range(rows)]
        (self.folder / "rows.jsonl").write_text("".join(lines))
        arguments = ["learning-curve", "--train_file", "rows.jsonl", "--test_file", "rows.jsonl", "--sizes", "4", "6", "--seeds", "2"]
        arguments += ["--output_dir", "curve"]
        status = cli.main(arguments) if end is None else killed(arguments, self.folder / "curve", end)
        path = self.folder / "curve" / curves.POINTS
        points = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if status == 0:
            assert self.curve_rows in (None, rows)
            keys = [(point["name"], point["rows"], point["seed"]) for point in points]
            assert sorted(keys) == sorted(
                (name, size, seed) for name in (curves.BASELINE, curves.OURS) for size in (4, 6) for seed in (0, 1)
            )
            assert {point["score"] for point in points} == {0.5, 0.25}
        elif status == 1:
            assert self.curve_rows not in (None, rows)
        else:
            assert status == 77
        if points:
            self.curve_rows = rows if self.curve_rows is None else self.curve_rows


def failing(ask, end):
    """Return what answers until a call that fails or is interrupted."""
    calls = []

    def answer(self, *values, **options):
        calls.append(1)
        if end == f"interrupt {len(calls)}":
            raise KeyboardInterrupt
        if end == f"error {len(calls)}":
            raise OSError("broken")
        return ask(self, *values, **options)

    return answer


def sequences(count, steps):
    """Run so many sequences of so many commands."""
    checks = list(HealthCheck)
    run_state_machine_as_test(
        Files, settings=settings(max_examples=count, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    )


@pytest.mark.thorough
def test_sequences():
    """A few of few commands."""
    sequences(5, 5)


@pytest.mark.slow
def test_sequences_at_length():
    """A thousand."""
    sequences(int(os.environ.get("HF_RNN_SEQUENCES", 1000)), 8)
