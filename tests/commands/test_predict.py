"""Bulk prediction: in order, nothing lost, to be gone on with, the same by several processes and in any batch."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from runs import SAMPLES
from safetensors.torch import load_file, save_file

import hf_rnn
from hf_rnn.commands import cli, predict
from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.inference import bulk

WORDS = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv"))]


@pytest.fixture
def small_windows(monkeypatch):
    """Let windows hold ten rows."""
    monkeypatch.setattr(bulk, "WINDOW_ROWS", 10)


def write(path, texts):
    """Write texts as JSON lines."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


def answers(path):
    """Return the rows of an output."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(model, source, output, *more):
    """Predict a file."""
    predict.main(["--model_name_or_path", str(model), "--input_file", str(source), "--output_file", str(output), *more])


def test_batches_are_of_similar_length():
    """Every row once; rows times the largest stay within the budget, unless it is one; what is in a window too."""
    generator = random.Random(0)
    sizes = [generator.choice((1, 5, 30, 200, 5000, 100_000)) for _ in range(500)]
    found = list(bulk.batches(sizes, 64))
    assert sorted(row for batch in found for row in batch) == list(range(500))
    assert all(len(batch) == 1 or len(batch) * max(sizes[row] for row in batch) <= bulk.BATCH_CHARACTERS for batch in found)
    assert max(map(len, found)) == 64
    texts = ["x" * value for value in sizes]
    found = list(bulk.windows(texts))
    assert [text for window in found for text in window] == texts
    assert all(sum(map(len, window[:-1])) < bulk.WINDOW_CHARACTERS for window in found)


def test_order_is_kept(classifier, tmp_path, small_windows):
    """Rows of all lengths come back in their order with the answers that they get one by one."""
    texts = [*WORDS[:20], "", "영화 " * 400, *WORDS[20:33], " "]
    run(classifier[0], write(tmp_path / "in.jsonl", texts), tmp_path / "out.jsonl", "--batch_size", "4")
    predictor = hf_rnn.load(str(classifier[0]))
    for row, text in zip(answers(tmp_path / "out.jsonl"), texts, strict=True):
        (alone,) = predictor.predict(text)
        assert (row["text"], row["label"]) == (text, alone["label"])
        assert row["score"] == pytest.approx(alone["score"], abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_the_input_is_never_lost(classifier, tmp_path, capsys):
    """An output that is the input is refused; one that is there stays until it is replaced by a whole one."""
    source = write(tmp_path / "in.jsonl", ["a"])
    assert cli.main(["predict", "--model_name_or_path", str(classifier[0]), "--input_file", source, "--output_file", source]) == 1
    assert "is the input itself" in capsys.readouterr().err
    assert answers(tmp_path / "in.jsonl") == [{"text": "a"}]
    (tmp_path / "out.jsonl").write_text("old")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": 5}\n')
    with pytest.raises(DataError, match=r"bad.jsonl, row 1, column 'text': expected text, got 5"):
        run(classifier[0], tmp_path / "bad.jsonl", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "in.jsonl", "out.jsonl"]


def test_going_on(classifier, tmp_path, small_windows):
    """After a bad row the error says what is answered; mended and resumed, the output is that of a run without a stop."""
    write(tmp_path / "in.jsonl", WORDS[:35])
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "whole.jsonl")
    lines = (tmp_path / "in.jsonl").read_text().splitlines()
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:24], '{"text": null}', *lines[25:]]))
    with pytest.raises(DataError, match=r"row 24, column 'text': .* 20 rows before it are answered, in .*part-0-of-1; pass --resume true"):
        run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match="left of a run that did not finish. Pass --resume true to go on"):
        run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    with pytest.raises(DataError, match="is of a run with another batch_size. Pass --resume false"):
        run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--resume", "true", "--batch_size", "3")
    part = tmp_path / "out.jsonl.part-0-of-1"
    # a line that was being written when the process died
    part.write_text(part.read_text()[:-20])
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--resume", "true")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "whole.jsonl"]


def test_other_texts_are_noticed(classifier, tmp_path, small_windows):
    """A part that answers other texts is not gone on with; it can be started again."""
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in WORDS[:15]) + "{\n")
    with pytest.raises(DataError, match="10 rows before it"):
        run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    write(tmp_path / "in.jsonl", WORDS[20:35])
    with pytest.raises(DataError, match="holds answers to other texts. Pass --resume false"):
        run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--resume", "true")
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--resume", "false")
    assert [row["text"] for row in answers(tmp_path / "out.jsonl")] == WORDS[20:35]


def state(folder):
    """Return what the files of a folder hold."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def unfinished(classifier, tmp_path, small_windows):
    """Leave the answers to 20 of 35 rows; return the folder, which also holds a whole output."""
    write(tmp_path / "in.jsonl", WORDS[:35])
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "whole.jsonl")
    lines = (tmp_path / "in.jsonl").read_text().splitlines()
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:24], "{", *lines[25:]]))
    with pytest.raises(DataError, match="20 rows before it"):
        run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    write(tmp_path / "in.jsonl", WORDS[:35])
    assert (tmp_path / "out.jsonl.part-0-of-1").read_bytes().count(b"\n") == 20
    return tmp_path


def test_what_is_refused_or_interrupted_loses_nothing(classifier, unfinished, monkeypatch):
    """A typing error, other texts anywhere, fewer texts, another input, an end before the first window: every file stays as it was."""
    part = unfinished / "out.jsonl.part-0-of-1"
    before = state(unfinished)

    def refused(message, *more, kind=DataError, source="in.jsonl"):
        with pytest.raises(kind, match=message):
            run(classifier[0], unfinished / source, unfinished / "out.jsonl", "--resume", "true", *more)
        assert state(unfinished) == before

    refused("another batch_size", "--batch_size", "3")
    refused("another input", source="whole.jsonl")
    refused("no column nothing", "--text_column_name", "nothing")
    for row in (0, 3, 9, 17):
        write(unfinished / "in.jsonl", [*WORDS[:row], "another one", *WORDS[row + 1 : 35]])
        before = state(unfinished)
        refused(r"part-0-of-1 holds answers to other texts. Pass --resume false")
    for rows in (1, 10, 13, 19):
        write(unfinished / "in.jsonl", WORDS[:rows])
        before = state(unfinished)
        refused(r"part-0-of-1 holds answers to more texts than there are. Pass --resume false")
    write(unfinished / "in.jsonl", WORDS[:35])
    before = state(unfinished)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hf_rnn.inference.predictor.Predictor, "predict", interrupted)
        refused(f"20 rows before it are answered, in {part}; pass --resume true", kind=KeyboardInterrupt)
    # nor does what starts again before it has an answer
    with monkeypatch.context() as patch:
        patch.setattr(hf_rnn.inference.predictor.Predictor, "predict", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(classifier[0], unfinished / "in.jsonl", unfinished / "out.jsonl", "--resume", "false")
    assert state(unfinished) == before
    run(classifier[0], unfinished / "in.jsonl", unfinished / "out.jsonl", "--resume", "true")
    assert (unfinished / "out.jsonl").read_bytes() == (unfinished / "whole.jsonl").read_bytes()
    assert not part.exists()


def test_another_model_in_the_same_folder(classifier, unfinished, tmp_path_factory):
    """Answers of a model that was trained anew in its folder are not mixed with those of the one before."""
    model = shutil.copytree(classifier[0], tmp_path_factory.mktemp("model") / "a", ignore=shutil.ignore_patterns("checkpoint-*"))
    run(model, unfinished / "in.jsonl", unfinished / "out.jsonl", "--resume", "true")
    for name in ("out.jsonl", "again.jsonl"):
        (unfinished / name).unlink(missing_ok=True)
    (unfinished / "bad.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in WORDS[:15]) + "{\n")
    with pytest.raises(DataError, match="10 rows before it"):
        run(model, unfinished / "bad.jsonl", unfinished / "out.jsonl")
    weights = load_file(model / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    before = state(unfinished)
    with pytest.raises(DataError, match="is of a run with another model. Pass --resume false"):
        run(model, unfinished / "bad.jsonl", unfinished / "out.jsonl", "--resume", "true")
    assert state(unfinished) == before


@pytest.mark.thorough
def test_a_full_disk(classifier, tmp_path):
    """The error names the file, the rows and the way on, and that way ends as a run with room does."""
    write(tmp_path / "in.jsonl", [f"{text} {index}" for index, text in enumerate(WORDS * 9)][:9000])
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "whole.jsonl")
    size = (tmp_path / "whole.jsonl").stat().st_size
    code = "import resource, sys; from hf_rnn.commands import cli; "
    code += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size - 1000}, {size - 1000})); sys.exit(cli.main(sys.argv[1:]))"
    arguments = ["--model_name_or_path", str(classifier[0]), "--input_file", str(tmp_path / "in.jsonl")]
    command = [sys.executable, "-c", code, "predict", *arguments, "--output_file", str(tmp_path / "out.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    part = tmp_path / "out.jsonl.part-0-of-1"
    told = f"out.jsonl' cannot be written: File too large. Make room there. 8192 rows before it are answered, in {part}; pass --resume true"
    assert told in done.stderr and len(done.stderr.splitlines()) == 1
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--resume", "true")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_two_runs_on_one_output(classifier, tmp_path):
    """The second is told in a line who writes there, whatever it is to do with what lies there; the first is not harmed."""
    write(tmp_path / "in.jsonl", WORDS[:20])
    code = "import sys; from hf_rnn.commands import cli; sys.exit(cli.main(sys.argv[1:]))"
    arguments = ["--model_name_or_path", str(classifier[0]), "--input_file", "-", "--output_file", str(tmp_path / "out.jsonl")]
    first = subprocess.Popen([sys.executable, "-c", code, "predict", *arguments], stdin=subprocess.PIPE, text=True)
    while first.poll() is None and not (tmp_path / ".out.jsonl.lock").exists():
        time.sleep(0.05)
    time.sleep(0.2)
    for more in ([], ["--resume", "true"], ["--resume", "false"]):
        with pytest.raises(DataError, match=f"out.jsonl': process {first.pid} is writing there. Wait until it ends, or pass another"):
            run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl", *more)
    first.communicate("\n".join(WORDS[:20]))
    assert first.returncode == 0
    assert [row["text"] for row in answers(tmp_path / "out.jsonl")] == WORDS[:20]
    assert sorted(state(tmp_path)) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_kills_at_any_moment(number, classifier, tmp_path, monkeypatch):
    """Killed, gone on with and killed again, a run ends as one that was left alone, and never loses what it had."""
    monkeypatch.setattr(bulk, "WINDOW_ROWS", 40)
    write(tmp_path / "in.jsonl", WORDS[:1000])
    started = time.perf_counter()
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "whole.jsonl")
    seconds, whole = time.perf_counter() - started, (tmp_path / "whole.jsonl").read_bytes()
    part = tmp_path / "out.jsonl.part-0-of-1"
    moments, draw = int(os.environ.get("HF_RNN_KILLS", 4)), random.Random(number)
    known = b""
    for _ in range(moments):
        child = os.fork()
        if child == 0:
            arguments = ["--input_file", str(tmp_path / "in.jsonl"), "--output_file", str(tmp_path / "out.jsonl"), "--resume", "true"]
            os._exit(cli.main(["predict", "--model_name_or_path", str(classifier[0]), *arguments]))
        time.sleep(draw.uniform(0.2, 0.9) * seconds)
        os.kill(child, number)
        os.waitpid(child, 0)
        now = next((path.read_bytes() for path in (tmp_path / "out.jsonl", part) if path.exists()), b"")
        # a window that was cut off is written again
        lines = known.splitlines(keepends=True)
        assert now.startswith(b"".join(lines[: known.count(b"\n") // 40 * 40])) and whole.startswith(now)
        known = now if not (tmp_path / "out.jsonl").exists() else b""
        if not known:
            (tmp_path / "out.jsonl").unlink(missing_ok=True)
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--resume", "true")
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert sorted(state(tmp_path)) == ["in.jsonl", "out.jsonl", "whole.jsonl"]


def test_tokens_and_lines_of_the_input(tagger, tmp_path, monkeypatch):
    """A tagger takes lists of tokens, empty ones too, and lines of the standard input."""
    (tmp_path / "in.jsonl").write_text('{"tokens": ["We", "flew", "."]}\n{"tokens": []}\n{"tokens": ["\\ud800"]}\n')
    run(tagger[0], tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [(row["tokens"], len(row["tags"])) for row in answers(tmp_path / "out.jsonl")] == [
        (["We", "flew", "."], 3),
        ([], 0),
        (["\ufffd"], 1),
    ]
    monkeypatch.setattr("sys.stdin", iter(["We flew\n", "\n"]))
    run(tagger[0], "-", tmp_path / "lines.jsonl")
    assert [row["text"] for row in answers(tmp_path / "lines.jsonl")] == ["We flew", ""]


@pytest.mark.thorough
def test_two_processes_and_a_kill(classifier, tmp_path):
    """Two processes share a file and make one output, that of one process; killed and resumed they go on."""
    texts = [f"{text} {index}" for index, text in enumerate(WORDS * 18)]
    write(tmp_path / "in.jsonl", texts)
    run(classifier[0], tmp_path / "in.jsonl", tmp_path / "one.jsonl")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    arguments = ["--model_name_or_path", str(classifier[0]), "--input_file", str(tmp_path / "in.jsonl")]
    command = [sys.executable, *launch.split(), "--main_process_port", "0", "-m", "hf_rnn", "predict", *arguments]
    command += ["--output_file", str(tmp_path / "two.jsonl")]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    while process.poll() is None and not any(path.stat().st_size for path in tmp_path.glob("two.jsonl.part-1-of-2")):
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    _, error = process.communicate()
    if (tmp_path / "two.jsonl.run").exists():
        assert not (tmp_path / "two.jsonl").exists()
        done = subprocess.run([*command, "--resume", "true"], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "two.jsonl").exists(), error.decode()[-2000:]
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "one.jsonl", "two.jsonl"]
