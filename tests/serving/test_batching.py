"""Requests are computed together, each gets its own answers, and none waits or fails for another."""

import asyncio
import threading
import time

import pytest
from checkpoints import REVIEWS, random_checkpoint

from hf_rnn import load
from hf_rnn.onnx.standalone.predictor import Settings
from hf_rnn.serving import batching
from hf_rnn.serving.batching import Model
from hf_rnn.serving.engines import WAYS, Engine, Source, read_sources
from hf_rnn.serving.limits import Limits, RequestError
from hf_rnn.serving.opening import open_engine

SETTINGS = Settings("text-classification", ["a"], "regression", None, [], 0, None, None, "right")


class Recorder:
    """Answer a text by itself, fail on "bad", wait on "slow", and keep the batches."""

    def __init__(self):
        self.batches = []
        self.ways = []
        self.go = threading.Event()

    def __call__(self, texts, way):
        """Answer."""
        self.batches.append(list(texts))
        self.ways.append(way)
        if "slow" in texts:
            assert self.go.wait(10)
        if "bad" in texts:
            raise RuntimeError("bad")
        return [{"text": text} for text in texts]


def serving(scenario, **limits):
    """Run a scenario beside a model that is served; return the batches and what the scenario returns."""

    async def main():
        recorder = Recorder()
        model = Model(Source("m", "nowhere"), Engine(SETTINGS, "1", recorder), Limits(**limits))
        worker = asyncio.create_task(model.run())
        try:
            return recorder.batches, await scenario(model, recorder)
        finally:
            recorder.go.set()
            worker.cancel()

    return asyncio.run(main())


def ask(model, *requests):
    """Ask at the same time; return answers and errors in order."""
    return asyncio.gather(*(model.answer(texts) for texts in requests), return_exceptions=True)


def test_requests_of_several_connections_are_one_batch():
    """Up to the size of a batch, in the order in which they came; each request gets the answers to its texts."""
    requests = [[f"{number}-{place}" for place in range(number % 3 + 1)] for number in range(30)]
    batches, answers = serving(lambda model, _: ask(model, *requests), batch_size=16)
    assert answers == [[{"text": text} for text in texts] for texts in requests]
    assert [text for batch in batches for text in batch] == [text for texts in requests for text in texts]
    assert all(len(batch) <= 16 for batch in batches) and len(batches) <= 5


def test_long_texts_are_read_as_each_request_wants():
    """Those that want the same are one batch; in the order in which they came."""

    async def scenario(model, recorder):
        ways = ["truncate", None, "whole", "truncate", "windows"]
        await asyncio.gather(*(model.answer([str(number)], way) for number, way in enumerate(ways)))
        return recorder.ways

    batches, ways = serving(scenario)
    assert batches == [["0", "1"], ["2"], ["3"], ["4"]]
    assert ways == ["truncate", "whole", "truncate", "windows"]


def test_a_request_larger_than_a_batch_goes_alone():
    """Its answers are whole."""
    batches, answers = serving(lambda model, _: ask(model, list("ab"), list("cdefg"), list("h")), batch_size=3)
    assert [len(each) for each in answers] == [2, 5, 1]
    assert batches == [["a", "b"], list("cdefg"), ["h"]]


def test_none_fails_for_another():
    """The others of its batch are answered; what it is told names the kind of error, and not the text."""
    _, (first, second, third) = serving(lambda model, _: ask(model, ["x"], ["bad"], ["y"]))
    assert (first, third) == ([{"text": "x"}], [{"text": "y"}])
    assert isinstance(second, RequestError) and second.status == 500
    assert second.message == "The model failed on this request (RuntimeError)."


def test_what_waits_is_bounded_in_number_and_time():
    """Further texts are refused; what waited too long is told so, is not computed, and makes room."""

    async def scenario(model, recorder):
        first = ask(model, ["slow"])
        while not recorder.batches:
            await asyncio.sleep(0.01)
        begin = time.perf_counter()
        refused = await ask(model, ["a", "b", "c"], ["d"])
        seconds = time.perf_counter() - begin
        recorder.go.set()
        return refused, seconds, await first, await ask(model, ["e", "f", "g"]), model.waiting

    batches, (refused, seconds, first, later, waiting) = serving(scenario, max_waiting=4, request_timeout=0.3)
    assert [error.status for error in refused] == [503, 503]
    assert "took longer than 0.3 seconds" in refused[0].message and refused[1].message.startswith("4 texts wait already, of at most 4")
    assert first[0].status == 503 and 0.2 < seconds < 5
    assert later == [[{"text": "e"}, {"text": "f"}, {"text": "g"}]]
    assert batches == [["slow"], ["e", "f", "g"]] and waiting == 0


def test_a_request_that_waited_too_long_is_left_off():
    """What it asks is computed in pieces, of which none begins that nobody waits for; what was computed in pieces is whole."""

    async def scenario(model, recorder):
        late = await ask(model, ["slow", *["x" * 15_000] * 5])
        recorder.go.set()
        return late, await model.answer([*"ab", "y" * 30_000, *"cd"])

    batches, ((late,), answers) = serving(scenario, request_timeout=0.3)
    assert late.status == 503
    assert [answer["text"][0] for answer in answers] == ["a", "b", "y", "c", "d"]
    assert [[text[0] for text in batch] for batch in batches] == [["s", "x"], ["a", "b"], ["y"], ["c", "d"]]


def test_reload_lets_the_old_one_answer(monkeypatch):
    """Until the new one is there; one that cannot be loaded changes nothing."""
    loading = threading.Event()

    def open_engine(source):
        assert loading.wait(10)
        if source.path == "broken":
            raise ValueError("broken")
        return Engine(SETTINGS, "2", lambda texts, way: [{"new": text} for text in texts])

    monkeypatch.setattr(batching, "open_engine", open_engine)

    async def scenario(model, _):
        task = asyncio.create_task(model.reload())
        await asyncio.sleep(0.05)
        before = await model.answer(["a"])
        loading.set()
        await task
        after = await model.answer(["a"])
        model.source = Source("m", "broken")
        with pytest.raises(ValueError, match="broken"):
            await model.reload()
        return before, after, await model.answer(["a"]), model.engine.version, model.counts.reloads

    _, found = serving(scenario)
    assert found == ([{"text": "a"}], [{"new": "a"}], [{"new": "a"}], "2", 1)


def test_a_checkpoint_tells_what_it_cut(tmp_path):
    """Where it reads the beginning alone, with a tokenizer that gives more than ids and their mask too; an int8 graph it has not."""
    path = str(tmp_path / "model")
    random_checkpoint(path, problem_type="single_label_classification", labels=["a", "b"])
    texts = ["a", " ".join(REVIEWS[:40])]
    engine = open_engine(Source("m", path))
    assert engine.way == "truncate" and open_engine(Source("m", path, long_texts="whole")).way == "whole"
    for way in WAYS:
        expected = load(path, long_texts=way)
        answers = engine.predict(texts, way)
        assert [answer["cut"] for answer in answers] == [False, way == "truncate"]
        assert [answer["score"] for answer in answers] == [answer["score"] for answer in expected.predict(texts)]
        expected.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        assert expected.decoder.are_cut(texts) == [False, way == "truncate"]
    with pytest.raises(ValueError, match="holds no int8 graph"):
        open_engine(Source("m", path, quantized=True))


def test_names_of_models():
    """That of the folder, or another; twice the same, and what no address can hold, is refused."""
    found = read_sources(["outputs/reviews/", "pos=me/tagger", "x=a=b"], threads=2)
    assert [(source.name, source.path, source.threads) for source in found] == [
        ("reviews", "outputs/reviews/", 2),
        ("pos", "me/tagger", 2),
        ("x", "a=b", 2),
    ]
    with pytest.raises(ValueError, match="Two models are called 'a'"):
        read_sources(["a", "b/a"])
    for model in ("a b", "=x", "a/..", "é=x", ""):
        with pytest.raises(ValueError, match="must be called by letters"):
            read_sources([model])
