"""Texts of none of the labels are told by one number, which is the same whoever runs the model."""

import numpy as np
import pytest
import torch

import hf_rnn
from hf_rnn.evaluation.outside import fit_outside, rows_needed
from hf_rnn.evaluation.promises import find_promise
from hf_rnn.inference.cascade import check_cascades
from hf_rnn.inference.loading import load
from hf_rnn.inference.predictor import Predictor
from hf_rnn.models.outside import outside_numbers, outside_score
from hf_rnn.onnx.export import export_onnx
from hf_rnn.onnx.runtime import OnnxRnnForSequenceClassification
from hf_rnn.onnx.standalone import predictor as standalone
from hf_rnn.onnx.standalone import predictor_settings, write_predictor
from hf_rnn.serving.engines import Source
from hf_rnn.serving.opening import open_engine
from hf_rnn.serving.protocols import output_tensors
from hf_rnn.tasks.report import ScoredAnswers

SMALL = {"vocab_size": 80, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "use_cpu": True, "disable_tqdm": True}
SMALL |= {"per_device_train_batch_size": 32, "num_train_epochs": 1, "word_vocab_size": 0}
WORDS = {"good": ("lovely", "great"), "bad": ("awful", "dull"), "odd": ("strange", "weird")}
ROWS = [{"text": f"a {word} film of {number % 37}", "label": label} for number in range(80) for label in WORDS for word in WORDS[label]]
OTHERS = [f"please book {number} tickets, quickly" for number in range(40)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a classifier that tells texts of no label, by examples too, and promises something."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "others.txt").write_text("\n".join(OTHERS[:20]))
    options = {**SMALL, "outside_file": str(folder / "others.txt"), "promise": 0.9, "validation": ROWS[:200], "test": ROWS[200:300]}
    return hf_rnn.train(train=ROWS, output_dir=str(folder / "m"), **options)


def test_texts_of_no_label_are_told(trained, capsys):
    """They have a null label and a number of 0.5 at least, others have neither; a threshold of 0 gives every answer."""
    inside, *others = trained.predictor(["a great film of 12", *OTHERS[20:]])
    assert list(inside) == ["text", "label", "best", "score", "outside"]
    assert inside["label"] == inside["best"] == "good" and inside["outside"] < 0.5
    assert all(answer["label"] is None and answer["best"] in WORDS and answer["outside"] >= 0.5 for answer in others)
    every = Predictor(trained.model, trained.tokenizer, threshold=0.0)(OTHERS[20:])
    assert [answer["label"] for answer in every] == [answer["best"] for answer in others]
    assert trained.model.config.outside["share"] == 0.05
    assert trained.metrics["test_answered"] <= 1
    assert "how unlike its training rows a text is, `outside`" in (trained.folder / "README.md").read_text()


def test_a_checkpoint_and_its_server_tell_the_same(trained):
    """Loaded again, read by windows, and as tensors that are named."""
    texts = ["a great film of 12", "a film", "", *OTHERS[:3]]
    expected, windows = trained.predictor(texts), load(str(trained.folder), long_texts="windows")
    assert load(str(trained.folder)).predict(texts) == expected
    assert [answer["outside"] for answer in windows.predict(texts)] == pytest.approx([answer["outside"] for answer in expected])
    assert 0 < windows.predict([" ".join(["a great film of 12"] * 200)])[0]["outside"] < 1
    settings = predictor_settings(trained.model.config, trained.tokenizer)
    assert settings.outside and list(output_tensors(settings)) == ["label", "best", "score", "outside", "scores"]


@pytest.mark.thorough
def test_an_export_tells_the_same(trained, tmp_path):
    """The graph, the predictor beside it, the server, and windows."""
    texts = ["a great film of 12", "a film", "", *OTHERS[:3]]
    expected = trained.predictor(texts)
    export_onnx(trained.model, tmp_path)
    trained.tokenizer.save_pretrained(tmp_path)
    write_predictor(trained.model.config, trained.tokenizer, tmp_path)
    exported = Predictor(OnnxRnnForSequenceClassification.from_pretrained(tmp_path), trained.tokenizer)
    engine = open_engine(Source("m", str(tmp_path)))
    for answers in (exported(texts), standalone.load(tmp_path).predict(texts), engine.predict(texts, engine.way)):
        for answer, wanted in zip(answers, expected, strict=True):
            assert {name: answer[name] for name in wanted} == pytest.approx(wanted, abs=1e-4)
    long = [" ".join(["a great film of 12"] * 200)]
    by_windows = [load(str(trained.folder), long_texts="windows"), standalone.load(tmp_path, long_texts="windows")]
    first, second = (predictor.predict(long)[0]["outside"] for predictor in by_windows)
    assert first == pytest.approx(second, abs=1e-4)


def test_what_does_not_go_with_it(trained):
    """The linear part alone does not know it, nor does a text that is still coming."""
    with pytest.raises(ValueError, match="`cascade` does not go with a model that tells texts of none of its labels"):
        check_cascades(trained.predictor.decoder)
    with pytest.raises(ValueError, match="one way"):
        next(trained.predictor.stream(["a"]))
    assert trained.model.train()(torch.tensor([[5, 6]])).outside is None
    trained.model.eval()


def test_a_share_of_held_out_rows_is_beyond_the_border():
    """At most the share that is asked for, with and without examples, and hardly less."""
    generator = np.random.default_rng(0)
    inside, others = generator.normal(size=(400, 4)), generator.normal([0.0, 2.0, 0.0, 3.0], size=(50, 4))
    for examples in (None, others, np.zeros((0, 4))):
        fitted = fit_outside(inside, 0.1, 5, examples)
        scores = outside_score(torch.from_numpy(inside), fitted)[:, 0]
        assert 0.08 <= float((scores >= 0.5).double().mean()) <= 0.1
        assert min(fitted["weights"]) >= 0 and float(outside_score(torch.from_numpy(others), fitted).mean()) > 0.4
    weights = fit_outside(inside, 0.1, 5, others)["weights"]
    assert weights[3] > 2 * weights[2] and weights[1] > 2 * weights[0]
    assert rows_needed(0.05) == 19 and rows_needed(0.1) == 9


def test_numbers():
    """Of two equal logits the probability is a half; the sum of exponentials is the other number."""
    numbers = outside_numbers(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    assert numbers[0].tolist() == pytest.approx([np.log(2), -np.log(2), 3, 4])


def test_answers_that_are_not_given_are_promised_nothing():
    """Rows that are taken for outside count among all, but not among those that are answered."""
    answers = ScoredAnswers(np.linspace(0.5, 1, 400), np.ones(400, dtype=bool)).given(np.arange(400) % 4 > 0)
    promise = find_promise(answers, 0.9)
    assert promise is not None and promise.answered == 0.75 and promise.threshold > 0.5


def test_a_recurrence_alone_and_rows_that_are_too_few(tmp_path, capsys, caplog):
    """Without a linear part two numbers are left; too few validation rows are said, and a model that goes on tells nothing."""
    first = hf_rnn.train(train=ROWS, validation=ROWS[:100], output_dir=str(tmp_path / "a"), outside=0.1, linear_size=0, **SMALL)
    assert len(first.model.config.outside["weights"]) == 2 and "None of these labels: " in capsys.readouterr().out
    options = {name: value for name, value in SMALL.items() if name != "vocab_size"}
    options |= {"model_name_or_path": str(first.folder), "validation": ROWS[:10], "outside": 0.05, "linear_size": 0}
    again = hf_rnn.train(train=ROWS[:60], output_dir=str(tmp_path / "b"), **options)
    assert again.model.config.outside is None and set(again.predictor("a")[0]) == {"text", "label", "score"}
    assert "A share of 0.05 takes 19 validation rows at least, and there are 10" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outside": 1.5}, "`outside` must be above 0 and below 1, got 1.5"),
        ({"outside": 0.1, "do_eval": False}, "is found on validation rows once a model is trained"),
        ({"outside": 0.1, "problem_type": "multi_label_classification"}, "there for classifiers of one label a row"),
    ],
)
def test_wrong_calls(options, message, tmp_path):
    """Are refused before anything is trained."""
    with pytest.raises(ValueError, match=message):
        hf_rnn.train(train=ROWS[:40], output_dir=str(tmp_path / "m"), **{**SMALL, **options})


def test_a_config_that_lacks_something():
    """Is refused as what it is."""
    whole = {"centre": [0.0] * 2, "scale": [1.0] * 2, "weights": [1.0] * 2, "border": 1.0}
    assert hf_rnn.RnnConfig(outside=whole).outside == whole
    for change in ({"border": 0.0}, {"scale": [1.0, 0.0]}, {"weights": [1.0]}, {"weights": [1.0, -1.0]}, {"centre": None}):
        with pytest.raises(ValueError, match="`outside` must hold lists of 2 numbers"):
            hf_rnn.RnnConfig(outside={name: value for name, value in {**whole, **change}.items() if value is not None})
