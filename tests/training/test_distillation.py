"""Students learn from teachers: answers arrive where they belong, texts without labels too, and what cannot be taught is said."""

import math

import pytest
import torch
from datasets import Dataset, DatasetDict
from runs import SAMPLES, reviews, sentences

from hf_rnn.commands import text_classification, token_classification
from hf_rnn.data.collator import RnnCollator
from hf_rnn.data.encoding import encode_tokens, map_splits
from hf_rnn.inference.loading import load
from hf_rnn.sharing.cards import code
from hf_rnn.training.distillation import DistillationArguments, add_teacher


def arguments(*teachers, **fields):
    """Return options."""
    return DistillationArguments(teacher_name_or_path=[str(teacher) for teacher in teachers], **fields)


def test_answers_of_a_classifier(classifier, tmp_path):
    """Every row has the log-probabilities that the teacher gives it alone, in the order of the student's labels; several are averaged."""
    folder, _ = classifier
    (tmp_path / "more.txt").write_text("최고의 영화\n\n별로\n")
    train = Dataset.from_dict({"document": ["정말 재미있다", "아주 긴 " * 40, ""], "label": ["0", "1", "0"]})
    options = arguments(folder, folder, unlabeled_file=str(tmp_path / "more.txt"))
    rows = add_teacher(DatasetDict(train=train), options, "document", "label", ["1", "0"])["train"]
    assert rows["document"][3:] == ["최고의 영화", "별로"]
    assert rows["label"] == ["0", "1", "0", None, None]
    teacher = load(str(folder))
    for text, logits in zip(rows["document"], rows["teacher_logits"], strict=True):
        alone = teacher.logits([text])[0].log_softmax(-1)
        assert torch.allclose(torch.tensor(logits), alone.flip(0), atol=1e-4)


def test_answers_of_a_tagger(tagger):
    """Every token has its own, at its first piece; NaN elsewhere, also in padding."""
    folder, _ = tagger
    teacher = load(str(folder))
    labels = list(teacher.model.config.id2label.values())
    sentences = [["The", "dog", "ate"], ["unbelievable", "!"]]
    train = Dataset.from_dict({"tokens": sentences, "tags": [["DET", "NOUN", "VERB"], None]})
    splits = add_teacher(DatasetDict(train=train), arguments(folder), "tokens", "tags", labels)
    encoded = map_splits(
        splits,
        encode_tokens,
        {"train": None},
        tokenizer=teacher.tokenizer,
        token_column="tokens",
        tag_column="tags",
        label2id={label: index for index, label in enumerate(labels)},
        max_length=None,
    )["train"]
    batch = RnnCollator(teacher.tokenizer.pad_token_id)([encoded[0], encoded[1]])
    assert batch["teacher_logits"].shape == (*batch["input_ids"].shape, len(labels))
    finite = batch["teacher_logits"].isfinite().all(-1)
    assert finite.sum(1).tolist() == [3, 2]
    # a sentence without tags has answers alone
    assert torch.equal(finite[0], batch["labels"][0] != -100)
    assert (batch["labels"][1] == -100).all()
    expected = torch.cat(teacher.logits(sentences)).log_softmax(-1).clamp(min=math.log(1e-8))
    assert torch.allclose(batch["teacher_logits"][finite], expected, atol=1e-4)


def test_students_learn_from_answers_alone(classifier, tagger, tmp_path):
    """With the whole weight on the teacher and most labels missing, a student comes to agree with it more than by chance."""
    folder, _ = classifier
    more = ["--teacher_name_or_path", str(folder), "--distillation_alpha", "1.0", "--unlabeled_file", str(SAMPLES / "nsmc_test.tsv")]
    metrics = text_classification.main(reviews(tmp_path / "c", "--do_train", "--do_eval", *more, "--learning_rate", "0.01"))
    assert math.isfinite(metrics["eval_loss"])
    card = (tmp_path / "c" / "README.md").read_text()
    assert f"answers of {code(folder.name)}, weight 1.0, temperature 2.0" in card
    assert "answered likewise: `nsmc_test.tsv`" in card
    teacher, student = (load(str(path)) for path in (folder, tmp_path / "c"))
    texts = [f"{word} 영화" for word in ("정말", "최고", "별로", "쓰레기", "재미")]
    difference = teacher.logits(texts).softmax(-1) - student.logits(texts).softmax(-1)
    assert difference.abs().max() < 0.2
    folder, _ = tagger
    more = ["--teacher_name_or_path", str(folder), "--distillation_alpha", "1.0", "--use_crf", "true"]
    metrics = token_classification.main(sentences(tmp_path / "t", "--do_train", "--do_eval", *more))
    assert math.isfinite(metrics["eval_loss"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distillation_alpha": 0.0}, "`distillation_alpha` must be above 0 and at most 1, got 0.0"),
        ({"distillation_temperature": 0.0}, "`distillation_temperature` must be above 0"),
        ({"unlabeled_file": "a.txt"}, "`unlabeled_file` needs a teacher"),
    ],
)
def test_wrong_options(fields, message):
    """Named, with what to pass."""
    with pytest.raises(ValueError, match=message):
        DistillationArguments(**fields)


def test_teachers_of_other_labels_are_refused(classifier):
    """Both sets of labels are named."""
    train = Dataset.from_dict({"text": ["a"], "label": ["x"]})
    with pytest.raises(ValueError, match=r"must know the labels of the data, \['x'\], got \['0', '1'\]"):
        add_teacher(DatasetDict(train=train), arguments(classifier[0]), "text", "label", ["x"])
    with pytest.raises(ValueError, match="A teacher needs a training split"):
        add_teacher(DatasetDict(test=train), arguments(classifier[0]), "text", "label", ["x"])
