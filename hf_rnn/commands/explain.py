"""Show which words make the answer of a trained classifier, or the tag of a token, and what the gates of a layer do.

Example:
    hf-rnn explain --model_name_or_path outputs/reviews --texts "정말 재미있어요" "시간이 아깝다" --output_file words.html
"""

from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..arguments import LoadArguments, UseArguments
from ..data.files.cells import as_text
from ..data.locking import locked_file
from ..data.visible import visible
from ..data.writing import check_output_file, written_whole
from ..inference.explaining import explanation_page
from ..inference.loading import load
from ..inference.predictor import Predictor
from ..options import check_given, option, pick, read_arguments


@dataclass
class ExplainArguments:
    """What to explain of which model."""

    # option() returns a field
    texts: list[str] | None = option("Texts whose answers to explain.", essential=True)  # noqa: RUF009
    label: str | None = option("Label or tag to explain; the best one of each text or token by default.", essential=True)
    token: int | None = option(
        "For a tagger: the token whose tag to explain, from 0; every one by default.", within="[0, inf)", essential=True
    )
    gates_file: str | None = option(
        "Picture to write of the gates and states of a layer at each step of the text, of which there is one.", essential=True
    )
    layer: int = option("Layer of --gates_file, from 0, or from -1 backwards.", -1)
    units: int = option("Units of each direction in --gates_file, those that vary most over the text; 0 for all.", 8, within="[0, inf)")
    gates_language: str = option("Language of what is written in --gates_file: en or ko.", "en", choices=["en", "ko"])


KINDS = (ExplainArguments, LoadArguments, pick(UseArguments, "device", "output_file"))


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model", texts="one text or several")
    if arguments.gates_file and len(arguments.texts) > 1:
        raise ValueError(f"`gates_file` shows one text, got {len(arguments.texts)}. Pass one with --texts.")
    for name in ("output_file", "gates_file"):
        if getattr(arguments, name):
            check_output_file(getattr(arguments, name), name, arguments.model_name_or_path)
    with ExitStack() as stack:
        for name in ("output_file", "gates_file"):
            if getattr(arguments, name):
                stack.enter_context(locked_file(getattr(arguments, name), name))
        _explain_all(arguments)


def _explain_all(arguments: SimpleNamespace) -> None:
    """Print the explanations, and write the files that are asked for."""
    predictor = load(arguments.model_name_or_path, arguments.trust_remote_code, arguments.device)
    texts = [as_text(text, "--texts") for text in arguments.texts]
    explanations = [each for text in texts for each in _explain(predictor, text, arguments.label, arguments.token)]
    for each in explanations:
        print(visible(_heading(each)))
        for word in sorted(each["words"], key=lambda word: -abs(word["effect"]))[:10]:
            attention = f"  attention {word['attention']:.4f}" if "attention" in word else ""
            print(f"  {word['effect']:+.4f}{attention}  {visible(word['word'])}")
    if arguments.output_file:
        with written_whole(arguments.output_file) as file:
            file.write(explanation_page(explanations))
        print(f"Wrote {arguments.output_file}.")
    if arguments.gates_file:
        # pictures need the extra [train]
        from ..reports.gate_plots import plot_gates

        plot_gates(predictor.gates(texts[0], arguments.layer), arguments.gates_file, arguments.units, arguments.gates_language)
        print(f"Wrote {arguments.gates_file}.")


def _explain(predictor: Predictor, text: str, label: str | None, token: int | None) -> list[dict[str, Any]]:
    """Return the explanation of a text, or of a tagger those of each of its tokens unless one is given."""
    if predictor.decoder.kind != "tags" or token is not None:
        return [predictor.explain(text, label, token)]
    return [predictor.explain(text, label, index) for index in range(len(text.split()))]


def _heading(explanation: dict[str, Any]) -> str:
    answer = f"{explanation.get('label', '')} {explanation.get('score', explanation.get('prediction')):.4f}  "
    return answer + (explanation["words"][explanation["token"]]["word"] + "  in  " if "token" in explanation else "") + explanation["text"]
