"""`predictor.py` beside an exported model answers as `load(checkpoint).predict` does, with three packages and nothing of ours."""

import ast
import json
import re
import shutil
import subprocess
import sys
import time
from itertools import chain, repeat
from pathlib import Path

import pytest
from checkpoints import ANNOTATED, REVIEWS, random_checkpoint
from odd_texts import odd_texts

from hf_rnn import RnnConfig, load
from hf_rnn.commands import cli
from hf_rnn.data.files.json_files import whole_text
from hf_rnn.onnx import standalone
from hf_rnn.onnx.export import quantize
from hf_rnn.onnx.standalone import predictor as runtime

TEXTS = [whole_text(text) for text in [*odd_texts(300), *REVIEWS[:150], *ANNOTATED[:50]]]
BIO, BIOES, POS = ["O", "B-A", "I-A", "B-B", "I-B"], ["O", *(f"{p}-{kind}" for kind in "AB" for p in "BIES")], ["NOUN", "VERB", "O"]
OUTSIDE = {"centre": [0.5, -2.0], "scale": [0.3, 1.5], "weights": [1.0, 1.0], "border": 1.5}
MODELS = {
    "one label": {"problem_type": "single_label_classification", "labels": ["a", "b", "c"]},
    "one label or none": {"problem_type": None, "labels": ["a", "b", "c"], "promise": {"threshold": 0.5}, "outside": OUTSIDE},
    "several labels": {"problem_type": "multi_label_classification", "labels": [f"label {index}" for index in range(12)]},
    "regression": {"problem_type": "regression", "labels": ["value"]},
    "spans of tokens": {"labels": BIOES, "use_crf": True, "crf_constraints": "bioes", "word_pooling": "rnn", "intents": ["x", "y"]},
    # as many moves between tags as an exporter holds twice
    "sure spans of tokens": {
        "labels": ["O", *(f"{p}-{kind}" for kind in range(17) for p in "BI")],
        "use_crf": True,
        "span_scores": True,
        "seed": 3,
    },
    "tags of tokens": {"labels": POS},
    "sure tags of tokens": {"labels": POS, "use_crf": True, "span_scores": True, "seed": 5},
    "raw text": {"labels": BIO, "units": "raw", "word_pooling": "mean", "promise": {"threshold": 0.3}},
    "raw text with intents": {
        "labels": BIO,
        "units": "raw",
        "word_pooling": "rnn",
        "use_crf": True,
        "span_scores": True,
        "intents": ["x", "y"],
        "seed": 8,
    },
}
# what may be loaded in a process that runs `predictor.py`, beside the standard library
ALLOWED = {"numpy", "onnxruntime", "tokenizers", "predictor"}
ALONE = f"""
import json, sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in set(sys.stdlib_module_names) | {ALLOWED}:
            raise ImportError(f"{{name}} is not there")
sys.meta_path.insert(0, Only())
folder, texts = sys.argv[1:]
sys.path.insert(0, folder)
from predictor import load
print(json.dumps(load(folder).predict(json.load(open(texts)))))
"""


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tmp_path_factory):
    """Export a model by the command; return its checkpoint and the exported folder."""
    checkpoint, folder = (tmp_path_factory.mktemp("standalone") / name for name in ("model", "exported"))
    random_checkpoint(checkpoint, **MODELS[request.param])
    assert cli.main(["export", "--model_name_or_path", str(checkpoint), "--output_dir", str(folder)]) == 0
    return checkpoint, folder


def assert_same(found, expected):
    """The same answers, with numbers that agree to 1e-5."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert list(a) == list(b)
        for name, value in b.items():
            if name == "spans":
                assert_same(a[name], value)
            elif name == "scores":
                assert a[name] == pytest.approx(value, abs=1e-5)
            elif isinstance(value, float):
                assert a[name] == pytest.approx(value, abs=1e-5, rel=1e-5)
            else:
                assert a[name] == value


def test_same_answers(exported):
    """On 500 texts, most of them odd, as strings and as lists of tokens; more than one answer occurs."""
    checkpoint, folder = exported
    texts = [*TEXTS, *(text.split(" ") for text in TEXTS[:100]), []]
    found, expected = runtime.load(folder).predict(texts), load(str(checkpoint)).predict(texts)
    assert len(TEXTS) == 500
    assert_same(found, expected)
    told = {name: {str(answer[name]) for answer in found if name in answer} for name in ("label", "intent")}
    assert 1 not in (len(told["label"]), len(told["intent"]))
    kinds = {span["entity_group"] for answer in found for span in answer.get("spans", ())}
    assert len(kinds) != 1


def test_int8_answers(exported):
    """The graph of every head in int8 is read, and answers most texts alike."""
    checkpoint, folder = exported
    quantize(folder)
    try:
        found = runtime.load(folder, quantized=True).predict(TEXTS[:100])
    finally:
        (folder / runtime.QUANTIZED_FILE).unlink()
    expected = load(str(checkpoint)).predict(TEXTS[:100])
    for name in {"label", "tags", "labels", "prediction"} & {*expected[0]}:
        same = [
            a[name] == pytest.approx(b[name], abs=0.1) if name == "prediction" else a[name] == b[name]
            for a, b in zip(found, expected, strict=True)
        ]
        assert sum(same) >= 70


def test_scores_of_all_labels(exported):
    """On demand a classifier of one label tells them; they sum to one, and the first of them is the score."""
    answers = runtime.load(exported[1]).predict(TEXTS[:9], all_scores=True)
    for answer in answers:
        if "label" in answer:
            assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-6)
            assert answer["scores"][answer.get("best", answer["label"])] == answer["score"] == max(answer["scores"].values())


@pytest.mark.parametrize("exported", ["raw text"], indirect=True)
def test_time_grows_with_the_length_of_a_text(exported):
    """And not with its square, which would be half a minute."""
    predictor = runtime.load(exported[1])
    start = time.process_time()
    (answer,) = predictor.predict("Kim flew to Seoul. " * 2000)
    assert time.process_time() - start < 5
    assert answer["spans"]


@pytest.mark.parametrize("exported", ["one label", "raw text with intents"], indirect=True)
def test_needs_three_packages(exported, tmp_path):
    """In a process that can import nothing else, by its own copy."""
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS[:50]))
    command = [sys.executable, "-c", ALONE, str(exported[1]), str(tmp_path / "texts.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(json.loads(done.stdout), load(str(exported[0])).predict(TEXTS[:50]))


@pytest.mark.parametrize("exported", ["one label"], indirect=True)
def test_command_line(exported, tmp_path):
    """A line of a file, or of the standard input, is a text; what is broken is told in one line."""
    lines = ["정말 재미있어요", "", "a\u2028b", " c"]
    (tmp_path / "texts.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    (tmp_path / "broken.txt").write_bytes(b"\xff")

    def run(*arguments, **more):
        return subprocess.run([sys.executable, str(exported[1] / "predictor.py"), *arguments], capture_output=True, cwd=tmp_path, **more)

    expected = runtime.load(exported[1]).predict(lines)
    for done in (run("texts.txt"), run(input=(tmp_path / "texts.txt").read_bytes())):
        assert_same([json.loads(line) for line in done.stdout.decode().split("\n")[:-1]], expected)
    for arguments in (["nowhere.txt"], ["broken.txt"], ["texts.txt", "--folder", "."], ["texts.txt", "--quantized"]):
        done = run(*arguments)
        assert done.returncode == 1 and done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("exported", ["one label"], indirect=True)
def test_long_texts_are_cut_where_training_cut_them(exported, tmp_path):
    """On the side that the tokenizer names."""
    path = tmp_path / "exported"
    path.mkdir()
    for file in exported[1].iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((path / "predictor.json").read_text())
    assert settings["max_length"] == 64
    (path / "predictor.json").write_text(json.dumps({**settings, "truncation_side": "left"}))
    predictor = load(str(exported[0]))
    predictor.tokenizer.truncation_side = "left"
    text = " ".join(REVIEWS[:40])
    (found,), (expected,) = runtime.load(path).predict(text), predictor.predict(text)
    assert_same([found], [expected])
    assert found["score"] != pytest.approx(runtime.load(exported[1]).predict(text)[0]["score"], abs=1e-4)


WRONG = {
    "labels": (["a"], list("abcdefghijklmnop"), None, 5),
    "max_length": (-5, "x", 10**30, 0, 1.5),
    "pad_id": ("x", 10**30),
    "truncation_side": ("up",),
    "task": ("../x",),
    "threshold": ("x",),
}


@pytest.mark.parametrize("exported", ["one label"], indirect=True)
def test_settings_that_do_not_fit(exported, tmp_path):
    """Whatever is wrong in a folder is one line when it is loaded, before anyone asks."""
    path = Path(shutil.copytree(exported[1], tmp_path / "exported"))
    settings = json.loads((path / "predictor.json").read_text())
    for name, values in WRONG.items():
        for value in values:
            (path / "predictor.json").write_text(json.dumps({**settings, name: value}))
            with pytest.raises(ValueError, match=r"exported' is no whole folder of `hf-rnn export`: .*\. Export the model again\.$"):
                runtime.load(path)
    (path / "predictor.json").write_text(json.dumps(settings))
    assert runtime.load(path).predict("a")


def test_halves_of_pairs_are_replaced():
    """No tokenizer takes them, and offsets stay."""
    assert runtime._whole("a\ud83d b") == "a\ufffd b"
    assert runtime._whole(["\udc00", "b"]) == ["\ufffd", "b"]


def test_batches_are_bounded():
    """No batch has more texts or characters than it may, but for a text alone; every row is in one."""
    sizes = [*range(1, 300), 10**5, *repeat(3, 200)]
    batches = list(runtime._batches(sizes))
    assert sorted(chain.from_iterable(batches)) == list(range(len(sizes)))
    assert all(len(rows) <= 64 for rows in batches)
    assert all(len(rows) == 1 or len(rows) * max(sizes[row] for row in rows) <= 2**13 for rows in batches)
    # a quarter of what is computed is padding, at most
    assert sum(len(rows) * max(sizes[row] for row in rows) for rows in batches) < 4 / 3 * sum(sizes)


def test_language_models_have_none(tmp_path):
    """Only heads that answer texts."""
    with pytest.raises(ValueError, match="Only classifiers and taggers answer texts, got RnnForMaskedLM"):
        standalone.predictor_settings(RnnConfig(architectures=["RnnForMaskedLM"]), None)


def test_requirements():
    """They are the packages that the file imports, within the bounds of this package; the file is short."""
    folder = Path(standalone.__file__).parent
    lines = (folder / "requirements.txt").read_text().split()
    source = (folder / "predictor.py").read_text()
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    imported = {
        name.split(".")[0] for node in nodes for name in ([node.module] if isinstance(node, ast.ImportFrom) else [node.names[0].name])
    }
    names = {re.match(r"\w+", line)[0] for line in lines}
    assert imported - set(sys.stdlib_module_names) == names == ALLOWED - {"predictor"}
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert all(f'"{line}"' in project for line in lines)
    assert source.count("\n") < 320
