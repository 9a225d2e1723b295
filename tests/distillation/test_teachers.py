"""Teachers answer in the student's order of labels, each text once, whatever run asks."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.distillation.teachers import EmbeddingTeacher, HeadTeacher, Store, fingerprint, load_teachers

TEXTS = ["good film", "bad film", "a good song", "a bad song", "so good", "so bad", "good good", "bad bad", "very good", "very bad"]
LABELS = ["good" if "good" in text else "bad" for text in TEXTS]
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


class Counting:
    """Answer with the length of a text, and count the texts."""

    fingerprint = "counting"

    def __init__(self):
        self.asked = []

    def answer(self, texts):
        """Return the length of each."""
        self.asked += texts
        return [np.full((1, 2), len(text), dtype=np.float32) for text in texts]


@pytest.fixture
def tokenizer():
    """Return a tokenizer of whole words."""
    return train_tokenizer(TEXTS * 2, "word", 40)


def save(model, tokenizer, folder):
    """Save both; return the folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_text_is_asked_once(tmp_path):
    """In one call, in the next, and by another run; answers come in the order of the texts."""
    teacher = Counting()
    texts = ["abc", "a", "abc", "ab"]
    for _ in range(2):
        answers = Store(teacher, tmp_path).ask(texts, batch_size=2)
        assert [answer.tolist() for answer in answers] == [[[3, 3]], [[1, 1]], [[3, 3]], [[2, 2]]]
    assert sorted(teacher.asked) == ["a", "ab", "abc"]
    Store(teacher, tmp_path).ask([["a", "b"], "abcd"])
    assert teacher.asked[3:] in ([["a", "b"], "abcd"], ["abcd", ["a", "b"]])


def test_what_was_answered_before_a_failure_is_kept(tmp_path):
    """A run that breaks off asks only for the rest."""
    teacher = Counting()
    teacher.answer = lambda texts: [np.zeros(1)] if texts == ["a"] else 1 / 0
    with pytest.raises(ZeroDivisionError):
        Store(teacher, tmp_path).ask(["aa", "a"], batch_size=1)
    rest = Counting()
    Store(rest, tmp_path).ask(["aa", "a"])
    assert rest.asked == ["aa"]


def test_fingerprint_is_that_of_what_computes(tokenizer, tmp_path):
    """The same for a copy, another for other weights."""
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES))
    first, second = (fingerprint(save(model, tokenizer, tmp_path / name)) for name in "ab")
    assert first == second
    model.embeddings.word_embeddings.weight.data.add_(1)
    assert fingerprint(save(model, tokenizer, tmp_path / "c")) != first


def test_fingerprint_is_that_of_all_that_is_loaded(tokenizer, tmp_path):
    """Weights of any form and settings of the tokenizer count; results do not; an adapter is refused."""
    folder = tmp_path / "a"
    save(BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES)), tokenizer, folder)
    known = [fingerprint(str(folder))]
    for name in ("pytorch_model.bin", "tokenizer_config.json", "vocab.txt", "tokenizer.json", "weights/part.bin", "anything.else"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((folder / name).read_bytes() + b" " if (folder / name).exists() else b"a")
        known.append(fingerprint(str(folder)))
    assert len(set(known)) == len(known)
    (folder / "checkpoint-3").mkdir()
    for name in ("README.md", "training_args.bin", "all_results.json", "checkpoint-3/model.safetensors"):
        (folder / name).write_text("a")
        assert fingerprint(str(folder)) == known[-1]
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')
    with pytest.raises(ValueError, match="holds an adapter, whose model may change without it. Merge the two"):
        fingerprint(str(folder))


def test_labels_in_the_order_of_the_student(tokenizer, tmp_path):
    """Logits of a head with the labels in another order; other labels are refused."""
    config = BertConfig(vocab_size=len(tokenizer), id2label={0: "good", 1: "bad"}, label2id={"good": 0, "bad": 1}, **SIZES)
    folder = save(BertForSequenceClassification(config), tokenizer, tmp_path / "head")
    (teacher,) = load_teachers([folder], ["bad", "good"], needs_head=False)
    assert isinstance(teacher, HeadTeacher)
    found = torch.stack(teacher.probabilities(TEXTS, [None] * len(TEXTS), tmp_path / "store"))
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = torch.cat([model(**tokenizer([text], return_tensors="pt")).logits.softmax(-1) for text in TEXTS])
    assert torch.allclose(found, expected[:, [1, 0]], atol=1e-5)
    with pytest.raises(ValueError, match="must know the labels of the data, \\['x', 'y'\\]"):
        load_teachers([folder], ["x", "y"], needs_head=False)


def test_an_encoder_teaches_by_a_regression(tokenizer, tmp_path):
    """Vectors are means of states, alone as padded; a regression on them tells the classes of rows without labels."""
    folder = save(BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES)), tokenizer, tmp_path / "encoder")
    (teacher,) = load_teachers([folder], ["bad", "good"], needs_head=False)
    assert isinstance(teacher, EmbeddingTeacher)
    together = teacher.answer(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.allclose(teacher.answer([text])[0], vector, atol=1e-5)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    texts, labels = [*TEXTS, "good song", "bad song"], [*LABELS, None, None]
    found = torch.stack(teacher.probabilities(texts, labels, tmp_path / "store"))
    assert torch.allclose(found.sum(1), torch.ones(len(texts)), atol=1e-5)
    assert found[-2:].argmax(1).tolist() == [1, 0]


def test_too_few_rows_for_a_regression_are_told_at_once(tokenizer, tmp_path, monkeypatch):
    """Before a text is encoded."""
    folder = save(BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES)), tokenizer, tmp_path / "encoder")
    (teacher,) = load_teachers([folder], ["bad", "good"], needs_head=False)
    monkeypatch.setattr(EmbeddingTeacher, "answer", None)
    with pytest.raises(ValueError, match="needs 5 rows of every class, got 2 of 'bad'. Add rows, or name a teacher"):
        teacher.probabilities(["a"] * 8, ["good"] * 6 + ["bad"] * 2, tmp_path / "store")


def test_few_answers_are_looked_up_among_many(tmp_path):
    """A store is asked for the texts at hand alone, however many it holds, and of more texts than one query names."""
    store = Store(Counting(), tmp_path)
    texts = [str(number) for number in range(1201)]
    asked = store.ask(texts)
    statements = []
    store.base.set_trace_callback(statements.append)
    assert all(np.array_equal(first, second) for first, second in zip(asked, store.ask(texts), strict=True))
    assert sum("WHERE text IN" in statement for statement in statements) == 3


def test_store_is_one_file_a_teacher(tmp_path):
    """Named by the fingerprint, readable without the teacher."""
    Store(Counting(), tmp_path).ask(["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["counting.sqlite"]


@pytest.mark.parametrize("content", [b"no database at all", b"", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_store_is_begun_anew(content, tmp_path):
    """A file that is no store of answers is replaced; answers in it that are none are asked for again."""
    (tmp_path / "counting.sqlite").write_bytes(content)
    teacher = Counting()
    store = Store(teacher, tmp_path)
    assert store.ask(["abc"])[0].tolist() == [[3, 3]]
    for shape, value in (("[7, 7]", b"\0" * 8), ("{", b""), ("[1]", b"\0")):
        with store.base:
            store.base.execute("UPDATE answers SET shape = ?, value = ?", (shape, value))
        store.ask(["abc"])
        assert teacher.asked[-1] == "abc"
    assert len(teacher.asked) == 4
    with store.base:
        store.base.execute("ALTER TABLE answers RENAME COLUMN value TO other")
    assert Store(teacher, tmp_path).ask(["abc"])[0].tolist() == [[3, 3]]


def test_a_store_that_cannot_be_written(tmp_path):
    """A folder in its place is one line."""
    (tmp_path / "counting.sqlite").mkdir()
    with pytest.raises(ValueError, match="answers cannot be kept there .* set HF_HOME to another folder"):
        Store(Counting(), tmp_path)


def test_a_store_of_another_user(tmp_path, caplog):
    """What it holds is used; what it lacks is asked for, and that it cannot be kept is said once."""
    Store(Counting(), tmp_path).ask(["a", "bb"])
    teacher = Counting()
    store = Store(teacher, tmp_path)
    store.base.execute("PRAGMA query_only = 1")
    found = store.ask(["bb", "ccc", "a", "dddd"], batch_size=1)
    assert [each.tolist() for each in found] == [each.tolist() for each in Counting().answer(["bb", "ccc", "a", "dddd"])]
    assert teacher.asked == ["ccc", "dddd"]
    told = [record.message for record in caplog.records if "can be read there but not kept" in record.message]
    assert len(told) == 1 and "counting.sqlite" in told[0]
    assert store.ask(["a"])[0].tolist() == found[2].tolist()


@pytest.mark.parametrize("kind", [BertForSequenceClassification, BertModel])
def test_answers_in_half_precision(kind, tokenizer, tmp_path):
    """Close to those in fp32 but not the same, and kept apart from them."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), id2label={0: "good", 1: "bad"}, label2id={"good": 0, "bad": 1}, **SIZES)
    folder = save(kind(config), tokenizer, tmp_path / "teacher")
    pair = [load_teachers([folder], ["good", "bad"], needs_head=False, dtype=dtype)[0] for dtype in (torch.float32, torch.bfloat16)]
    exact, rounded = (np.stack(teacher.answer(TEXTS)) for teacher in pair)
    assert rounded.dtype == np.float32
    assert np.allclose(exact, rounded, atol=0.02)
    assert not np.array_equal(exact, rounded)
    assert pair[0].fingerprint != pair[1].fingerprint
