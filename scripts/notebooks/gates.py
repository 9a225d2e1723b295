# %% [markdown] lang="ko"
# # 게이트는 왜 있는가
#
# 순환 신경망이 일을 하려면 먼저 읽은 것을 나중까지 들고 있어야 합니다. 단순 RNN, LSTM, GRU에게 처음 본 것을 기억하게 하고, 그 사이에 10걸음에서 400걸음까지 다른 것을 읽게
# 합니다. 그다음 기울기와 게이트를 그려서 무슨 일이 일어나는지 보고, 마지막으로 셋 모두에게 영화 리뷰를 읽힙니다.

# %% [markdown] lang="en"
# # Why gates
#
# To be of use, a recurrent network has to hold on to what it read first until it is needed. A plain RNN, an LSTM and a GRU are asked to remember the first thing
# they saw while they read on for 10 to 400 steps. Gradients and gates are drawn to see what goes on inside, and in the end all three read film reviews.

# %%
from contextlib import redirect_stdout
from html import escape
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from IPython.display import HTML, display

import hf_rnn
from hf_rnn import RnnConfig, RnnForSequenceClassification
from hf_rnn.data.files.readers import read_rows

CELLS = {"rnn": "plain RNN", "lstm": "LSTM", "gru": "GRU"}
COLOURS = dict(zip(CELLS, ("tab:gray", "tab:blue", "tab:orange"), strict=True))
LENGTHS = (10, 25, 50, 100, 200, 400)
SEEDS = (0, 1)

# %% [markdown] lang="ko"
# ## 세 개의 식
#
# 단순 RNN은 걸음마다 상태 전체를 새로 씁니다. LSTM과 GRU는 무엇을 지우고 무엇을 쓸지 게이트로 정합니다. 게이트는 0과 1 사이의 수입니다.
#
# > RNN: `h = tanh(W x + U h)`
# >
# > LSTM: `c = f * c + i * g`, `h = o * tanh(c)`, 게이트 `i`, `f`, `o`
# >
# > GRU: `h = (1 - z) * n + z * h`, 게이트 `z`, `r`
#
# 여기서 `cell_type`만 다르고 나머지는 같습니다.

# %% [markdown] lang="en"
# ## Three equations
#
# A plain RNN writes its whole state anew at each step. LSTM and GRU have gates, numbers between 0 and 1, that decide what is erased and what is written.
#
# > RNN: `h = tanh(W x + U h)`
# >
# > LSTM: `c = f * c + i * g`, `h = o * tanh(c)` with the gates `i`, `f`, `o`
# >
# > GRU: `h = (1 - z) * n + z * h` with the gates `z`, `r`
#
# Here they differ in `cell_type` alone.


# %%
def build(cell_type, seed, labels, inputs=16):
    """Return a model of 32 units that reads from left to right and answers after the last step."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 20, "embedding_size": inputs, "hidden_size": 32, "num_hidden_layers": 1, "bidirectional": False}
    dropout = dict.fromkeys(("embedding_dropout", "input_dropout", "hidden_dropout", "classifier_dropout"), 0.0)
    kind = "regression" if labels == 1 else "single_label_classification"
    return RnnForSequenceClassification(
        RnnConfig(cell_type=cell_type, pooling="last", num_labels=labels, problem_type=kind, **sizes, **dropout)
    )


def train(model, draw, steps, longest, seed):
    """Train on rows of random lengths that grow up to the longest one."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for step in range(1, steps + 1):
        reach = max(2, int(longest * min(1, step / (0.7 * steps))))
        length = int(torch.randint(1, reach + 1, (), generator=generator))
        optimizer.zero_grad()
        model(**draw(length, 32, generator)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


# %% [markdown] lang="ko"
# ## 기호 하나 기억하기
#
# 여덟 기호 가운데 하나가 처음에 오고, 그 뒤에는 같은 여덟 기호가 아무렇게나 이어집니다. 길이 50까지로 학습하고 400까지 시험합니다.

# %% [markdown] lang="en"
# ## Remember a symbol
#
# The first one of eight symbols counts, what follows is drawn from the same eight. Training sees up to 50 steps, the test up to 400.


# %%
def symbols(length, rows, generator):
    """Return rows of symbols, (rows, length), whose label is the first one."""
    ids = torch.randint(1, 9, (rows, length), generator=generator)
    return {"input_ids": ids, "labels": ids[:, 0] - 1}


print("steps:    " + "".join(f"{length:>6}" for length in LENGTHS))
generator = torch.Generator().manual_seed(99)
for cell_type, name in CELLS.items():
    model = train(build(cell_type, 0, labels=8), symbols, steps=600, longest=50, seed=0)
    right = []
    for length in LENGTHS:
        rows = symbols(length, 500, generator)
        with torch.no_grad():
            right.append((model(**rows).logits.argmax(-1) == rows["labels"]).float().mean().item())
    print(f"{name:10}" + "".join(f"{share:6.0%}" for share in right))

# %% [markdown] lang="ko"
# 단순 RNN도 잘합니다. 기호는 스위치와 같아서, 값이 큰 가중치로 `tanh`를 끝까지 밀어 두면 켜진 채로 남습니다. 그래서 "RNN은 기억하지 못한다"는 말은 그대로는 맞지 않습니다.

# %% [markdown] lang="en"
# The plain RNN does well too. A symbol is a switch: large weights push a `tanh` to its end, where it stays. "An RNN cannot remember" is therefore not true as it
# stands.

# %% [markdown] lang="ko"
# ## 수 하나 기억하기
#
# 스위치로는 0.37과 0.38을 구별할 수 없습니다. 이번에는 처음에 0과 1 사이의 수가 오고, 그 뒤에는 다른 수가 이어집니다. 두 번째 입력은 "이것을 기억하라"는 표시입니다. 길이 100까지로
# 학습합니다. 그림은 분산 가운데 맞힌 몫으로, 1이면 정확히 기억하고 0이면 평균을 말할 뿐입니다.

# %% [markdown] lang="en"
# ## Remember a number
#
# No switch tells 0.37 from 0.38. Now a number between 0 and 1 comes first and other numbers follow; a second input says "this is the one". Training sees up to 100
# steps. What is drawn is the share of the variance that the answers explain: 1 is exact, 0 is no better than always saying the mean.


# %%
def numbers(length, rows, generator):
    """Return rows of numbers and marks, (rows, length, 2), whose label is the first number."""
    values = torch.rand(rows, length, generator=generator)
    marks = torch.zeros(rows, length)
    marks[:, 0] = 1
    return {"inputs_embeds": torch.stack([values, marks], dim=-1), "labels": values[:, 0]}


def remembered(model, length, generator):
    """Return the share of the variance of 500 numbers that a model's answers explain."""
    rows = numbers(length, 500, generator)
    with torch.no_grad():
        answers = model(**rows).logits[:, 0]
    return 1 - ((answers - rows["labels"]).square().mean() / rows["labels"].var(correction=0)).item()


fresh, trained, memory = {}, {}, {}
for cell_type in CELLS:
    for seed in SEEDS:
        fresh[cell_type] = build(cell_type, seed, labels=1, inputs=2)
        trained[cell_type] = train(build(cell_type, seed, labels=1, inputs=2), numbers, steps=1000, longest=100, seed=seed)
        generator = torch.Generator().manual_seed(99)
        memory[cell_type, seed] = [remembered(trained[cell_type], length, generator) for length in LENGTHS]
        print(f"{CELLS[cell_type]:10} seed {seed}  " + "".join(f"{share:7.3f}" for share in memory[cell_type, seed]))

plt.figure(figsize=(8, 3.2), layout="constrained")
for (cell_type, seed), shares in memory.items():
    plt.plot(LENGTHS, shares, "o-" if seed == 0 else "o--", color=COLOURS[cell_type], label=f"{CELLS[cell_type]}, seed {seed}")
plt.axvline(100, color="black", linewidth=0.8, linestyle=":")
plt.xscale("log")
plt.xticks(LENGTHS, LENGTHS)
plt.minorticks_off()
plt.ylim(-0.1, 1.05)
plt.xlabel("steps between number and answer (training ends at the dotted line)")
plt.ylabel("share of the variance")
plt.grid(alpha=0.3)
plt.legend(ncols=3, fontsize=8)
plt.show()

# %% [markdown] lang="ko"
# ## 기울기는 어디까지 닿는가
#
# 학습은 기울기를 거슬러 보내는 일입니다. 마지막 답에서 각 걸음의 입력까지 기울기의 크기를 그립니다. 왼쪽은 학습 전, 오른쪽은 수를 배운 뒤입니다. 세로축은 로그 눈금입니다.
#
# 학습 전에는 GRU가 가장 빨리 잊습니다. 갱신 게이트가 0.5 근처에서 시작하고, 0.5를 백 번 곱하면 0이기 때문입니다. LSTM의 망각 게이트는 그래서 0.73 근처에서, 단순 RNN의 행렬은 길이를 바꾸지
# 않는 직교 행렬에서 시작합니다. 게이트의 힘은 처음부터 있는 것이 아니라, 1에 가깝게 **열어 두는 것을 배울 수 있다**는 데 있습니다. 배운 뒤의 LSTM과 GRU는 처음 걸음에서 기울기가 가장 큽니다.

# %% [markdown] lang="en"
# ## How far gradients reach
#
# Learning sends gradients back. Their size is drawn from the answer to the input of each step, before training on the left, after learning numbers on the right,
# on a logarithmic scale.
#
# Before training the GRU forgets fastest: its update gates start near one half, and one half multiplied a hundred times is nothing. That is why the forget gates
# of the LSTM start near 0.73, and the matrix of the plain RNN as an orthogonal one, which keeps lengths. The strength of gates is not that they are open from the
# start, but that they **can learn to stay open**: after training, LSTM and GRU have their largest gradient at the first step.


# %%
def reach(model, length=100):
    """Return the size of the gradient of the answer at the input of each step, (length,)."""
    rows = numbers(length, 32, torch.Generator().manual_seed(5))
    inputs = rows["inputs_embeds"].requires_grad_()
    model.train()
    model(inputs_embeds=inputs).logits.sum().backward()
    model.eval()
    return inputs.grad.norm(dim=-1).mean(0)


figure, axes = plt.subplots(1, 2, figsize=(11, 3.2), sharey=True, layout="constrained")
for axis, title, models in zip(axes, ("before training", "after training"), (fresh, trained), strict=True):
    for cell_type, model in models.items():
        axis.plot(reach(model), color=COLOURS[cell_type], label=CELLS[cell_type])
    axis.set(title=title, yscale="log", ylim=(1e-10, 10), xlabel="step of the input; the answer comes after step 99")
    axis.grid(alpha=0.3)
axes[0].set_ylabel("size of the gradient")
axes[0].legend()
plt.show()

# %% [markdown] lang="ko"
# ## 한 유닛의 게이트를 소리 내어 읽기
#
# 배운 LSTM의 게이트를 셀의 식으로 직접 계산합니다. 30걸음 뒤에도 셀이 처음 수를 가장 잘 말해 주는 유닛을 골라 글로 읽습니다.

# %% [markdown] lang="en"
# ## The gates of one unit, read aloud
#
# The gates of the trained LSTM, computed by the equations of the cell. Of its units the one is read whose cell still tells most of the first number after 30
# steps.

# %%
layer = trained["lstm"].base_model.layers[0].recurrence
rows = numbers(30, 200, torch.Generator().manual_seed(7))
inputs, first = rows["inputs_embeds"], rows["labels"]
trace = {name: [] for name in ("input gate", "forget gate", "output gate", "cell")}
with torch.no_grad():
    h = c = torch.zeros(200, 32)
    for x in inputs.unbind(1):
        sums = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        i, f, g, o = sums.chunk(4, dim=1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        for name, values in zip(trace, (i, f, o, c), strict=True):
            trace[name].append(values)
    assert torch.allclose(h, trained["lstm"].base_model(inputs_embeds=inputs).last_hidden_state[:, -1], atol=1e-5)
likeness = torch.corrcoef(torch.cat([first[None], c.T]))[0, 1:]
unit = likeness.abs().argmax()
print(f"unit {unit}: after 30 steps its cell and the first number have a correlation of {likeness[unit]:+.3f}")
trace = {name: torch.stack(values)[:, 0, unit] for name, values in trace.items()}
for step in (0, 1, 2, 10, 29):
    writes, keeps, cell = (trace[name][step] for name in ("input gate", "forget gate", "cell"))
    print(f"step {step:2}: reads {inputs[0, step, 0]:.2f}, lets {writes:4.0%} of it in, keeps {keeps:4.0%} of its cell, now {cell:+.2f}")

figure, axes = plt.subplots(2, 1, figsize=(9, 3.6), sharex=True, layout="constrained")
for name, values in trace.items():
    axes[int(name == "cell")].plot(values, "o-", markersize=3, label=name)
axes[0].set_ylim(-0.05, 1.05)
axes[1].set_xlabel("step")
for axis in axes:
    axis.grid(alpha=0.3)
    axis.legend(loc="right")
plt.show()

# %% [markdown] lang="ko"
# ## 셋 모두 영화 리뷰를 읽다
#
# 짧은 리뷰에서는 차이가 작습니다. 수십 걸음 안에서 무엇이 좋고 나쁜지만 기억하면 되기 때문입니다. 리뷰가 길수록, 세야 할 것이 많을수록 게이트가 필요합니다.

# %% [markdown] lang="en"
# ## All three read film reviews
#
# On short reviews they differ by little: within some dozen steps it is enough to hold on to what was good or bad. Gates matter where texts are long and there is
# much to keep.

# %%
samples = Path(hf_rnn.__file__).parent / "samples"
train_rows = list(read_rows(str(samples / "nsmc_train.tsv")))[:2500]
test_rows = list(read_rows(str(samples / "nsmc_test.tsv")))
sizes = {"embedding_size": 64, "hidden_size": 64, "num_hidden_layers": 1, "vocab_size": 3000, "linear_size": 0}
settings = {"num_train_epochs": 6, "learning_rate": 5e-3, "embedding_dropout": 0.1, "input_dropout": 0.3, "hidden_dropout": 0.3}
accuracy = {}
for cell_type, name in CELLS.items():
    options = {"cell_type": cell_type, "output_dir": cell_type, **sizes, **settings}
    with redirect_stdout(StringIO()):
        result = hf_rnn.train("text-classification", train=train_rows, test=test_rows, **options)
    accuracy[name] = result.metrics["test_accuracy"]
    print(f"{name}: {accuracy[name]:.1%} of {len(test_rows):,} reviews")

# %% [markdown] lang="ko"
# ## 연습 문제
#
# 1. 망각 게이트의 편향을 0으로 두고 시작하면 LSTM은 몇 걸음까지 수를 기억하나요? 편향을 3으로 두면?
# 2. 두 수의 합을 기억하게 하세요(Hochreiter와 Schmidhuber 1997의 "adding problem"). 단순 RNN은 어디까지 가나요?
# 3. 게이트가 하나뿐인 셀(minimal gated unit)을 `hf_rnn.register_cell`로 만들어 수를 기억시켜 보세요.

# %% [markdown] lang="en"
# ## Exercises
#
# 1. How far does the LSTM remember a number if its forget gates start with a bias of 0? And with a bias of 3?
# 2. Let them remember the sum of two marked numbers (the adding problem of Hochreiter and Schmidhuber 1997). How far does the plain RNN get?
# 3. Write a cell with a single gate, the minimal gated unit, with `hf_rnn.register_cell`, and let it remember a number.

# %%
SOLUTIONS = {
    "1": """\
model = build("lstm", 0, labels=1, inputs=2)
layer = model.base_model.layers[0].recurrence
with torch.no_grad():
    # the second quarter of a bias is the forget gate's
    layer.bias_ih_l0[32:64], layer.bias_hh_l0[32:64] = 3.0, 0.0
train(model, numbers, steps=1000, longest=100, seed=0)
print([round(remembered(model, length, torch.Generator().manual_seed(99)), 3) for length in LENGTHS])""",
    "2": """\
def sums(length, rows, generator):
    batch = numbers(max(2, length), rows, generator)
    batch["inputs_embeds"][:, -1, 1] = 1
    batch["labels"] = (batch["inputs_embeds"][:, 0, 0] + batch["inputs_embeds"][:, -1, 0]) / 2
    return batch""",
    "3": """\
from torch.nn.functional import linear
from hf_rnn.models.cells import Cell

def step(share, state, w_hh, b_hh):
    (h,) = state
    (f, n), (w_f, w_n), (b_f, b_n) = share.chunk(2, dim=1), w_hh.chunk(2), b_hh.chunk(2)
    f = (f + linear(h, w_f, b_f)).sigmoid()
    n = (n + linear(f * h, w_n, b_n)).tanh()
    return {"forget gate": f, "candidate": n, "hidden": (1 - f) * h + f * n}

hf_rnn.register_cell(Cell("mgu", gates=("forget gate", "candidate"), states=("hidden",), step=step))
model = train(build("mgu", 0, labels=1, inputs=2), numbers, steps=1000, longest=100, seed=0)""",
}
for number, code in SOLUTIONS.items():
    display(HTML(f"<details><summary>{number}</summary><pre>{escape(code)}</pre></details>"))
