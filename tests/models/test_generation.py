"""Generation reads a token at a time and gives what a full forward pass gives at every step."""

import pytest
import torch
from tiny import build
from transformers import AutoModelForCausalLM, pipeline

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
