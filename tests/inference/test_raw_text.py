"""Raw text in, spans of characters out: pipelines, `load(...).predict`, the command and the evaluation say the same."""

import json
import random

import pytest
from runs import annotated_texts, predictions
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from hf_rnn import load
from hf_rnn.commands import cli
from hf_rnn.tasks.span_scores import SpanCounts

pytestmark = pytest.mark.lowest

ODDITIES = [
    "",
    "   ",
    "\n",
    "a",
    "😀",
    "👩\u200d👩\u200d👧 Park",
    "cafe\u0301 Ko\u0308ln",
    "  Park flew\r\n\tto  New\u00a0York .  ",
    "[SEP] [PAD] Park [UNK]",
    "##Park ▁Seoul Ġa",
    "\u1112\u1169\u11bc길동이 부산에 갔다",
    "ＮＥＷ　ＹＯＲＫ ﬁne ½",
    "\u200b\u2028\x00\x1f\ufeffx",
    "ไทย العربية हिन्दी ქართული",
    "x" * 500,
    "Park" * 50,
    "." * 300,
]
STRATEGIES = ["none", "simple", "first", "max", "average"]


def triples(entities):
    """Return start, end and label of the spans of a pipeline."""
    return [(entity["start"], entity["end"], entity["entity_group"]) for entity in entities]


def random_texts(count):
    """Return texts of characters of all kinds."""
    draw = random.Random(5)
    kinds = [
        "Park",
        "Seoul",
        "민수",
        "이",
        " ",
        "\n",
        "\u0301",
        "😀",
        "\u200d",
        "(",
        ".",
        "東",
        "9",
        "é",
        "\ufb01",
        "İ",
        "ß",
        "\U000e0041",
        "\u0e33",
    ]
    return ["".join(draw.choice(kinds) for _ in range(draw.randrange(25))) for _ in range(count)]


def test_it_learnt(span_tagger):
    """Made-up names are found, among particles and punctuation, and no border is missed."""
    metrics = span_tagger[1]
    assert metrics["test_f1"] > 0.9
    assert metrics["test_missed_borders"] == metrics["eval_missed_borders"] == 0
    assert AutoModelForTokenClassification.from_pretrained(span_tagger[0]).config.units == "raw"


@pytest.mark.parametrize("strategy", ["simple", "first"])
def test_pipeline_and_evaluation_agree(span_tagger, strategy):
    """On the test texts the stock pipeline gives the spans of the predictions file, one by one and in batches, and so the same F1."""
    folder, metrics = span_tagger
    rows = predictions(folder)
    pipe = pipeline("token-classification", model=str(folder), aggregation_strategy=strategy)
    expected = [[(span["start"], span["end"], span["label"]) for span in row["predictions"]] for row in rows]
    for batch_size in (1, 16):
        assert [triples(entities) for entities in pipe([row["text"] for row in rows], batch_size=batch_size)] == expected
    gold = [[tuple(span) for span in row["label"]] for row in annotated_texts(60, seed=60)]
    assert SpanCounts.count(gold, expected).metrics()["f1"] == pytest.approx(metrics["test_f1"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_any_text_any_strategy(span_tagger, strategy):
    """No crash, offsets within the text, spans in order and apart, `word` the text between them, white space at no end."""
    pipe = pipeline("token-classification", model=str(span_tagger[0]), aggregation_strategy=strategy)
    for text in [*ODDITIES, *random_texts(60)]:
        entities = pipe(text)
        place = 0
        for entity in entities:
            assert place <= entity["start"] < entity["end"] <= len(text)
            place = entity["end"]
            between = text[entity["start"] : entity["end"]]
            if strategy != "none":
                assert between == between.strip()
                assert entity["word"] == "".join(" " if letter.isspace() else letter for letter in between)


def test_predictor_gives_what_the_pipeline_gives(span_tagger):
    """The same spans, scores and words as `aggregation_strategy="simple"`, alone and in batches."""
    pipe, predictor = pipeline("token-classification", model=str(span_tagger[0]), aggregation_strategy="simple"), load(str(span_tagger[0]))
    texts = [*ODDITIES, *random_texts(20)]
    for text, answer in zip(texts, predictor.predict(texts, batch_size=7), strict=True):
        entities = pipe(text)
        assert answer["text"] == text
        assert triples(answer["spans"]) == triples(entities)
        assert [span["score"] for span in answer["spans"]] == pytest.approx([float(entity["score"]) for entity in entities], abs=1e-5)
        assert all(span["word"] == text[span["start"] : span["end"]] for span in answer["spans"])


def test_tokens_can_be_given_too(span_tagger):
    """Lists of tokens are read joined by spaces and get BIO tags, and the stock pipeline takes them as they are."""
    tokens = ["Kim", "Yuna", "flew", "to", "Seoul", "."]
    (answer,) = load(str(span_tagger[0])).predict([tokens])
    assert answer == {"tokens": tokens, "tags": ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]}
    tokenizer = AutoTokenizer.from_pretrained(span_tagger[0])
    assert tokenizer(tokens, is_split_into_words=True).word_ids()[-2] == 5


def test_prediction_command(span_tagger, tmp_path, capsys):
    """`predict` writes offsets for texts of files, and reads the text of treebanks rather than their tokens."""
    folder = str(span_tagger[0])
    cli.main(["predict", "--model_name_or_path", folder, "--text", "Park flew to Seoul."])
    answer = json.loads(capsys.readouterr().out)
    assert [(span["word"], span["start"], span["entity_group"]) for span in answer["spans"]] == [("Park", 0, "PER"), ("Seoul", 13, "LOC")]
    lines = [["1", "Seoul", *["_"] * 7, "SpaceAfter=No"], ["2", ".", *["_"] * 8]]
    (tmp_path / "a.conllu").write_text("# text = Seoul.\n" + "\n".join("\t".join(line) for line in lines) + "\n", encoding="utf-8")
    cli.main(["predict", "--model_name_or_path", folder, "--input_file", str(tmp_path / "a.conllu")])
    assert json.loads(capsys.readouterr().out)["text"] == "Seoul."


def test_a_long_document_in_one_pass(span_tagger):
    """A text of many sentences gives spans to its end, those of the command and of the pipeline alike."""
    text = "Park flew to Seoul. " * 400
    entities = pipeline("token-classification", model=str(span_tagger[0]), aggregation_strategy="simple")(text)
    assert [(entity["word"], entity["start"]) for entity in entities[-2:]] == [("Park", 7980), ("Seoul", 7993)]
    assert len(entities) == 800
    assert triples(load(str(span_tagger[0])).predict(text)[0]["spans"]) == triples(entities)
