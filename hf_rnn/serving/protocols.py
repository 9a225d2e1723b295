"""The shapes in which others ask and want to be answered: Hugging Face, KServe, Label Studio."""

import json
import re
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ..onnx.standalone.predictor import Settings
from .engines import WAYS, Answer, Engine
from .limits import Limits, RequestError
from .reading import kind_of, read_texts

# what stands beside `inputs` and asks for nothing of ours
IGNORED = {"inputs", "parameters", "options", "model"}
# parameters, and what they may be
PARAMETERS = {
    "top_k": "a number of labels, 1 or more",
    "details": "true for what `Predictor.predict` answers, or false",
    "aggregation_strategy": "'simple'",
    "long_texts": f"one of {', '.join(WAYS)}",
    "truncate": "true, as `long_texts` says what becomes of long texts",
    "raw_scores": "false",
}
# those that others know more values of than we do
ONLY = {"aggregation_strategy": "simple", "truncate": True, "raw_scores": False}


@dataclass(frozen=True)
class Question:
    """A request in the shape of Hugging Face's inference API and of text-embeddings-inference.

    Args:
        texts (`list`): What is asked about.
        is_list (`bool`): Whether several texts are asked about, or one that is no list.
        top_k (`int`, *optional*): Labels to tell, the likeliest first; all by default.
        details (`bool`): Whether answers are those of `Predictor.predict`.
        long_texts (`str`, *optional*): How long texts are read; as the server does by default.
    """

    texts: list[str]
    is_list: bool
    top_k: int | None = None
    details: bool = False
    long_texts: str | None = None


def read_question(body: dict[str, Any], limits: Limits) -> Question:
    """Read `inputs`, a text or a list of texts, and parameters, in `parameters` or beside them.

    Raises:
        RequestError: One of them is not what it must be.
    """
    if "inputs" not in body:
        raise RequestError(422, '`inputs` is missing. Send {"inputs": "a text"} or {"inputs": ["a text", "another"]}.')
    inner = body.get("parameters")
    if inner is not None and not isinstance(inner, dict):
        raise RequestError(422, f"`parameters` must be an object, got {kind_of(inner)}.")
    parameters = {**{name: value for name, value in body.items() if name not in IGNORED}, **(inner or {})}
    for name, value in parameters.items():
        if name not in PARAMETERS:
            raise RequestError(422, f"There is no parameter {name[:40]!r}; there are {', '.join(PARAMETERS)}.")
        if value is not None and not _is_allowed(name, value):
            raise RequestError(422, f"`{name}` must be {PARAMETERS[name]}.")
    given = body["inputs"]
    is_list = isinstance(given, list)
    texts = read_texts(given if is_list or not isinstance(given, str) else [given], "inputs", limits)
    return Question(texts, is_list, parameters.get("top_k"), bool(parameters.get("details")), parameters.get("long_texts"))


def _is_allowed(name: str, value: Any) -> bool:
    if name == "top_k":
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if name == "long_texts":
        return value in WAYS
    return isinstance(value, bool) if name == "details" else type(value) is type(ONLY[name]) and value == ONLY[name]


def tell(question: Question, answers: list[Answer], settings: Settings) -> Any:
    """Return answers in the shape in which they were asked for: of one text, or a list for each of several."""
    told = [answer if question.details else _labels_or_spans(answer, settings)[: question.top_k] for answer in answers]
    return told if question.is_list else told[0]


def _labels_or_spans(answer: Answer, settings: Settings) -> list[dict[str, Any]]:
    """Return the labels of a text with scores, the likeliest first, or its spans."""
    if "spans" in answer:
        return answer["spans"]
    if "prediction" in answer:
        return [{"label": settings.labels[0], "score": answer["prediction"]}]
    scores = sorted(answer["scores"].items(), key=lambda pair: -pair[1])
    return [{"label": label, "score": score} for label, score in scores]


@dataclass(frozen=True)
class InferRequest:
    """A request of the KServe protocol, version 2.

    Args:
        texts (`list`): What is asked about.
        id (`str`, *optional*): Name of the request, which goes back with the answer.
        outputs (`list`, *optional*): Names of the outputs that are wanted; all by default.
        long_texts (`str`, *optional*): How long texts are read; as the server does by default.
    """

    texts: list[str]
    id: str | None
    outputs: list[str] | None
    long_texts: str | None = None


def read_infer(body: dict[str, Any], limits: Limits) -> InferRequest:
    """Read a request with one input, `text`, of BYTES.

    Raises:
        RequestError: It is not as the protocol has it.
    """
    inputs, outputs, name = body.get("inputs"), body.get("outputs"), body.get("id")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, "`inputs` must be a list of one tensor, `text`.")
    tensor = inputs[0]
    if tensor.get("name") != "text" or tensor.get("datatype") != "BYTES":
        raise RequestError(400, "The input must be called `text`, of the datatype BYTES.")
    texts = read_texts(_flat(tensor.get("data")), "data", limits)
    if tensor.get("shape") not in ([len(texts)], [len(texts), 1]):
        raise RequestError(400, f"`shape` must be [{len(texts)}] or [{len(texts)}, 1], as there are {len(texts)} texts in `data`.")
    if name is not None and not isinstance(name, str):
        raise RequestError(400, f"`id` must be a text, got {kind_of(name)}.")
    if outputs is not None:
        if not isinstance(outputs, list) or not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in outputs):
            raise RequestError(400, "`outputs` must be a list of objects, each with a `name`.")
        outputs = [each["name"] for each in outputs]
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, dict) or parameters.get("long_texts") not in (None, *WAYS):
        raise RequestError(400, f"`long_texts` in `parameters` must be {PARAMETERS['long_texts']}.")
    return InferRequest(texts, name, outputs, parameters.get("long_texts"))


def check_way(way: str | None, engine: Engine) -> None:
    """Raise a RequestError if a request wants more of long texts read than the server reads, or the model has no choice."""
    if way is None:
        return
    if engine.settings.task != "text-classification":
        raise RequestError(422, "`long_texts` is for classifiers; a tagger reads all of a text. Leave it out.")
    allowed = WAYS[: WAYS.index(engine.way) + 1]
    if way not in allowed:
        raise RequestError(
            422, f"`long_texts` may be {' or '.join(allowed)} here, got {way}. The server reads more with --long_texts {way}."
        )


def _flat(data: Any) -> Any:
    """Return a list of lists of one text as a list of texts."""
    is_column = isinstance(data, list) and all(isinstance(row, list) and len(row) == 1 for row in data)
    return [row[0] for row in data] if is_column else data


def output_tensors(settings: Settings) -> dict[str, tuple[str, list[int]]]:
    """Return for each output of a model its datatype and shape."""
    if settings.task == "text-classification":
        if settings.problem == "regression":
            return {"prediction": ("FP32", [-1])}
        scores = {"scores": ("FP32", [-1, len(settings.labels)])}
        if settings.problem == "multi_label_classification":
            return scores
        outside: dict[str, tuple[str, list[int]]] = {"outside": ("FP32", [-1])} if settings.outside else {}
        best = {"best": ("BYTES", [-1])} if outside or settings.threshold is not None else {}
        return {"label": ("BYTES", [-1]), **best, "score": ("FP32", [-1]), **outside, **scores}
    return {"spans": ("BYTES", [-1]), **({"intent": ("BYTES", [-1])} if settings.intents else {})}


def tell_infer(asked: InferRequest, name: str, engine: Engine, answers: list[Answer]) -> dict[str, Any]:
    """Return answers as tensors: labels, scores, or spans as JSON.

    Raises:
        RequestError: An output is wanted that there is not.
    """
    tensors = output_tensors(engine.settings)
    wanted = tensors if asked.outputs is None else asked.outputs
    unknown = [each for each in wanted if each not in tensors]
    if unknown:
        raise RequestError(400, f"There is no output {unknown[0][:40]!r}; there are {', '.join(tensors)}.")
    outputs = []
    for output in wanted:
        datatype, shape = tensors[output]
        data: list[Any] = [answer[output] for answer in answers]
        if output in ("label", "best"):
            # a tensor has no null
            data = [label or "" for label in data]
        elif output == "scores":
            data = [score for row in data for score in row.values()]
        elif output == "spans":
            data = [json.dumps(row, ensure_ascii=False) for row in data]
        outputs.append({"name": output, "datatype": datatype, "shape": [len(answers), *shape[1:]], "data": data})
    return {"model_name": name, "model_version": engine.version, **({"id": asked.id} if asked.id is not None else {}), "outputs": outputs}


def describe(name: str, engine: Engine) -> dict[str, Any]:
    """Return what the KServe protocol tells of a model."""
    outputs = [{"name": output, "datatype": kind, "shape": shape} for output, (kind, shape) in output_tensors(engine.settings).items()]
    inputs = [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    return {"name": name, "versions": [engine.version], "platform": "hf_rnn", "inputs": inputs, "outputs": outputs}


@dataclass(frozen=True)
class StudioTasks:
    """A request of Label Studio: tasks to be labelled beforehand.

    Args:
        texts (`list`): Text of each task.
        from_name (`str`): Name of the control in the project's configuration.
        to_name (`str`): Name of the text in it.
    """

    texts: list[str]
    from_name: str
    to_name: str


def read_tasks(body: dict[str, Any], limits: Limits, settings: Settings) -> StudioTasks:
    """Read the tasks of a request of Label Studio.

    Raises:
        RequestError: They hold no texts, or the project has no place for what the model says.
    """
    tasks = body["tasks"]
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise RequestError(422, "`tasks` must be a list of objects, each with `data`.")
    control = "Choices" if settings.task == "text-classification" else "Labels"
    from_name, to_name, column = _read_config(body.get("label_config") or "", control)
    return StudioTasks(read_texts([task["data"].get(column) for task in tasks], column, limits), from_name, to_name)


def _read_config(config: Any, control: str) -> tuple[str, str, str]:
    """Return the names of a control and of its text in a project's configuration, and the column that the text stands in."""
    if not isinstance(config, str):
        raise RequestError(422, f"`label_config` must be a text, got {kind_of(config)}.")
    if not config:
        return "label", "text", "text"
    # entities that unfold have no place there
    if re.search("<!(DOCTYPE|ENTITY)", config, re.IGNORECASE):
        raise RequestError(422, "`label_config` must be XML without declarations.")
    try:
        root = ElementTree.fromstring(config)
    except (ElementTree.ParseError, ValueError) as error:
        raise RequestError(422, f"`label_config` must be XML: {error}.") from None
    texts = {tag.get("name"): tag.get("value", "") for tag in root.iter("Text")}
    for tag in root.iter(control):
        if tag.get("toName") in texts:
            return str(tag.get("name")), str(tag.get("toName")), texts[tag.get("toName")].lstrip("$")
    raise RequestError(422, f"`label_config` must have <{control}> with the `toName` of a <Text>, as the model gives those.")


def tell_tasks(asked: StudioTasks, answers: list[Answer], engine: Engine) -> dict[str, Any]:
    """Return answers as predictions of Label Studio."""
    names = {"from_name": asked.from_name, "to_name": asked.to_name}
    results = []
    for answer in answers:
        if "spans" in answer:
            regions = [
                {**names, "type": "labels", "score": span["score"], "value": {**_place(span), "labels": [span["entity_group"]]}}
                for span in answer["spans"]
            ]
            score = min((span["score"] for span in answer["spans"]), default=1.0)
        elif "prediction" in answer:
            raise RequestError(422, "A regression has no labels to choose from.")
        else:
            likely = [label for label, value in answer["scores"].items() if value > 0.5]
            # one that leaves the text to people proposes what it would have been
            chosen = [answer.get("best", answer["label"])] if "label" in answer else likely
            score = max(answer["scores"].values())
            regions = [{**names, "type": "choices", "score": score, "value": {"choices": chosen}}]
        results.append({"model_version": engine.version, "score": score, "result": regions})
    return {"results": results}


def _place(span: dict[str, Any]) -> dict[str, Any]:
    return {"start": span["start"], "end": span["end"], "text": span["word"]}
