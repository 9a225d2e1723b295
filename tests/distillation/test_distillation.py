"""Students learn from teachers: answers arrive where they belong, texts without labels too, and what cannot be taught is said."""

import math

import pytest
import torch
from datasets import Dataset, DatasetDict
from runs import SAMPLES, reviews, sentences

from hf_rnn.arguments import DistillationArguments, LabelledTrainingArguments
from hf_rnn.commands import text_classification, token_classification
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.rows.collator import RnnCollator
from hf_rnn.data.rows.encoding import encode_tokens, map_splits
from hf_rnn.distillation import teachers
from hf_rnn.distillation.teaching import Teaching, split_signs
from hf_rnn.inference.loading import load
from hf_rnn.sharing.cards import code
from hf_rnn.tasks.task import Columns
from hf_rnn.tasks.text_classification import TextClassification
from hf_rnn.tasks.token_classification import TokenClassification


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path):
    """Keep answers where the test does."""
    monkeypatch.setattr(teachers, "STORE", tmp_path / "answers")


def arguments(*names, **fields):
    """Return options."""
    return DistillationArguments(teacher_name_or_path=[str(name) for name in names], **fields)


def taught(splits, options, text, label, labels):
    """Return splits with the rows and answers of teachers."""
    task = TokenClassification if isinstance(next(iter(splits.values()))[label][0], list) else TextClassification
    training = LabelledTrainingArguments(output_dir="x", use_cpu=True)
    return Teaching(options).add_answers(splits, task(tuple(labels), Columns(text, label), 256), training)


def test_answers_of_a_classifier(classifier, tmp_path):
    """Every row has the log-probabilities that the teacher gives it alone, in the order of the student's labels; several are averaged."""
    folder, _ = classifier
    (tmp_path / "more.txt").write_text("최고의 영화\n\n별로\n")
    train = Dataset.from_dict({"document": ["정말 재미있다", "아주 긴 " * 40, ""], "label": ["negative", "positive", "negative"]})
    options = arguments(folder, folder, unlabeled_file=str(tmp_path / "more.txt"))
    rows = taught(DatasetDict(train=train), options, "document", "label", ["positive", "negative"])["train"]
    assert rows["document"][3:] == ["최고의 영화", "별로"]
    assert rows["label"] == ["negative", "positive", "negative", None, None]
    teacher = load(str(folder))
    for text, logits in zip(rows["document"], rows["teacher_logits"], strict=True):
        alone = teacher.decoder.logits([text])[0].log_softmax(-1)
        assert torch.allclose(torch.tensor(logits), alone.flip(0), atol=1e-4)


def test_signs_are_tokens_of_their_own():
    """Before and after a word, not within one; marks that belong to a letter stay with it; texts of signs alone."""
    assert split_signs('("It costs $5.50," he said...)') == [*'("', "It", "costs", "$", "5.50", *',"', "he", "said", *"...)"]
    assert split_signs("don't well-known हिन्दी।") == ["don't", "well-known", "हिन्दी", "।"]
    assert split_signs(":) ") == [":", ")"] and split_signs(" ") == []


def test_made_up_rows(classifier):
    """So many of them, without labels and answered; made from training rows alone, by the seed."""
    train = Dataset.from_dict({"document": ["정말 재미있다", "별로 재미없는 영화"], "label": ["positive", "negative"]})
    splits = DatasetDict(train=train, validation=Dataset.from_dict({"document": ["비밀"], "label": ["negative"]}))
    options = arguments(classifier[0], augment=30)
    rows = taught(splits, options, "document", "label", ["negative", "positive"])["train"]
    assert rows["label"] == ["positive", "negative", *[None] * 30]
    assert all(len(logits) == 2 for logits in rows["teacher_logits"])
    assert not any("비밀" in text for text in rows["document"])
    again = taught(splits, options, "document", "label", ["negative", "positive"])["train"]
    assert again["document"] == rows["document"]
    with pytest.raises(ValueError, match="`augment` needs a teacher"):
        DistillationArguments(augment=30)


def test_answers_of_a_tagger(tagger):
    """Every token has its own, at its first piece; NaN elsewhere, also in padding."""
    folder, _ = tagger
    teacher = load(str(folder))
    labels = list(teacher.model.config.id2label.values())
    sentences = [["The", "dog", "ate"], ["unbelievable", "!"]]
    train = Dataset.from_dict({"tokens": sentences, "tags": [["DET", "NOUN", "VERB"], None]})
    splits = taught(DatasetDict(train=train), arguments(folder), "tokens", "tags", labels)
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
    expected = torch.cat(teacher.decoder.logits(sentences)).log_softmax(-1).clamp(min=math.log(1e-8))
    assert torch.allclose(batch["teacher_logits"][finite], expected, atol=1e-4)


@pytest.mark.thorough
def test_students_learn_from_answers_alone(classifier, tagger, tmp_path):
    """With the whole weight on the teacher and most labels missing, a student comes to agree with it more than by chance."""
    folder, _ = classifier
    more = ["--teacher_name_or_path", str(folder), "--distillation_alpha", "1.0", "--unlabeled_file", str(SAMPLES / "nsmc_test.tsv")]
    sizes = "--hidden_size 64 --embedding_size 32 --embedding_dropout 0 --input_dropout 0.2 --hidden_dropout 0.2 --num_train_epochs 6"
    metrics = text_classification.main(reviews(tmp_path / "c", "--do_train", "--do_eval", *more, *sizes.split()))
    assert math.isfinite(metrics["eval_loss"])
    card = (tmp_path / "c" / "README.md").read_text()
    assert f"answers of {code(folder.name)}, weight 1.0, temperature 2.0" in card
    assert "answered likewise: `nsmc_test.tsv`" in card
    teacher, student = (load(str(path)) for path in (folder, tmp_path / "c"))
    texts = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_train.tsv"))][-500:]
    same = teacher.decoder.logits(texts).argmax(-1) == student.decoder.logits(texts).argmax(-1)
    assert same.float().mean() > 0.65
    folder, _ = tagger
    more = ["--teacher_name_or_path", str(folder), "--distillation_alpha", "1.0", "--use_crf", "true"]
    # a linear part that is asked for learns from the rows with labels alone
    short = ["--do_train", "--do_eval", "--linear_size", "500", "--augment", "20", "--max_steps", "2"]
    metrics = token_classification.main(sentences(tmp_path / "t", *more, *short))
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
    with pytest.raises(ValueError, match=r"must know the labels of the data, \['x'\], got \['negative', 'positive'\]"):
        taught(DatasetDict(train=train), arguments(classifier[0]), "text", "label", ["x"])
    with pytest.raises(ValueError, match="A teacher needs a training split"):
        taught(DatasetDict(test=train), arguments(classifier[0]), "text", "label", ["x"])
