"""Pipelines, the evaluator and the prediction command give what the run itself predicted."""

import itertools
import json

import datasets
import evaluate
import pytest
import torch
from oracle import all_paths
from runs import SAMPLES, predictions
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
)

from hf_rnn.commands import cli
from hf_rnn.tasks.metrics import ClassificationMetric, TokenMetric, load_metric

pytestmark = pytest.mark.lowest


def test_classifier_works_in_a_pipeline(classifier):
    """The folder loads by the Auto classes and a pipeline gives the predictions of the file, singly and in batches."""
    folder, _ = classifier
    rows = predictions(folder)[:40]
    pipe = pipeline("text-classification", model=str(folder))
    for batch_size in (1, 8):
        outputs = pipe([row["text"] for row in rows], batch_size=batch_size)
        for output, row in zip(outputs, rows, strict=True):
            assert output["label"] == row["prediction"]
            assert output["score"] == pytest.approx(row["score"], abs=1e-4)
    assert pipe("")[0]["label"] in ("negative", "positive")
    assert pipe("영화 " * 5000)[0]["label"] in ("negative", "positive")


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_every_aggregation_strategy(tagger, strategy):
    """Offsets of Korean, emoji and combining marks point at words; batches give the labels of single sentences; no text, no entity."""
    folder, _ = tagger
    # the library maps a composed letter to its base alone, so that a mark at the very end of a word would be left out
    text = "이 multi-millionaires 😀 cafe\u0301s visited Seoul ."
    pipe = pipeline("token-classification", model=str(folder), aggregation_strategy=strategy)
    entities = pipe(text)
    covered = "".join(text[entity["start"] : entity["end"]] for entity in entities)
    if strategy in ("first", "average", "max"):
        assert covered.replace(" ", "") == text.replace(" ", "")
    borders = {0, len(text)} | {index + shift for index, letter in enumerate(text) if letter == " " for shift in (0, 1)}
    if strategy != "none":
        assert all(entity["start"] in borders and entity["end"] in borders for entity in entities)
    key = "entity" if strategy == "none" else "entity_group"
    for single, batched in zip((entities, pipe("a b")), pipe([text, "a b"], batch_size=2), strict=True):
        assert [entity[key] for entity in single] == [entity[key] for entity in batched]
    assert pipe("") == pipe("   ") == []


def test_long_text_in_a_tagger(tagger):
    """A text of 5,000 words is tagged to its end, and as its first half alone would be where no second half changes it."""
    words = ["the", "dog", "ate", "the", "apple"] * 1000
    entities = pipeline("token-classification", model=str(tagger[0]), aggregation_strategy="first")(" ".join(words))
    assert entities[0]["start"] == 0
    assert entities[-1]["end"] == len(" ".join(words))
    assert all(before["end"] + 1 == after["start"] for before, after in itertools.pairwise(entities))


def test_dataset_map_and_trainer_predict(classifier):
    """The plain Trainer and `datasets.map` with the model give the logits of the pipeline."""
    folder, _ = classifier
    texts = [row["text"] for row in predictions(folder)[:30]]
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    encoded = datasets.Dataset.from_dict({"text": texts}).map(lambda batch: tokenizer(batch["text"]), batched=True)

    def classify(batch):
        with torch.no_grad():
            inputs = tokenizer.pad({"input_ids": batch["input_ids"]}, return_tensors="pt")
            return {"probability": model(**inputs).logits.softmax(-1)[:, 1].tolist()}

    mapped = encoded.map(classify, batched=True, batch_size=7)["probability"]
    arguments = TrainingArguments(per_device_eval_batch_size=8, use_cpu=True, report_to="none")
    trainer = Trainer(model, arguments, data_collator=DataCollatorWithPadding(tokenizer))
    predicted = torch.tensor(trainer.predict(encoded).predictions).softmax(-1)[:, 1]
    outputs = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)(texts)
    expected = [next(answer["score"] for answer in output if answer["label"] == model.config.id2label[1]) for output in outputs]
    assert torch.allclose(torch.tensor(mapped), torch.tensor(expected), atol=1e-5)
    assert torch.allclose(predicted, torch.tensor(expected), atol=1e-5)


def test_token_evaluator_works_offline(tagger):
    """`evaluate.evaluator("token-classification")` gives the accuracy of the predictions file, over tokens."""
    folder, _ = tagger
    rows = predictions(folder)[:30]
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(datasets.Value("string"))})
    data = datasets.Dataset.from_list([{"tokens": row["tokens"], "ner_tags": row["tags"]} for row in rows], features=features)
    results = evaluate.evaluator("token-classification").compute(
        model_or_pipeline=AutoModelForTokenClassification.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        data=data,
        metric=load_metric(TokenMetric),
    )
    right = [tag == guess for row in rows for tag, guess in zip(row["tags"], row["predictions"], strict=True)]
    assert results["accuracy"] == pytest.approx(sum(right) / len(right))


def test_evaluator_works_offline(classifier):
    """`evaluate.evaluator` gives the accuracy of the predictions file."""
    folder, _ = classifier
    rows = predictions(folder)[:50]
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    results = evaluate.evaluator("text-classification").compute(
        model_or_pipeline=model,
        tokenizer=AutoTokenizer.from_pretrained(folder),
        data=datasets.Dataset.from_list([{"text": row["text"], "label": model.config.label2id[row["label"]]} for row in rows]),
        metric=load_metric(ClassificationMetric),
        label_mapping=model.config.label2id,
    )
    assert results["accuracy"] == pytest.approx(sum(row["prediction"] == row["label"] for row in rows) / 50)


def test_prediction_command(classifier, tagger, tmp_path, capsys):
    """`predict` gives the labels of the predictions file, for texts, text files and tables, and the tags of sentences."""
    folder, _ = classifier
    rows = predictions(folder)
    cli.main(
        [
            "predict",
            "--model_name_or_path",
            str(folder),
            "--input_file",
            str(SAMPLES / "nsmc_test.tsv"),
            "--output_file",
            str(tmp_path / "p.jsonl"),
        ]
    )
    found = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["label"] for row in found[:150]] == [row["prediction"] for row in rows]
    assert len(found) == 1000
    (tmp_path / "a.txt").write_text("영화\n\n좋다\n")
    cli.main(["predict", "--model_name_or_path", str(folder), "--input_file", str(tmp_path / "a.txt")])
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["영화", "", "좋다"]
    folder, _ = tagger
    rows = predictions(folder)
    cli.main(["predict", "--model_name_or_path", str(folder), "--text", " ".join(rows[0]["tokens"])])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["tokens"], answer["tags"]) == (rows[0]["tokens"], rows[0]["predictions"])
    spans = answer["spans"]
    assert [span["entity_group"] for span in spans] == answer["tags"]
    assert [span["word"] for span in spans] == answer["tokens"] == [answer["text"][span["start"] : span["end"]] for span in spans]
    cli.main(
        [
            "predict",
            "--model_name_or_path",
            str(folder),
            "--input_file",
            str(SAMPLES / "ewt_test.conllu"),
            "--output_file",
            str(tmp_path / "t.jsonl"),
        ]
    )
    assert [json.loads(line)["tags"] for line in (tmp_path / "t.jsonl").read_text().splitlines()] == [row["predictions"] for row in rows]


@pytest.mark.parametrize("sentence", ["We flew home", "the dog barks", "Stop !", "unheard-of"])
def test_pipeline_returns_the_viterbi_path(tagger, sentence):
    """Of all 17^n tag sequences, the pipeline gives the one that scores best under the trained CRF."""
    folder, _ = tagger
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    encoding = tokenizer(sentence.split(), is_split_into_words=True, return_tensors="pt")
    words = encoding.word_ids()
    firsts = [words.index(word) for word in range(len(sentence.split()))]
    with torch.no_grad():
        emissions = model.classifier(model.model(**encoding).last_hidden_state)
        ids, mask = encoding["input_ids"], encoding["attention_mask"].bool()
        emissions = (emissions + model.linear(ids, *model.model.words(ids, mask)))[0, firsts].double()
        scores = all_paths(emissions, *model.crf._scores(torch.float64))
    best = [model.config.id2label[tag] for tag in max(scores, key=scores.get)]
    entities = pipeline("token-classification", model=model, tokenizer=tokenizer)(sentence)
    starts = {entity["index"]: entity["entity"] for entity in entities}
    assert [starts[first] for first in firsts] == best
    assert [starts[position] for position in starts] == [best[words[position]] for position in starts]
