"""Commands that are broken off at any moment, as often as one likes, end like those that were left alone, once they are run again."""

import gzip
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from breaking import Command, Moment, call, held, moments
from runs import annotated_texts

from hf_rnn.commands.cli import COMMANDS

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("HF_RNN_KILLS", 20))
SMALL = "--embedding_size 8 --hidden_size 8 --num_hidden_layers 1 --num_train_epochs 3 --use_cpu true --disable_tqdm true".split()
STEPS = "--do_train --do_eval --do_predict --vocab_size 200 --logging_steps 5".split()
RESUMED = ["--resume_from_checkpoint", "last"]
DATA = ["--train_file", "../ground/rows.jsonl", "--test_file", "../ground/test.jsonl"]
TAGS = ["--train_file", "../ground/tagged.jsonl", "--test_file", "../ground/tagged.jsonl"]
SPANS = ["--train_file", "../ground/spans.jsonl", "--test_file", "../ground/spans.jsonl"]
MODEL, OUT = ["--model_name_or_path", "../ground/model"], ["--output_dir", "out"]
CALLS = {
    "text-classification": Command(["text-classification", *DATA, *SMALL, *STEPS, *OUT], RESUMED),
    "token-classification": Command(["token-classification", *TAGS, *SMALL, *STEPS, *OUT], RESUMED),
    "spans": Command(["token-classification", *SPANS, *SMALL, *STEPS, *OUT], RESUMED),
    "language-model": Command(["language-model", "--train_files", "../ground/rows.jsonl", *SMALL, *STEPS[:2], *STEPS[3:], *OUT], RESUMED),
    "learning-curve": Command(
        ["learning-curve", *DATA, "--sizes", "40", "80", "--seeds", "1", "--options_file", "../ground/small.json", *OUT]
    ),
    "distill": Command(
        ["distill", "--teacher", "../ground/encoder", *DATA, "--augment", "40", "--options_file", "../ground/small.json", *OUT]
    ),
    "compare": Command(["compare", "hidden_size=4 num_train_epochs=1 use_cpu=true", "../ground/model", *DATA, *OUT]),
    "tune": Command(
        [
            *(
                "tune",
                *DATA[:2],
                *OUT,
                "--runs",
                "4",
                "--vocab_size",
                "200",
                "--embedding_size",
                "8",
                "--linear_size",
                "0",
                "--use_cpu",
                "true",
            ),
            *("--search_default", "false", "--search", "hidden_size=4,8", "num_train_epochs=1,2"),
        ]
    ),
    "check": Command(["check", *DATA, *OUT]),
    "train-tokenizer": Command(["train-tokenizer", *DATA[:2], "--vocab_size", "200", *OUT]),
    "predict": Command(["predict", *MODEL, "--input_file", "../ground/many.jsonl", "--output_file", "out.jsonl"], ["--resume", "true"]),
    "predict-table": Command(["predict", *MODEL, "--input_file", "../ground/many.jsonl", "--output_file", "out.csv"], ["--resume", "true"]),
    "next": Command(["next", *MODEL, "--pool_file", "../ground/many.jsonl", "--number", "10", "--output_file", "next.jsonl"]),
    "explain": Command(["explain", *MODEL, "--texts", "a good film 1", "--output_file", "words.html", "--gates_file", "gates.png"]),
    "convert": Command(["convert", *MODEL, "--test_file", "../ground/test.jsonl", *OUT]),
    "export": Command(["export", *MODEL, "--quantize", "true", "--test_file", "../ground/test.jsonl", *OUT]),
    "demo": Command(["demo", *MODEL, *OUT]),
    "import": Command(["import", "--weights_file", "../ground/weights.safetensors", "--labels", "a", "b", *OUT]),
}
# what writes nothing of its own: a server, and pushes, of which the Hub takes all or nothing
ELSEWHERE = {"serve", "push"}


def test_every_command_is_broken_off():
    """None is forgotten."""
    assert {call.arguments[0] for call in CALLS.values()} | ELSEWHERE == set(COMMANDS)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Write rows, an encoder, a model and weights to start from; return the folder, in whose neighbours commands run."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    from hf_rnn.data.tokenizers.training import train_tokenizer
    from hf_rnn.distillation import teachers

    ground = tmp_path_factory.mktemp("kills") / "ground"
    ground.mkdir()
    words = {"1": ("good", "fine", "lovely"), "0": ("bad", "dull", "awful")}
    rows = [{"text": f"a {word} film {number}", "label": label} for number in range(20) for label in words for word in words[label]]
    tagged = [{"tokens": ["in", name, str(number)], "tags": ["O", "B-city", "O"]} for number in range(25) for name in ("Seoul", "Busan")]
    many = [{"text": f"{row['text']} {turn}", "id": turn} for turn in range(20) for row in rows]
    for name, part in (("rows", rows), ("test", rows[::4]), ("tagged", tagged), ("spans", annotated_texts(80)), ("many", many)):
        (ground / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_train_epochs": 1, "use_cpu": True, "vocab_size": 120, "embedding_size": 8}
    (ground / "small.json").write_text(json.dumps(small))
    tokenizer = train_tokenizer([row["text"] for row in rows], "wordpiece", 200)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(ground / "encoder")
    tokenizer.save_pretrained(ground / "encoder")
    lstm, state = (
        torch.nn.LSTM(4, 5),
        {"embedding.weight": torch.randn(9, 4), "linear.weight": torch.randn(2, 5), "linear.bias": torch.zeros(2)},
    )
    save_file({**state, **{f"rnn.{name}": value.detach() for name, value in lstm.state_dict().items()}}, ground / "weights.safetensors")
    (ground.parent / "setting").mkdir()
    patch = pytest.MonkeyPatch()
    patch.setattr(teachers, "STORE", ground.parent / "answers")
    patch.setattr("hf_rnn.inference.bulk.WINDOW_ROWS", 100)
    # what is not tested takes most of the time of a page
    squeeze = gzip.compress
    patch.setattr("gzip.compress", lambda content, *_, mtime: squeeze(content[:10_000], 1, mtime=mtime))
    # what is imported once need not be by every child
    for module, _ in COMMANDS.values():
        __import__(f"hf_rnn.commands.{module}")
    for module in ("onnx.export", "onnx.runtime", "onnx.standalone", "tuning.study", "demo.page", "reports.plots"):
        __import__(f"hf_rnn.{module}")
    done = call(
        ["text-classification", *DATA[:2], *SMALL, *STEPS[:2], *STEPS[3:], "--output_dir", "../ground/model"], ground.parent / "setting"
    )
    assert done.status == 0, done.said[-2000:]
    yield ground
    patch.undo()


def fresh(ground: Path, name: str) -> Path:
    """Return an empty folder beside the ground; answers of teachers are forgotten."""
    shutil.rmtree(ground.parent / "answers", ignore_errors=True)
    shutil.rmtree(ground.parent / name, ignore_errors=True)
    (ground.parent / name).mkdir()
    return ground.parent / name


def has_ended(said: str, name: str) -> bool:
    """Return whether a command that is run again has nothing left to do."""
    return name == "distill" and "says that the run there is finished" in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("name", CALLS)
def test_broken_off_and_run_again(name, number, ground):
    """Nothing is lost or left over, no lock is in the way, and errors are one line."""
    command = CALLS[name]
    whole = call(command.arguments, fresh(ground, "whole"))
    assert whole.status == 0, whole.said[-2000:]
    wanted, folder, wrong, broken = held(ground.parent / "whole"), fresh(ground, "broken"), [], 0

    def run_to_the_end(what) -> None:
        again = [*command.arguments, *command.again]
        done = call(again, folder)
        if done.status != 0 and not has_ended(done.said, name):
            wrong.append(f"{what}: then {done.status}: {done.said[-600:]}")
            return
        found = held(folder)
        changed = sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
        if changed:
            wrong.append(f"{what}: other files: {changed}")
            print(wrong[-1], file=sys.stderr)

    times: list[Moment] = []
    for moment in moments(whole, KILLS, number):
        is_begun = bool(times)
        done = call([*command.arguments, *(command.again if is_begun else [])], folder, moment, number)
        broken += done.status != 0
        times.append(moment)
        if done.status not in (0, -number, 130) and not has_ended(done.said, name):
            wrong.append(f"{times}: {done.status}: {done.said[-600:]}")
        if number == signal.SIGINT and "Traceback" in done.said:
            wrong.append(f"{times}: a traceback: {done.said[-1500:]}")
        # a chain of two or three, then to the end
        if done.status == 0 or len(times) == 3:
            run_to_the_end(times)
            folder, times = fresh(ground, "broken"), []
    if times:
        run_to_the_end(times)
    print(f"{name} {number.name}: {broken} of {KILLS} broken off, {whole.writes} writes, {whole.seconds:.1f} s whole", file=sys.stderr)
    print("\n".join(wrong), file=sys.stderr)
    assert not wrong
    assert broken >= KILLS // 4
