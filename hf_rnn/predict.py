"""Apply a trained classifier or tagger to texts or to a file."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    HfArgumentParser,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .arguments import option
from .collator import RnnCollator
from .data import TEXT_COLUMNS, TOKEN_COLUMNS, encode_words, first_pieces
from .readers import DataError, read_rows

HEADS = (AutoModelForSequenceClassification, AutoModelForTokenClassification)


@dataclass
class PredictArguments:
    """What to predict with which model."""

    model_name_or_path: str = option("Checkpoint, folder or Hub name.", "")
    text: str | None = option("One text, or tokens separated by spaces for a tagger.")
    input_file: str | None = option("File with a text a line (.txt), or csv, tsv, json, jsonl, conll or conllu.")
    text_column_name: str | None = option("Column of texts or of lists of tokens.")
    output_file: str | None = option("Where to write one JSON object a line; the terminal by default.")
    batch_size: int = option("Rows at a time.", 64)
    trust_remote_code: bool = option("Run model code that comes with the checkpoint.", False)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = HfArgumentParser(PredictArguments, description=__doc__)
    (arguments,) = parser.parse_args_into_dataclasses(argv)
    if not arguments.model_name_or_path:
        parser.error("--model_name_or_path is needed: the folder or Hub name of a trained model")
    if (arguments.text is None) == (arguments.input_file is None):
        parser.error("give exactly one of --text and --input_file")
    model, tokenizer = load(arguments.model_name_or_path, arguments.trust_remote_code)
    texts = [arguments.text] if arguments.input_file is None else read_texts(arguments.input_file, arguments.text_column_name)
    predict = tag if is_tagger(model) else classify
    write = partial(_write, texts, arguments.batch_size, partial(predict, model=model, tokenizer=tokenizer))
    if arguments.output_file is None:
        write(sys.stdout)
    else:
        with open(arguments.output_file, "w", encoding="utf-8") as file:
            write(file)


def load(name: str, trust_remote_code: bool = False, **kwargs: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a classifier or tagger, whichever the checkpoint holds, in evaluation mode, and its tokenizer.

    Args:
        name (`str`): Folder or Hub name.
        trust_remote_code (`bool`): Whether to run model code that comes with the checkpoint.
        kwargs: For the `from_pretrained` of the model.

    Raises:
        ValueError: The checkpoint is broken or holds a model without such a head.
    """
    options = {"trust_remote_code": trust_remote_code}
    try:
        head = (AutoConfig.from_pretrained(name, **options).architectures or [""])[0]
        auto_class = auto_class_of(head, HEADS)
        if auto_class is None:
            raise ValueError(f"{name!r} must be a classifier or a tagger, got {head or 'a model of unknown kind'}. Train one first.")
        model, report = auto_class.from_pretrained(name, output_loading_info=True, **options, **kwargs)
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except (SafetensorError, RuntimeError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # what the libraries raise on files that are not what their names say
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{name!r} is no whole checkpoint: {reason}. Save or download it again.") from error
    if report["missing_keys"]:
        raise ValueError(f"{name!r} is no whole checkpoint: it is missing the weights {sorted(report['missing_keys'])[:5]}. Save it again.")
    return model.eval(), tokenizer


def auto_class_of(architecture: str, auto_classes: Iterable[Any]) -> Any:
    """Return which of some Auto classes loads an architecture, by the head that both are named for, or None."""
    return next((auto for auto in auto_classes if architecture.endswith(auto.__name__.removeprefix("AutoModel"))), None)


def is_tagger(model: PreTrainedModel) -> bool:
    """Return whether a model tags tokens rather than classifying texts."""
    return type(model).__name__.endswith("ForTokenClassification")


def _write(texts: Iterable[Any], batch_size: int, predict: Callable[[list[Any]], list[dict[str, Any]]], file: TextIO) -> None:
    """Write a JSON object a line for each text."""
    for batch in _batches(texts, batch_size):
        for row in predict(batch):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_texts(path: str, column: str | None = None) -> Iterator[str | list[str]]:
    """Yield the texts or token lists of a file; of a .txt file, its lines."""
    for number, row in enumerate(read_rows(path)):
        names = [column] if column else [name for name in (*TEXT_COLUMNS, *TOKEN_COLUMNS) if name in row]
        if not names or names[0] not in row:
            raise DataError(f"{path}, row {number}: no column {column or 'of texts'}; it has {list(row)}. Pass --text_column_name.")
        yield row[names[0]]


def _batches(texts: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def text_logits(texts: list[str | list[str]], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Return the logits of texts, (B, C) in fp32."""
    encoding = tokenizer([_as_text(text) for text in texts], truncation=True, padding=True, return_tensors="pt")
    return model(**encoding.to(model.device)).logits.float().cpu()


@torch.inference_mode()
def token_logits(sentences: list[list[str]], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[Tensor]:
    """Return the logits of the tokens of each sentence, (W, C) in fp32, those of their first pieces."""
    return _token_outputs(sentences, model, tokenizer)[0]


def _token_outputs(
    sentences: list[list[str]], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Tensor], Tensor | None]:
    """Return the logits of tokens, (W, C) for each sentence, and those of intents, (B, I), of a model that has them."""
    encoding = encode_words(tokenizer, sentences)
    batch = RnnCollator(tokenizer.pad_token_id)([{"input_ids": ids} for ids in encoding["input_ids"]])
    output = model(**{name: value.to(model.device) for name, value in batch.items()})
    rows = output.logits.float().cpu()
    firsts = [first_pieces(encoding.word_ids(index), len(sentence)) for index, sentence in enumerate(sentences)]
    return [row[first] for row, first in zip(rows, firsts, strict=True)], output.get("intent_logits")


def classify(texts: list[str | list[str]], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """Return the best label of each text and its score (one label), all scores (several labels), or the number (regression)."""
    plain = [_as_text(text) for text in texts]
    logits, labels = text_logits(texts, model, tokenizer), model.config.id2label
    if model.config.problem_type == "regression":
        return [{"text": text, "prediction": row.tolist()} for text, row in zip(plain, logits[:, 0], strict=True)]
    if model.config.problem_type == "multi_label_classification":
        scores = logits.sigmoid().tolist()
        return [
            {"text": text, "scores": {labels[k]: score for k, score in enumerate(row)}} for text, row in zip(plain, scores, strict=True)
        ]
    best = logits.softmax(-1).max(-1)
    rows = zip(plain, best.indices.tolist(), best.values.tolist(), strict=True)
    return [{"text": text, "label": labels[index], "score": score} for text, index, score in rows]


@torch.inference_mode()
def tag(texts: list[str | list[str]], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """Return tokens and their tags, and the intent if the model has any; a text is split at white space."""
    sentences = [text.split() if isinstance(text, str) else text for text in texts]
    logits, intents = _token_outputs(sentences, model, tokenizer)
    labels = model.config.id2label
    rows = [
        {"tokens": sentence, "tags": [labels[best] for best in row.argmax(-1).tolist()]}
        for sentence, row in zip(sentences, logits, strict=True)
    ]
    if intents is not None:
        for row, best in zip(rows, intents.argmax(-1).tolist(), strict=True):
            row["intent"] = model.config.intents[best]
    return rows


def _as_text(text: str | list[str]) -> str:
    return text if isinstance(text, str) else " ".join(text)
