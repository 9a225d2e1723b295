"""Cells are records: what a user registers is computed, saved, compiled, exported and drawn like what is built in."""

import copy
import pickle
from dataclasses import replace

import oracle
import pytest
import torch
from oracle import run_cells
from tiny import MASK, assert_close, build, rows_and_batches
from torch.nn.functional import linear

from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnModel, register_cell, train_tokenizer
from hf_rnn.commands import cli
from hf_rnn.inference.predictor import Predictor
from hf_rnn.models.backends import BACKENDS
from hf_rnn.models.cells import CELLS, LSTM, Cell, cell_of
from hf_rnn.models.packing import Packing
from hf_rnn.models.recurrence import init_recurrence, new_recurrence
from hf_rnn.sharing.importing import import_state


def minimal_step(share, state, w_hh, b_hh):
    """Do a step of a minimal gated unit (Zhou et al. 2016) that also counts in a second state, as a cell with several has them."""
    h, total = state
    (f, n), (w_f, w_n), (b_f, b_n) = share.chunk(2, dim=1), w_hh.chunk(2), b_hh.chunk(2)
    f = (f + linear(h, w_f, b_f)).sigmoid()
    n = (n + linear(f * h, w_n, b_n)).tanh()
    total = 0.5 * total + f
    return {"forget gate": f, "candidate": n, "total": total, "hidden": (1 - f) * h + f * n * total.tanh()}


MINIMAL = Cell("minimal", ("forget gate", "candidate"), ("hidden", "total"), minimal_step, biases={"forget gate": -1.0})


def by_hand(x, now, parameters):
    """Do the same step for one input (1, I), written out unit by unit."""
    (h, total), (w_ih, w_hh, b_ih, b_hh) = now, parameters
    size = h.shape[1]
    share, units = (w_ih @ x[0] + b_ih + b_hh), range(size)
    f = torch.stack([torch.sigmoid(share[k] + (w_hh[k] * h[0]).sum()) for k in units])
    n = torch.stack([torch.tanh(share[size + k] + (w_hh[size + k] * f * h[0]).sum()) for k in units])
    total = 0.5 * total[0] + f
    return ((1 - f) * h[0] + f * n * torch.tanh(total))[None], total[None]


@pytest.fixture(autouse=True)
def minimal(monkeypatch):
    """Register the cell for the time of a test."""
    known = dict(CELLS)
    register_cell(MINIMAL)
    monkeypatch.setitem(oracle.STEPS, "minimal", by_hand)
    yield
    CELLS.clear()
    CELLS.update(known)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_equals_the_loop_by_hand(bidirectional, backend):
    """Outputs, states and gradients, in every layout of ragged rows, from a state where there is one."""
    model = build(RnnModel, cell_type="minimal", bidirectional=bidirectional, num_hidden_layers=1)
    model.recurrence_backend = backend
    layer, directions = model.layers[0].recurrence, 1 + bidirectional
    for rows, ids, mask, order, places in rows_and_batches():
        start = None if bidirectional else torch.randn(len(rows), 1, 16, dtype=torch.float64, requires_grad=True)
        output = model(ids, mask, state=start)
        for place, row in enumerate(order):
            x = model.embeddings.word_embeddings(rows[row])
            now = torch.zeros(directions, 16 // directions, dtype=torch.float64) if start is None else start[place]
            expected, final = run_cells(layer, x, now.split(8 // directions, dim=1))
            assert_close(output.last_hidden_state[place, places[place]], expected)
            assert_close(output.state[place], torch.cat(final, dim=1))
            if places[place]:
                leaves = [*layer.parameters(), *([] if start is None else [start])]
                ours = torch.autograd.grad(output.last_hidden_state[place].square().sum(), leaves, retain_graph=True)
                for a, b in zip(ours, torch.autograd.grad(expected.square().sum(), leaves), strict=True):
                    assert_close(a, b)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_step_of_a_record_is_that_of_pytorch(cell):
    """One step from any state gives what PyTorch's cell gives, and gates are shares."""
    record, layer = cell_of(cell), new_recurrence(cell, 3, 4).double()
    state = tuple(torch.randn(5, 4, dtype=torch.float64) for _ in record.states)
    x, (w_ih, w_hh, b_ih, b_hh) = torch.randn(5, 3, dtype=torch.float64), layer.weights()
    expected = oracle.STEPS[cell](x, state, layer.weights())
    values = record.step(linear(x, w_ih, b_ih), state, w_hh, b_hh)
    for ours, theirs in zip(record.advance(linear(x, w_ih, b_ih), state, w_hh, b_hh), expected, strict=True):
        assert_close(ours, theirs)
    assert all(value.min() >= 0 and value.max() <= 1 for name, value in values.items() if name.endswith("gate"))
    assert set(record.gates) <= set(values)


@pytest.mark.parametrize("precision", ["autocast", "bf16"])
def test_half_precision(precision):
    """The loop stays within 2e-2 of fp64, in the dtype that other ways return."""
    model = build(RnnModel, torch.float32, cell_type="minimal", bidirectional=True)
    ids = torch.randint(1, 20, MASK.shape)
    expected = copy.deepcopy(model).double()(ids, MASK).last_hidden_state
    model = model.bfloat16() if precision == "bf16" else model
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        found = model(ids, MASK).last_hidden_state
    assert found.dtype == torch.bfloat16
    assert (found.double() - expected).abs().max() < 2e-2


def test_gradcheck():
    """Analytic gradients of the loop pass torch's own check."""
    layer = new_recurrence("minimal", 3, 2, bidirectional=True).double()
    packing, x = Packing.from_lengths(torch.tensor([2, 0, 3])), torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x, packing)[0], (x, *layer.parameters()))


def test_streams_and_compiles():
    """Token by token from the state gives what the whole row gives, also in one compiled graph."""
    torch.compiler.reset()
    model = build(RnnModel, cell_type="minimal", bidirectional=False).requires_grad_(False)
    ids = torch.randint(1, 20, (3, 6))
    whole, state, outputs = model(ids), None, []
    for token in ids.split(1, dim=1):
        output = model(token, state=state)
        state = output.state
        outputs.append(output.last_hidden_state)
    assert_close(torch.cat(outputs, dim=1), whole.last_hidden_state)
    assert_close(state, whole.state)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    assert_close(compiled(ids).last_hidden_state, whole.last_hidden_state)
    with pytest.raises(ValueError, match=r"`state` of this minimal must have the shape .* 2 \* hidden_size"):
        model(ids, state=torch.zeros(3, 2, 8))


def test_initial_weights():
    """Blocks are orthogonal, biases what the record says on one side; layers can be copied and pickled."""
    layer = new_recurrence("minimal", 3, 4)
    for copied in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert [tuple(value.shape) for value in copied.parameters()] == [(8, 3), (8, 4), (8,), (8,)]
        assert copied.bias_ih_l0.tolist() == [-1.0] * 4 + [0.0] * 4 and not copied.bias_hh_l0.any()
        for block in copied.weight_hh_l0.split(4):
            torch.testing.assert_close(block @ block.T, torch.eye(4))
    assert list(new_recurrence("minimal", 3, 4, True).state_dict()) == list(torch.nn.GRU(3, 4, bidirectional=True).state_dict())
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
        init_recurrence(layer)
    assert layer.weight_hh_l0.any()


@pytest.mark.thorough
def test_checkpoints_need_the_cell_and_graphs_do_not(tmp_path):
    """A saved model of an unknown cell says what to do; registered it is the same; its graph runs anywhere."""
    pytest.importorskip("onnxruntime")
    from hf_rnn.onnx import OnnxRnnModel, export_onnx, quantize

    model = build(RnnForSequenceClassification, torch.float32, cell_type="minimal", pooling="last").eval()
    model.save_pretrained(tmp_path / "model")
    assert export_onnx(model, tmp_path / "graph") < 1e-5
    quantize(tmp_path / "graph")
    ids = torch.randint(1, 20, MASK.shape)
    del CELLS["minimal"]
    with pytest.raises(ValueError, match=r"`cell_type` must be one of .*, got 'minimal'.* call hf_rnn.register_cell first"):
        RnnForSequenceClassification.from_pretrained(tmp_path / "model")
    for name in ("model.onnx", "model_quantized.onnx"):
        graph = OnnxRnnModel.from_pretrained(tmp_path / "graph", file_name=name)
        assert (graph(ids, MASK).logits - model_logits(model, ids)).abs().max() < (1e-5 if name == "model.onnx" else 1)
    register_cell(MINIMAL)
    assert torch.equal(RnnForSequenceClassification.from_pretrained(tmp_path / "model")(ids, MASK).logits, model(ids, MASK).logits)


def test_commands_say_what_is_missing(tmp_path, capsys):
    """In one line, which begins with what is wrong."""
    build(RnnForSequenceClassification, torch.float32, cell_type="minimal").save_pretrained(tmp_path)
    del CELLS["minimal"]
    capsys.readouterr()
    assert cli.main(["predict", "--model_name_or_path", str(tmp_path), "--text", "a"]) == 1
    assert capsys.readouterr().err.startswith("error: `cell_type` must be one of ('lstm', 'gru', 'rnn'")


def test_graphs_hand_on_states():
    """Rows of a graph that have ended keep their state."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from hf_rnn.onnx import TRANSLATIONS

    model = build(RnnModel, torch.float32, cell_type="minimal").eval()
    ids = torch.randint(1, 20, MASK.shape)
    program = torch.onnx.export(
        model,
        (ids, MASK),
        kwargs={"return_dict": False},
        custom_translation_table=TRANSLATIONS,
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    feeds = {given.name: value.numpy() for given, value in zip(session.get_inputs(), (ids, MASK), strict=True)}
    for found, expected in zip(session.run(None, feeds), model(ids, MASK, return_dict=False), strict=True):
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-5)


def model_logits(model, ids):
    """Return the logits of a model of a cell, whether it is registered or not."""
    register_cell(MINIMAL)
    with torch.no_grad():
        logits = model(ids, MASK).logits
    del CELLS["minimal"]
    return logits


def test_gates_are_drawn(tmp_path):
    """The values of a step are the trace of a layer, and its hidden states are those of the model."""
    pytest.importorskip("matplotlib")
    from hf_rnn.reports.gate_plots import plot_gates

    text = "We flew to Seoul ."
    tokenizer = train_tokenizer([text] * 20, "bpe", 60)
    config = RnnConfig(vocab_size=len(tokenizer), embedding_size=6, hidden_size=8, cell_type="minimal")
    predictor = Predictor(RnnForSequenceClassification(config).eval(), tokenizer)
    trace = predictor.gates(text)
    assert [list(direction) for direction in trace["directions"]] == [["forget gate", "candidate", "total", "hidden"]] * 2
    with torch.inference_mode():
        expected = predictor.model.base_model(tokenizer(text, return_tensors="pt")["input_ids"]).last_hidden_state[0]
    torch.testing.assert_close(torch.cat([direction["hidden"] for direction in trace["directions"]], dim=1), expected)
    plot_gates(trace, tmp_path / "gates.png")
    assert (tmp_path / "gates.png").read_bytes().startswith(b"\x89PNG")


def mixing(share, state, w_hh, b_hh):
    """Add the mean of all rows."""
    return {"hidden": share[:, :2] + share[:, :2].mean(0), "total": state[1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "lstm"}, "none of a built-in cell, got 'lstm'"),
        ({"name": "my cell"}, "must be an identifier"),
        ({"gates": ()}, r"`gates` of the cell 'minimal' must be a tuple of different names, at least one, got \(\)"),
        ({"states": ("hidden", "hidden")}, "`states` .* different names"),
        ({"states": ("hidden", "total", "memory")}, "`step` of the cell 'minimal' fails on 3 rows of 2 units: ValueError"),
        ({"states": ("hidden", "memory")}, r"must return its states \('hidden', 'memory'\) by name, got \('forget gate'"),
        ({"biases": {"output gate": 1.0}}, r"`biases` .* must be of its gates .*, got \('output gate',\)"),
        ({"step": lambda *inputs: None}, "by name, got NoneType"),
        (
            {"step": lambda share, state, w_hh, b_hh: {"hidden": share, "total": state[1]}},
            r"must return \(3, 2\) .* got \(3, 4\) as 'hidden'",
        ),
        ({"step": mixing}, "mixes rows: 'hidden'"),
    ],
)
def test_what_is_no_cell_is_refused(changes, message):
    """Before any model is made of it."""
    with pytest.raises(ValueError, match=message):
        register_cell(replace(MINIMAL, **changes))
    assert CELLS["minimal"] is MINIMAL and CELLS["lstm"] is LSTM


def test_only_records_are_registered():
    """A module, say, is told what is wanted."""
    with pytest.raises(ValueError, match="must be a hf_rnn.models.cells.Cell, got LSTMCell"):
        register_cell(torch.nn.LSTMCell(2, 2))


def test_plain_recurrence_is_imported():
    """One block of weights is that of `nn.RNN`; five are nobody's."""
    state = {"embedding.weight": torch.randn(9, 3), "linear.weight": torch.randn(2, 4), "linear.bias": torch.zeros(2)}
    rnn = {f"rnn.{name}": value for name, value in torch.nn.RNN(3, 4).state_dict().items()}
    assert import_state({**state, **rnn}).config.cell_type == "rnn"
    five = {name: value.repeat(5, *[1] * (value.dim() - 1)) for name, value in rnn.items()}
    with pytest.raises(ValueError, match=r"must have 4 \(LSTM\) or 3 \(GRU\) or 1 \(RNN\) times as many rows"):
        import_state({**state, **five})
