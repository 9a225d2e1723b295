"""Load and use models of every kind with the core dependencies alone: run by a test, and by CI in an environment without extras.

python tests/core_only.py reference/nsmc
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, pipeline

import hf_rnn
from hf_rnn.data.tokenizers.units import Cuts, train_unit_tokenizer

REVIEWS = {"정말 재미있어요": "positive", "최악의 영화": "negative"}
TEXTS = ["We flew to Seoul.", "Park lives in Seoul", ""]
SIZES = {"embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1}
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def save(folder, model_class, tokenizer, labels=("no", "yes"), **fields):
    """Write an untrained model with its tokenizer; return the folder as a string."""
    names = dict(enumerate(labels))
    ids = {label: index for index, label in names.items()}
    config = hf_rnn.RnnConfig(
        vocab_size=len(tokenizer), id2label=names, label2id=ids, pad_token_id=tokenizer.pad_token_id, **SIZES, **fields
    )
    model = model_class(config)
    model.set_piece_types(tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def check_reference(name):
    """Answer, explain and show the gates of reviews."""
    predictor = hf_rnn.load(name)
    answers = predictor.predict(list(REVIEWS))
    assert [answer["label"] for answer in answers] == list(REVIEWS.values())
    piped = pipeline("text-classification", model=name)(list(REVIEWS))
    assert [answer["label"] for answer in piped] == list(REVIEWS.values())
    assert predictor.explain("정말 재미있어요")["words"] and predictor.gates("정말 재미있어요")


def check_tagger(name, strategy):
    """Tag strings and tokens; spans of a string are where the pipeline finds them."""
    predictor = hf_rnn.load(name)
    rows = predictor.predict([*TEXTS, ["Park", "smiled"]])
    assert [row.get("text") for row in rows] == [*TEXTS, None] and len(rows[-1]["tags"]) == 2
    tag = pipeline("token-classification", model=name, aggregation_strategy=strategy)
    for text, row in zip(TEXTS, rows, strict=False):
        assert [_place(span) for span in row["spans"]] == ([_place(span) for span in tag(text)] if text else [])
    assert any(row.get("spans") for row in rows)


def _place(span):
    return span["start"], span["end"], span["entity_group"]


def check_language_models(causal, masked):
    """Go on with a text, by `generate` and by the pipeline, and fill a gap."""
    tokenizer = AutoTokenizer.from_pretrained(causal)
    prompt = tokenizer("We flew", add_special_tokens=False, return_tensors="pt").input_ids
    written = AutoModelForCausalLM.from_pretrained(causal).generate(prompt, max_new_tokens=5, do_sample=False)
    assert written.shape[1] > prompt.shape[1]
    assert pipeline("text-generation", model=causal)("We flew", max_new_tokens=5)[0]["generated_text"].startswith("We flew")
    assert AutoModelForMaskedLM.from_pretrained(masked)(prompt).logits.shape[-1] == len(tokenizer)
    assert len(pipeline("fill-mask", model=masked)("We [MASK] to Seoul", top_k=3)) == 3


def main(reference):
    """Check every kind of model."""
    torch.manual_seed(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        words = hf_rnn.train_tokenizer(TEXTS * 4, "bpe", 60)
        units = train_unit_tokenizer(TEXTS * 4, Cuts())
        check_reference(reference)
        check_tagger(save(folder / "words", hf_rnn.RnnForTokenClassification, words, TAGS, use_crf=True), "first")
        check_tagger(save(folder / "units", hf_rnn.RnnForTokenClassification, units, TAGS, units="raw"), "simple")
        causal = save(folder / "causal", hf_rnn.RnnForCausalLM, words, bidirectional=False)
        check_language_models(causal, save(folder / "masked", hf_rnn.RnnForMaskedLM, words))
    print(f"hf_rnn {hf_rnn.__version__} at {Path(hf_rnn.__file__).parent}: models load and answer")


if __name__ == "__main__":
    main(sys.argv[1])
