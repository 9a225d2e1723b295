"""Every way to run a model that users have gives what a plain loop over cells gives in fp64: some thousand cases, drawn from a product.

A case is one value of every axis. Differences are those of outputs, hidden states, final states and, with gradients, the gradients of
inputs, states and weights, which may differ by twice as much; relative to the largest entry of each in the oracle but at least to 1,
the size of states.
"""

import copy
import ctypes
import itertools
import random
from contextlib import nullcontext
from functools import cache
from typing import Any

import pytest
import torch
from oracle import run_cells
from safetensors.torch import load_file, save_file
from torch import Tensor

from hf_rnn import RnnConfig, RnnModel
from hf_rnn.models import onednn
from hf_rnn.models.cells import cell_of
from hf_rnn.models.recurrence import Recurrence

LIMITS = {"fp64": 1e-12, "fp32": 2e-6, "bf16": 2e-2, "fp16": 2e-2, "autocast": 2e-2}
DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "autocast": torch.float32}
BACKENDS = ("auto", "packed", "dense", "stock", "loop", "masked")
CASES_EACH = 84

AXES: dict[str, tuple] = {
    "mode": ("grad", "no_grad", "inference_mode"),
    "cell": ("lstm", "gru", "rnn"),
    "directions": (1, 2),
    "layers": (1, 2),
    "rows": (1, 2, 3, 5, 9, 40),
    "lengths": ("equal", "ragged", "with empty rows", "one step", "all empty", "no positions"),
    "padding": ("left", "right", "holes"),
    "given": ("ids", "vectors"),
    "weights": ("small", "large"),
    "layout": ("contiguous", "transposed", "sliced", "expanded", "broadcast"),
    "state": ("none", "returned", "contiguous", "transposed", "sliced", "expanded", "broadcast"),
    "history": (
        "new",
        "called before",
        "to and back",
        "deep copy",
        "loaded",
        "loaded in inference mode",
        "shared memory",
        "one weight by data",
        "row of weights by data",
        "one weight by numpy",
        "one weight in place",
        "data replaced",
        "weights transposed",
        "state dict",
    ),
}


def draw(count: int, seed: str) -> list[dict[str, Any]]:
    """Return cases that hold, by turns, every value of every axis beside others at random."""
    generator = random.Random(seed)
    columns = {}
    for name, values in AXES.items():
        column = list(itertools.islice(itertools.cycle(generator.sample(values, len(values))), count))
        generator.shuffle(column)
        columns[name] = column
    return [dict(zip(columns, case, strict=True)) for case in zip(*columns.values(), strict=True)]


CASES = {pair: draw(CASES_EACH, str(pair)) for pair in itertools.product(LIMITS, BACKENDS)}


@cache
def new_model(cell: str, directions: int, layers: int) -> RnnModel:
    """Return a model to copy."""
    shape = {"vocab_size": 12, "embedding_size": 5, "hidden_size": 6 * directions, "num_hidden_layers": layers}
    return RnnModel(RnnConfig(**shape, bidirectional=directions == 2, cell_type=cell)).eval()


def base_model(case: dict[str, Any], dtype: torch.dtype) -> RnnModel:
    """Return a model whose weights make states of size one."""
    model = copy.deepcopy(new_model(case["cell"], case["directions"], case["layers"]))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.to(dtype)


def layers_of(model: RnnModel) -> list[Recurrence]:
    """Return the recurrent layers."""
    return [layer.recurrence for layer in model.layers]


def live_through(model: RnnModel, history: str, with_gradients: bool, call: Any, folder: Any) -> RnnModel:
    """Return the model after what users do with models; most things are done to one that has been called already."""
    if history == "new":
        return model
    call(model)
    last, dtype = layers_of(model)[-1], model.dtype
    weight = last.weight_hh_l0
    if history == "to and back":
        model = model.to(torch.float64).to("cpu").to(dtype)
    elif history == "deep copy":
        model = copy.deepcopy(model)
    elif history.startswith("loaded"):
        save_file(model.state_dict(), folder / "weights.safetensors")
        # PyTorch itself takes no gradients of what was made in inference mode
        with torch.inference_mode() if history.endswith("mode") and not with_gradients else nullcontext():
            model.load_state_dict(load_file(folder / "weights.safetensors"), assign=True)
    elif history == "shared memory":
        model.share_memory()
        call(model)
        # what another process writes leaves no trace in this one
        ctypes.memset(weight.data_ptr(), 0, 2 * weight.itemsize)
    elif history == "one weight by data":
        weight.data[-1, -1] = 0.9
    elif history == "row of weights by data":
        last.weight_ih_l0.data[2] *= -1.5
        last.bias_hh_l0.data[-1] += 1
    elif history == "one weight by numpy":
        weight.detach().view(torch.uint8).numpy()[3, 5] ^= 0x10
    elif history == "one weight in place":
        with torch.no_grad():
            weight[1, 1].mul_(-2)
    elif history == "data replaced":
        weight.data = weight.detach().flip(0).clone()
    elif history == "weights transposed":
        for parameter in (last.weight_ih_l0, last.weight_hh_l0):
            parameter.data = parameter.detach().t().contiguous().t()
    elif history == "state dict":
        model.load_state_dict({name: value.flip(0) for name, value in model.state_dict().items()})
    return model


def lay_out(values: Tensor, layout: str) -> Tensor:
    """Return values (B, T, M) or others of the same shape laid out in another way."""
    if layout == "transposed":
        return values.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == "sliced":
        wide = values.new_zeros(*(2 * size + 1 for size in values.shape))
        inner = wide[tuple(slice(1, None, 2) for _ in values.shape)]
        return inner.copy_(values)
    if layout == "expanded":
        return values[:1].expand(values.shape)
    if layout == "broadcast" and values.shape[1]:
        return values[:, :1].expand(values.shape)
    return values


def make_mask(case: dict[str, Any], generator: random.Random) -> Tensor:
    """Return which positions exist, (B, T)."""
    rows, kind = case["rows"], case["lengths"]
    longest = generator.randint(2, 4 if rows == 40 else 8)
    lengths = {
        "equal": [longest] * rows,
        "ragged": [generator.randint(1, longest) for _ in range(rows)],
        "with empty rows": [generator.choice([0, generator.randint(1, longest)]) for _ in range(rows)],
        "one step": [1] * rows,
        "all empty": [0] * rows,
        "no positions": [0] * rows,
    }[kind]
    width = 0 if kind == "no positions" else max(1, *lengths) + (0 if kind in ("equal", "one step") else generator.randint(0, 2))
    mask = torch.zeros(rows, width, dtype=torch.long)
    for row, length in zip(mask, lengths, strict=True):
        places = {
            "right": range(length),
            "left": range(width - length, width),
            "holes": sorted(generator.sample(range(width), length)),
        }[case["padding"]]
        row[list(places)] = 1
    return mask


def make_state(case: dict[str, Any], model: RnnModel) -> Tensor | None:
    """Return the state that a case goes on from, of the dtype that the model itself would return it in, or None."""
    if case["state"] == "none" or case["directions"] == 2:
        return None
    if case["state"] == "returned":
        return model(torch.randint(1, 12, (case["rows"], 3))).state.detach()
    size = 6 * len(cell_of(case["cell"]).states)
    return lay_out(torch.randn(case["rows"], case["layers"], size, dtype=model.dtype), case["state"])


def run_oracle(model: RnnModel, x: Tensor, mask: Tensor, state: Tensor | None) -> list[Tensor]:
    """Return the output of every layer, (B, T, H), and the final state in fp64, of vectors x (B, T, E), one row at a time."""
    directions, parts = model.config.num_directions, len(cell_of(model.config.cell_type).states)
    size = model.config.direction_size
    results = [torch.zeros(*mask.shape, directions * size, dtype=torch.float64) for _ in model.layers]
    finals = []
    for row, exists in enumerate(mask.bool()):
        inputs, ended = x[row][exists], []
        for index, layer in enumerate(layers_of(model)):
            first = torch.zeros(directions, parts * size, dtype=torch.float64) if state is None else state[row, index : index + 1]
            inputs, final = run_cells(layer, inputs, first.split(size, dim=1))
            results[index] = results[index].index_put((torch.tensor(row), exists.nonzero().squeeze(1)), inputs)
            ended.append(torch.cat(final, dim=1))
        finals.append(torch.cat(ended))
    return [*results, torch.stack(finals)]


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest entry of the oracle but at least 1; infinite for NaN."""
    assert found.shape == expected.shape
    if not found.numel():
        return 0.0
    value = float((found.detach().double() - expected.detach()).abs().max() / expected.detach().abs().max().clamp(min=1))
    return value if value == value else float("inf")


def run_case(case: dict[str, Any], precision: str, backend: str, folder: Any, monkeypatch: Any) -> float:
    """Return the largest relative difference between the model and the oracle."""
    generator = random.Random(str((case, precision, backend)))
    # how many bytes of weights count as many
    monkeypatch.setattr(onednn, "_LARGE", 0 if case["weights"] == "large" else 1 << 20)
    torch.manual_seed(generator.randrange(2**31))
    context = {"grad": torch.enable_grad, "no_grad": torch.no_grad, "inference_mode": torch.inference_mode}[case["mode"]]
    with_gradients = case["mode"] == "grad"
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast")
    mask = make_mask(case, generator)
    ids = lay_out(torch.randint(1, 12, mask.shape), case["layout"])
    vectors = lay_out(torch.randn(*mask.shape, 5, dtype=DTYPES[precision]), case["layout"])
    mask = lay_out(mask, "transposed") if case["layout"] == "transposed" else mask

    def call(model: RnnModel, **options: Any) -> Any:
        given = {"input_ids": ids} if case["given"] == "ids" else {"inputs_embeds": vectors}
        with context(), autocast:
            return model(**given, attention_mask=mask, **options)

    model = base_model(case, DTYPES[precision])
    model.recurrence_backend = backend
    model = live_through(model, case["history"], with_gradients, call, folder)
    with torch.no_grad(), autocast:
        state = make_state(case, model)
    leaves = [vectors, state]
    if with_gradients:
        leaves = [value if value is None else value.requires_grad_() for value in leaves]
    output = call(model, state=state, output_hidden_states=True)
    found = [*output.hidden_states[1:], output.state]

    wide = copy.deepcopy(model).double()
    wide_leaves = [value if value is None else value.detach().double().requires_grad_() for value in leaves]
    with torch.set_grad_enabled(with_gradients):
        x = wide.embeddings.word_embeddings(ids) if case["given"] == "ids" else wide_leaves[0]
        expected = run_oracle(wide, x, mask, wide_leaves[1])
    if with_gradients:
        weights = [[layers_of(one)[-1].weight_hh_l0, one.embeddings.word_embeddings.weight] for one in (model, wide)]
        found += gradients(found, [*leaves, *weights[0]])
        expected += gradients(expected, [*wide_leaves, *weights[1]])
    differences = list(itertools.starmap(relative, zip(found, expected, strict=True)))
    # gradients are sums over positions, of which half precision rounds every part
    values = case["layers"] + 1
    return max(*differences[:values], *(value / 2 for value in differences[values:]))


def gradients(values: list[Tensor], leaves: list[Tensor | None]) -> list[Tensor]:
    """Return the gradients of a weighted sum of values at leaves."""
    generator = torch.Generator().manual_seed(0)
    total = sum((value.double() * torch.randn(value.shape, generator=generator, dtype=torch.float64)).sum() for value in values)
    leaves = [leaf for leaf in leaves if leaf is not None]
    if not total.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True))


def difference(case: dict[str, Any], precision: str, backend: str, folder: Any, monkeypatch: Any) -> tuple[float, str, dict[str, Any]]:
    """Return the difference of a case, infinite where it raises, and what it raised."""
    try:
        return run_case(case, precision, backend, folder, monkeypatch), "", case
    except Exception as error:
        return float("inf"), repr(error), case


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", LIMITS)
def test_equals_the_loop_over_cells(precision, backend, tmp_path, monkeypatch):
    """All cases of a precision and a backend; the worst are named."""
    differences = [difference(case, precision, backend, tmp_path, monkeypatch) for case in CASES[precision, backend]]
    differences.sort(key=lambda found: -found[0])
    print(f"worst of {len(differences)} cases, {precision}, {backend}: {differences[0][0]:.2g}")
    wrong = [found for found in differences if not found[0] <= LIMITS[precision]]
    assert not wrong, f"{len(wrong)} of {len(differences)} cases are wrong, such as\n" + "\n".join(map(str, wrong[:5]))


def test_the_matrix_is_large_and_even():
    """Some thousand cases, and every two values of two axes meet."""
    cases = [{**case, "precision": pair[0], "backend": pair[1]} for pair, drawn in CASES.items() for case in drawn]
    assert len(cases) >= 2000
    axes = {**AXES, "precision": tuple(LIMITS), "backend": BACKENDS}
    for one, other in itertools.combinations(axes, 2):
        assert {(case[one], case[other]) for case in cases} == set(itertools.product(axes[one], axes[other]))
