"""`handler.py`, which a push leaves in a folder, answers as inference endpoints ask, in a process without hf_rnn."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from checkpoints import ANNOTATED, REVIEWS, random_checkpoint

from hf_rnn import load
from hf_rnn.sharing import hub

# what an endpoint does: the folder, and what is asked, are arguments
ENDPOINT = """
import json, sys
sys.modules["hf_rnn"] = None
folder, data = sys.argv[1:]
sys.path.insert(0, folder)
from handler import EndpointHandler
print(json.dumps(EndpointHandler(folder)(json.loads(data))))
"""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Return the folder of a classifier, with its handler."""
    folder = tmp_path_factory.mktemp("handled") / "classifier"
    random_checkpoint(folder, problem_type="single_label_classification", labels=["a", "b", "c"])
    hub.write_handler(folder)
    return folder


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """Return the folder of a tagger of raw text, with its handler."""
    folder = tmp_path_factory.mktemp("handled") / "tagger"
    random_checkpoint(folder, labels=["O", "B-PER", "I-PER"], units="raw", word_pooling="mean", intents=["x", "y"])
    hub.write_handler(folder)
    return folder


def here(folder):
    """Return the handler of a folder, imported from there."""
    spec = importlib.util.spec_from_file_location("handler_of_a_folder", folder / "handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EndpointHandler(str(folder))


@pytest.mark.thorough
def test_in_a_process_without_the_package(classifier, tmp_path):
    """All labels with scores, the likeliest first, those of `predict`, of long texts too."""
    texts = [*REVIEWS[:3], " ".join(REVIEWS[:40])]
    command = [sys.executable, "-c", ENDPOINT, str(classifier), json.dumps({"inputs": texts})]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = load(str(classifier)).predict(texts, all_scores=True)
    for labels, answer in zip(json.loads(done.stdout), expected, strict=True):
        assert {each["label"]: each["score"] for each in labels} == pytest.approx(answer["scores"], abs=1e-5)
        assert labels == sorted(labels, key=lambda each: -each["score"])


def test_parameters_and_wrong_requests(classifier):
    """Those of the pipeline; what is no request is refused in a line."""
    handle = here(classifier)
    (best,) = handle({"inputs": REVIEWS[0], "parameters": {"top_k": 1}})
    assert best == handle({"inputs": [REVIEWS[0]]})[0][0]
    assert handle({"inputs": []}) == []
    for data, message in (
        ({}, "`inputs` must be"),
        ({"inputs": [1]}, "got list"),
        ({"inputs": "a", "parameters": [1]}, "`parameters` must"),
    ):
        with pytest.raises(ValueError, match=message):
            handle(data)


def test_spans(tagger):
    """As `predict` has them, in plain numbers."""
    found = here(tagger)({"inputs": ANNOTATED[:9]})
    expected = [answer["spans"] for answer in load(str(tagger)).predict(ANNOTATED[:9])]
    assert any(expected) and json.loads(json.dumps(found)) == found
    places = [
        [[(span["start"], span["end"], span["entity_group"]) for span in spans] for spans in answers] for answers in (found, expected)
    ]
    assert places[0] == places[1]


def test_a_handler_of_ones_own_stays(classifier, tmp_path):
    """An older one of the package is replaced; both go up."""
    first = (classifier / "handler.py").read_text().split("\n")[0]
    for content, is_replaced in (("class EndpointHandler: pass\n", False), (f"{first}\nold\n", True)):
        (tmp_path / "handler.py").write_text(content)
        hub.write_handler(tmp_path)
        assert ((tmp_path / "handler.py").read_text() != content) == is_replaced
    assert "handler.py" in hub.SHARED
