"""Texts longer than what is read at a time: windows that miss nothing, joins that cut no span, a choice that is said and kept."""

import dataclasses
import json
from itertools import pairwise

import pytest
import torch
from checkpoints import ANNOTATED, REVIEWS, random_checkpoint
from transformers import BertTokenizerFast
from transformers.utils import logging

import hf_rnn
from hf_rnn import RnnConfig, train_tokenizer
from hf_rnn.commands import cli
from hf_rnn.data.tokenizers.words import piece_windows
from hf_rnn.onnx.standalone import predictor as runtime
from hf_rnn.onnx.standalone import predictor_settings
from hf_rnn.tasks import decoding, long_texts
from hf_rnn.tasks.long_texts import join_windows, pool_windows, tag_windows

LONG = " ".join(REVIEWS[:40])
BIO = ["O", "B-X", "I-X", "B-Y", "I-Y"]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """Return the folder of a classifier that reads 64 pieces at a time."""
    folder = tmp_path_factory.mktemp("reviews")
    random_checkpoint(folder, ["a", "b", "c"], problem_type="single_label_classification")
    return folder


def mean_of_windows(predictor, text):
    """Return the probabilities of a text by the definition: a call for each window, logits weighed by pieces."""
    ids = predictor.tokenizer(text, truncation=False, verbose=False)["input_ids"]
    inner = [piece for piece in ids if piece not in predictor.tokenizer.all_special_ids or piece == predictor.tokenizer.unk_token_id]
    own = 64 - (len(ids) - len(inner))
    step, total, weight, place = own - own // 8, 0, 0, 0
    head = ids[: ids.index(inner[0])]
    tail = ids[len(head) + len(inner) :]
    while True:
        window = [*head, *inner[place : place + own], *tail]
        with torch.no_grad():
            total = total + len(window) * predictor.model(torch.tensor([window])).logits[0]
        weight += len(window)
        if place + own >= len(inner):
            return (total / weight).softmax(-1)
        place += step


def test_classifiers_read_all_of_a_text(reviews):
    """The mean over windows, whatever else is in the batch; short texts as ever; what stands behind counts."""
    predictor = hf_rnn.load(str(reviews), long_texts="windows")
    texts = [LONG, "short", LONG[:400], ""]
    rows = predictor.predict(texts, all_scores=True)
    for text, row in zip(texts[:3], rows, strict=False):
        assert list(row["scores"].values()) == pytest.approx(mean_of_windows(predictor, text).tolist(), abs=1e-5)
    cut = hf_rnn.load(str(reviews), long_texts="truncate").predict(texts, all_scores=True)
    assert rows[1] == cut[1] and rows[3] == cut[3]
    assert rows[0]["scores"] != cut[0]["scores"]
    assert predictor.predict(texts, 1)[0]["score"] == pytest.approx(rows[0]["score"], abs=1e-5)
    # by the tokenizer's own call, as models of others are asked
    assert predictor.decoder.answer(texts)[0]["score"] == pytest.approx(rows[0]["score"], abs=1e-5)


def test_in_one_go(reviews):
    """Whole texts give what the model makes of all their pieces, also by the tokenizer's own call."""
    predictor = hf_rnn.load(str(reviews), long_texts="whole")
    with torch.no_grad():
        ids = predictor.tokenizer(LONG, truncation=False, verbose=False, return_tensors="pt")["input_ids"]
        expected = predictor.model(ids).logits.softmax(-1).max()
    assert predictor.predict([LONG, "short"])[0]["score"] == pytest.approx(float(expected), abs=1e-5)
    assert predictor.decoder.answer([LONG])[0]["score"] == pytest.approx(float(expected), abs=1e-5)


def test_windows_of_ids():
    """The first is what truncation gives; together they hold every piece; neighbours share an eighth."""
    tokenizer = train_tokenizer(iter(REVIEWS), "bpe", 1500, model_max_length=64)
    (windows,) = piece_windows(tokenizer, [LONG], 8)
    assert windows[0] == tokenizer(LONG, truncation=True)["input_ids"]
    specials = tokenizer.num_special_tokens_to_add()
    inner = [window if not specials else window[:-specials] for window in windows]
    shared = (64 - specials) // 8
    assert all(before[-shared:] == after[:shared] for before, after in pairwise(inner))
    whole = tokenizer(LONG, truncation=False, verbose=False)["input_ids"]
    assert [*inner[0], *(piece for window in inner[1:] for piece in window[shared:])] == whole[: len(whole) - specials]


def test_pooling():
    """Weighed means; rows with one window are left as they are, to the bit."""
    logits = torch.tensor([[1.0, 3.0], [2.0, 2.0], [5.0, 0.1]])
    assert pool_windows(logits[:2], [1, 1], torch.tensor([3, 4])) is not None
    pooled = pool_windows(logits, [2, 1], torch.tensor([3, 1, 0]))
    assert pooled[0].tolist() == pytest.approx([1.25, 2.75])
    assert torch.equal(pooled[1], logits[2])


def test_the_choice_is_kept_and_said(reviews, tmp_path, caplog):
    """The config says it to predictors, commands and exports; where nothing does, a line says once that texts are cut."""
    logging.get_logger("hf_rnn").warning_once.cache_clear()
    predictor = hf_rnn.load(str(reviews))
    predictor.predict([LONG, LONG])
    predictor.predict(LONG)
    assert caplog.text.count("Of texts longer than 64 tokens only the beginning is read. --long_texts whole") == 1
    caplog.clear()
    logging.get_logger("hf_rnn").warning_once.cache_clear()
    hf_rnn.load(str(reviews), long_texts="truncate").predict(LONG)
    assert not caplog.records
    # saved in the config
    predictor.model.config.long_texts = "windows"
    predictor.model.save_pretrained(tmp_path)
    predictor.tokenizer.save_pretrained(tmp_path)
    (kept,) = hf_rnn.load(str(tmp_path)).predict(LONG)
    assert kept == hf_rnn.load(str(reviews), long_texts="windows").predict(LONG)[0]
    assert predictor_settings(predictor.model.config, predictor.tokenizer).long_texts == "windows"
    (tmp_path / "in.txt").write_text(LONG)
    options = ["--model_name_or_path", str(tmp_path), "--input_file", str(tmp_path / "in.txt"), "--output_file"]
    for more, expected in (([], kept["score"]), (["--long_texts", "truncate"], predictor_cut(reviews))):
        assert cli.main(["predict", *options, str(tmp_path / "out.jsonl"), *more]) == 0
        assert json.loads((tmp_path / "out.jsonl").read_text())["score"] == pytest.approx(expected, abs=1e-5)


def predictor_cut(folder):
    """Return the score of the beginning of the long text."""
    return hf_rnn.load(str(folder), long_texts="truncate").predict(LONG)[0]["score"]


def test_no_such_choice(reviews):
    """Refused in a line, also in a config, and of tokenizers that do not say what they cut off."""
    with pytest.raises(ValueError, match="`long_texts` must be one of .*, got 'all'. Pass another --long_texts"):
        hf_rnn.load(str(reviews), long_texts="all")
    with pytest.raises(ValueError, match="`long_texts` must be one of"):
        RnnConfig(long_texts="all")
    predictor = hf_rnn.load(str(reviews), long_texts="windows")
    slow = type("Slow", (), {"is_fast": False})()
    with pytest.raises(ValueError, match="needs a fast tokenizer, got Slow"):
        dataclasses.replace(predictor.decoder, tokenizer=slow).logits(["a"])
    assert piece_windows(BertTokenizerFast(vocab={"[PAD]": 0, "[UNK]": 1, "a": 2}), ["a"], 8) is None


class Session:
    """Stands for a graph: runs the model that would be exported."""

    def __init__(self, model):
        self.model = model

    def get_outputs(self):
        """Name the outputs."""
        return [type("Output", (), {"name": "logits"})]

    def run(self, names, feeds):
        """Return them."""
        with torch.no_grad():
            return [self.model(**{name: torch.from_numpy(value) for name, value in feeds.items()}).logits.numpy()]


@pytest.mark.parametrize("way", long_texts.LONG_TEXTS)
def test_exports_read_them_alike(reviews, way):
    """`predictor.py` makes the same windows and the same mean."""
    predictor = hf_rnn.load(str(reviews), long_texts=way)
    settings = dataclasses.replace(predictor_settings(predictor.model.config, predictor.tokenizer), long_texts=way)
    assert runtime.OVERLAP == long_texts.OVERLAP
    tokenizer = runtime.Tokenizer.from_file(str(reviews / "tokenizer.json"))
    runtime.limit_texts(tokenizer, settings)
    texts = [LONG, "short", "", LONG[:700]]
    for told, expected in zip(
        runtime.Predictor(settings, tokenizer, Session(predictor.model)).predict(texts), predictor(texts), strict=True
    ):
        assert told["label"] == expected["label"]
        assert told["score"] == pytest.approx(expected["score"], abs=1e-5)


@pytest.fixture
def small_windows(monkeypatch):
    """Let taggers read 60 pieces at a time."""
    for name, value in (("CORE", 60), ("MARGIN", 24), ("LEAST_MARGIN", 12)):
        monkeypatch.setattr(long_texts, name, value)
    monkeypatch.setattr(decoding, "WHOLE", 100)


@pytest.mark.parametrize(("units", "fields"), [("raw", {"use_crf": True, "crf_constraints": "bio", "word_pooling": "rnn"}), (None, {})])
def test_taggers_read_by_windows_what_they_read_whole(tmp_path, small_windows, monkeypatch, units, fields):
    """Every span of a long text, whatever the window, is that of the whole text, in a batch and alone; intents are told."""
    random_checkpoint(tmp_path, BIO, units=units, pooling="mean", intents=["x", "y"], seed=5, **fields)
    predictor = hf_rnn.load(str(tmp_path))
    with torch.no_grad():
        for name, weights in predictor.model.model.layers.named_parameters():
            # forgets soon, as trained ones do: the second quarter of a bias is that of forget gates
            weights.mul_(0.1 if "weight_hh" in name else 1)
            if "bias_ih" in name:
                weights.view(4, -1)[1] = -3
        if "use_crf" in fields:
            # and is surer of a word than of what follows what
            predictor.model.crf.transitions.mul_(0.1)
            predictor.model.classifier.weight.mul_(4)
    texts = [" ".join(ANNOTATED[:12]), ANNOTATED[0], " ".join([*ANNOTATED[20:25], *REVIEWS[:20]])]
    by_windows = predictor.predict(texts)
    monkeypatch.setattr(decoding, "WHOLE", 10**6)
    whole = predictor.predict(texts)
    for found, expected in zip(by_windows, whole, strict=True):
        assert len(expected["spans"]) > 2
        keys = ("start", "end", "entity_group")
        assert [[span[key] for key in keys] for span in found["spans"]] == [[span[key] for key in keys] for span in expected["spans"]]
        scores = [[span["score"] for span in answer["spans"]] for answer in (found, expected)]
        # what a path is worth depends on words far off, and margins here are of three or four
        assert scores[0] == pytest.approx(scores[1], abs=2e-2 if fields else 1e-4)
        assert found["intent"] in ("x", "y")


def test_windows_cover_a_text(small_windows):
    """Borders stand where words begin; every piece is answered for once and seen with a margin; a word may be longer than a window."""
    for cuts, length in (([*range(1, 1000)], 1000), ([*range(7, 995, 7)], 1000), ([5, 400, 410, 900], 1000), ([], 500), ([3], 90)):
        windows = tag_windows(cuts, length)
        assert windows[0].begin == 0 and windows[-1].end == length
        for before, after in pairwise(windows):
            assert before.end == after.begin and before.end in cuts
        for window in windows:
            assert window.start <= max(0, window.begin - 24) or window.start == 0
            assert window.stop >= min(length, window.end + 24)
            assert {window.start, window.stop} <= {0, length, *cuts}


def test_joins_cut_no_span(small_windows):
    """Where windows disagree about a span at the border, it comes whole from one of them."""
    length, cuts = 200, [*range(1, 200)]
    windows = tag_windows(cuts, length)
    inside = torch.tensor([False, False, True])
    labels = torch.zeros(length, dtype=torch.long)
    # a span over the first border: the left window sees all of it, the right one only its end, and as a span of its own
    border = windows[0].end
    labels[border - 4], labels[border - 3 : border + 4] = 1, 2
    rows = [torch.nn.functional.one_hot(labels[window.start : window.stop], 3).float() for window in windows]
    place = border - windows[1].start
    rows[1][:place] = torch.tensor([1.0, 0, 0])
    rows[1][place] = torch.tensor([0, 1.0, 0])
    joined = join_windows(rows, windows, cuts, inside)
    assert joined.shape == (length, 3)
    assert joined.argmax(-1).tolist() == labels.tolist()
    # without looking for a better place the border would be cut
    assert rows[1][place].argmax() == 1
