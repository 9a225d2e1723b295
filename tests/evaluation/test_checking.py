"""Labels that are wrong, texts that stand twice and confused classes are found, each with its place in the file."""

import csv
import json
import random

import numpy as np
import pytest

from hf_rnn.commands import check, cli
from hf_rnn.data.files.reading import AS_IS, ReadingOptions
from hf_rnn.evaluation.checked_rows import Row
from hf_rnn.evaluation.checking import check_rows, likely_errors
from hf_rnn.evaluation.twins import MOST_COMPARED, find_twins

WORDS = {"good": "great lovely fine superb charming".split(), "bad": "awful boring poor dull dreadful".split()}
OTHER = {"good": "bad", "bad": "good"}


def reviews(count=200, wrong=()):
    """Return rows of a word that tells the label and words that do not; some have the other label."""
    draw = random.Random(0)
    rows = []
    for number in range(count):
        label = draw.choice(list(WORDS))
        text = f"film {draw.randrange(10**6)} was {draw.choice(WORDS[label])} and {draw.choice(WORDS[label])}"
        rows.append({"text": text, "label": OTHER[label] if number in wrong else label})
    return rows


@pytest.fixture
def files(tmp_path):
    """Write rows of which five have the wrong label, two are the same with two labels, and one stands in the test file too."""
    train = reviews(wrong=(3, 50, 51, 120, 199))
    train += [
        {"text": "It is WHAT it is!", "label": "good"},
        {"text": "it is what it is", "label": "bad"},
        {"text": "odd", "label": "rare"},
    ]
    test = [*reviews(5), {"text": train[10]["text"].replace("film", "Film") + ".", "label": train[10]["label"]}]
    for name, rows in (("train", train), ("test", test[-1:])):
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"])
            writer.writeheader()
            writer.writerows(rows)
    return {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}


def test_what_is_wrong_is_found(files):
    """With the line of the file, the label that fits, and what is too rare to be judged."""
    found = check_rows(files, AS_IS)
    assert found.counts == {"train": 203, "test": 1}
    # a header stands above the rows
    lines = {each.row.where: each.suggested for each in found.wrong_labels}
    assert len({f"line {number + 2}" for number in (3, 50, 51, 120, 199)} & set(lines)) >= 4
    assert sum(each.is_likely for each in found.wrong_labels) <= 6
    assert [each.score for each in found.wrong_labels] == sorted(each.score for each in found.wrong_labels)
    assert all(each.suggested != each.row.label == each.given for each in found.wrong_labels)
    twins = [(each.kind, each.first.where, each.second.split, each.second.where, each.similarity) for each in found.twins]
    assert twins == [("other label", "line 202", "train", "line 203", 1.0), ("both splits", "line 12", "test", "line 2", 1.0)]
    assert found.unjudged == {"rare": 1}
    assert found.accuracy > 0.9
    assert sum(count for _, _, count, _ in found.confused) == round((1 - found.accuracy) * 202)


def test_confident_learning_is_that_of_the_paper():
    """A row is taken for an error where the best other class reaches the mean of the rows that have it (Northcutt et al. 2021, eq. 2)."""
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.45, 0.55], [0.05, 0.95], [0.2, 0.8]])
    given = np.array([0, 0, 0, 0, 1, 1])
    # thresholds: class 0 (0.9 + 0.7 + 0.1 + 0.45) / 4, class 1 (0.95 + 0.8) / 2 = 0.875
    assert likely_errors(probabilities, given).tolist() == [2]
    assert likely_errors(probabilities, np.array([1, 0, 0, 0, 1, 1])).tolist() == [0, 2]


def test_precision_where_labels_were_made_wrong(tmp_path):
    """Of rows of which a twentieth got another label, those that come first are the wrong ones."""
    wrong = set(random.Random(1).sample(range(1000), 50))
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, reviews(1000, wrong))))
    found = check_rows({"train": str(path)}, AS_IS).wrong_labels[:50]
    assert sum(int(each.row.where.removeprefix("line ")) - 1 in wrong for each in found) >= 45


def test_twins():
    """The same text a hundred times is told once for each two kinds of rows; nearly the same texts are found by their n-grams."""
    rows = [Row("train", f"line {number}", "Good film!", "good") for number in range(100)]
    rows += [Row("test", "line 1", "good film", "bad"), Row("test", "line 2", "one of the best films that I have ever seen", "good")]
    rows += [Row("train", "line 101", "one of the best films that i have ever seenn", "good"), Row("train", "line 102", "...", "bad")]
    twins = find_twins(rows)
    assert [(each.kind, each.first.where, each.second.where) for each in twins] == [
        ("other label", "line 0", "line 1"),
        ("both splits", "line 2", "line 101"),
    ]
    assert 0.9 <= twins[1].similarity < 1
    assert find_twins([Row("train", "1", "!", "a"), Row("train", "2", "?", "b")]) == []


def test_texts_that_are_too_long(tmp_path, capsys):
    """Those of more words than a classifier reads tokens are told in the lines, the table and the page; one of as many is not."""
    rows = reviews(40)
    rows[3]["text"] += " and so on" * 100
    rows[7]["text"] += " on" * 250
    rows[9]["text"] += "on" * 400
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    folder = tmp_path / "out"
    found = check.main(["--train_file", str(path), "--output_dir", str(folder)])
    assert [(row.where, words) for row, words in found.too_long] == [("line 4", 306)]
    assert "1 texts have more words than the 256 tokens that a classifier reads by default; the longest, train line 4, has 306." in (
        capsys.readouterr().out
    )
    with open(folder / "check.csv", newline="") as file:
        told = list(csv.DictReader(file))[-1]
    assert (told["finding"], told["where"], told["place"]) == ("too long", "line 4", "306 words")
    assert "Texts that are too long (1)" in (folder / "check.html").read_text()


def test_many_texts_are_compared_by_their_letters_alone(monkeypatch, caplog):
    """All pairs of many texts would take hours; a line says that they are not compared."""
    monkeypatch.setattr("hf_rnn.evaluation.twins.MOST_COMPARED", 1)
    assert MOST_COMPARED == 20_000
    rows = [Row("train", "line 1", "a fine film it is", "good"), Row("test", "line 1", "a fine film it iss", "good")]
    assert find_twins(rows) == []
    assert "only those that are the same but for case" in caplog.text


def test_the_command(files, tmp_path, capsys):
    """It prints what it finds, and writes it as a table and a page."""
    folder = tmp_path / "out"
    found = check.main(["--train_file", files["train"], "--test_file", files["test"], "--output_dir", str(folder)])
    printed = capsys.readouterr().out
    assert "1 times the same text with different labels, such as\n  train line 202 (good) and train line 203 (bad)" in printed
    assert "Of too few rows to be judged: rare 1." in printed
    with open(folder / "check.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(found.wrong_labels) + len(found.twins)
    assert (table[-1]["finding"], table[-1]["where"], table[-1]["other_split"]) == ("both splits", "line 12", "test")
    page = (folder / "check.html").read_text()
    unlikely = sum(not each.is_likely for each in found.wrong_labels)
    assert [line["likely"] for line in table].count("no") == unlikely
    assert page.count("<tr>") == len(table) - unlikely + len(found.confused) + 3
    assert "Labels that are likely errors" in page


def test_wrong_calls(files, tmp_path, capsys):
    """One line says what is wrong."""
    (tmp_path / "few.csv").write_text("text,label\na,x\nb,y\nc,y\n")
    (tmp_path / "none.csv").write_text("text,label\na,x\nb,\n")
    for argv, message in [
        ([], "`train_file` is needed"),
        (["--train_file", str(tmp_path / "few.csv")], "labels are judged where two have 5 different texts or more each, got 'x' 1, 'y' 2"),
        (["--train_file", str(tmp_path / "none.csv")], "line 3"),
        (["--train_file", files["train"], "--folds", "1"], "`folds` must be at least 2 and at most 100, got 1"),
        (["--train_file", files["train"], "--label_column_name", "sentiment"], "lacks column 'sentiment'"),
    ]:
        assert cli.main(["check", *argv, "--output_dir", str(tmp_path / "out")]) in (1, 2)
        assert message in capsys.readouterr().err


CITIES, DAYS = "Seoul Paris Oslo Lima Cairo".split(), "monday friday sunday".split()


def orders(count=120):
    """Return sentences of which words tell the slots, with their tags."""
    draw, rows = random.Random(0), []
    for _ in range(count):
        tokens = [
            "fly",
            "to",
            draw.choice(CITIES),
            *draw.choice([["now"], ["on", draw.choice(DAYS)]]),
            "please",
            str(draw.randrange(10**4)),
        ]
        tags = ["B-city" if token in CITIES else "B-day" if token in DAYS else "O" for token in tokens]
        rows.append({"tokens": tokens, "tags": tags})
    return rows


def written(tmp_path, name, rows):
    """Write rows of a split; return its file."""
    (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(tmp_path / f"{name}.jsonl")


def test_spans_of_tags(tmp_path):
    """A slot with another label, one that is missing and one too many come first, each with its place."""
    rows = orders()
    rows[3]["tags"][2] = "B-day"
    rows[7]["tags"][2] = "O"
    rows[11]["tags"][0] = "B-city"
    again = {**rows[20], "tags": ["O"] * len(rows[20]["tokens"])}
    found = check_rows({"train": written(tmp_path, "train", rows), "test": written(tmp_path, "test", [again, rows[30]])}, AS_IS)
    city = {number: rows[number]["tokens"][2] for number in (3, 7)}
    places = {each.row.where: (each.place, each.given, each.suggested) for each in found.wrong_labels[:3]}
    assert places == {
        "line 4": (f"characters 7 to {7 + len(city[3])}: {city[3]}", f"{city[3]}: day", f"{city[3]}: city"),
        "line 8": (f"characters 7 to {7 + len(city[7])}: {city[7]}", "nothing", f"{city[7]}: city"),
        "line 12": ("characters 0 to 3: fly", "fly: city", "nothing"),
    }
    assert sum(each.is_likely for each in found.wrong_labels) <= 4 and found.kind == "spans" and found.accuracy > 0.98
    assert [(each.kind, each.first.where) for each in found.twins] == [("other label", "line 21"), ("both splits", "line 31")]
    assert {(label, answer) for label, answer, _, _ in found.confused[:3]} >= {("O", "city"), ("day", "city")}


def test_tags_of_no_scheme(tmp_path, capsys):
    """Each token is a place of its own; the command tells them."""
    rows = [{**row, "tags": [tag.removeprefix("B-") for tag in row["tags"]]} for row in orders(60)]
    rows[3]["tags"][0] = "city"
    found = check.main(["--train_file", written(tmp_path, "train", rows), "--output_dir", str(tmp_path / "out")])
    worst = found.wrong_labels[0]
    assert (worst.row.where, worst.place, worst.given, worst.suggested) == ("line 4", "token 1: fly", "city", "O")
    assert "  line 4, token 1: fly: city, not O?  fly to" in capsys.readouterr().out
    with open(tmp_path / "out" / "check.csv", newline="") as file:
        line = next(csv.DictReader(file))
    assert (line["finding"], line["place"], line["label"], line["suggested"]) == ("tags", "token 1: fly", "city", "O")
    assert "<th>place</th>" in (tmp_path / "out" / "check.html").read_text()


def test_spans_of_raw_text(tmp_path):
    """Names end within words where particles follow; one that reaches too far is told beside the right one."""
    draw, rows = random.Random(0), []
    for _ in range(150):
        name, verb = draw.choice(["홍길동", "김철수", "이영희"]), draw.choice(["간다", "온다", "본다"])
        rows.append(
            {
                "text": f"{name}이 {draw.choice(['집에', '학교에'])} {verb}{draw.randrange(1000)}",
                "spans": [{"start": 0, "end": 3, "label": "PS"}],
            }
        )
    rows[5]["spans"][0]["end"] = 4
    rows[9]["spans"] = []
    named = [{"text": row["text"], "names": row["spans"]} for row in rows]
    found = check_rows({"train": written(tmp_path, "train", named)}, ReadingOptions(label_column="names"))
    names = {number: rows[number]["text"][:4] for number in (5, 9)}
    assert {(each.row.where, each.given, each.suggested) for each in found.wrong_labels[:2]} == {
        ("line 6", f"{names[5]}: PS", f"{names[5][:3]}: PS"),
        ("line 10", "nothing", f"{names[9][:3]}: PS"),
    }


def test_too_few_sentences(tmp_path):
    """One line says that tags cannot be judged."""
    with pytest.raises(ValueError, match="tags are judged where 5 sentences or more have two of them, got 2 with"):
        check_rows({"train": written(tmp_path, "train", orders(2))}, AS_IS)
