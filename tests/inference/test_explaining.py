"""Effects of words are what really happens without them."""

import re

import pytest
import torch

from hf_rnn import RnnConfig, RnnForSequenceClassification, load, train_tokenizer
from hf_rnn.commands import cli
from hf_rnn.inference.explaining import explanation_page
from hf_rnn.inference.predictor import Predictor

TEXT = "정말 재미있고 감동적인 영화였어요"


def test_an_effect_is_what_happens_without_the_word(classifier):
    """The score on the whole text less that on the text with the word cut out, for every word, for the best label and the other."""
    predictor = load(str(classifier[0]))
    whole = predictor.predict(TEXT)[0]
    found = predictor.explain(TEXT)
    assert (found["label"], found["score"]) == (whole["label"], pytest.approx(whole["score"], abs=1e-5))
    words = TEXT.split()
    assert [word["word"] for word in found["words"]] == words == [TEXT[word["start"] : word["end"]] for word in found["words"]]
    for index, word in enumerate(found["words"]):
        rest = predictor.predict(" ".join(words[:index] + words[index + 1 :]))[0]
        score = rest["score"] if rest["label"] == whole["label"] else 1 - rest["score"]
        assert word["effect"] == pytest.approx(found["score"] - score, abs=1e-5)
    other = predictor.explain(TEXT, "negative" if whole["label"] == "positive" else "positive")
    assert [word["effect"] for word in other["words"]] == pytest.approx([-word["effect"] for word in found["words"]], abs=1e-5)


def test_long_empty_and_odd_texts(classifier):
    """More words than one pass takes, none at all, and markup."""
    predictor = load(str(classifier[0]))
    assert len(predictor.explain("영화 " * 100)["words"]) == 100
    assert predictor.explain("")["words"] == []
    page = explanation_page([predictor.explain("<script>alert(1)</script> 영화")])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    _, _, words = page.partition("</p>")
    assert words.count("<span") == 2


def test_colours_are_the_same_on_every_page():
    """An effect has its colour whatever stands beside it, and its number; the legend tells of what is there."""

    def shown(*effects, **more):
        words = [{"word": "w", "start": 2 * i, "end": 2 * i + 1, "effect": effect, **more} for i, effect in enumerate(effects)]
        return explanation_page([{"text": "w " * len(effects), "label": "good", "score": 0.9, "words": words}])

    alone, beside = shown(0.25), shown(0.25, -1.0, 0.001)
    assert 'rgba(33, 102, 205, 0.30)" title="+0.2500">w<sub>+0.25</sub>' in alone
    assert 'rgba(33, 102, 205, 0.30)" title="+0.2500">w<sub>+0.25</sub>' in beside
    assert 'title="+0.0010">w</span>' in beside
    assert "<h2>good <small>0.9000</small></h2>" in alone
    assert "attention" not in alone and "A line below a word" in shown(0.1, attention=0.5)


def test_command(classifier, tagger, tmp_path, capsys):
    """It prints the words by effect and writes a page; what cannot be explained is said."""
    arguments = ["explain", "--model_name_or_path", str(classifier[0]), "--texts", TEXT, "시간이 아깝다"]
    assert cli.main([*arguments, "--output_file", str(tmp_path / "words.html")]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in TEXT.split())
    assert re.search(r"아깝다(<sub>[^<]*</sub>)?</span>", (tmp_path / "words.html").read_text())
    assert cli.main([*arguments, "--label", "great"]) == 1
    assert "`label` must be one of ['negative', 'positive'], got 'great'" in capsys.readouterr().err
    assert cli.main(["explain", "--model_name_or_path", str(tagger[0]), "--texts", "We flew home"]) == 0
    printed = capsys.readouterr().out
    assert [line.split("  ")[1] for line in printed.splitlines() if "  in  We flew home" in line] == ["We", "flew", "home"]


def test_effects_on_a_tag(tagger):
    """The score of the token's tag less that in the sentence without each other token; its own, with the unknown token in its place."""
    predictor = load(str(tagger[0]))
    tokens = "The waiter brought us cold coffee .".split()
    text = "  ".join(tokens)
    whole = predictor.decoder.logits([tokens])[0].softmax(-1)
    for token in (0, 4, 6):
        found = predictor.explain(text, token=token)
        tag = int(whole[token].argmax())
        assert (found["label"], found["token"]) == (predictor.model.config.id2label[tag], token)
        assert found["score"] == pytest.approx(float(whole[token, tag]), abs=1e-5)
        assert [word["word"] for word in found["words"]] == tokens == [text[word["start"] : word["end"]] for word in found["words"]]
        for index, word in enumerate(found["words"]):
            left = tokens[:index] + tokens[index + 1 :] if index != token else [*tokens[:index], "[UNK]", *tokens[index + 1 :]]
            rest = predictor.decoder.logits([left])[0].softmax(-1)[token - (index < token), tag]
            assert word["effect"] == pytest.approx(found["score"] - float(rest), abs=1e-5)
    assert "<b>coffee</b>" in explanation_page([predictor.explain(text, token=5)])


@pytest.mark.parametrize("word_pooling", [None, "mean"])
def test_attention_is_what_the_model_pools_by(word_pooling):
    """States weighted by the attention told for words, and by the rest for special tokens, are the pooled state."""
    tokenizer = train_tokenizer([TEXT, "We flew to Seoul ."] * 20, "bpe", 60)
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 8, "hidden_size": 12}
    model = RnnForSequenceClassification(RnnConfig(**sizes, pooling="attention", word_pooling=word_pooling)).eval()
    if word_pooling:
        model.set_piece_types(tokenizer)
    text = "We flew to Seoul"
    encoding = tokenizer(text, return_tensors="pt")
    told = [word["attention"] for word in Predictor(model, tokenizer).explain(text)["words"]]
    with torch.inference_mode():
        states = model.model(encoding["input_ids"]).last_hidden_state[0]
        starts = model.model.units(encoding["input_ids"], torch.ones_like(encoding["input_ids"], dtype=torch.bool))[0]
        scores = model.pooling.attention.context(torch.tanh(model.pooling.attention.projection(states)))[:, 0]
    weights = torch.zeros(len(starts)).masked_scatter(starts, scores[starts].softmax(0))
    word_of = encoding.word_ids(0)
    expected = [sum(float(weights[place]) for place, word in enumerate(word_of) if word == index) for index in range(4)]
    assert told == pytest.approx(expected, abs=1e-6)
    assert 0 < 1 - sum(told) < 1


def test_what_cannot_be_explained_is_said(classifier, tagger, span_tagger):
    """Taggers need a token that is there, classifiers take none; taggers of raw text cut their own."""
    tags = load(str(tagger[0]))
    with pytest.raises(ValueError, match="`token` must be the number of a token, from 0 to 1, got None. Pass --token."):
        tags.explain("We flew")
    with pytest.raises(ValueError, match="got 2"):
        tags.explain("We flew", token=2)
    with pytest.raises(ValueError, match="of a text that is not empty, got 0"):
        tags.explain(" ", token=0)
    with pytest.raises(ValueError, match="a classifier answers the whole text"):
        load(str(classifier[0])).explain(TEXT, token=1)
    with pytest.raises(ValueError, match="A tagger of raw text"):
        load(str(span_tagger[0])).explain(TEXT, token=1)
