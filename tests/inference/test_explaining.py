"""Effects of words are what really happens without them."""

import pytest

from hf_rnn import load
from hf_rnn.commands import cli
from hf_rnn.inference.explaining import explanation_page

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
    assert page.count("<span") == 2


def test_command(classifier, tagger, tmp_path, capsys):
    """It prints the words by effect and writes a page; what cannot be explained is said."""
    arguments = ["explain", "--model_name_or_path", str(classifier[0]), "--texts", TEXT, "시간이 아깝다"]
    assert cli.main([*arguments, "--output_file", str(tmp_path / "words.html")]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in TEXT.split())
    assert "아깝다</span>" in (tmp_path / "words.html").read_text()
    assert cli.main([*arguments, "--label", "great"]) == 1
    assert "`label` must be one of ['negative', 'positive'], got 'great'" in capsys.readouterr().err
    assert cli.main(["explain", "--model_name_or_path", str(tagger[0]), "--texts", TEXT]) == 1
    assert "Only the answers of classifiers" in capsys.readouterr().err
