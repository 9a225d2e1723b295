"""Train a review classifier and a part-of-speech tagger on the samples of the package, and use them; takes about two minutes."""

import argparse
import json
import shutil
import time
import warnings
from pathlib import Path

from transformers import pipeline

import hf_rnn
from hf_rnn.commands import text_classification, token_classification
from hf_rnn.data.files.readers import read_rows

SAMPLES = Path(hf_rnn.__file__).parent / "samples"
REFERENCE = Path(__file__).parents[1] / "reference"
# nothing but files: what else there is follows from the number of rows
COMMON = ["--do_train", "--do_eval", "--do_predict", "--save_total_limit", "1", "--seed", "42"]
CLASSIFIER = ["--train_file", str(SAMPLES / "nsmc_train.tsv"), "--test_file", str(SAMPLES / "nsmc_test.tsv")]
TAGGER = ["--train_file", str(SAMPLES / "ewt_train.conllu"), "--test_file", str(SAMPLES / "ewt_test.conllu")]
REVIEWS = [
    "정말 재미있고 감동적인 영화였어요",
    "시간이 아깝다 최악의 영화",
    "배우들 연기가 너무 좋아서 또 보고 싶네요",
    "지루하고 재미없음",
]
SENTENCES = ["The waiter brought us cold coffee .", "Can you book a flight to Seoul on Monday ?"]

TEXTS = ["The waiter didn't bring us cold coffee.", "Can you book a flight to Seoul on Monday?"]


def main() -> None:
    """Train both, then show metrics, predictions and where everything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", default="outputs/quickstart", help="folder for both models; emptied first")
    output = Path(parser.parse_args().output_dir)
    # of a pipeline that finds words by their spaces, as it should
    warnings.filterwarnings("ignore", "Tokenizer does not support real words")
    started = time.perf_counter()
    metrics = {}
    for name, command, options in (("reviews", text_classification, CLASSIFIER), ("pos", token_classification, TAGGER)):
        shutil.rmtree(output / name, ignore_errors=True)
        metrics[name] = command.main([*options, *COMMON, "--output_dir", str(output / name)])
    seconds = time.perf_counter() - started

    reviews, pos = (metrics[name]["test_accuracy"] for name in ("reviews", "pos"))
    print(f"\nTrained in {seconds:.0f} s. Test accuracy: reviews {reviews:.1%}, parts of speech {pos:.1%}")
    print("\nReviews as pipeline('text-classification') labels them:")
    classify = pipeline("text-classification", model=str(output / "reviews"))
    for review, answer in zip(REVIEWS, classify(REVIEWS), strict=True):
        print(f"  {answer['label']}  {answer['score']:.2f}  {review}")
    print("\nParts of speech, as pipeline('token-classification') finds them:")
    tag = pipeline("token-classification", model=str(output / "pos"), aggregation_strategy="first")
    for sentence in SENTENCES:
        print("  " + " ".join(f"{entity['word'].strip()}/{entity['entity_group']}" for entity in tag(sentence)))
    print("\nAn error of each on the test data:")
    for name in ("reviews", "pos"):
        with open(output / name / "predictions.jsonl", encoding="utf-8") as file:
            print(f"  {show_error(name, map(json.loads, file))}")
    print("\nThe models that the repository carries, of 30 times as many reviews and ten times as many sentences:")
    show_reference(reviews)
    show_tagger()
    print(f"\nBoth models, their curves (curves.png), confusion matrices and cards are in {output}/reviews and {output}/pos")


def show_reference(own: float) -> None:
    """Print what the reference model says, and how often it is right where the trained one is."""
    reference = hf_rnn.load(str(REFERENCE / "nsmc"))
    for answer in reference.predict(REVIEWS):
        print(f"  {answer['label']}  {answer['score']:.2f}  {answer['text']}")
    rows = list(read_rows(str(SAMPLES / "nsmc_test.tsv")))
    answers = reference.predict(row["document"] for row in rows)
    right = sum(answer["label"] == row["label"] for answer, row in zip(answers, rows, strict=True)) / len(rows)
    print(f"  On the same {len(rows):,} reviews, new to both, it is right on {right:.1%}, yours on {own:.1%}.")
    print('  hf_rnn.load("reference/nsmc") loads it; hf-rnn demo --model_name_or_path reference/nsmc makes a page of it.')


def show_tagger() -> None:
    """Print what the English reference model finds in text as people write it."""
    for answer in hf_rnn.load(str(REFERENCE / "ewt")).predict(TEXTS):
        print("  " + " ".join(f"{span['word']}/{span['entity_group']}" for span in answer["spans"]))
    print('  hf_rnn.load("reference/ewt") loads it.')


def show_error(name: str, rows: map) -> str:
    """Return the first wrong answer in words."""
    for row in rows:
        if name == "reviews" and row["prediction"] != row["label"]:
            return f"{row['text']}  (labelled {row['label']}, predicted {row['prediction']} with {row['score']:.2f})"
        if name == "pos" and row["predictions"] != row["tags"]:
            return " ".join(
                f"{token}/{tag}" if tag == best else f"[{token}/{tag}, predicted {best}]"
                for token, tag, best in zip(row["tokens"], row["tags"], row["predictions"], strict=True)
            )
    return "none"


if __name__ == "__main__":
    main()
