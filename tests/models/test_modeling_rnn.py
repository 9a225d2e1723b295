"""Models: a row never sees its batch, states go on, loading fills what is missing, and argmax is the Viterbi path."""

import itertools

import pytest
import torch
from oracle import all_paths, run_cells
from tiny import NO_DROPOUT, PIECE_TYPES, TINY, assert_close, build, gradients, rows_and_batches
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnForTokenClassification, RnnModel

pytestmark = pytest.mark.lowest

WORD_POOLINGS = (None, "first", "mean", "max", "rnn")


@pytest.mark.parametrize("word_pooling", WORD_POOLINGS)
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize(("cell_type", "bidirectional"), [("lstm", True), ("lstm", False), ("gru", True), ("gru", False)])
def test_classifier_row_alone_equals_row_in_batch(cell_type, bidirectional, pooling, word_pooling):
    """Padded right, left, permuted or with holes: logits, and the gradient of their sum of squares, are those of each row alone."""
    model = build(
        RnnForSequenceClassification, cell_type=cell_type, bidirectional=bidirectional, pooling=pooling, word_pooling=word_pooling
    )
    alone, grad = None, None
    for rows, ids, mask, order, _ in rows_and_batches():
        if alone is None:
            alone = torch.cat([model(row[None]).logits for row in rows])
            grad = gradients(alone.square().sum(), model)
        logits = model(ids, mask).logits
        assert_close(logits, alone[order])
        assert_close(gradients(logits.square().sum(), model), grad)


@pytest.mark.parametrize("use_crf", [False, True])
@pytest.mark.parametrize("word_pooling", WORD_POOLINGS)
@pytest.mark.parametrize(("cell_type", "bidirectional"), [("lstm", True), ("lstm", False), ("gru", True), ("gru", False)])
def test_tagger_row_alone_equals_row_in_batch(cell_type, bidirectional, word_pooling, use_crf):
    """The same for a tagger: logits at the row's positions, in training and evaluation, loss and its gradient."""
    model = build(RnnForTokenClassification, cell_type=cell_type, bidirectional=bidirectional, word_pooling=word_pooling, use_crf=use_crf)
    for training in (True, False):
        model.train(training)
        for rows, ids, mask, order, places in rows_and_batches():
            tags = [torch.where(torch.arange(len(row)) % 3 == 2, -100, row % 3) for row in rows]
            labels = torch.full_like(ids, 1)
            for index, row in enumerate(order):
                labels[index, places[index]] = tags[row]
            count = sum((tag != -100).sum() for tag in tags)
            together = model(ids, mask, labels=labels)
            alone = [model(row[None], labels=tag[None], num_items_in_batch=count) for row, tag in zip(rows, tags, strict=True)]
            for index, row in enumerate(order):
                assert_close(together.logits[index, places[index]], alone[row].logits[0])
            total = sum(output.loss for output in alone)
            assert_close(together.loss, total)
            assert_close(gradients(together.loss, model), gradients(total, model))


@pytest.mark.parametrize(("lookahead", "word_pooling"), [(1, None), (2, "mean"), (9, "rnn")])
def test_tagger_that_looks_ahead_equals_a_loop(lookahead, word_pooling):
    """The output layer sees the state of each piece, and those at the starts of the words behind its own, 0 where there are none."""
    model = build(RnnForTokenClassification, bidirectional=False, lookahead=lookahead, word_pooling=word_pooling)
    for _, ids, mask, *_ in rows_and_batches():
        hidden = model.model(ids, mask).last_hidden_state
        starts, special = model.model.words(ids, mask.bool())
        logits = model(ids, mask).logits
        for row in range(len(ids)):
            heads = [place for place in range(ids.shape[1]) if starts[row, place] and not special[row, place]]
            for place in mask[row].nonzero().flatten().tolist():
                word = sum(head <= place for head in heads) - 1
                next_words = [] if special[row, place] else heads[word + 1 : word + 1 + lookahead]
                seen = [hidden[row, place], *[hidden[row, head] for head in next_words]]
                seen += [torch.zeros_like(seen[0])] * (1 + lookahead - len(seen))
                assert_close(logits[row, place], model.classifier(torch.cat(seen)))


def test_tagger_that_looks_ahead_is_the_same_alone_and_in_a_batch():
    """Logits and gradients, wherever the rows lie."""
    model = build(RnnForTokenClassification, bidirectional=False, lookahead=1)
    for rows, ids, mask, order, places in rows_and_batches():
        alone = [model(row[None]).logits[0] for row in rows]
        together = model(ids, mask).logits
        for index, row in enumerate(order):
            assert_close(together[index, places[index]], alone[row])
        kept = torch.cat([together[index, places[index]] for index in range(len(order))])
        assert_close(gradients(kept.square().sum(), model), gradients(torch.cat(alone).square().sum(), model))


def test_encoder_equals_loop_over_cells():
    """Hidden states of every layer and the final state equal a loop over cells; masked positions are zero."""
    model = build(RnnModel)
    model.eval()
    *_, (rows, ids, mask, order, places) = rows_and_batches()
    output = model(ids, mask, output_hidden_states=True)
    assert [tuple(hidden.shape[2:]) for hidden in output.hidden_states] == [(6,), (8,), (8,)]
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    for index, row in enumerate(order):
        x = model.embeddings.word_embeddings(rows[row])
        assert_close(output.hidden_states[0][index, places[index]], x)
        for depth, layer in enumerate(model.layers):
            x, final = run_cells(layer.recurrence, x, (x.new_zeros(2, 4), x.new_zeros(2, 4)))
            assert_close(output.hidden_states[depth + 1][index, places[index]], x)
            assert_close(output.state[index, 2 * depth : 2 * depth + 2], torch.cat(final, 1))
    assert (output.last_hidden_state[mask == 0] == 0).all()


def test_equals_stacked_torch_lstm():
    """The weights are those of `nn.LSTM` by renaming: same outputs and same final state."""
    model = build(RnnModel, dtype=torch.float32).eval()
    stacked = nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True)
    weights = {
        name.replace("_l0", f"_l{depth}"): value for depth in (0, 1) for name, value in model.layers[depth].recurrence.state_dict().items()
    }
    stacked.load_state_dict(weights)
    ids = torch.randint(1, 20, (3, 5))
    expected, final = stacked(model.embeddings.word_embeddings(ids))
    output = model(ids)
    assert torch.allclose(output.last_hidden_state, expected, atol=1e-6)
    ours = output.state.transpose(0, 1).chunk(2, dim=-1)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, final, strict=True))


@pytest.mark.parametrize("cell_type", ["lstm", "gru", "rnn"])
def test_state_goes_on(cell_type):
    """Step by step, in chunks of unequal rows, and all at once give the same states, outputs and gradients."""
    model = build(RnnModel, cell_type=cell_type, bidirectional=False)
    ids = torch.randint(1, 20, (2, 7))
    whole = model(ids)
    expected = gradients(whole.last_hidden_state.square().sum(), model)
    for widths in ([1] * 7, [3, 4], [0, 7]):
        state, outputs = None, []
        for chunk in ids.split(widths, dim=1):
            output = model(chunk, state=state)
            state = output.state
            outputs.append(output.last_hidden_state)
        assert_close(torch.cat(outputs, 1), whole.last_hidden_state)
        assert_close(gradients(torch.cat(outputs, 1).square().sum(), model), expected)
        assert_close(state, whole.state)
    first = model(ids, torch.tensor([[1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 0]]))
    second = model(ids, torch.tensor([[0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1]]), state=first.state)
    assert_close(first.last_hidden_state + second.last_hidden_state, whole.last_hidden_state)


def test_bad_inputs_are_refused():
    """Errors name the argument, what was expected and what was given."""
    model, ids = build(RnnModel, bidirectional=False), torch.ones(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="exactly one of `input_ids` and `inputs_embeds`, got neither"):
        model()
    with pytest.raises(ValueError, match="got both"):
        model(ids, inputs_embeds=torch.zeros(2, 3, 6))
    with pytest.raises(ValueError, match=r"must have the shape of the input, \(2, 3\), got \(2, 4\)"):
        model(ids, torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"must have the shape .* = \(2, 2, 16\), got \(2, 1, 8\)"):
        model(ids, state=torch.zeros(2, 1, 8))
    with pytest.raises(ValueError, match="`state` needs a unidirectional model"):
        build(RnnModel)(ids, state=torch.zeros(2, 2, 8))
    with pytest.raises(ValueError, match="`word_pooling` needs `input_ids`"):
        build(RnnModel, word_pooling="mean")(inputs_embeds=torch.zeros(2, 3, 6))
    with pytest.raises(ValueError, match="one entry for each of vocab_size = 20 ids, got 2"):
        model.set_piece_types([1, 1])
    with pytest.raises(ValueError, match="`recurrence_backend` must be one of"):
        model.recurrence_backend = "fast"


@pytest.mark.parametrize("word_pooling", [None, "rnn"])
@pytest.mark.parametrize("constraints", [None, "bio"])
def test_logits_of_crf_are_the_viterbi_path(constraints, word_pooling):
    """The arg max at each word's pieces is the best path over words that enumeration finds; special tokens are no words."""
    labels = {"id2label": {0: "O", 1: "B-X", 2: "I-X"}, "label2id": {"O": 0, "B-X": 1, "I-X": 2}}
    model = build(RnnForTokenClassification, use_crf=True, crf_constraints=constraints, word_pooling=word_pooling, **labels)
    assert model.crf.forbidden_transitions.any().item() == (constraints is not None)
    ids = torch.tensor([[1, 15, 2, 3, 16, 16, 4, 0], [5, 6, 0, 9, 9, 9, 9, 9]])
    mask = torch.tensor([[1] * 8, [1, 1, 1, 0, 0, 0, 0, 0]])
    model.train()
    emissions = model(ids, mask).logits
    model.eval()
    tags = model(ids, mask).logits.argmax(-1)
    for row, starts, word_of in ((0, [0, 2, 3, 6], [0, 0, 1, 2, 2, 2, 3]), (1, [0, 1], [0, 1])):
        scores = all_paths(emissions[row, starts], *model.crf._scores(torch.float64))
        best = max(scores, key=scores.get)
        assert tags[row, : len(word_of)].tolist() == [best[word] for word in word_of]


@pytest.mark.parametrize(
    ("model_class", "auto"),
    [
        (RnnModel, AutoModel),
        (RnnForSequenceClassification, AutoModelForSequenceClassification),
        (RnnForTokenClassification, AutoModelForTokenClassification),
    ],
)
@pytest.mark.parametrize("cell_type", ["lstm", "gru"])
def test_save_and_load(model_class, auto, cell_type, tmp_path):
    """Loaded by the Auto classes, in fp32 and bf16, the model gives the same and has the same buffers."""
    model = build(model_class, torch.float32, cell_type=cell_type, word_pooling="rnn", use_crf=True, pooling="attention").eval()
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "config.json").stat().st_mode
    ids = torch.randint(1, 20, (3, 6))
    loaded = auto.from_pretrained(tmp_path)
    assert torch.equal(loaded(ids)[0], model(ids)[0])
    assert torch.equal(loaded.base_model.embeddings.piece_types, model.base_model.embeddings.piece_types)
    half = auto.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.base_model.embeddings.piece_types.dtype == torch.uint8
    assert half(ids)[0].dtype == torch.bfloat16 and half(ids)[0].isfinite().all()


@pytest.mark.parametrize("cell_type", ["lstm", "gru", "rnn"])
def test_missing_keys_get_their_initialisation(cell_type, tmp_path):
    """A body saved alone becomes a tagger or classifier: what was missing is initialised as in a new model, the rest is kept."""
    body = build(RnnModel, torch.float32, cell_type=cell_type, num_hidden_layers=1)
    body.save_pretrained(tmp_path)
    labels = {"id2label": {0: "O", 1: "B-X", 2: "I-X"}, "label2id": {"O": 0, "B-X": 1, "I-X": 2}}
    tagger = AutoModelForTokenClassification.from_pretrained(
        tmp_path, num_hidden_layers=2, word_pooling="rnn", use_crf=True, crf_constraints="bio", **labels
    )
    assert torch.equal(tagger.model.layers[0].recurrence.weight_hh_l0, body.layers[0].recurrence.weight_hh_l0)
    assert torch.equal(tagger.model.embeddings.piece_types, body.embeddings.piece_types)
    for fresh in (tagger.model.layers[1].recurrence, tagger.model.embeddings.piece_recurrence):
        for gate in fresh.weight_hh_l0.split(fresh.hidden_size):
            assert torch.allclose(gate @ gate.T, torch.eye(fresh.hidden_size), atol=1e-5)
        forget = fresh.bias_ih_l0[fresh.hidden_size : 2 * fresh.hidden_size]
        assert (forget == (1 if fresh.mode == "LSTM" else 0)).all() and (fresh.bias_hh_l0 == 0).all()
    assert tagger.crf.forbidden_transitions.tolist() == [[False, False, True], [False] * 3, [False] * 3]
    assert tagger.crf.transitions.abs().max() <= 0.1
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path, pooling="attention", num_labels=5)
    assert all(parameter.isfinite().all() and parameter.abs().max() < 10 for parameter in classifier.parameters())


def test_new_model_is_initialised_as_documented():
    """Embeddings have their standard deviation and a zero row for padding; forget gates start open."""
    model = RnnModel(RnnConfig(vocab_size=5000, embedding_size=64, pad_token_id=3))
    weight = model.embeddings.word_embeddings.weight
    assert (weight[3] == 0).all() and weight.detach().std() == pytest.approx(0.1, rel=0.05)
    assert (model.layers[1].recurrence.bias_ih_l0_reverse.split(256)[1] == 1).all()


def test_problem_types():
    """Single label, several labels and regression give the losses that torch gives, and set `problem_type` as transformers does."""
    ids = torch.randint(1, 20, (4, 5))
    cases = [
        (3, torch.tensor([0, 1, 2, 0]), "single_label_classification", nn.CrossEntropyLoss()),
        (3, torch.rand(4, 3, dtype=torch.float64).round(), "multi_label_classification", nn.BCEWithLogitsLoss()),
        (1, torch.rand(4, dtype=torch.float64), "regression", nn.MSELoss()),
        (2, torch.rand(4, 2, dtype=torch.float64), "regression", nn.MSELoss()),
    ]
    for num_labels, labels, problem_type, function in cases:
        given = problem_type if problem_type == "regression" else None
        model = build(RnnForSequenceClassification, num_labels=num_labels, problem_type=given)
        output = model(ids, labels=labels)
        assert model.config.problem_type == problem_type
        assert_close(output.loss, function(output.logits.squeeze(-1) if num_labels == 1 else output.logits, labels))


@pytest.mark.parametrize("use_crf", [False, True])
def test_no_labels_at_all_is_a_zero_loss(use_crf):
    """A batch whose labels are all -100 has loss zero and finite gradients."""
    model = build(RnnForTokenClassification, use_crf=use_crf)
    loss = model(torch.randint(1, 20, (2, 3)), labels=torch.full((2, 3), -100)).loss
    assert loss == 0 and gradients(loss, model).isfinite().all()


def test_tuple_outputs():
    """`return_dict=False` gives the same values as a tuple, the config decides otherwise."""
    model, ids = build(RnnForSequenceClassification).eval(), torch.randint(1, 20, (2, 3))
    labels = torch.tensor([0, 1])
    for a, b in zip(model(ids, labels=labels, return_dict=False), model(ids, labels=labels).to_tuple(), strict=True):
        assert torch.equal(a, b)
    model.config.return_dict = False
    assert isinstance(model(ids), tuple)


def test_embeddings_can_be_given_and_replaced():
    """`inputs_embeds` equals ids; the embedding is found, replaced, resized, and new ids start words."""
    model, ids = build(RnnForSequenceClassification).eval(), torch.randint(1, 20, (2, 5))
    embedding = model.get_input_embeddings()
    assert embedding is model.model.embeddings.word_embeddings
    assert torch.equal(model(inputs_embeds=embedding(ids)).logits, model(ids).logits)
    before = model(ids).logits
    model.resize_token_embeddings(25)
    assert model.config.vocab_size == 25 and model.get_input_embeddings().num_embeddings == 25
    assert model.model.embeddings.piece_types.tolist() == PIECE_TYPES + [1] * 5
    assert torch.equal(model(ids).logits, before) and model(torch.tensor([[24]])).logits.isfinite().all()
    model.resize_token_embeddings(18)
    assert model.model.embeddings.piece_types.tolist() == PIECE_TYPES[:18]
    model.set_input_embeddings(nn.Embedding(18, 6, dtype=torch.float64))
    assert not torch.equal(model(ids.clamp(max=17)).logits, before)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_changes_nothing(use_reentrant):
    """Recomputing layers in the backward pass gives the same loss and gradients."""
    model = build(RnnForSequenceClassification).train()
    ids, labels = torch.randint(1, 20, (3, 6)), torch.tensor([0, 1, 2])
    expected = gradients(model(ids, labels=labels).loss, model)
    # the older of the supported releases have the older name only
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": use_reentrant})
    model(ids, labels=labels).loss.backward()
    ours = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()])
    assert_close(ours, expected)


def test_dropouts_act_in_training_only():
    """Each dropout changes the training output and none the evaluation."""
    ids = torch.randint(1, 20, (4, 6))
    reference = build(RnnForSequenceClassification)
    for name in ("embedding_dropout", "input_dropout", "hidden_dropout", "weight_dropout", "classifier_dropout"):
        model = RnnForSequenceClassification(RnnConfig(**{**TINY, **NO_DROPOUT, name: 0.5})).double()
        model.load_state_dict(reference.state_dict())
        assert not torch.allclose(model.train()(ids).logits, reference(ids).logits), name
        assert torch.equal(model.eval()(ids).logits, reference.eval()(ids).logits)


def test_backends_agree():
    """Our kernel and PyTorch's give the same logits; the choice is not part of the checkpoint."""
    model = build(RnnForSequenceClassification)
    *_, (_, ids, mask, _, _) = rows_and_batches()
    outputs = []
    for backend in ("packed", "stock", "auto"):
        model.recurrence_backend = backend
        assert model.recurrence_backend == backend
        outputs.append(model(ids, mask).logits)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in itertools.pairwise(outputs))
    assert "backend" not in model.config.to_json_string()


def test_offload_to_cpu_keeps_working(tmp_path):
    """Weights kept away from their modules between calls (accelerate's hooks) are there when a layer runs."""
    from accelerate import cpu_offload

    model = build(RnnForSequenceClassification, torch.float32, word_pooling="rnn").eval()
    ids = torch.randint(1, 20, (2, 5))
    expected = model(ids).logits
    cpu_offload(model, execution_device=torch.device("cpu"))
    assert model.model.layers[0].recurrence.weight_hh_l0.device.type == "meta"
    assert torch.equal(model(ids).logits, expected)


def test_model_trains_to_fit():
    """Twenty steps of AdamW fit eight rows: gradients reach every parameter that is used."""
    model = build(RnnForSequenceClassification, torch.float32, pooling="attention", word_pooling="rnn")
    ids, labels = torch.randint(1, 20, (8, 6)), torch.arange(8) % 3
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = model(ids, labels=labels).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.1 and (model.eval()(ids).logits.argmax(-1) == labels).all()
