r"""
.. _rnn_shapes:

Read what a recurrent network returns
=====================================

Three sequences of five steps go into a recurrent layer, and two tensors come
out: which size is time, which is the batch? After this page you can compute a
recurrent cell by hand, read the shapes that ``RNN``, ``GRU`` and ``LSTM``
return, and avoid the mix-up that raises no error.

.. concepts: R01
.. claims: c3-97
"""

import matplotlib.pyplot as plt
import torch

from snippets.drawing import PALETTE, show_pictures

# %%
# Batch and time are easily mixed up
# ----------------------------------
#
# A recurrent layer reads a sequence step by step. Our batch holds 3 sequences
# of 5 steps, each step 4 numbers. No sequence may influence another. To test
# that, we change the first one and see whose outputs change.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The page on recurrent layers is empty. Three things belong
#    there: by default `torch.nn.RNN`, `torch.nn.GRU` and `torch.nn.LSTM` read
#    (time, batch, features); ``batch_first=True`` turns input and output, but
#    not ``h_n``; and a single sequence without a batch is welcome too.

torch.manual_seed(0)
batch = torch.randn(3, 5, 4)  # (batch, time, features)
changed = batch.clone()
changed[0] += 1

reacted = {}
for batch_first in (False, True):
    rnn = torch.nn.RNN(4, 6, batch_first=batch_first)
    output, h_n = rnn(batch)
    reaction = (rnn(changed)[0] != output).any(dim=2).any(dim=1)
    reacted[batch_first] = reaction.tolist()
    print(tuple(output.shape), tuple(h_n.shape), reacted[batch_first])
    assert output.shape == (3, 5, 6)
    assert h_n.shape == (1, 3 if batch_first else 5, 6)

assert reacted == {False: [True] * 3, True: [True, False, False]}

# %%
# The default, in the first row, mixes the sequences without an error: it takes
# our batch for 5 sequences of 3 steps. Only ``h_n``, with one row for each
# sequence, gives it away: 5 rows.
#
# A cell, by hand
# ---------------
#
# What goes from one step to the next is the *state*, here 6 numbers for each
# sequence. A plain cell adds a mix of the new input to a mix of the old state
# and squashes the sum with `torch.tanh`. The same weights serve every step.

rnn = torch.nn.RNN(4, 6, batch_first=True)
state = torch.zeros(3, 6)  # before the first step
states = []
for x in batch.unbind(dim=1):  # five times (3, 4)
    from_input = x @ rnn.weight_ih_l0.T + rnn.bias_ih_l0
    from_state = state @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
    state = torch.tanh(from_input + from_state)
    states.append(state)
output, h_n = rnn(batch)
print(tuple(output.shape), tuple(h_n.shape))

assert torch.allclose(torch.stack(states, dim=1), output, atol=1e-6)
assert torch.allclose(state, h_n[0], atol=1e-6)
assert output.shape == (3, 5, 6) and h_n.shape == (1, 3, 6)

# %%
# Unrolled in time
# ----------------
#
# ``output`` holds the state after every step, ``h_n`` the state after the
# last. Here is a cell whose state is one number. It sees a 1, then zeros, and
# remembers the 1 a little less with each step.

echo = torch.nn.RNN(1, 1, bias=False, batch_first=True)
torch.nn.init.constant_(echo.weight_ih_l0, 1.0)
torch.nn.init.constant_(echo.weight_hh_l0, 0.8)
pulse = [1.0, 0.0, 0.0, 0.0, 0.0]
output, h_n = echo(torch.tensor(pulse)[None, :, None])  # (1, 5, 1)
heard = [f"{number:.2f}" for number in output.flatten()]
print(heard, f"{h_n.item():.2f}")

assert torch.isclose(output[0, 0], torch.tensor(1.0).tanh())
assert torch.allclose(output[0, 1:], (0.8 * output[0, :-1]).tanh())
assert heard == ["0.76", "0.54", "0.41", "0.32", "0.25"]
assert h_n.item() == output[0, -1].item()

# %%
# .. alt: Five cells side by side. Below each stands its input: 1, 0, 0, 0, 0.
#    Above each stands its output: 0.76, 0.54, 0.41, 0.32, 0.25. Arrows lead
#    from cell to cell, and from the last cell to h_n, which is 0.25 too.

fig, ax = plt.subplots(figsize=(6, 2.2), layout="constrained")
middle = {"ha": "center", "va": "center"}
for step, number in enumerate(pulse):
    for y, text in enumerate((f"{number:.0f}", "cell", heard[step])):
        box = {"boxstyle": "round", "facecolor": PALETTE[y]}
        ax.text(step, y, text, color="#1a1a1a", bbox=box, **middle)
    for x, y, sign in ((0, 0.5, "↑"), (0, 1.5, "↑"), (0.5, 1, "→")):
        ax.text(step + x, y, sign, fontsize=14, **middle)
for x, y, text in ((-0.9, 0, "input"), (-0.9, 2, "output"), (5, 0.4, "h_n")):
    ax.text(x, y, text, **middle)
last = ax.text(5, 1, f"{h_n.item():.2f}", color="#1a1a1a", bbox=box, **middle)
ax.set(xlim=(-1.3, 5.4), ylim=(-0.3, 2.3))
ax.set_axis_off()
show_pictures()

assert last.get_text() == heard[-1] == "0.25"

# %%
# The last step or the last sequence
# ----------------------------------
#
# To judge a whole sequence, one takes the state after its last step. That is
# ``output[:, -1]``, but ``h_n[-1]``, because in ``h_n`` the batch is always
# the *second* dimension. The other way around picks the last sequence, again
# without an error.

output, h_n = rnn(batch)  # (3, 5, 6) and (1, 3, 6)
last_step = output[:, -1]
last_sequence = output[-1]
print("last step", tuple(last_step.shape), tuple(h_n[-1].shape))
print("last sequence", tuple(last_sequence.shape), tuple(h_n[:, -1].shape))

assert torch.equal(last_step, h_n[-1]) and last_step.shape == (3, 6)
assert last_sequence.shape == (5, 6) and h_n[:, -1].shape == (1, 6)
assert torch.equal(last_sequence[-1], h_n[0, -1])

# %%
# Hand ``h_n`` back in to go on: two steps, then three more, equal five at
# once. And one sequence needs no batch: two dimensions are read as
# (time, features).

first, middle = rnn(batch[:, :2])
rest, end = rnn(batch[:, 2:], middle)
alone, _ = rnn(batch[0])
print(tuple(first.shape), tuple(rest.shape), tuple(alone.shape))

assert first.shape == (3, 2, 6) and rest.shape == (3, 3, 6)
assert torch.allclose(torch.cat([first, rest], dim=1), output, atol=1e-6)
assert torch.allclose(end, h_n, atol=1e-6)
assert torch.allclose(alone, output[0], atol=1e-6) and alone.shape == (5, 6)

# %%
# Layers and directions
# ---------------------
#
# With ``num_layers=2`` a second layer reads the states of the first. With
# ``bidirectional=True`` each layer has a twin that reads from the end. Then
# ``output`` shows the top layer, both directions side by side, and ``h_n`` has
# a row for each layer and direction.

rows = []
for layers in (1, 2):
    for ways in (1, 2):
        settings = {"num_layers": layers, "bidirectional": ways == 2}
        for kind in (torch.nn.RNN, torch.nn.GRU):
            deep = kind(4, 6, batch_first=True, **settings)
            output, h_n = deep(batch)
            assert output.shape == (3, 5, ways * 6)
            assert h_n.shape == (layers * ways, 3, 6)
        shapes = f"{tuple(output.shape)!s:<11} {tuple(h_n.shape)}"
        rows.append(f"{layers:<7} {ways:<11} {shapes}")
print("layers  directions  output      h_n")
print("\n".join(rows))

assert rows[0] == "1       1           (3, 5, 6)   (1, 3, 6)"
assert rows[1] == "1       2           (3, 5, 12)  (2, 3, 6)"
assert len(rows) == 4
# %%
# With two directions ``output[:, -1]`` is a trap: the twin that reads backward
# has only begun there. It is done at the *first* step. The last two rows of
# ``h_n`` are the ends of both.

forward, backward = h_n[-2], h_n[-1]
done = {}
for step in (0, -1):
    ahead, back = output[:, step].chunk(2, dim=1)  # each (3, 6)
    done[step] = torch.equal(ahead, forward), torch.equal(back, backward)
print("forward, backward done:", done)

assert done == {0: (False, True), -1: (True, False)}

# %%
# LSTM has a second state
# -----------------------
#
# A `torch.nn.LSTM` keeps a second state, ``c_n``, for what should last, and
# returns the two as a pair. Code written for a GRU takes the pair for ``h_n``.
# Its ``h_n[-1]`` is then the whole of ``c_n``, without an error.

lstm = torch.nn.LSTM(4, 6, batch_first=True)
output, pair = lstm(batch)
h_n, c_n = pair
print("of the pair:", tuple(pair[-1].shape), " of h_n:", tuple(h_n[-1].shape))

assert isinstance(pair, tuple) and len(pair) == 2 and pair[-1] is c_n
assert h_n.shape == c_n.shape == (1, 3, 6) and h_n[-1].shape == (3, 6)
assert torch.equal(output[:, -1], h_n[-1]) and not torch.equal(h_n, c_n)

# %%
# Gates, and the weights they take
# --------------------------------
#
# A plain cell overwrites its whole state at every step. GRU and LSTM compute,
# for each number, how much of the old state to keep: a *gate*, from 0 to 1.
# Each gate has weights of its own. A layer of ``parts`` parts counts
# ``parts * hidden * (features + hidden + 2)`` weights, the 2 for two biases.

gru = torch.nn.GRU(4, 6, batch_first=True)
features, hidden = 4, 6
counted = {}
for parts, layer in ((1, rnn), (3, gru), (4, lstm)):
    formula = parts * hidden * (features + hidden + 2)
    name = type(layer).__name__
    counted[name] = sum(weight.numel() for weight in layer.parameters())
    print(f"{name:<4} {parts} x 72 = {formula}, counted {counted[name]}")
    assert counted[name] == formula
assert counted == {"RNN": 72, "GRU": 216, "LSTM": 288}

# %%
# What you learned
# ----------------
#
# ``output`` is every step of the top layer, ``h_n`` the end of every layer and
# direction, and ``batch_first`` does not turn ``h_n``. An LSTM returns a pair
# of states. Shapes that fit prove little: change one sequence and look.
#
# Next: :ref:`learn_sequences` trains a GRU on sequences of different lengths.
# :ref:`self_attention` reads all steps at once.
