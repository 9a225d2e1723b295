"""Exported graphs compute what PyTorch computes, for every head and layout of rows, and run where transformers expects a model."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from runs import SAMPLES
from tiny import MASK, SETTINGS, build, make
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_rnn import RnnConfig, RnnForMaskedLM, RnnForTokenClassification
from hf_rnn.commands import cli
from hf_rnn.commands import export as export_command
from hf_rnn.data.files.readers import read_rows
from hf_rnn.inference.loading import load
from hf_rnn.models.pieces import CONTINUATION, WORD_START
from hf_rnn.onnx import export, runtime
from hf_rnn.onnx.operators import TRANSLATIONS
from hf_rnn.onnx.scan import OPSET

pytestmark = pytest.mark.lowest

# the cells differ in one node: GRUs where its neighbours differ; some graphs take long to make
HEAVY = (11, 12, 17)
CASES = (
    [pytest.param(*setting, "lstm", marks=[pytest.mark.thorough] if place in HEAVY else []) for place, setting in enumerate(SETTINGS)]
    + [(*SETTINGS[place], "gru") for place in (0, 1, -2)]
    + [(*SETTINGS[place], "rnn") for place in (0, 1)]
)


@pytest.mark.parametrize(("kind", "settings", "cell"), CASES)
def test_equals_pytorch(kind, settings, cell, tmp_path):
    """Logits agree to 1e-5 on rows of 0 to 300 tokens, and where positions are masked anywhere; the arg max is the same."""
    model = make(kind, cell, settings, torch.float32)
    assert export.export_onnx(model, tmp_path) <= 1e-5
    exported = runtime.OnnxRnnModel(runtime.OnnxRnnConfig.from_pretrained(tmp_path), str(tmp_path / "model.onnx"))
    for mask in (MASK, torch.zeros(0, 3, dtype=torch.long), torch.zeros(2, 0, dtype=torch.long)):
        ids = torch.randint(1, 7, mask.shape)
        expected, found = model(ids, mask, return_dict=False)[0], exported(ids, mask, return_dict=False)[0]
        assert expected.shape == found.shape
        assert torch.allclose(expected, found, atol=1e-5)
        assert torch.equal(expected.argmax(-1), found.argmax(-1))


@pytest.mark.parametrize("constraints", ["bio", "bioes"])
def test_constrained_paths(constraints, tmp_path):
    """A CRF that forbids moves finds the same path in the graph, and the same probabilities of spans."""
    labels = ["O", *(f"{prefix}-{kind}" for kind in "XY" for prefix in ("BI" if constraints == "bio" else "BIES"))]
    maps = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    crf = {"use_crf": True, "crf_constraints": constraints, "span_scores": constraints == "bioes"}
    model = RnnForTokenClassification(RnnConfig(vocab_size=20, hidden_size=8, **crf, **maps)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    export.export_onnx(model, tmp_path)
    exported = runtime.OnnxRnnForTokenClassification.from_pretrained(tmp_path)
    ids = torch.randint(20, (50, 12))
    found, expected = exported(ids).logits, model(ids).logits
    assert torch.equal(found.argmax(-1), expected.argmax(-1))
    assert torch.allclose(found.softmax(-1), expected.softmax(-1), atol=1e-5)


def cut(*values, **options):
    """Write the beginning of a file, as where the disk is full."""
    next(value for value in values if isinstance(value, Path)).write_bytes(b"cut")
    raise OSError(errno.ENOSPC, "full")


def contents(folder):
    """Return what the files of a folder hold."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_broken_off(tmp_path, monkeypatch):
    """Where the disk is full in the middle, the earlier export stays; one that ends leaves no int8 graph of the other model."""
    model = build(RnnForMaskedLM, dtype=torch.float32, num_hidden_layers=1).eval()
    for name in ("config.json", "model.onnx", "model_quantized.onnx"):
        (tmp_path / name).write_bytes(b"old")
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(export, "write_graph", cut)
        with pytest.raises(OSError, match="full"):
            export.export_onnx(model, tmp_path)
    assert contents(tmp_path) == before
    export.export_onnx(model, tmp_path)
    assert sorted(contents(tmp_path)) == ["config.json", "model.onnx"]
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(export, "quantize_dynamic", cut)
        with pytest.raises(OSError, match="full"):
            export.quantize(tmp_path)
    assert contents(tmp_path) == before


def test_masked_language_model(tmp_path):
    """Every head there is can be exported; half precision is widened."""
    model = build(RnnForMaskedLM, dtype=torch.bfloat16).eval()
    assert export.export_onnx(model, tmp_path) <= 1e-5
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["OnnxRnnForMaskedLM"]
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize(("difference", "own", "is_refused"), [(9e-6, 1e-9, False), (3e-5, 1e-5, False), (3e-5, 1e-6, True)])
def test_rounding_is_told_from_mistakes(difference, own, is_refused, tmp_path, monkeypatch):
    """A graph may be off by more than 1e-5 only where PyTorch's own distance from fp64 explains it."""
    found = iter([difference, own])
    monkeypatch.setattr(export, "largest_difference", lambda *_: next(found))
    model = build(RnnForMaskedLM, dtype=torch.float32)
    if is_refused:
        with pytest.raises(ValueError, match="the graph differs from PyTorch by 3e-05, more than 1e-05"):
            export.export_onnx(model, tmp_path)
    else:
        assert export.export_onnx(model, tmp_path) == difference


def test_models_that_compute_nothing_are_refused(tmp_path):
    """NaN weights, and models of others."""
    model = build(RnnForMaskedLM, dtype=torch.float32)
    torch.nn.init.constant_(model.decoder.bias, float("nan"))
    with pytest.raises(ValueError, match="are there NaN weights"):
        export.export_onnx(model, tmp_path)
    with pytest.raises(ValueError, match="Only models of this package can be exported, got Linear"):
        export.export_onnx(torch.nn.Linear(1, 1), tmp_path)


class Search(torch.nn.Module):
    """Look values up among sorted keys."""

    def __init__(self, keys):
        super().__init__()
        self.register_buffer("keys", keys)

    def forward(self, values):
        """Return how many keys are below each value."""
        return torch.searchsorted(self.keys, values)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9])
def test_search_by_bisection(count):
    """Every place of sorted keys is found, at both ends too, for numbers of keys around powers of two."""
    values = torch.arange(-1, 2 * count + 1)
    program = torch.onnx.export(
        Search(torch.arange(count) * 2).eval(),
        (values,),
        custom_translation_table=TRANSLATIONS,
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: values.numpy()})
    assert found.tolist() == [sum(key < value for key in range(0, 2 * count, 2)) for value in values.tolist()]


def test_int8_of_words_read_piece_by_piece(tmp_path):
    """Recurrences that share weights, one for each length of words, are near those of fp32, and their weights stand once."""
    torch.manual_seed(0)
    model = build(RnnForTokenClassification, word_pooling="rnn", embedding_size=128, hidden_size=64).eval()
    model.set_piece_types([WORD_START if index % 3 == 0 else CONTINUATION for index in range(20)])
    export.export_onnx(model, tmp_path)
    export.quantize(tmp_path)
    config = runtime.OnnxRnnConfig.from_pretrained(tmp_path)
    exact, small = (runtime.OnnxRnnModel(config, str(tmp_path / name)) for name in (runtime.MODEL_FILE, runtime.QUANTIZED_FILE))
    ids = torch.randint(1, 20, (30, 24))
    expected, found = (each(ids, torch.ones_like(ids), return_dict=False)[0] for each in (exact, small))
    assert (found - expected).abs().max() < 0.2 * expected.abs().max()
    weights = onnx.load(tmp_path / runtime.QUANTIZED_FILE).graph.initializer
    assert len({each.raw_data for each in weights if len(each.raw_data) > 99}) == sum(len(each.raw_data) > 99 for each in weights)


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    """Export and quantise the classifier by the command; return its folder and what was measured."""
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    arguments = ["--model_name_or_path", str(classifier[0]), "--output_dir", str(folder), "--quantize", "true"]
    return folder, export_command.main([*arguments, "--test_file", str(SAMPLES / "nsmc_test.tsv")])


def test_command_measures_what_int8_costs(exported, classifier):
    """Both files are there, the smaller one is int8, and the figures are those of the models."""
    folder, measured = exported
    sizes = [(folder / name).stat().st_size for name in ("model.onnx", "model_quantized.onnx")]
    # a byte in place of four for every parameter; the linear model beside the recurrence stays as it is
    saved = 3 * AutoModelForSequenceClassification.from_pretrained(classifier[0]).num_parameters()
    assert sizes[0] - sizes[1] > 0.7 * saved
    assert measured["difference"] <= 1e-5
    rows = list(read_rows(str(SAMPLES / "nsmc_test.tsv")))
    answers = load(str(classifier[0])).predict([row["document"] for row in rows])
    assert measured["accuracy"] == sum(a["label"] == row["label"] for a, row in zip(answers, rows, strict=True)) / len(rows)
    assert abs(measured["smaller_accuracy"] - measured["accuracy"]) < 0.02
    assert measured["same_answers"] > 0.95


# a process that has not asked for graphs
FRESH = """
import json, sys
import hf_rnn
from hf_rnn.data.loading import load_config
folder, checkpoint, text = sys.argv[1:]
try:
    load_config(folder)
except ValueError as error:
    print(error)
print(json.dumps([hf_rnn.load(name).predict([text])[0] for name in (folder, checkpoint)]))
"""


def test_answers_by_the_name_of_the_folder(exported, classifier, tmp_path, capsys):
    """`hf_rnn.load` takes it as any checkpoint; what trains or changes weights says what to pass instead."""
    command = [sys.executable, "-c", FRESH, str(exported[0]), str(classifier[0]), "정말 재미있는 영화"]
    told, answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    ours, theirs = json.loads(answers)
    assert (ours["label"], ours["score"]) == (theirs["label"], pytest.approx(theirs["score"], abs=1e-5))
    assert told.endswith("holds a graph of `hf-rnn export`, which is there to be run. Pass the checkpoint that it was made from.")
    assert cli.main(["convert", "--model_name_or_path", str(exported[0]), "--output_dir", str(tmp_path / "half")]) == 1
    assert "holds a graph of `hf-rnn export`. Pass the checkpoint" in capsys.readouterr().err


def test_runs_in_a_pipeline(exported, classifier):
    """By folder name, in fp32 and in int8, with the scores of the model that was exported."""
    texts = ["정말 재미있는 영화", "", "최악 " * 300]
    ours = pipeline("text-classification", model=str(classifier[0]), device="cpu")(texts, batch_size=3, truncation=True)
    for name, tolerance in (("model.onnx", 1e-5), ("model_quantized.onnx", 0.1)):
        answer = pipeline("text-classification", model=str(exported[0]), model_kwargs={"file_name": name}, device="cpu")
        for a, b in zip(ours, answer(texts, batch_size=3, truncation=True), strict=True):
            assert abs(a["score"] - b["score"]) < tolerance
    loaded = AutoModelForSequenceClassification.from_pretrained(exported[0])
    assert isinstance(loaded, runtime.OnnxRnnForSequenceClassification)


@pytest.mark.thorough
def test_tagger_in_a_pipeline(tagger, tmp_path, capsys):
    """A CRF's tags come out of the graph; the accuracy over tags is reported."""
    options = ["--quantize", "true", "--test_file", str(SAMPLES / "ewt_test.conllu"), "--label_column_name", "upos"]
    arguments = ["--model_name_or_path", str(tagger[0]), "--output_dir", str(tmp_path / "onnx"), *options]
    assert cli.main(["export", *arguments]) == 0
    assert "of the answers are the same" in capsys.readouterr().out
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "onnx")
    text = "The dog ate the apple ."
    ours, theirs = (
        pipeline("token-classification", model=str(folder), tokenizer=tokenizer, aggregation_strategy="simple", device="cpu")(text)
        for folder in (tagger[0], tmp_path / "onnx")
    )
    assert [(group["entity_group"], group["start"], group["end"]) for group in ours] == [
        (group["entity_group"], group["start"], group["end"]) for group in theirs
    ]


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "`model_name_or_path` is needed"), (["--model_name_or_path", "nowhere"], "error: ")]
)
def test_wrong_calls(arguments, message, tmp_path, capsys):
    """One line says what is wrong."""
    assert cli.main(["export", *arguments, "--output_dir", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no graph", None])
def test_files_that_are_no_graphs(content, tmp_path, capsys):
    """A file that cannot be read, is cut off, or is a graph of something else is named."""
    model = make("classifier", "lstm", {}, torch.float32)
    export.export_onnx(model, tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(path.read_bytes()[:3000] if content is None else content)
    assert cli.main(["predict", "--model_name_or_path", str(tmp_path), "--text", "a"]) == 1
    assert f"error: {path} is no whole ONNX file" in (said := capsys.readouterr().err)
    assert said.count("\n") == 1
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)
    with pytest.raises(ValueError, match=r"is no graph of `hf-rnn export`: it makes \['y'\] of \['x'\]"):
        runtime.OnnxRnnModel.from_pretrained(str(tmp_path))


@pytest.mark.parametrize(("kind", "settings"), [SETTINGS[0], SETTINGS[2], SETTINGS[-1], SETTINGS[-2]])
@pytest.mark.thorough
def test_large_batches_run_in_groups(kind, settings, tmp_path, monkeypatch):
    """Rows of similar length are computed together, in their order, with the values of padding behind them; long words go alone."""
    model = make(kind, "lstm", settings, torch.float32)
    export.export_onnx(model, tmp_path)
    exported = runtime.OnnxRnnModel(runtime.OnnxRnnConfig.from_pretrained(tmp_path), str(tmp_path / "model.onnx"))
    monkeypatch.setattr(runtime, "GROUP_POSITIONS", 40)
    lengths = torch.tensor([3, 90, 0, 7, 90, 4, 12, 6])
    mask = (torch.arange(90) < lengths[:, None]).long()
    # holes, and a word of 50 pieces
    mask[4, ::3] = 0
    ids = torch.randint(1, 20, mask.shape)
    ids[1, 20:70] = 2
    groups = list(runtime._groups(mask))
    assert sorted(row for rows, _ in groups for row in rows.tolist()) == list(range(8))
    assert all(len(rows) == 1 or len(rows) * width <= 40 for rows, width in groups)
    expected, found = model(ids, mask, return_dict=False)[0], exported(ids, mask, return_dict=False)[0]
    assert torch.allclose(expected, found, atol=1e-5)
    assert torch.equal(expected.argmax(-1), found.argmax(-1))


@pytest.mark.slow
def test_one_long_row_needs_no_memory_for_all(tmp_path):
    """64 rows of which one has 8,000 tokens stay under 2 GB and are not slower than PyTorch."""
    code = """
import resource, sys, time, torch
from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.onnx import export, runtime
torch.set_num_threads(1)
sizes = {"vocab_size": 1000, "embedding_size": 256, "hidden_size": 512, "num_hidden_layers": 2, "num_labels": 17}
model = RnnForTokenClassification(RnnConfig(**sizes, word_pooling="rnn", use_crf=True)).eval()
model.set_piece_types([0] + [1 + (index % 3 > 0) for index in range(999)])
export.export_onnx(model, sys.argv[1])
exported = runtime.OnnxRnnModel(runtime.OnnxRnnConfig.from_pretrained(sys.argv[1]), sys.argv[1] + "/model.onnx")
lengths = torch.cat([torch.tensor([8000]), torch.randint(5, 40, (63,))])
ids, mask = torch.randint(1, 1000, (64, 8000)), (torch.arange(8000) < lengths[:, None]).long()
times = []
for run in (exported, model):
    start = time.perf_counter()
    with torch.inference_mode():
        run(ids, mask)
    times.append(time.perf_counter() - start)
    if run is exported:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(memory, *times)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    memory, ours, pytorch = map(float, done.stdout.split()[-3:])
    assert memory < 2e6
    assert ours <= pytorch
