r"""
.. _neuron_to_network:

Follow a number through a network and back
==========================================

What is a neuron, and how does a network find out which of its weights is to
blame for a wrong guess? After this page you can compute the guess of a small
network by hand, send the slope of its error back through it, take one step of
learning, and tell parameters from hyperparameters.

.. concepts: M18 X02
.. claims: c0-66 c0-67 c0-68 c0-70 c0-73 c0-99 c1-70
"""

import copy

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import PALETTE, show_pictures

# %%
# One neuron
# ----------
#
# A *neuron* multiplies each input by a weight, adds it all up with a *bias*,
# and puts the sum through an *activation*. Ours is `torch.nn.ReLU`: a negative
# sum becomes 0. Say a plant had 2 hours of sun and 1 liter of water:

inputs = torch.tensor([2.0, 1.0])  # sun, water
weight, bias = torch.tensor([0.5, 1.0]), torch.tensor(1.0)
weighted_sum = weight @ inputs + bias
neuron = torch.relu(weighted_sum)
of_negative = torch.relu(-weighted_sum)
print(weighted_sum, neuron, of_negative)

assert neuron == weighted_sum == 2 * 0.5 + 1 * 1.0 + 1 == 3
assert of_negative == 0

# %%
# Layers of neurons
# -----------------
#
# Neurons side by side are a *layer*, and layers one behind the other are a
# network. `torch.nn.Linear` holds the weights and biases of a layer. We put in
# our own; the first row is the neuron above.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The middle layers are said to *be* the activations. A layer
#    holds weights; an activation holds none.

model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
first, activation, second = model
with torch.no_grad():
    first.weight.copy_(torch.tensor([[0.5, 1.0], [1.0, -1.0], [-1.0, 0.5]]))
    first.bias.copy_(torch.tensor([1.0, 0.0, 0.5]))
    second.weight.copy_(torch.tensor([[1.0, -2.0, 3.0]]))
    second.bias.copy_(torch.tensor([5.0]))
counts = [sum(p.numel() for p in part.parameters()) for part in model]
print("numbers held by each part:", counts)

assert counts == [2 * 3 + 3, 0, 3 * 1 + 1]

# %%
# Forward, by hand
# ----------------
#
# The *forward pass* goes from the inputs to a guess: how many centimeters has
# our plant grown? Each neuron of the middle, *hidden* layer has its own sum.
# The third is negative, so this neuron puts out 0: it is *off*.

sun, water = 2.0, 1.0
sums = torch.tensor(
    [
        0.5 * sun + 1.0 * water + 1.0,  # 3
        1.0 * sun - 1.0 * water + 0.0,  # 1
        -1.0 * sun + 0.5 * water + 0.5,  # -1
    ]
)
hidden = torch.relu(sums)
guess = 1.0 * hidden[0] - 2.0 * hidden[1] + 3.0 * hidden[2] + 5.0
print(hidden, guess)

assert hidden.tolist() == [3, 1, 0] and guess == 3 - 2 + 0 + 5 == 6
assert torch.equal(first(inputs), sums) and model(inputs) == guess

# %%
# Draw a network
# --------------
#
# A circle holds what a neuron puts out. A line carries that to the right,
# times the weight on it. This function draws both (skip it, if you like):


def draw_network(columns, layers):
    """Draw neurons and their weights, up to three neurons in a column."""
    assert len(columns) == len(layers) + 1, "a layer leads to each new column"
    _, ax = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    ink = {"color": "#1a1a1a", "ha": "center", "va": "center", "zorder": 4}
    box = {"boxstyle": "round,pad=0.2", "fc": PALETTE[5], "ec": "none"}
    levels = {1: [0], 2: [1, -1], 3: [1, 0, -1]}
    for x, values in enumerate(columns):
        for y, value in zip(levels[len(values)], values, strict=True):
            ax.scatter(x, y, s=1200, color=PALETTE[0], zorder=3)
            ax.text(x, y, f"{value:g}", **ink)
    for x, (weight, bias) in enumerate(layers, 1):
        for y, row, value in zip(levels[len(bias)], weight, bias, strict=True):
            ax.text(x, y - 0.42, f"bias {value:g}", ha="center")
            for start, value in zip(levels[len(row)], row, strict=True):
                ax.plot([x - 1, x], [start, y], color="#8a8f98", zorder=1)
                middle = 0.7 * start + 0.3 * y
                ax.text(x - 0.7, middle, f"{value:g}", **ink, bbox=box)
    ax.axis((-0.2, 2.2, -1.5, 1.25))
    ax.axis("off")


# %%
# Cover the left column, and you see a network without a hidden layer.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Figures are links to other sites or a photo on a
#    private drive. This one is drawn from the weights.
#
# .. alt: Three columns of circles. The inputs 2 and 1 lead to three hidden
#    neurons that hold 3, 1 and 0, and these lead to the guess, 6. A small box
#    on each of the nine lines holds its weight, and each neuron's bias stands
#    below it.

layers = [(first.weight, first.bias), (second.weight, second.bias)]
draw_network([inputs, hidden, guess[None]], layers)
show_pictures()

assert torch.equal(second(hidden), guess[None])

# %%
# Backward, by hand
# -----------------
#
# The plant has grown 4 cm. The *loss* says how bad the guess is: here, the
# square of the error. The *backward pass* asks of each number: if it grew, how
# fast would the loss grow? That is its slope, or *gradient*: 2 · error for the
# guess, and this times what came in for a last weight.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    The loss is said to be passed back, and there the story
#    breaks off. What goes back is a slope. What comes next is a
#    step, below.

target = 4.0
loss = (guess - target) ** 2
at_guess = 2 * (guess - target)
second_weight = at_guess * hidden
print(loss, at_guess, second_weight)

assert loss == (6 - 4) ** 2 and at_guess == 2 * (6 - 4)
assert second_weight.tolist() == [4 * 3, 4 * 1, 4 * 0]

# %%
# Further back, slopes multiply along the way: the *chain rule*. The slope at
# the guess times a weight is the slope at a hidden neuron. It gets through if
# the neuron is on. Times an input, it is the slope of a weight.

at_hidden = at_guess * torch.tensor([1.0, -2.0, 3.0])
at_sums = torch.where(sums > 0, at_hidden, 0.0)  # the third is off
first_weight = torch.outer(at_sums, inputs)
print(at_hidden, at_sums)
print(first_weight)

assert at_hidden.tolist() == [4 * 1, 4 * -2, 4 * 3]
assert at_sums.tolist() == [4, -8, 0]
assert first_weight.tolist() == [[4 * 2, 4 * 1], [-8 * 2, -8 * 1], [0, 0]]

# %%
# Backward, by autograd
# ---------------------
#
# `torch.Tensor.backward` goes the same way and finds the same. In this figure
# each number has given way to its slope. Read it from the right.
#
# .. alt: The network again, now with slopes. The guess holds 4, the hidden
#    neurons 4, -8 and 12, and the inputs -6 and 12. The lines from the hidden
#    neurons to the guess hold 12, 4 and 0. Both lines into the third hidden
#    neuron hold 0.

loss = (model(inputs)[0] - target) ** 2
loss.backward()
at_inputs = at_sums @ first.weight
slopes = [(weight.grad, bias.grad) for weight, bias in layers]
draw_network([at_inputs, at_hidden, at_guess[None]], slopes)
show_pictures()

assert torch.equal(first.weight.grad, first_weight)
assert torch.equal(first.bias.grad, at_sums)
assert torch.equal(second.weight.grad[0], second_weight)
assert second.bias.grad == at_guess and at_inputs.tolist() == [-6, 12]

# %%
# The third hidden neuron would matter (12), but is off: its weights learn
# nothing here.
#
# One step of learning
# --------------------
#
# A slope points up. So each weight and bias moves a little the other way, by
# its slope times the *learning rate*. Then it all begins again.

stepped = copy.deepcopy(model)
with torch.no_grad():
    for new, old in zip(stepped.parameters(), model.parameters(), strict=True):
        new -= 0.01 * old.grad
names = [name for name, _ in stepped.named_parameters()]
print(names)
print(stepped[2].weight.detach())
before, after = model(inputs).item(), stepped(inputs).item()
print(f"guess before {before:.2f}, after {after:.2f}, wanted {target:.2f}")

moved = torch.tensor([[1 - 0.01 * 12, -2 - 0.01 * 4, 3.0]])
assert torch.allclose(stepped[2].weight, moved)
assert names == ["0.weight", "0.bias", "2.weight", "2.bias"]
assert before == 6 and f"{after:.2f}" == "4.37" and target == 4

# %%
# Parameters and hyperparameters
# ------------------------------
#
# *Parameters* are what training changes. *Hyperparameters* you choose: number
# of neurons, batch size, learning rate. No slope tells the best, so try some.
# `torch.optim.SGD` takes our step:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Weights and biases are called hyperparameters, like L1, L2 and the batch
#    size. They are the parameters.
#
# .. alt: Loss by step for three learning rates, all from 4. With 0.001 it
#    falls slowly, to 1.2. With 0.01 it is almost 0 after one step. With 0.03
#    it climbs to 13 first and comes down later.


def train(rate):
    """Return the loss before each of eight steps."""
    student, losses = copy.deepcopy(model), []
    optimizer = torch.optim.SGD(student.parameters(), lr=rate)
    for _ in range(8):
        loss = (student(inputs)[0] - target) ** 2
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert not torch.equal(student[0].weight, first.weight)
    return losses


slow, good, fast = train(0.001), train(0.01), train(0.03)
fig, ax = plt.subplots(figsize=(5.6, 3), layout="constrained")
ax.plot(torch.tensor([slow, good, fast]).T, marker="o")
ax.legend(["learning rate 0.001", "0.01", "0.03"])
ax.set(xlabel="step", ylabel="loss")
show_pictures()

assert slow[0] == good[0] == fast[0] == 4 and 1.1 < slow[-1] < 1.3
assert max(good[1:]) < 0.2 and 12 < max(fast) < 14

# %%
# What you learned
# ----------------
#
# Forward, a neuron computes activation(weights · inputs + bias). Backward,
# slopes multiply on their way from the loss. A step moves each parameter
# against its slope.
#
# Next: :ref:`linear`, a layer as one product; :ref:`activations`, why neurons
# bend their sums; :ref:`graph_chain_rule`, the way back; :ref:`sgd_step`.
