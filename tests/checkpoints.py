"""Checkpoints with random weights, of every task."""

import torch
from runs import SAMPLES, annotated_texts

from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnForTokenClassification, train_tokenizer
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.tokenizers.units import Cuts, train_unit_tokenizer

REVIEWS = [row["document"] or "" for row in read_rows(str(SAMPLES / "nsmc_test.tsv"))]
ANNOTATED = [row["text"] for row in annotated_texts(100)]


def random_checkpoint(folder, labels, units=None, seed=3, **fields):
    """Save a checkpoint with random weights of which every answer occurs, and its tokenizer."""
    if units == "raw":
        tokenizer = train_unit_tokenizer([*ANNOTATED, *REVIEWS], Cuts(scripts=("Han",), endings=("n't",)), 900)
    else:
        tokenizer = train_tokenizer([*ANNOTATED, *REVIEWS], "bpe" if "word_pooling" in fields else "unigram", 1500, model_max_length=64)
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1}
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    kind = RnnForSequenceClassification if "problem_type" in fields else RnnForTokenClassification
    torch.manual_seed(seed)
    model = kind(RnnConfig(**sizes, **names, units=units, pad_token_id=tokenizer.pad_token_id, **fields)).eval()
    for name, parameter in model.named_parameters():
        # without a bias no answer is that of all texts
        torch.nn.init.normal_(parameter, std=0.5 * (not name.endswith("bias")))
    model.set_piece_types(tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
