"""Answers to a text that is still coming equal those of the whole text, wherever it is cut; a model that looks ahead is refused."""

import random

import pytest
from checkpoints import ANNOTATED, REVIEWS, random_checkpoint
from odd_texts import KNOWN

import hf_rnn
from hf_rnn.inference import streaming

BIO = ["O", "B-X", "I-X", "B-Y", "I-Y"]
TEXTS = [
    " ".join([*ANNOTATED[:5], *REVIEWS[:3]]),
    "  I don't fly to Zu\u0308rich,  e\u0301 ... 안녕 \u200d하세요\n\nab  ",
    "한국어" * 100 + " ab " + "語" * 20,
    "",
    " ",
    " ".join(text for text in KNOWN if isinstance(text, str))[:500],
]


def chunks_of(text, seed):
    """Cut a text anywhere, also inside words and graphemes, with empty chunks between."""
    generator, place = random.Random(seed), 0
    while place < len(text):
        size = generator.choice([0, 1, 1, 2, 7, 40])
        yield text[place : place + size]
        place += size


@pytest.mark.parametrize(
    ("pooling", "cell"),
    [("last", {"cell_type": "gru"}), ("mean", {"word_pooling": "rnn"}), ("max", {}), ("attention", {"word_pooling": "first"})],
)
def test_classifiers(tmp_path, pooling, cell):
    """After every chunk the answer is that of the text so far."""
    random_checkpoint(tmp_path, ["a", "b", "c"], problem_type="single_label_classification", bidirectional=False, pooling=pooling, **cell)
    predictor = hf_rnn.load(str(tmp_path), long_texts="whole")
    for seed, text in enumerate(TEXTS):
        answers = list(predictor.stream(chunks_of(text, seed)))
        checked = answers[:: max(1, len(answers) // 4)] + answers[-1:]
        whole = predictor.predict([text[: answer["end"]] for answer in checked])
        for answer, expected in zip(checked, whole, strict=True):
            assert answer["label"] == expected["label"]
            assert answer["score"] == pytest.approx(expected["score"], abs=1e-6)
        assert not answers or answers[-1]["end"] == len(text)


@pytest.mark.parametrize("lookahead", [0, 1, 3])
@pytest.mark.parametrize(("units", "fields"), [("raw", {"word_pooling": "rnn"}), (None, {"word_pooling": "mean"}), (None, {})])
def test_taggers(tmp_path, units, fields, lookahead):
    """What is told chunk by chunk is together what is told of the whole text."""
    random_checkpoint(tmp_path, BIO, units=units, bidirectional=False, seed=4 if lookahead < 3 else 6, lookahead=lookahead, **fields)
    predictor = hf_rnn.load(str(tmp_path))
    found = 0
    for seed, text in enumerate(TEXTS):
        (whole,) = predictor.predict([text])
        answers = list(predictor.stream(chunks_of(text, seed)))
        for name in ("tokens", "tags"):
            assert [each for answer in answers for each in answer.get(name, [])] == whole.get(name, [])
        spans = [span for answer in answers for span in answer["spans"]]
        assert [{**span, "score": 0} for span in spans] == [{**span, "score": 0} for span in whole["spans"]]
        assert [span["score"] for span in spans] == pytest.approx([span["score"] for span in whole["spans"]], abs=1e-6)
        assert answers[-1]["end"] == len(text)
        # told as they end, not at the end
        assert "語" in text or len(whole["spans"]) < 20 or sum(bool(answer["spans"]) for answer in answers) > 5
        found += len(spans)
    assert found > 5


def test_no_more_waits_than_the_model_looks_ahead_at(tmp_path):
    """A token is told of once so many have ended behind it, and those that remain at the end."""
    for lookahead in (0, 2):
        random_checkpoint(tmp_path / str(lookahead), BIO, bidirectional=False, lookahead=lookahead)
        answers = list(hf_rnn.load(str(tmp_path / str(lookahead))).stream(f"{word} " for word in "a b c d e".split()))
        assert [len(answer["tokens"]) for answer in answers] == [*[0] * lookahead, *[1] * (5 - lookahead), lookahead]


def test_cost_does_not_grow(tmp_path, monkeypatch):
    """What is held back, and what the model reads for a chunk, is a word or so, however long the text is."""
    random_checkpoint(tmp_path, ["a", "b"], problem_type="single_label_classification", bidirectional=False, pooling="max")
    predictor = hf_rnn.load(str(tmp_path))
    held = []
    add = streaming.Feed.add
    monkeypatch.setattr(streaming.Feed, "add", lambda self, chunk: (add(self, chunk), held.append(len(self.held)))[0])
    list(predictor.stream(REVIEWS[0][:5] + " " for _ in range(200)))
    assert max(held) < 30


@pytest.mark.parametrize(
    ("fields", "named"),
    [({}, "bidirectional=True"), ({"bidirectional": False, "use_crf": True}, "use_crf=True"), ({"linear_size": 1}, "bidirectional=True")],
)
def test_models_that_look_ahead(tmp_path, fields, named):
    """Refused at once, in a line that says what to train with."""
    random_checkpoint(tmp_path, BIO, **fields)
    with pytest.raises(ValueError, match=f"sees nothing that comes later, got {named}. Train with --bidirectional false"):
        hf_rnn.load(str(tmp_path)).stream(["a"])
