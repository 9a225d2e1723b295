"""A real server on this machine: shapes of answers, bounds, hostile requests, new models, and its end."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkpoints import ANNOTATED, REVIEWS, random_checkpoint
from odd_texts import odd_texts

from hf_rnn import load
from hf_rnn.commands import cli, serve
from hf_rnn.data.files.json_files import whole_text

for package in ("starlette", "uvicorn", "httptools"):
    pytest.importorskip(package, reason="the extra `serve` is not installed")

from hf_rnn.onnx.standalone.predictor import Settings
from hf_rnn.serving import alone, bundle
from hf_rnn.serving.app import Service
from hf_rnn.serving.engines import WAYS, Engine
from hf_rnn.serving.limits import Limits, RequestError
from hf_rnn.serving.openapi import ADDRESSES
from hf_rnn.serving.protocols import InferRequest, Question, StudioTasks, output_tensors, tell, tell_infer, tell_tasks

CLASSIFIER = {"problem_type": "single_label_classification", "labels": ["a", "b", "c"]}
TAGGER = {"labels": ["O", "B-PER", "I-PER"], "units": "raw", "word_pooling": "mean", "intents": ["x", "y"]}
TOKEN = "a-token-of-this-test"


SERVE = [sys.executable, "-m", "hf_rnn", "serve"]
# runs an archive where no module but those of its requirements is there
ALONE = """
import runpy, sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "huggingface_hub", "onnx", "datasets", "yaml", "safetensors"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Running:
    """A server that runs in a process of its own."""

    def __init__(self, folder, *arguments, command=SERVE):
        self.log = folder / "log.txt"
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = [*command, *map(str, arguments), "--port", "0"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        for _ in range(1200):
            found = re.search(r"Listening on http://127.0.0.1:(\d+)", self.told())
            if found or self.process.poll() is not None:
                break
            time.sleep(0.1)
        assert found, self.told()
        self.port = int(found[1])

    def told(self):
        """Return what it has written so far."""
        return self.log.read_text()

    def ask(self, path, body=None, method=None, headers=None, **more):
        """Send a request on a connection of its own; return status and what the answer holds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        connection.request(method or ("GET" if body is None else "POST"), path, data, headers or {}, **more)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(content) if is_json else content.decode()

    def send(self, data, wait=10.0, is_whole=True):
        """Send bytes as they are; return all that comes back until the server hangs up, or what it sent in time."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            found = b""
            try:
                connection.sendall(data)
                if is_whole:
                    connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    found += part
            except (TimeoutError, ConnectionError):
                pass
            return found

    def end(self):
        """End it; return its status."""
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def running(folder, *arguments, **more):
    """Run a server for a while."""
    server = Running(folder, *arguments, **more)
    try:
        yield server
    finally:
        server.end()
    assert "Traceback" not in server.told()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Make a classifier, exported, and a checkpoint of a tagger of raw text; return their folders."""
    folder = tmp_path_factory.mktemp("served")
    random_checkpoint(folder / "classifier", **CLASSIFIER)
    random_checkpoint(folder / "tagger", **TAGGER)
    assert cli.main(["export", "--model_name_or_path", str(folder / "classifier"), "--output_dir", str(folder / "exported")]) == 0
    return folder


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    """Serve both."""
    arguments = ["--models", f"reviews={models / 'exported'}", f"checkpoint={models / 'classifier'}", f"entities={models / 'tagger'}"]
    with running(tmp_path_factory.mktemp("log"), *arguments) as server:
        yield server


@pytest.fixture(scope="module")
def strict(models, tmp_path_factory):
    """Serve one with a token and tight bounds."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "token.txt").write_text(f"{TOKEN}\n")
    bounds = "--max_request_bytes 3000 --max_texts 3 --max_characters 100 --request_timeout 1 --log_texts true".split()
    with running(folder, models / "exported", "--token_file", folder / "token.txt", *bounds) as server:
        yield server


def test_labels_in_the_shape_of_hugging_face(server, models):
    """Of one text and of several, the likeliest first, with the scores of `predict`, from a checkpoint and from an exported folder."""
    texts = [whole_text(text) for text in [*REVIEWS[:20], *odd_texts(60)]]
    expected = load(str(models / "classifier")).predict(texts)
    for path in ("/predict", "/", "/models/checkpoint", "/models/checkpoint/predict"):
        status, found = server.ask(path, {"inputs": texts})
        assert status == 200
        for labels, answer in zip(found, expected, strict=True):
            assert {each["label"] for each in labels} == set("abc") and labels[0]["label"] == answer["label"]
            assert labels[0]["score"] == pytest.approx(answer["score"], abs=1e-5)
            assert sum(each["score"] for each in labels) == pytest.approx(1, abs=1e-5)
            assert labels == sorted(labels, key=lambda each: -each["score"])
    one = server.ask("/predict", {"inputs": texts[0], "parameters": {"top_k": 2}})[1]
    assert one == server.ask("/predict", {"inputs": texts[0], "top_k": 2, "truncate": True})[1]
    assert [each["label"] for each in one] == [each["label"] for each in server.ask("/predict", {"inputs": texts})[1][0][:2]]
    assert server.ask("/predict", {"inputs": []}) == (200, [])


def test_spans(server, models):
    """As pipelines give them, with offsets; `details` gives what `predict` gives, the class of the text too."""
    expected = load(str(models / "tagger")).predict(ANNOTATED[:9])
    assert any(answer["spans"] for answer in expected)
    found = server.ask("/models/entities/predict", {"inputs": ANNOTATED[:9]})[1]
    assert [[(span["start"], span["end"], span["entity_group"], span["word"]) for span in spans] for spans in found] == [
        [(span["start"], span["end"], span["entity_group"], span["word"]) for span in answer["spans"]] for answer in expected
    ]
    detailed = server.ask("/models/entities/predict", {"inputs": ANNOTATED[0], "parameters": {"details": True}})[1]
    assert list(detailed) == list(expected[0]) and detailed["intent"] == expected[0]["intent"]


def test_texts_that_are_cut_are_told(server, models):
    """By a header with their number, and each in the details; from a checkpoint and from an exported folder."""
    long = " ".join(REVIEWS[:40])
    (cut,) = load(str(models / "classifier")).predict(long)
    for path in ("/predict", "/models/checkpoint"):
        found = server.ask(path, {"inputs": ["a", long, "b", long], "parameters": {"details": True, "long_texts": "truncate"}})[1]
        assert [answer["cut"] for answer in found] == [False, True, False, True]
        assert found[1]["score"] == pytest.approx(cut["score"], abs=1e-5)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for texts, told in ((["a", long, long], "2"), (["a"], None)):
            connection.request("POST", path, json.dumps({"inputs": texts}))
            response = connection.getresponse()
            response.read()
            assert response.headers["x-cut-texts"] == told
        connection.close()


def test_long_texts_are_read_as_the_server_and_the_request_say(models, tmp_path):
    """A request may ask for less than the server reads, in the shapes of Hugging Face and KServe; answers are those of `predict`.

    The server is the archive beside an exported model, in a process without torch and transformers.
    """
    long = " ".join(REVIEWS[:40])
    expected = {way: load(str(models / "classifier"), long_texts=way).predict(long)[0]["score"] for way in WAYS}
    assert len({round(score, 4) for score in expected.values()}) == 3
    command = [sys.executable, "-c", ALONE, models / "exported" / "server.pyz"]
    with running(tmp_path, "--long_texts", "whole", command=command) as server:
        for way in (*WAYS, None):
            parameters = {"long_texts": way, "details": True}
            (found,) = server.ask("/predict", {"inputs": [long], "parameters": parameters})[1]
            assert found["score"] == pytest.approx(expected[way or "whole"], abs=1e-5)
            assert found["cut"] == (way == "truncate")
            tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [long]}
            told = server.ask("/v2/models/exported/infer", {"inputs": [tensor], "parameters": {"long_texts": way}})[1]
            assert told["outputs"][1]["data"] == [found["score"]]
        assert server.ask("/")[1] == page()
        assert "POST /predict 200" in server.told()


def page():
    """Return the page as it lies in the package."""
    return (Path(bundle.__file__).parent / "web" / "index.html").read_text()


def test_the_archive_holds_the_server_alone(models, tmp_path, capsys, monkeypatch):
    """The same bytes every time; its requirements are those of the extras; what is no exported folder is refused in a line."""
    assert bundle.write_server(tmp_path) == ["server.pyz", "requirements-server.txt"]
    assert (tmp_path / "server.pyz").read_bytes() == (models / "exported" / "server.pyz").read_bytes()
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    first, *lines = (tmp_path / "requirements-server.txt").read_text().split("\n")[:-1]
    assert first == "-r requirements.txt" and all(f'"{line}"' in project for line in lines)
    assert alone.main([str(models / "tagger")]) == 1
    assert "is no folder that `hf-rnn export` wrote" in capsys.readouterr().err
    served = []
    monkeypatch.setattr(alone, "serve", lambda service, host, port: served.append((list(service.models), service.limits, host, port)))
    assert alone.main(["--port", "0", "--max_texts", "3", "--log_requests", "false"], models / "exported") == 0
    assert served == [(["exported"], Limits(max_texts=3), "127.0.0.1", 0)]
    assert alone.main(["--batch_size", "0"], models / "exported") == 1
    assert "`batch_size` must be more than 0, got 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        alone.main(["--log_texts", "maybe"], models / "exported")


def test_both_servers_have_the_same_options(capsys):
    """What starts one starts the other, but for code that comes with checkpoints."""
    told = []
    for command, asked in ((serve.main, "--help-all"), (alone.main, "--help")):
        with pytest.raises(SystemExit):
            command([asked])
        told.append(set(re.findall(r"--([a-z]+(?:_[a-z]+)*)", capsys.readouterr().out)))
    assert (told[0] - told[1], told[1] - told[0]) == ({"models", "trust_remote_code"}, {"help"})


def test_kserve(server):
    """Tensors of labels, scores and spans; what the model takes and gives is told."""
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": REVIEWS[:2]}
    status, found = server.ask("/v2/models/reviews/infer", {"id": "7", "inputs": [tensor]})
    assert (status, found["id"], found["model_name"]) == (200, "7", "reviews")
    outputs = {each["name"]: each for each in found["outputs"]}
    expected = server.ask("/predict", {"inputs": REVIEWS[:2]})[1]
    assert outputs["label"]["data"] == [labels[0]["label"] for labels in expected]
    assert outputs["scores"]["shape"] == [2, 3]
    assert outputs["scores"]["data"][:3] == [score for _, score in sorted((each["label"], each["score"]) for each in expected[0])]
    column = {**tensor, "shape": [2, 1], "data": [[text] for text in ANNOTATED[:2]]}
    found = server.ask("/v2/models/entities/infer", {"inputs": [column], "outputs": [{"name": "spans"}]})[1]
    assert [json.loads(row) for row in found["outputs"][0]["data"]] == server.ask("/models/entities", {"inputs": ANNOTATED[:2]})[1]
    told = server.ask("/v2/models/entities")[1]
    assert [(each["name"], each["datatype"]) for each in told["outputs"]] == [("spans", "BYTES"), ("intent", "BYTES")]
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/entities/ready"):
        assert server.ask(path)[0] == 200
    for wrong in ({"shape": [3]}, {"datatype": "FP32"}, {"name": "x"}, {"data": "a"}, {"data": [1, 2]}, {"data": [["a", "b"]]}):
        assert server.ask("/v2/models/reviews/infer", {"inputs": [{**tensor, **wrong}]})[0] in (400, 422)
    for wrong in (
        {"inputs": []},
        {"inputs": [tensor], "outputs": [{"name": "x"}]},
        {"inputs": [tensor], "id": 1},
        {"inputs": [tensor] * 2},
        {"inputs": [tensor], "parameters": {"long_texts": []}},
        {"inputs": [tensor], "parameters": [1]},
    ):
        assert server.ask("/v2/models/reviews/infer", wrong)[0] == 400


@pytest.mark.parametrize(("problem", "names"), [("regression", ["prediction"]), ("multi_label_classification", ["scores"])])
def test_outputs_of_other_problems(problem, names):
    """Regression and several labels have tensors of their own, and shapes for Hugging Face."""
    settings = Settings("text-classification", ["a", "b"], problem, None, [], 0, None, None, "right")
    answer = {"text": "x", "prediction": 0.5} if problem == "regression" else {"text": "x", "scores": {"a": 0.2, "b": 0.7}}
    engine = Engine(settings, "1", lambda texts, way: [answer] * len(texts))
    assert list(output_tensors(settings)) == names
    (output,) = tell_infer(InferRequest(["x"], None, None), "m", engine, [answer])["outputs"]
    assert output["data"] == ([0.5] if problem == "regression" else [0.2, 0.7])
    told = tell(Question(["x"], False), [answer], settings)
    assert told == (
        [{"label": "a", "score": 0.5}] if problem == "regression" else [{"label": "b", "score": 0.7}, {"label": "a", "score": 0.2}]
    )
    tasks = StudioTasks(["x"], "f", "t")
    if problem == "regression":
        with pytest.raises(RequestError, match="no labels to choose from"):
            tell_tasks(tasks, [answer], engine)
    else:
        assert tell_tasks(tasks, [answer], engine)["results"][0]["result"][0]["value"] == {"choices": ["b"]}


def test_a_label_that_is_not_given():
    """Is an empty text beside what it would have been in a tensor, which annotators are shown; all scores are told as ever."""
    settings = Settings("text-classification", ["a", "b"], None, None, [], 0, None, None, "right", 0.9)
    answer = {"text": "x", "label": None, "best": "b", "score": 0.7, "scores": {"a": 0.3, "b": 0.7}}
    engine = Engine(settings, "1", lambda texts, way: [answer] * len(texts))
    outputs = tell_infer(InferRequest(["x"], None, None), "m", engine, [answer])["outputs"]
    assert {each["name"]: each["data"] for each in outputs} == {"label": [""], "best": ["b"], "score": [0.7], "scores": [0.3, 0.7]}
    assert tell(Question(["x"], False), [answer], settings)[0] == {"label": "b", "score": 0.7}
    assert tell_tasks(StudioTasks(["x"], "f", "t"), [answer], engine)["results"][0]["result"][0]["value"] == {"choices": ["b"]}


def test_label_studio(server):
    """Tasks get choices or regions under the names of the project's configuration; a project without a place for them is told."""
    tasks = [{"id": number, "data": {"review": text}} for number, text in enumerate(REVIEWS[:3])]
    config = '<View><Text name="t" value="$review"/><Choices name="mood" toName="t"><Choice value="a"/></Choices></View>'
    assert server.ask("/setup", {"project": "1", "schema": config})[1]["model_version"] == server.ask("/health")[1]["models"]["reviews"]
    status, found = server.ask("/predict", {"tasks": tasks, "label_config": config})
    assert status == 200 and len(found["results"]) == 3
    expected = server.ask("/predict", {"inputs": REVIEWS[:3]})[1]
    for result, labels in zip(found["results"], expected, strict=True):
        (region,) = result["result"]
        assert (region["from_name"], region["to_name"], region["type"]) == ("mood", "t", "choices")
        assert region["value"] == {"choices": [labels[0]["label"]]} and result["score"] == pytest.approx(labels[0]["score"])
    tasks = [{"data": {"text": text}} for text in ANNOTATED[:5]]
    results = server.ask("/models/entities/predict", {"tasks": tasks})[1]["results"]
    regions = [[(region["value"]["start"], region["value"]["text"]) for region in result["result"]] for result in results]
    spans = server.ask("/models/entities", {"inputs": ANNOTATED[:5]})[1]
    assert regions == [[(span["start"], span["word"]) for span in each] for each in spans]
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><View/>'
    for wrong in (bomb, "<View", "<View/>", 1, config.replace("Choices", "Labels")):
        assert server.ask("/predict", {"tasks": tasks, "label_config": wrong})[0] == 422
    for wrong in ("x", [1], [{"data": {"other": "a"}}], [{"data": "a"}]):
        assert server.ask("/predict", {"tasks": wrong})[0] == 422


def test_what_there_is_is_told(server):
    """The page, its description, health, and counts that add up."""
    status, page = server.ask("/")
    assert status == 200 and "<form" in page
    described = server.ask("/openapi.json")[1]
    assert set(described["paths"]) == set(ADDRESSES)
    assert server.ask("/health")[1]["status"] == "UP"
    routes = {(route.path, *route.methods) for route in Service({}, Limits()).app().routes}
    assert {(path, method.upper()) for path, (method, *_) in ADDRESSES.items()} <= {(path, m) for path, *ms in routes for m in ms}
    server.ask("/predict", {"inputs": REVIEWS[:5]})
    counts = dict(line.rsplit(" ", 1) for line in server.ask("/metrics")[1].splitlines() if line[0] != "#")
    asked = sum(float(value) for name, value in counts.items() if re.match('hf_rnn_requests_total{path="/predict"', name))
    assert asked == float(counts['hf_rnn_request_seconds_count{path="/predict"}']) > 0
    assert float(counts['hf_rnn_texts_total{model="reviews"}']) >= 5
    assert counts['hf_rnn_waiting_texts{model="reviews"}'] == "0"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/nowhere", "{}", 404, "There is no such address"),
        ("/models/other", "{}", 404, "There is no such model; there are reviews, checkpoint, entities."),
        ("/predict", "{}", 422, "`inputs` is missing"),
        ("/predict", "[1]", 400, "must be a JSON object"),
        ("/predict", "{", 400, "The body must be JSON"),
        ("/predict", "", 400, "The body must be JSON"),
        ("/predict", "[" * 200_000, 400, "nested too deeply"),
        ("/predict", '{"inputs": NaN}', 400, "The body must be JSON"),
        ("/predict", '{"inputs": ' + "9" * 5000 + "}", 400, "The body must be JSON"),
        ("/predict", b'{"inputs": "\xff"}', 400, "must be UTF-8; it is not at byte 12"),
        ("/predict", '{"inputs": "a"}'.encode("utf-16"), 400, "must be UTF-8"),
        ("/predict", '{"inputs": 1}', 422, "`inputs` must be a text or a list of texts, got a number"),
        ("/predict", '{"inputs": ["a", ["b"]]}', 422, "got a list at place 1"),
        ("/predict", '{"inputs": "a", "parameters": 1}', 422, "`parameters` must be an object"),
        ("/predict", '{"inputs": "a", "parameters": {"top_k": 0}}', 422, "`top_k` must be a number of labels"),
        ("/predict", '{"inputs": "a", "parameters": {"top_k": true}}', 422, "`top_k` must be a number of labels"),
        ("/predict", '{"inputs": "a", "raw_scores": true}', 422, "`raw_scores` must be false"),
        ("/predict", '{"inputs": "a", "truncate": "simple"}', 422, "`truncate` must be true"),
        ("/predict", '{"inputs": "a", "topk": 1}', 422, "There is no parameter 'topk'"),
        ("/predict", json.dumps({"inputs": ["a"] * 300}), 413, "may hold 256 texts, got 300"),
        ("/predict", json.dumps({"inputs": "a" * 200_001}), 413, "may have 200000 characters"),
        ("/predict", "x" * 2_000_000, 413, "may have 1048576 bytes"),
        ("/v2/repository/models/reviews/load", "{}", 403, "Send SIGHUP"),
        ("/predict", '{"inputs": "a", "long_texts": "all"}', 422, "`long_texts` must be one of truncate, windows, whole"),
        ("/predict", '{"inputs": "a", "long_texts": "windows"}', 422, "may be truncate here, got windows. The server reads more with"),
        ("/models/entities", '{"inputs": "a", "long_texts": "whole"}', 422, "a tagger reads all of a text"),
    ],
)
def test_wrong_requests(server, path, body, status, message):
    """One line of JSON says what is wrong."""
    found, answer = server.ask(path, body, method="POST")
    assert found == status
    assert message in answer["error"] and "\n" not in answer["error"]


def test_wrong_methods_and_encodings(server):
    """They are told too; a body in pieces is taken, and one that is packed refused."""
    assert server.ask("/predict", method="PUT")[0] == 405
    assert server.ask("/predict", b"x", headers={"content-encoding": "gzip"})[0] == 415
    assert server.ask("/v2/models/reviews/infer", b"x", headers={"Inference-Header-Content-Length": "3"})[0] == 415
    parts = iter([b'{"inputs"', b': "a"}'])
    assert server.ask("/predict", parts, method="POST", encode_chunked=True, headers={"transfer-encoding": "chunked"})[0] == 200
    parts = iter([b"x" * 60_000] * 20)
    assert server.ask("/predict", parts, method="POST", encode_chunked=True, headers={"transfer-encoding": "chunked"})[0] == 413


def test_a_token(strict, models):
    """Without it only health and the page are told; with it a model can be loaded anew."""
    body, bearer = {"inputs": "a"}, {"authorization": f"Bearer {TOKEN}"}
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": TOKEN}, {"authorization": b"Bearer \xff\xfe"}):
        assert strict.ask("/predict", body, headers=headers)[0] == 401
        assert strict.ask("/metrics", headers=headers)[0] == 401
    for path in ("/", "/health", "/v2/health/ready", "/openapi.json"):
        assert strict.ask(path)[0] == 200
    assert strict.ask("/predict", body, headers=bearer)[0] == 200
    assert strict.ask("/v2/repository/models/exported/load", {}, headers=bearer)[0] == 200
    for wrong, status in (({"inputs": ["a"] * 4}, 413), ({"inputs": "a" * 101}, 413), ({"inputs": "a", "x": "y" * 3000}, 413)):
        assert strict.ask("/predict", wrong, headers=bearer)[0] == status
    # texts are in the log as it was asked for
    assert '1 texts ["a"]' in strict.told()


def hostile(draw):
    """Return what no client that means well sends: bytes, and whether the connection is then closed for writing."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
    body = draw.choice([b"{", b"\x00" * 50, b'{"inputs": "\\ud800"}', b'{"inputs": ["' + b"a" * 500 + b'"]}', draw.randbytes(200)])
    length = b"content-length: %d\r\n\r\n" % draw.choice([0, len(body), len(body) + 9, 10**9, 10**30])
    return draw.choice(
        [
            b"",
            draw.randbytes(300),
            b"GET / HTTP/9.9\r\n\r\n",
            b"\r\n" * 100,
            b"POST /predict\r\n\r\n",
            b"GET /%ff%00%0a HTTP/1.1\r\nhost: x\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
            head + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
            head + b"content-length: -1\r\n\r\n" + body,
            head + b"content-length: x\r\n\r\n" + body,
            head + b"content-length: 3\r\ncontent-length: 5\r\n\r\n" + body,
            head + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + body,
            head + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
            head + b"authorization: Bearer \xff\xfe\r\n" + length + body,
            head + b"expect: 100-continue\r\n" + length + body,
            head + b"upgrade: websocket\r\nconnection: upgrade\r\n" + length + body,
            head + length + body,
            (head + b"content-length: 15\r\n\r\n" + b'{"inputs": "a"}') * 20,
        ]
    )


@pytest.mark.parametrize("count", [250, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.thorough
def test_hostile_requests(strict, server, count):
    """Every answer is a status below 500 with JSON; no traceback, no hang, and it goes on answering."""
    draw = random.Random(count)
    threads = []
    found = []

    def attack(target, data, is_whole):
        answer = target.send(data, 20 if is_whole else 3, is_whole)
        found.append((data[:60], answer))

    for _ in range(count):
        is_whole = draw.random() < 0.9
        # those that leave their side open wait for the timeout of the stricter one
        threads.append(
            threading.Thread(target=attack, args=(draw.choice([server, strict]) if is_whole else strict, hostile(draw), is_whole))
        )
        threads[-1].start()
        if len(threads) == 25:
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
            threads.clear()
    for data, answer in found:
        answer = answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        statuses = [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", answer)]
        assert all(status < 500 for status in statuses), (data, answer)
        bodies = re.findall(rb"\r\n\r\n([^\r]+)", answer)
        assert all(body[:1] in b'{[<"' for body in bodies), (data, answer)
    for target in (server, strict):
        assert target.ask("/health")[0] == 200
        assert not re.search("Traceback| 500 | failed", target.told())


def test_slow_requests_are_ended(strict):
    """Heads and bodies that do not come within the timeout; meanwhile others are answered."""
    heads = [b"", b"POST /predict HT", b"POST /predict HTTP/1.1\r\nhost: x\r\n"]
    bodies = [b"POST /predict HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: 20\r\n\r\n{" % TOKEN.encode()]
    answers = {}
    threads = [
        threading.Thread(target=lambda data=data: answers.update({data: strict.send(data, 30, False)})) for data in [*heads, *bodies]
    ]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    assert strict.ask("/predict", {"inputs": "a"}, headers={"authorization": f"Bearer {TOKEN}"})[0] == 200
    for thread in threads:
        thread.join(40)
    assert time.perf_counter() - begin < 20
    assert [answers[data] for data in heads] == [b""] * 3
    assert answers[bodies[0]].startswith(b"HTTP/1.1 408") and b"did not arrive within 1 seconds" in answers[bodies[0]]


def test_log_has_no_texts(server):
    """A line for each request, with its address as the server knows it."""
    secret = "a text of which nothing is written down"
    server.ask("/predict", {"inputs": secret})
    server.ask("/predict", json.dumps({"inputs": secret})[:-1], method="POST")
    server.ask(f"/models/{secret.replace(' ', '-')}", {"inputs": secret})
    server.ask(f"/{secret.replace(' ', '-')}", {"inputs": secret})
    told = server.told()
    assert re.search(r"POST /predict 200 [\d.]+ ms 1 texts", told) and "POST /models/{name} 404" in told
    assert "nothing" not in told


def test_reload_loses_no_request(models, tmp_path):
    """On a signal the new weights take over; each request before, meanwhile and after is answered."""
    random_checkpoint(tmp_path / "model", **CLASSIFIER)
    with running(tmp_path, f"m={tmp_path / 'model'}") as server:
        before = server.ask("/health")[1]["models"]["m"]
        statuses, stop = [], threading.Event()

        def hammer():
            while not stop.is_set():
                statuses.append(server.ask("/predict", {"inputs": REVIEWS[:3]})[0])

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        random_checkpoint(tmp_path / "model", **CLASSIFIER, seed=4)
        server.process.send_signal(signal.SIGHUP)
        for _ in range(600):
            if server.ask("/health")[1]["models"]["m"] != before:
                break
            time.sleep(0.1)
        # what cannot be loaded changes nothing
        (tmp_path / "model" / "model.safetensors").write_bytes(b"broken")
        server.process.send_signal(signal.SIGHUP)
        for _ in range(600):
            if "m stays as it was" in server.told():
                break
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200} and len(statuses) > 20
        assert server.ask("/health")[1]["models"]["m"] != before
        assert "m stays as it was" in server.told()


def test_stop_answers_what_was_asked(models, tmp_path):
    """A signal while 30 requests wait: all are answered, and new ones are not taken."""
    server = Running(tmp_path, models / "exported", "--batch_wait", "1500")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(server.ask("/predict", {"inputs": "a"})[0])) for _ in range(30)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        waiting = re.search(r"hf_rnn_waiting_texts\S+ (\d+)", server.ask("/metrics")[1])
        if waiting[1] == "30":
            break
        time.sleep(0.01)
    server.process.terminate()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 30
    server.process.wait(60)
    assert "Traceback" not in server.told()
    with pytest.raises(ConnectionError):
        server.ask("/health")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`models` is needed"),
        (["nowhere-at-all"], "There is no folder 'nowhere-at-all'"),
        (["a", "b=x", "b=y"], "Two models are called 'b'"),
        (["a", "--token_file", "empty.txt"], "must hold one line of ASCII characters"),
        (["a", "--port", "70000"], "`port` must be"),
    ],
)
def test_wrong_calls(arguments, message, tmp_path, monkeypatch, capsys):
    """One line says what is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    assert cli.main(["serve", *arguments]) == 1
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
