"""What is left out follows from the rows: validation rows, vocabularies that hold every character, epochs that fall."""

from types import SimpleNamespace

import pytest

from hf_rnn import RnnConfig, RnnForMaskedLM, RnnForSequenceClassification, RnnForTokenClassification, RnnModel
from hf_rnn.distillation.training import task_options
from hf_rnn.tasks.defaults import (
    FEWEST_EPOCHS,
    Size,
    classifier_defaults,
    describe,
    features_beside,
    fill,
    fine_tuning_defaults,
    student_defaults,
    tagger_defaults,
    validation_share,
)
from hf_rnn.tasks.task import Columns
from hf_rnn.tasks.text_classification import TextClassification
from hf_rnn.tasks.token_classification import TokenClassification


def test_size_is_measured():
    """Rows, words, characters, and rows without any."""
    assert Size.of(["a b", "", "bc  d"]) == Size(3, 4, 5, empty=1)
    # where white space parts nothing
    assert Size.of(["東" * 60]) == Size(1, 10, 1)


def test_taggers_learn_from_as_many_words_at_a_time():
    """Sixteen sentences, or the few documents that hold as many words; one of them at least."""
    of_sentences, of_documents, of_books = (tagger_defaults(Size(48, 48 * words, 80)) for words in (15, 96, 9000))
    assert [chosen["per_device_train_batch_size"] for chosen in (of_sentences, of_documents, of_books)] == [16, 4, 1]


@pytest.mark.parametrize(("rows", "held_out"), [(10, 2), (100, 20), (750, 150), (1000, 150), (3000, 150), (10_000, 500)])
def test_validation_rows(rows, held_out):
    """A twentieth, but 150 rows, but a fifth at most."""
    assert round(rows * validation_share(rows)) == held_out


@pytest.mark.parametrize("choose", [classifier_defaults, tagger_defaults])
def test_more_rows_mean_fewer_epochs_and_larger_models(choose):
    """Nothing turns back, and long rows have fewer epochs; every character has an entry."""
    found = [choose(Size(rows, 10 * rows, 3000)) for rows in (1, 100, 1000, 5000, 30_000, 150_000, 10**7)]
    for name, sign in (("num_train_epochs", -1), ("vocab_size", 1), ("hidden_size", 1), ("per_device_train_batch_size", 1)):
        values = [sign * defaults[name] for defaults in found]
        assert values == sorted(values)
    assert found[-1]["num_train_epochs"] == FEWEST_EPOCHS
    assert choose(Size(5000, 10_000_000, 100))["num_train_epochs"] < choose(Size(5000, 50_000, 100))["num_train_epochs"]
    assert all(defaults["vocab_size"] >= 6000 for defaults in found)


@pytest.mark.parametrize(
    ("options", "is_alone"),
    [
        ({}, False),
        ({"linear_size": 0}, True),
        ({"linear_size": 9}, False),
        ({"problem_type": "regression"}, False),
        ({"problem_type": "regression", "linear_size": 0}, True),
        ({"streaming": True}, True),
    ],
)
def test_without_a_linear_model_many_rows_need_a_deeper_one(options, is_alone, tmp_path):
    """Where none stands beside it, by what is asked or by the problem, the recurrence has two layers and more epochs."""
    given, _, _ = task_options({**options, "use_cpu": True, "output_dir": str(tmp_path)})
    many, few = (TextClassification.defaults(Size(rows, 10 * rows, 80), given) for rows in (150_000, 1000))
    assert (many["num_hidden_layers"], many["num_train_epochs"]) == ((2, 5.0) if is_alone else (1, 3.0))
    assert few["num_hidden_layers"] == 1
    assert (many["linear_size"] == 0) == is_alone


@pytest.mark.parametrize(("is_tagger", "untaught"), [(False, classifier_defaults), (True, tagger_defaults)])
def test_a_student_stays_small(is_tagger, untaught):
    """However many rows a teacher answers, the recurrence of the student is one size, and less of it is dropped than of labels alone."""
    small, large = (student_defaults(Size(rows, 10 * rows, 80), is_tagger) for rows in (1000, 200_000))
    assert small["hidden_size"] == large["hidden_size"] and small["num_hidden_layers"] == large["num_hidden_layers"] == 1
    assert small["hidden_dropout"] < untaught(Size(1000, 10_000, 80))["hidden_dropout"]
    assert small["num_train_epochs"] > large["num_train_epochs"]
    # a teacher's answers are worth more passes than labels are
    assert student_defaults(Size(70_000, 10**6, 80), is_tagger)["num_train_epochs"] == 8


@pytest.mark.parametrize(
    ("rows", "classes", "epochs"),
    [(100, 7, 30), (3000, 2, 18), (3000, 77, 36), (1000, 77, 75), (300, 77, 90), (10_003, 77, 12), (200_000, 77, 3), (100_000, 5000, 10)],
)
def test_a_classifier_sees_each_of_many_classes_often_enough(rows, classes, epochs):
    """Else it knows few of them when training ends; three times as long at most."""
    assert classifier_defaults(Size(rows, 10 * rows, 80, classes=classes))["num_train_epochs"] == epochs


def test_a_linear_tagger_beside_a_student_stays_small():
    """With 72 labels fewer features than with 17, so that the weights are two million at most; never more than are asked for."""
    assert features_beside(1000, 72) == 1000
    assert 1_900_000 < 17 * features_beside(2**17, 17) <= 2**21 and 1_900_000 < 72 * features_beside(2**17, 72) <= 2**21


@pytest.mark.parametrize(("rows", "epochs"), [(50, 20), (450, 20), (900, 10), (3000, 3), (100_000, 3)])
def test_a_transformer_sees_few_rows_more_often(rows, epochs):
    """Three epochs, more of few rows; five of sentences with tags."""
    size = Size(rows, 10 * rows, 80)
    assert fine_tuning_defaults(size, 768, False)["num_train_epochs"] == epochs
    assert fine_tuning_defaults(size, 768, True)["num_train_epochs"] == max(epochs, 5)


@pytest.mark.parametrize(("rows", "classes", "epochs"), [(3000, 9, 3), (10_000, 77, 8), (3000, 77, 20), (1_000_000, 1000, 3)])
def test_a_transformer_sees_each_of_many_classes_often_enough(rows, classes, epochs):
    """A thousand rows of each class where there is time for it."""
    assert fine_tuning_defaults(Size(rows, 10 * rows, 80, classes=classes), 768, False)["num_train_epochs"] == epochs


@pytest.mark.parametrize(
    ("width", "is_tagger", "rate"),
    [(768, False, 5e-5), (384, False, 1e-4), (1024, False, 3.75e-5), (768, True, 1e-4), (384, True, 2e-4), (32, False, 3e-4)],
)
def test_a_narrow_transformer_learns_faster(width, is_tagger, rate):
    """In inverse proportion to the width of its states, and a tagger twice as fast; at most 3e-4."""
    assert fine_tuning_defaults(Size(5000, 50_000, 80), width, is_tagger)["learning_rate"] == pytest.approx(rate)


def test_what_is_given_stays():
    """Only what was left out is filled in, and the line at the start tells what is used."""
    size, options = Size(5452, 50_000, 80), SimpleNamespace(num_train_epochs=2.0, learning_rate=None)
    defaults = classifier_defaults(size)
    line = describe(size, defaults, False, options)
    assert line.startswith("5,452 rows: ")
    assert "num_train_epochs 2," in line
    fill(defaults, options)
    assert options.num_train_epochs == 2.0
    assert options.learning_rate == defaults["learning_rate"]


@pytest.mark.parametrize(
    ("task", "start", "has_teacher", "has_linear"),
    [
        (TextClassification, None, True, True),
        (TextClassification, None, False, True),
        (TextClassification, RnnForMaskedLM, True, True),
        (TextClassification, RnnForSequenceClassification, True, False),
        (TextClassification, RnnForMaskedLM, False, True),
        (TextClassification, RnnModel, False, True),
        (TextClassification, RnnForSequenceClassification, False, False),
        (TokenClassification, None, True, True),
        (TokenClassification, RnnForMaskedLM, True, True),
        (TokenClassification, RnnForMaskedLM, False, True),
        (TokenClassification, RnnForTokenClassification, False, False),
    ],
)
def test_which_models_have_a_linear_one_beside_them(task, start, has_teacher, has_linear, tmp_path):
    """All new ones, on a body too, however they learn; what goes on from one keeps what that has."""
    options = {"use_cpu": True, "output_dir": str(tmp_path / "out"), "do_train": True}
    if start is not None:
        start(RnnConfig(vocab_size=50, embedding_size=4, hidden_size=4, num_hidden_layers=1)).save_pretrained(tmp_path / "body")
        options["model_name_or_path"] = str(tmp_path / "body")
    if has_teacher:
        options["teacher_name_or_path"] = ["teacher"]
    given, _, _ = task_options(options)
    assert bool(task.defaults(Size(1000, 10_000, 80), given)["linear_size"]) == has_linear


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_several_labels_and_numbers_have_a_linear_model(problem, tmp_path):
    """As classes have."""
    given, _, _ = task_options({"problem_type": problem, "use_cpu": True, "output_dir": str(tmp_path)})
    assert TextClassification.defaults(Size(1000, 10_000, 80), given)["linear_size"]


@pytest.mark.parametrize(
    ("labels", "options", "has_crf"),
    [
        (("DET", "NOUN", "VERB"), {}, True),
        (("B-PER", "I-PER", "O"), {}, True),
        (tuple(f"fine-{index}" for index in range(101)), {}, False),
        (("DET", "NOUN", "VERB"), {"use_crf": False}, False),
        (("DET", "NOUN", "VERB"), {"label_smoothing_factor": 0.1}, False),
        (("DET", "NOUN", "VERB"), {"teacher_name_or_path": ["teacher"]}, False),
        (("DET", "NOUN", "VERB"), {"bidirectional": False}, False),
        (("DET", "NOUN", "VERB"), {"bidirectional": False, "use_crf": True}, True),
    ],
)
def test_which_taggers_have_a_crf(labels, options, has_crf, tmp_path):
    """All, but of very many tags, and where a teacher knows more, and where a model goes along a text; the options decide."""
    given, _, _ = task_options({"use_cpu": True, "output_dir": str(tmp_path), **options})
    fields = TokenClassification(labels, Columns("tokens", "tags"), 1_000_000).config_fields(given)
    assert (fields.get("use_crf", False), fields.get("span_scores", False)) == (has_crf, has_crf)
