"""Generation reads a token at a time and gives what a full forward pass gives at every step."""

import pytest
import torch
from tiny import build
from transformers import AutoModelForCausalLM, pipeline
from transformers.utils.generic import find_labels

from hf_rnn import RnnConfig, RnnForCausalLM
from hf_rnn.data.tokenizers.training import train_tokenizer

pytestmark = pytest.mark.lowest

PROMPTS = [[5, 6, 7], [9], [3, 4, 5, 6, 7, 8]]


@pytest.fixture(params=["lstm", "gru"])
def model(request):
    """Return a tiny model in evaluation mode."""
    return build(RnnForCausalLM, cell_type=request.param, bidirectional=False, eos_token_id=1, bos_token_id=1).eval()


def padded(prompts):
    """Return ids and mask with padding on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    return {"input_ids": ids, "attention_mask": torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])}


def greedy(model, prompt, count):
    """Return what reading everything again at every step gives."""
    ids = torch.tensor([prompt])
    for _ in range(count):
        logits = model(ids).logits[:, -1]
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    return ids[0, len(prompt) :].tolist()


@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_equals_full_passes(model, use_cache):
    """Alone and padded on the left, with the state as cache and without one."""
    options = {"max_new_tokens": 8, "do_sample": False, "use_cache": use_cache, "eos_token_id": None, "pad_token_id": 0}
    together = model.generate(**padded(PROMPTS), **options)[:, 6:].tolist()
    for prompt, found in zip(PROMPTS, together, strict=True):
        assert found == greedy(model, prompt, 8)
        assert model.generate(torch.tensor([prompt]), **options)[0, len(prompt) :].tolist() == found


@pytest.mark.parametrize(
    "options",
    [{"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 2}, {"do_sample": True, "num_return_sequences": 2}],
    ids=["beams", "several beams", "samples"],
)
def test_state_follows_rows(model, options):
    """Beams and samples come out as without a cache: the state is put in order and repeated with the rows."""
    found = []
    for use_cache in (True, False):
        torch.manual_seed(3)
        found.append(model.generate(**padded(PROMPTS), max_new_tokens=9, use_cache=use_cache, pad_token_id=0, **options).tolist())
    assert found[0] == found[1]


def test_one_token_a_step(model):
    """After the prompt every forward pass reads one token and makes one position's logits."""
    shapes = []
    model.model.register_forward_pre_hook(lambda _module, arguments: shapes.append(tuple(arguments[0].shape)))
    model.generate(torch.tensor([PROMPTS[0]]), max_new_tokens=5, eos_token_id=None, pad_token_id=0, do_sample=False)
    assert shapes == [(1, 3), (1, 1), (1, 1), (1, 1), (1, 1)]
    assert model(torch.tensor([PROMPTS[0]]), logits_to_keep=1).logits.shape == (1, 1, 20)


def test_goes_on_from_a_state(model):
    """A state that a first call returned stands for the text before the prompt."""
    options = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    state = model(torch.tensor([[5, 6, 7, 8]])).state
    for use_cache in (True, False):
        found = model.generate(torch.tensor([[9, 3]]), state=state, use_cache=use_cache, **options)[0, 2:].tolist()
        assert found == greedy(model, [5, 6, 7, 8, 9, 3], 4)


def test_vectors_as_prompt(model):
    """Embeddings of a prompt give what its ids give."""
    ids = torch.tensor([PROMPTS[2]])
    options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    vectors = model.get_input_embeddings()(ids)
    for use_cache in (True, False):
        assert model.generate(inputs_embeds=vectors, use_cache=use_cache, **options).tolist()[0] == greedy(model, PROMPTS[2], 5)


@pytest.mark.parametrize("use_cache", [True, False])
def test_vectors_beside_ids(model, use_cache):
    """Where a prompt comes as ids and as vectors it is read once, from the vectors; ids come back with it, alone and in a batch."""
    options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "use_cache": use_cache}
    batch = padded(PROMPTS)
    # of other ids than those that come back
    other = {**batch, "input_ids": (batch["input_ids"] + 3) * batch["attention_mask"]}
    vectors = model.get_input_embeddings()(other["input_ids"])
    shapes = []
    model.model.register_forward_pre_hook(lambda *given: shapes.append(given[1][2].shape[1] if given[1][0] is None else 1))
    found = model.generate(**batch, inputs_embeds=vectors, **options)
    assert found[:, :6].equal(batch["input_ids"])
    assert found[:, 6:].equal(model.generate(**other, **options)[:, 6:])
    one = model.generate(batch["input_ids"][2:], inputs_embeds=vectors[2:], **options)
    assert one[:, 6:].equal(found[2:, 6:])


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("use_cache", [True, False])
def test_what_is_asked_for_comes_back(model, use_cache, num_beams):
    """Hidden states, logits and scores of every step are those of a full pass."""
    ids = torch.tensor([PROMPTS[2], PROMPTS[2][::-1]])
    asked = dict.fromkeys(("return_dict_in_generate", "output_hidden_states", "output_scores", "output_logits"), True)
    options = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "num_beams": num_beams, **asked}
    output = model.generate(ids, use_cache=use_cache, **options)
    assert len(output.hidden_states) == len(output.logits) == len(output.scores) == 4
    assert [hidden.shape[1] for hidden in next(zip(*output.hidden_states, strict=True))] == ([6, 1, 1, 1] if use_cache else [6, 7, 8, 9])
    if num_beams == 1:
        whole = model(output.sequences[:, :-1], output_hidden_states=True)
        for step, (logits, hidden) in enumerate(zip(output.logits, output.hidden_states, strict=True)):
            # scores are made in fp32
            assert torch.allclose(logits, whole.logits[:, 5 + step].float())
            assert all(torch.allclose(a[:, -1], b[:, 5 + step]) for a, b in zip(hidden, whole.hidden_states, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_long_batches_equal_full_passes(cell, dtype):
    """Five prompts of unequal length, padded on the left, 200 pieces each: every piece is the best of a pass over all before it."""
    prompts = [torch.randint(1, 20, (length,)).tolist() for length in (3, 17, 1, 9, 30)]
    model = build(RnnForCausalLM, dtype=dtype, cell_type=cell, bidirectional=False, hidden_size=24, num_hidden_layers=2).eval()
    options = {"max_new_tokens": 200, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    found = model.generate(**padded(prompts), **options)
    for prompt, row in zip(prompts, found, strict=True):
        row = row[30 - len(prompt) :]
        with torch.no_grad():
            logits = model(row[None, :-1]).logits[0, len(prompt) - 1 :].double()
        chosen = logits.gather(1, row[len(prompt) :, None])[:, 0]
        # half precision may choose between pieces that it cannot tell apart
        assert (logits.amax(1) - chosen).max() <= {torch.float64: 0, torch.float32: 1e-5, torch.bfloat16: 0.2}[dtype]
        if dtype == torch.float64:
            assert row[len(prompt) :].tolist() == logits.argmax(1).tolist()


def test_labels_that_are_shifted_already(model):
    """`shift_labels` are what each position predicts, with or before `labels`, also while training; Trainer does not wait for them."""
    ids, mask = torch.tensor([[5, 6, 7, 8], [0, 9, 0, 3]]), torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1]])
    shifted = torch.tensor([[6, -100, 2, 4], [1, 3, 1, -100]])
    for train in (False, True):
        model.train(train)
        logits = model(ids, mask).logits
        expected = torch.nn.functional.cross_entropy(logits[[0, 0, 0, 1], [0, 2, 3, 1]], torch.tensor([6, 2, 4, 3]))
        assert torch.allclose(model(ids, mask, shift_labels=shifted).loss, expected)
        assert torch.allclose(model(ids, mask, labels=ids, shift_labels=shifted).loss, expected)
        assert torch.allclose(model(ids, mask, shift_labels=shifted, num_items_in_batch=8).loss, expected / 2)
    assert find_labels(RnnForCausalLM) == ["labels"]


def test_loss_is_that_of_the_next_existing_piece(model):
    """By hand for each row, wherever padding stands; accumulated batches give the gradient of one large batch."""
    ids = torch.tensor([[5, 6, 7, 8], [0, 9, 0, 3]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1]])
    total = 0
    for row in ([5, 6, 7, 8], [9, 3]):
        logits = model(torch.tensor([row])).logits[0]
        total = total + torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(row[1:]), reduction="sum")
    assert torch.allclose(model(ids, mask, labels=ids).loss, total / 4)
    assert torch.allclose(model(ids, mask, labels=ids, num_items_in_batch=8).loss, total / 8)
    model.train()
    output = model(ids, mask, labels=ids)
    assert output.logits is None
    assert torch.allclose(output.loss, total / 4)


def test_refuses_what_sees_the_future():
    """A bidirectional recurrence has read what comes next, and words hide their pieces."""
    with pytest.raises(ValueError, match="got bidirectional=True. Set bidirectional=False in RnnConfig or pass --bidirectional false"):
        RnnForCausalLM(RnnConfig(vocab_size=20))
    with pytest.raises(ValueError, match="Set word_pooling=None"):
        RnnForCausalLM(RnnConfig(vocab_size=20, bidirectional=False, word_pooling="mean"))


def test_pipeline(tmp_path):
    """`pipeline("text-generation")` of a saved folder, and the Auto class."""
    tokenizer = train_tokenizer(["we sing a song", "we sing"], "char", 40)
    config = RnnConfig(vocab_size=len(tokenizer), hidden_size=8, embedding_size=8, bidirectional=False, eos_token_id=2, bos_token_id=2)
    RnnForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path), RnnForCausalLM)
    generate = pipeline("text-generation", model=str(tmp_path))
    (answer,) = generate("we sing", max_new_tokens=3, do_sample=False)
    assert answer["generated_text"].startswith("we sing")
