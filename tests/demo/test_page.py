"""The page in the browser: the same answers as Python, in headless Chromium, small, quick, and with nothing from elsewhere."""

import json
import random
import re
import shutil
import subprocess
import tarfile
import threading
import unicodedata
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hub_server import run, running_hub
from runs import SAMPLES

from hf_rnn import RnnConfig, RnnForMaskedLM, RnnForSequenceClassification, RnnForTokenClassification, load, train_tokenizer
from hf_rnn.commands import cli
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.tokenizers.training import TOKENIZER_TYPES
from hf_rnn.data.tokenizers.units import Cuts, train_unit_tokenizer
from hf_rnn.demo import page as demo_page
from hf_rnn.demo.page import PACKAGES, WEB, browser_tokenizer, describe, package_archive, page_settings, write_page
from hf_rnn.demo.patterns import to_javascript
from hf_rnn.inference.predictor import Predictor
from hf_rnn.onnx.runtime import OnnxRnnForSequenceClassification, OnnxRnnForTokenClassification

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
# text as nobody writes it, and as some do
ODD = [
    *(
        "",
        " ",
        "\n\t",
        "ＡＢＣ　ｄｅｆ",
        "ﬁne Ⅷ ½ ㎏",
        "é e\u0301",
        "👍🏽👨‍👩‍👧",
        "[MASK] [SEP] [PAD] x",
        "a[SEP]b",
        "▁▁ a ▁b",
        "\u200b zero\u200bwidth",
    ),
    *(
        "\ufeffbom",
        "한글\u0085next\u2028line",
        "a\u1100\u1161\u11a8",
        "ㅋㅋㅋㅋ ㅠㅠ",
        "İstanbul ıI ẞß",
        "ΑΣ ς",
        "😀" * 50,
        "a" * 300,
        "영화 " * 400,
    ),
    *(
        "##ing ##",
        "…‥ ¨ ´ ﷺ",
        "नमस्ते ไทย العربية",
        "<b>html</b> &amp; \"q\" 'x'",
        "1,234.5% $#@!",
        "𝔘𝔫𝔦",
        "\x1c\x1d a\x1fb",
        "ﾊﾝｶｸ ｶﾞ",
        "don't stop...",
    ),
]
# posts what the page answers to each text, and how long one of 20 tokens took: the lower quartile, as what else runs slows the rest
CHECK = """<script type="module">
try {
  const { answer } = await (await import("./engine.js")).load();
  const { texts, twenty } = await (await fetch("texts.json")).json();
  const answers = [];
  for (const text of texts) answers.push(await answer(text));
  const times = [];
  for (let i = 0; i < 50; i++) { const start = performance.now(); await answer(twenty); times.push(performance.now() - start); }
  const count = (await answer(twenty)).tokens;
  await fetch("result", { method: "POST", body: JSON.stringify({ answers, count, milliseconds: times.sort((a, b) => a - b)[12] }) });
} catch (error) { await fetch("result", { method: "POST", body: JSON.stringify({ error: String(error.stack) }) }); }
</script>"""


@pytest.fixture(scope="module")
def archives():
    """Skip where the packages that the page is built of cannot be had."""
    try:
        return [package_archive(package) for package in PACKAGES]
    except ValueError as error:
        pytest.skip(str(error))


def texts_to_try(plain):
    """Return odd texts, random ones of all planes, and plain ones: 500 together."""
    generator = random.Random(0)
    ranges = [(32, 0x2FF), (0x300, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0xAC00, 0xD7A3), (32, 33)]
    made = ["".join(chr(generator.randrange(*generator.choice(ranges))) for _ in range(generator.randrange(1, 30))) for _ in range(120)]
    texts = [*ODD, *made]
    return [*texts, *plain[: 500 - len(texts)]]


class Server(ThreadingHTTPServer):
    """Serve a folder until a result is posted."""

    def __init__(self, folder):
        self.posted, self.result = threading.Event(), None
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))


class Handler(SimpleHTTPRequestHandler):
    """Take the result, and log nothing."""

    def do_POST(self):
        """Keep what is posted."""
        self.server.result = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.posted.set()

    def log_message(self, *_):
        """Say nothing."""


def ask_browser(folder, texts, profile, twenty=""):
    """Return what the page of a folder answers in headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; install one (Debian: apt-get install chromium) to run this test")
    (folder / "check.html").write_text(CHECK)
    (folder / "texts.json").write_text(json.dumps({"texts": texts, "twenty": twenty}))
    with Server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/check.html"
        browser = subprocess.Popen(
            [CHROMIUM, *FLAGS.split(), "--disable-sync", f"--user-data-dir={profile}", "--remote-debugging-port=0", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert server.posted.wait(180), "the page did not answer"
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    assert "error" not in server.result, server.result
    return server.result


def in_python(page, checkpoint):
    """Return the model of a page as Python runs it."""
    predictor = load(str(checkpoint))
    kind = OnnxRnnForTokenClassification if predictor.decoder.kind in ("tags", "spans") else OnnxRnnForSequenceClassification
    return Predictor(kind(predictor.model.config, str(page / "model.onnx")), predictor.tokenizer)


@pytest.fixture(scope="module")
def page(archives, classifier, tmp_path_factory):
    """Write the page of the classifier by the command; return its folder."""
    folder = tmp_path_factory.mktemp("page")
    assert cli.main(["demo", "--model_name_or_path", str(classifier[0]), "--output_dir", str(folder), "--examples", "영화"]) == 0
    return folder


def test_labels_are_those_of_python(page, classifier, tmp_path):
    """On 500 odd and plain texts; the page is small and quick."""
    assert sum(path.stat().st_size for path in page.rglob("*") if path.is_file()) < 12 * 2**20
    texts = texts_to_try([row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv")) if row["document"]])
    assert len(texts) == 500
    predictor = in_python(page, classifier[0])
    counts = [len(ids) for ids in predictor.tokenizer(texts, truncation=True)["input_ids"]]
    found = ask_browser(page, texts, tmp_path / "profile", texts[counts.index(20)])
    expected = [predictor.predict(text)[0] for text in texts]
    assert [answer["tokens"] for answer in found["answers"]] == counts
    assert [answer["label"] for answer in found["answers"]] == [answer["label"] for answer in expected]
    assert [max(answer["scores"]) for answer in found["answers"]] == pytest.approx([answer["score"] for answer in expected], abs=2e-3)
    assert found["count"] == 20
    assert found["milliseconds"] < 10


# asks the module that a page is, as another package would
ASK = """
import { load } from "{package}";
import { readFileSync, writeFileSync } from "fs";
const { predict } = await load();
writeFileSync("answers.json", JSON.stringify(await predict(JSON.parse(readFileSync("texts.json")))));
"""


def ask_node(folder, texts, scratch):
    """Return what the module of a page answers in Node.js, imported by the name of its package."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node.js here")
    name = json.loads((folder / "package.json").read_text())["name"]
    (scratch / "node_modules").mkdir(parents=True)
    (scratch / "node_modules" / name).symlink_to(folder)
    (scratch / "texts.json").write_text(json.dumps(texts))
    (scratch / "ask.mjs").write_text(ASK.replace("{package}", name))
    done = subprocess.run(["node", "ask.mjs"], cwd=scratch, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads((scratch / "answers.json").read_text())


def same_as_python(found, expected):
    """Check answers against those of Python, whose offsets count characters."""
    assert len(found) == len(expected)
    for answer, right in zip(found, expected, strict=True):
        assert list(answer) == list(right)
        wide = answer["text"].encode("utf-16-le", "surrogatepass")
        for span in answer.get("spans", ()):
            span["start"], span["end"] = (len(wide[: 2 * span[side]].decode("utf-16-le")) for side in ("start", "end"))
        for name, value in right.items():
            if name == "spans":
                assert [{**span, "score": 0} for span in answer[name]] == [{**span, "score": 0} for span in value]
                assert [span["score"] for span in answer[name]] == pytest.approx([span["score"] for span in value], abs=2e-3)
            else:
                assert answer[name] == (pytest.approx(value, abs=2e-3) if isinstance(value, (float, dict)) else value)


@pytest.mark.thorough
def test_the_module_answers_as_python_does(page, classifier, tmp_path):
    """A page is a package of npm: in Node.js, on 500 odd and plain texts, dictionaries as `predict` gives them."""
    texts = texts_to_try([row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv")) if row["document"]])
    same_as_python(ask_node(page, texts, tmp_path / "node"), [in_python(page, classifier[0]).predict(text)[0] for text in texts])


LABELS = ["O", "B-A", "I-A", "B-B", "I-B"]


def tiny_tagger(tokenizer, **fields):
    """Return a tagger of words with a CRF, which has learnt nothing."""
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: index for index, label in enumerate(LABELS)}}
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1}
    model = RnnForTokenClassification(RnnConfig(word_pooling="rnn", use_crf=True, **sizes, **names, **fields)).eval()
    model.set_piece_types(tokenizer)
    return model


@pytest.mark.thorough
def test_spans_are_those_of_python(archives, tmp_path):
    """A tagger with a CRF and a class of the sentence: the same tags, spans with the same characters, the same class."""
    sentences = [" ".join(row["form"]) for row in read_rows(str(SAMPLES / "ewt_test.conllu"))]
    tokenizer = train_tokenizer(sentences, "bpe", 800)
    model = tiny_tagger(tokenizer, intents=["x", "y"], span_scores=True)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write_page(model, tokenizer, tmp_path / "page", "tags")
    texts = texts_to_try(sentences)
    found = ask_browser(tmp_path / "page", texts, tmp_path / "profile")
    predictor = in_python(tmp_path / "page", tmp_path / "model")
    expected = [predictor.predict(text)[0] for text in texts]
    assert [answer["tags"] for answer in found["answers"]] == [answer["tags"] for answer in expected]
    assert [answer["label"] for answer in found["answers"]] == [answer["intent"] for answer in expected]
    for text, answer, right in zip(texts, found["answers"], expected, strict=True):
        # JavaScript counts in units of UTF-16
        wide = text.encode("utf-16-le", "surrogatepass")
        words = [(span["kind"], wide[2 * span["start"] : 2 * span["end"]].decode("utf-16-le")) for span in answer["spans"]]
        assert words == [(span["entity_group"], span["word"]) for span in right["spans"]]
    assert any(len(span["word"].split()) > 1 for answer in expected for span in answer["spans"])
    same_as_python(ask_node(tmp_path / "page", texts, tmp_path / "node"), expected)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", TOKENIZER_TYPES)
def test_tokenizers_are_those_of_python(archives, kind, tmp_path):
    """Whatever `train_tokenizer` makes: with every option on, the same ids on the same 500 texts."""
    reviews = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_train.tsv")) if row["document"]]
    tokenizer = train_tokenizer(reviews, kind, vocab_size=3000, lowercase=True, split_punctuation=True, decompose=True)
    description = browser_tokenizer(json.loads(tokenizer.backend_tokenizer.to_str()))
    texts = texts_to_try(reviews)
    (tmp_path / "input.json").write_text(json.dumps({"description": description, "texts": texts}))
    with tarfile.open(archives[1]) as archive:
        (tmp_path / "tokenizers.mjs").write_bytes(archive.extractfile("package/dist/tokenizers.min.mjs").read())
    (tmp_path / "run.mjs").write_text(
        'import { Tokenizer } from "./tokenizers.mjs"; import { readFileSync } from "fs";'
        'const { description, texts } = JSON.parse(readFileSync("input.json")); '
        'const tokenizer = new Tokenizer(description, { unk_token: "[UNK]" });'
        "console.log(JSON.stringify(texts.map((text) => tokenizer.encode(text).ids)));"
    )
    run = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [tokenizer(text)["input_ids"] for text in texts]


CUTS = Cuts(("Han", "Hangul"), ("n't", "'s"), ("l'",), (("can", "not"), ("kä", "se")))


def raw_tagger(texts):
    """Return a tagger of raw text, and its tokenizer, in which every kind of cut is made."""
    tokenizer = train_unit_tokenizer([*texts, "漢字 한글 漢字 한글 l'eau can't cannot Käse"], CUTS, 800, lowercase=True)
    return tiny_tagger(tokenizer, units="raw"), tokenizer


def raw_texts():
    """Return texts for it; characters that Unicode took in lately belong to others in one library and not in the next."""
    texts = texts_to_try([row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv")) if row["document"]])
    more = ["Cannot, can't; CANNOT scannot! l'eau KÄSE \u212aäse It's 漢字かな", "e\u0301\u0301 한\u1100\u1161글 👩‍👩‍👧漢\u0301 a[SEP]b"]
    return more + [text for text in texts if not any(unicodedata.category(letter) in ("Cn", "Cs") for letter in text)]


def test_units_of_raw_text_are_those_of_python(archives, tmp_path):
    """The pieces of several hundred odd and plain texts, in every script and with every kind of cut."""
    model, tokenizer = raw_tagger(["It isn't the cat's.", "영화가 재미있다"] * 5)
    texts = raw_texts()
    description = browser_tokenizer(json.loads(tokenizer.backend_tokenizer.to_str()))
    units = page_settings(model, tokenizer, "", ())["units"]
    (tmp_path / "input.json").write_text(json.dumps({"description": description, "units": units, "texts": texts}))
    with tarfile.open(archives[1]) as archive:
        (tmp_path / "tokenizers.mjs").write_bytes(archive.extractfile("package/dist/tokenizers.min.mjs").read())
    shutil.copy(WEB / "units.js", tmp_path / "units.mjs")
    (tmp_path / "run.mjs").write_text(
        'import { Tokenizer } from "./tokenizers.mjs"; import { units } from "./units.mjs"; import { readFileSync } from "fs";'
        'const { description, texts, units: how } = JSON.parse(readFileSync("input.json")); '
        'const tokenizer = new Tokenizer(description, { unk_token: "[UNK]" });'
        "const encode = (text) => tokenizer.encode(text, { add_special_tokens: false }).ids;"
        "console.log(JSON.stringify(texts.map((text) => units(text, how).flatMap(({ start, end }) => encode(text.slice(start, end))))));"
    )
    run = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = tokenizer(texts, add_special_tokens=False)["input_ids"]
    others = [text for text, found, right in zip(texts, json.loads(run.stdout), expected, strict=True) if found != right]
    # letters and marks of scripts beyond the first plane are not the same in every version of Unicode
    assert [text for text in others if max(text) < "\U00010000"] == [] and len(others) <= 3


@pytest.mark.thorough
def test_spans_of_raw_text_are_those_of_python(archives, tmp_path):
    """A tagger of raw text with a CRF: spans with the same characters and the same scores."""
    model, tokenizer = raw_tagger(["It isn't the cat's.", "영화가 재미있다"] * 5)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write_page(model, tokenizer, tmp_path / "page", "spans")
    texts = raw_texts()
    found = ask_browser(tmp_path / "page", texts, tmp_path / "profile")
    predictor = in_python(tmp_path / "page", tmp_path / "model")
    expected = [predictor.predict(text)[0]["spans"] for text in texts]
    for text, answer, right in zip(texts, found["answers"], expected, strict=True):
        if max(text, default="") > "\U0001ffff" or any("\U00010000" <= letter < "\U0001f000" for letter in text):
            continue
        wide = text.encode("utf-16-le", "surrogatepass")
        spans = [(span["kind"], wide[2 * span["start"] : 2 * span["end"]].decode("utf-16-le")) for span in answer["spans"]]
        assert spans == [(span["entity_group"], span["word"]) for span in right]
        assert [span["score"] for span in answer["spans"]] == pytest.approx([span["score"] for span in right], abs=2e-3)
    assert any(len(span["word"].split()) > 1 for spans in expected for span in spans)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?i:n't|s\.)a", r"(?:[Nn]'[Tt]|[Ssſ]\.)a"),
        (r"(?<![\p{L}\p{M}]|['’])(?:(?i:ä)(?=b))", r"(?<![\p{L}\p{M}]|['’])(?:(?:[Ää])(?=b))"),
        (r"(?=[\p{Han}ー])\X|\p{N}+|\-\u200c|\X", r"(?=[\p{Script=Han}ー])(?<x0>[^])|\p{N}+|-\u200c|(?<x1>[^])"),
    ],
)
def test_patterns(pattern, expected):
    """Cases are spelt out where they do not count, scripts and characters named as JavaScript names them."""
    assert to_javascript(pattern) == expected


def test_what_a_page_says_of_its_model(page, classifier):
    """A heading and a sentence that stand in the file itself, and the card behind a link, as text."""
    text = (page / "index.html").read_text()
    assert f"<h1>{classifier[0].name}</h1>" in text and "{" + "about}" not in text
    assert "A bidirectional LSTM of" in text and "that chooses among: " in text and 'href="card.html"' in text
    assert "<pre># " in (page / "card.html").read_text()
    model, _ = raw_tagger(["a b"])
    assert describe(model).endswith("million parameters that finds in raw text: A, B.")
    number = RnnForSequenceClassification(RnnConfig(vocab_size=9, embedding_size=4, hidden_size=4, bidirectional=False, num_labels=1))
    number.config.problem_type = "regression"
    assert describe(number) == "A one-way LSTM of 0.0 million parameters that gives a text a number."


def test_nothing_comes_from_elsewhere(page):
    """No file of ours names an address, a policy forbids the others to use one, and the licences are there."""
    for path in set(page.glob("*.[hjm]*")) - {page / "card.html"}:
        assert not re.search(rb"https?://", path.read_bytes()), path
    assert "default-src 'self'" in (page / "index.html").read_text()
    licences = (page / "LICENSES.txt").read_text()
    assert all(words in licences for words in ("Microsoft Corporation", "Apache License", "MIT License"))
    assert "sdk: static" in (page / "README.md").read_text()


@pytest.mark.thorough
def test_push_makes_a_static_space(archives, classifier, tmp_path):
    """`--push` sends the files of the page, and nothing else of its folder, in one commit; a wrong name is said before any work."""
    (tmp_path / "home" / "hf_rnn").mkdir(parents=True)
    (tmp_path / "home" / "hf_rnn" / "npm").symlink_to(archives[0].parent)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "notes.txt").write_text("mine")
    arguments = ["demo", "--model_name_or_path", str(classifier[0]), "--output_dir", str(tmp_path / "page"), "--push"]
    code = "import sys; from hf_rnn.commands import cli; sys.exit(cli.main({!r}))"
    with running_hub() as server:
        status, printed = run(server, code.format([*arguments, "tester/page"]), tmp_path)
        assert status == 0, printed
        assert "/spaces/tester/page/commit/" in printed
        repository = server.repositories["tester/page"]
        assert (repository.sdk, repository.private, len(repository.revisions)) == ("static", True, 2)
        pushed = repository.revisions[-1]
        there = {str(path.relative_to(tmp_path / "page")): path.read_bytes() for path in (tmp_path / "page").rglob("*") if path.is_file()}
        del there["notes.txt"]
        assert pushed == there
        assert b"sdk: static" in pushed["README.md"]
        status, printed = run(server, code.format([*arguments, "tester/no such"]), tmp_path)
        assert status == 1 and "Traceback" not in printed and "Wrote" not in printed
        server.fail = "/commit/"
        status, printed = run(server, code.format([*arguments, "tester/page", "--title", "New"]), tmp_path)
        assert status == 1 and "the disk is full" in printed and "Traceback" not in printed
        assert len(repository.revisions) == 2


def test_other_models_are_refused():
    """A language model has no labels, and a tokenizer of another kind would be cut otherwise."""
    tokenizer = train_tokenizer(["a b c"] * 3, "char", 20)
    with pytest.raises(ValueError, match="must be a classifier or a tagger of this package, got RnnForMaskedLM"):
        page_settings(RnnForMaskedLM(RnnConfig(vocab_size=20, embedding_size=4, hidden_size=4)), tokenizer, "", ())
    with pytest.raises(ValueError, match="got one with the step 'ByteLevel'"):
        browser_tokenizer({"pre_tokenizer": {"type": "ByteLevel"}})


def test_an_archive_is_whole_or_not_there(tmp_path, monkeypatch):
    """One that is cut off is fetched again, rather than kept for ever."""
    monkeypatch.setattr(demo_page, "HF_HOME", str(tmp_path))

    def pack(command, **options):
        folder = Path(command[command.index("--pack-destination") + 1])
        (folder / "huggingface-tokenizers-0.2.0.tgz").write_bytes(b"whole" if calls else b"half")
        calls.append(folder)
        if len(calls) == 1:
            raise subprocess.CalledProcessError(1, command)

    calls = []
    monkeypatch.setattr(demo_page.subprocess, "run", pack)
    with pytest.raises(ValueError, match="could not fetch"):
        package_archive("@huggingface/tokenizers@0.2.0")
    assert package_archive("@huggingface/tokenizers@0.2.0").read_bytes() == b"whole"
    assert [path.name for path in (tmp_path / "hf_rnn" / "npm").iterdir()] == ["huggingface-tokenizers-0.2.0.tgz"]
