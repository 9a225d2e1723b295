"""Write a model as a page that runs in the browser: static files, no server, nothing that is fetched from elsewhere."""

import gzip
import html
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HOME
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerBase
from transformers.modeling_utils import PreTrainedModel

from ..data.writing import staged
from ..models.tags import can_follow, guess_scheme, split_tag
from ..onnx.export import export_onnx, quantize
from ..onnx.runtime import QUANTIZED_FILE
from ..reports.pages import page
from ..sharing.cards import count_weights
from ..tasks.decoding import NumberDecoder, SpanDecoder, TagDecoder, decoder_class, promised_threshold
from .patterns import to_javascript

WEB = Path(__file__).parent / "web"
OWN_FILES = ("app.js", "engine.js", "offline.js", "predictor.js", "units.js")
# what the page is built of, each with the files that it takes and the licence that its package states
PACKAGES = {
    "onnxruntime-web@1.30.0": ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"),
    "@huggingface/tokenizers@0.2.0": ("dist/tokenizers.min.mjs", "LICENSE"),
}
MIT = Path(__file__).parent / "web" / "LICENSE-onnxruntime-web.txt"
# white space as Unicode has it, where that of JavaScript differs
WHITE_SPACE = r"\p{White_Space}+"
# labels that the sentence on a model names
MOST_SHOWN = 20


def write_page(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    title: str,
    examples: Sequence[str] = (),
    card: str | None = None,
) -> list[str]:
    """Write a static folder with `index.html`: type a text, see its label or its spans.

    Args:
        model (`PreTrainedModel`): A classifier or a tagger of this package; written in int8.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer, of a kind that `train_tokenizer` makes.
        folder (`str`): Folder to write to.
        title (`str`): Heading of the page.
        examples (`Sequence`): Texts to try.
        card (`str`, *optional*): Markdown of its card, for a page of its own.

    Returns:
        `list`: The files of the page, relative to the folder.

    Raises:
        ValueError: The model is of another kind, or the packages of the page cannot be had.
    """
    settings = page_settings(model, tokenizer, title, examples)
    written = {
        "settings.json": json.dumps(settings, ensure_ascii=False),
        "tokenizer.json": json.dumps(browser_tokenizer(json.loads(tokenizer.backend_tokenizer.to_str())), ensure_ascii=False),
        # what a static Space of the Hub wants to be told
        "README.md": f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\nsdk: static\npinned: false\n---\n",
        "package.json": json.dumps(_package(title), indent=1),
        "index.html": _fill(title, model, card is not None),
    }
    if card is not None:
        # without what only the Hub reads
        text = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL).strip()
        written["card.html"] = page(title, f"<pre>{html.escape(text)}</pre>", "pre { white-space: pre-wrap; overflow-wrap: anywhere }")
    with staged(folder, ("index.html",)) as stage, tempfile.TemporaryDirectory() as work:
        vendored = _vendor(stage)
        export_onnx(model, work)
        quantize(work)
        shutil.copy(Path(work) / QUANTIZED_FILE, stage / "model.onnx")
        for name in OWN_FILES:
            shutil.copy(WEB / name, stage / name)
        for name, content in written.items():
            (stage / name).write_text(content, encoding="utf-8")
    return sorted([*OWN_FILES, *vendored, *written, "model.onnx"])


def _package(title: str) -> dict[str, Any]:
    """Return what npm has to know of a page to take it as a module."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:100] or "hf-rnn-model"
    return {"name": name, "version": "1.0.0", "private": True, "type": "module", "main": "predictor.js", "exports": "./predictor.js"}


def _fill(title: str, model: PreTrainedModel, has_card: bool) -> str:
    """Return the page with its heading, what the model is, and a link to its card."""
    link = ' <a href="card.html">Its card</a> tells what it learnt from and how well.' if has_card else ""
    text = (WEB / "index.html").read_text(encoding="utf-8")
    # names of labels may hold braces
    parts = {"{title}": html.escape(title), "{about}": f"{html.escape(describe(model))}{link}"}
    return re.sub("|".join(parts), lambda match: parts[match[0]], text)


def describe(model: PreTrainedModel) -> str:
    """Return a sentence on what a model is and what it does."""
    config, decoder = model.config, decoder_class(model)
    way = "A bidirectional" if config.bidirectional else "A one-way"
    what = f"{way} {config.cell_type.upper()} of {count_weights(model) / 1e6:.1f} million parameters"
    if decoder is NumberDecoder:
        return f"{what} that gives a text a number."
    names = [config.id2label[index] for index in range(config.num_labels)]
    if decoder in (SpanDecoder, TagDecoder):
        scheme = guess_scheme(names)
        names = list(dict.fromkeys(filter(None, (_kind(name, scheme) for name in names))))
    shown = ", ".join(names[:MOST_SHOWN]) + (f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else "")
    known: dict[Any, str] = {SpanDecoder: "finds in raw text", TagDecoder: "finds in words that white space parts"}
    return f"{what} that {known.get(decoder, 'chooses among')}: {shown}."


def page_settings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, title: str, examples: Sequence[str]) -> dict[str, Any]:
    """Return what the page has to know of a model beside its graph and its tokenizer.

    Raises:
        ValueError: The model is neither a classifier nor a tagger of this package.
    """
    config = model.config
    decoder = decoder_class(model)
    if decoder is None or config.model_type != "hf_rnn":
        raise ValueError(
            f"The model must be a classifier or a tagger of this package, got {type(model).__name__}. Pass --model_name_or_path."
        )
    labels = [config.id2label[index] for index in range(config.num_labels)]
    settings = {
        "title": title,
        "task": decoder.task,
        "examples": list(examples),
        "labels": labels,
        "problem": config.problem_type,
        "max_length": 10**9 if getattr(config, "long_texts", None) == "whole" else tokenizer.model_max_length,
        "unknown": tokenizer.unk_token,
        "threshold": promised_threshold(config),
        "intents": list(getattr(config, "intents", None) or ()),
    }
    if decoder in (TagDecoder, SpanDecoder):
        scheme = guess_scheme(labels)
        settings["kinds"] = [_kind(label, scheme) for label in labels]
        settings["joins"] = [[_joins(before, after, scheme) for after in labels] for before in labels]
    if decoder is SpanDecoder:
        description = json.loads(tokenizer.backend_tokenizer.to_str())
        pattern = to_javascript(description["pre_tokenizer"]["pattern"]["Regex"])
        settings["units"] = {"pattern": pattern, "specials": [token["content"] for token in description["added_tokens"]]}
    return settings


def _kind(label: str, scheme: str | None) -> str | None:
    """Return what spans of a tag are called, or None if it makes none."""
    if scheme is None:
        return label
    return None if split_tag(label)[0] == "O" else split_tag(label)[1]


def _joins(before: str, after: str, scheme: str | None) -> bool:
    """Return whether a tag goes on with the span of the tag before."""
    return scheme is not None and split_tag(after)[0] in ("I", "E") and can_follow(before, after, scheme)


def browser_tokenizer(description: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a tokenizer (`tokenizer.json`) with what JavaScript understands otherwise spelt out.

    White space and punctuation become regular expressions of the very characters that the library means: its table of
    punctuation is of another version of Unicode than the browser's, and JavaScript's white space is not Unicode's.

    Raises:
        ValueError: It splits text in a way that the page does not know.
    """
    steps = description["pre_tokenizer"]
    if steps["type"] == "Split":
        # the page cuts raw text into units itself
        return {**description, "normalizer": _normalizer(description["normalizer"]), "pre_tokenizer": None}
    steps = steps["pretokenizers"] if steps["type"] == "Sequence" else [steps]
    spelt = [_spell_out(step) for step in steps]
    return {**description, "pre_tokenizer": {"type": "Sequence", "pretokenizers": spelt}}


def _normalizer(description: dict[str, Any]) -> dict[str, Any]:
    """Return the normalizer of a tokenizer of raw text with patterns that JavaScript reads."""
    steps = description["normalizers"]
    spelt = [
        {**step, "pattern": {"Regex": to_javascript(step["pattern"]["Regex"])}} if step["type"] == "Replace" else step for step in steps
    ]
    return {"type": "Sequence", "normalizers": spelt}


def _spell_out(step: dict[str, Any]) -> dict[str, Any]:
    if step["type"] == "WhitespaceSplit":
        return {"type": "Split", "pattern": {"Regex": WHITE_SPACE}, "behavior": "Removed", "invert": False}
    if step["type"] == "Punctuation":
        return {"type": "Split", "pattern": {"Regex": f"[{''.join(_punctuation())}]"}, "behavior": "Isolated", "invert": False}
    if step["type"] != "Metaspace":
        raise ValueError(
            f"The page knows tokenizers that `hf-rnn train-tokenizer` makes, got one with the step {step['type']!r}. "
            "Pass a model with such a tokenizer."
        )
    return step


def _punctuation() -> Iterator[str]:
    """Yield the characters at which the library splits punctuation off, as ranges of a regular expression."""
    splitter = pre_tokenizers.Punctuation()
    codes = [code for code in range(0x20000) if not 0xD800 <= code < 0xE000 and len(splitter.pre_tokenize_str(f"a{chr(code)}a")) == 3]
    starts = [code for code in codes if code - 1 not in set(codes)]
    ends = [code for code in codes if code + 1 not in set(codes)]
    yield from (rf"\u{{{start:x}}}-\u{{{end:x}}}" for start, end in zip(starts, ends, strict=True))


def _vendor(folder: Path) -> list[str]:
    """Put the packages that the page is built of into `vendor`, and their licences beside it; return the names of the files."""
    contents: dict[str, bytes] = {}
    licences = [f"onnxruntime-web\n\n{MIT.read_text(encoding='utf-8')}"]
    for package, names in PACKAGES.items():
        with tarfile.open(package_archive(package)) as archive:
            for name in names:
                member = archive.extractfile(f"package/{name}")
                content = member.read() if member else b""
                if name == "LICENSE":
                    licences.append(f"{package.rpartition('@')[0]}\n\n{content.decode()}")
                elif name.endswith(".wasm"):
                    # a quarter of its size; the same bytes every time
                    contents[f"vendor/{Path(name).name}.gz"] = gzip.compress(content, 9, mtime=0)
                else:
                    contents[f"vendor/{Path(name).name}"] = content
    contents["LICENSES.txt"] = "\n\n".join(licences).encode()
    (folder / "vendor").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return list(contents)


def package_archive(package: str) -> Path:
    """Return the archive of a package of the npm registry, from the cache or fetched by `npm pack`, which runs none of its code.

    Raises:
        ValueError: It is not in the cache and cannot be fetched.
    """
    cache = Path(HF_HOME) / "hf_rnn" / "npm"
    path = cache / (re.sub(r"[@/]+", "-", package).strip("-") + ".tgz")
    if path.is_file():
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # elsewhere first: an archive that is cut off would stay, and two processes may fetch it at once
        with tempfile.TemporaryDirectory(dir=cache) as work:
            command = ["npm", "pack", "--silent", "--pack-destination", work, package]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=work)
            os.replace(Path(work) / path.name, path)
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(
            f"The page is built of {package}, which `npm pack` could not fetch ({error}). Install Node.js, which brings npm, and connect "
            f"to the network once; or put the archive at {path}."
        ) from error
    return path
