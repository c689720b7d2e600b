r"""
.. _squeeze_cat_stack:

Add a dimension, drop one, join tensors
=======================================

Your network was trained on batches, and now you have one single image. Why
does it fail, and what is missing? After this page you can add and drop
dimensions of size 1 on purpose, join tensors along an old dimension or a new
one, predict the shape that comes out, and collect the results of all batches,
the short one included.

.. concepts: S05 S06 S07
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from snippets.drawing import draw_tensors

# %%
# A dimension of size 1
# ---------------------
#
# `torch.unsqueeze` puts a dimension of size 1 where you say, and
# `torch.squeeze` takes it away. The numbers and their order stay the same.
# Indexing with ``None`` inserts one too.

table = torch.tensor([[1, 2, 3], [4, 5, 6]])  # (2, 3)
deeper = table.unsqueeze(1)  # (2, 1, 3)
back = deeper.squeeze(1)  # (2, 3)
print(deeper)

assert deeper.tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
assert torch.equal(deeper, table[:, None])
assert torch.equal(back, table)

# %%
# If the dimension that you name is not of size 1, ``squeeze`` does nothing,
# and says nothing. If you name none, it drops *every* dimension of size 1.
# That may be one that you need: here, a batch that happens to hold one row.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    ``squeeze`` removes the dimension; these two cases are missing (claim
#    c3-14). ``unsqueeze`` is said to expand one (claim c3-16). It inserts one;
#    `torch.Tensor.expand` is another method, which repeats it.

batch, batch_of_one = torch.zeros(2, 1, 3), torch.zeros(1, 1, 3)
unchanged = batch.squeeze(0)
without_batch = batch_of_one.squeeze()
as_meant = batch_of_one.squeeze(1)
print("(2, 1, 3), squeeze(0):", tuple(unchanged.shape))
print("(1, 1, 3), squeeze(): ", tuple(without_batch.shape))
print("(1, 1, 3), squeeze(1):", tuple(as_meant.shape))

assert unchanged.shape == (2, 1, 3)
assert without_batch.shape == (3,) and as_meant.shape == (1, 3)
assert batch.expand(2, 4, 3).shape == (2, 4, 3)

# %%
# One image is not a batch
# ------------------------
#
# This network works on a batch of five gray images, shape (5, 1, 8, 8). A
# single image has shape (1, 8, 8). The convolution takes it as it is. Then
# ``Flatten`` keeps dimension 0, which now holds the 4 channels, and the last
# layer gets four rows of 36 numbers:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Even a single sample is said to be batched (claim c0-63). Nothing adds the
#    dimension for you.

network = nn.Sequential(
    nn.Conv2d(1, 4, kernel_size=3),  # (N, 4, 6, 6)
    nn.Flatten(),  # (N, 144)
    nn.Linear(4 * 6 * 6, 2),
)
images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
image = images[0]
try:
    network(image)
except RuntimeError as error:
    print(error)
    assert "shapes cannot be multiplied (4x36 and 144x2)" in str(error)
else:
    raise AssertionError("a single image must not fit")
assert network[0](image).shape == (4, 6, 6)  # the convolution took it
assert network(images).shape == (5, 2)

# %%
# ``unsqueeze(0)`` makes it a batch of one. The answer is a batch of one too.

single = image.unsqueeze(0)  # (1, 8, 8) -> (1, 1, 8, 8)
answer = network(single)
print(tuple(single.shape), tuple(answer.shape))

assert single.shape == (1, 1, 8, 8) and answer.shape == (1, 2)
assert torch.allclose(answer[0], network(images)[0], atol=1e-6)

# %%
# Join along an old dimension: cat
# --------------------------------
#
# Two days of measurements, each with two rooms and four hours. `torch.cat`
# joins them along a dimension that is there already. That size grows; the
# other stays. The result is a copy.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Joining is called ``.cat()`` (claim c1-16). Tensors have no such method:
#    it is `torch.cat`, and it takes a list.
#
# .. alt: Joined along dimension 0, two blue rows of Monday stand above two
#    orange rows of Tuesday. Along dimension 1, each row has four blue cells
#    and then four orange ones.

monday = torch.tensor([[11, 12, 13, 14], [15, 16, 17, 18]])  # (room, hour)
tuesday = monday + 10
taller = torch.cat([monday, tuesday])  # dim=0: (4, 4)
wider = torch.cat([monday, tuesday], dim=1)  # (2, 8)
draw_tensors(
    {"cat, dim=0": taller, "cat, dim=1": wider},
    groups=[taller // 10 - 1, wider // 10 - 1],  # a color for each day
)
plt.show()

assert taller.shape == (4, 4) and torch.equal(taller[2:], tuesday)
assert wider.shape == (2, 8) and torch.equal(wider[:, 4:], tuesday)
assert taller.data_ptr() != monday.data_ptr()
assert not hasattr(torch.Tensor, "cat")

# %%
# All sizes must match, except along the dimension that joins. A morning with
# two hours fits beside Monday, but not below it:

morning = torch.tensor([[51, 52], [55, 56]])  # (2, 2)
print(torch.cat([monday, morning], dim=1))
try:
    torch.cat([monday, morning], dim=0)
except RuntimeError as error:
    print(error)
    assert "must match except in dimension 0" in str(error)
    assert "Expected size 4 but got size 2" in str(error)
else:
    raise AssertionError("rows of 4 and rows of 2 must not join")

expected = [[11, 12, 13, 14, 51, 52], [15, 16, 17, 18, 55, 56]]
assert torch.cat([monday, morning], dim=1).tolist() == expected

# %%
# Join along a new dimension: stack
# ---------------------------------
#
# `torch.stack` keeps the days apart: it makes a new dimension, and its size is
# the number of tensors. Here that is 3. You choose where it goes:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Two tensors of shape (2, 3), stacked, are said to give (1, 2, 3) (claim
#    c3-18). They give (2, 2, 3).
#
# .. alt: Stacked along dimension 0, three blocks, one for each day and of one
#    color. Along dimension 1, two blocks with a row of each color. Along
#    dimension 2, two blocks with a column of each color.

days = [monday, tuesday, tuesday + 10]
stacks = [torch.stack(days, dim=dim) for dim in range(3)]
draw_tensors(
    {f"stack, dim={dim}": stacked for dim, stacked in enumerate(stacks)},
    groups=[stacked // 10 - 1 for stacked in stacks],
)
plt.show()
print([tuple(stacked.shape) for stacked in stacks])

shapes = [stacked.shape for stacked in stacks]
assert shapes == [(3, 2, 4), (2, 3, 4), (2, 4, 3)]
assert torch.equal(stacks[1][:, 2], days[2])
assert torch.equal(stacks[0], torch.cat([day.unsqueeze(0) for day in days]))
assert torch.stack([torch.zeros(2, 3)] * 2).shape == (2, 2, 3)

# %%
# The last batch is short
# -----------------------
#
# Seven predictions came in batches of three, so the last batch holds one.
# ``stack`` wants equal shapes:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    Predictions are appended to a list (claim c3-92). The step that is missing
#    is ``cat``: it takes a short batch too, and ``stack`` does not.

outputs = torch.arange(7).view(7, 1).split(3)  # (3, 1), (3, 1), (1, 1)
try:
    torch.stack(outputs)
except RuntimeError as error:
    print(error)
    assert "stack expects each tensor to be equal size" in str(error)
    assert "[3, 1] at entry 0 and [1, 1] at entry 2" in str(error)
else:
    raise AssertionError("batches of 3 and 1 must not stack")

# %%
# ``cat`` lets the batches differ. But a ``squeeze`` that names no dimension
# has taken the last one away from the batch of one. Name it, and all seven
# join:

try:
    torch.cat([output.squeeze() for output in outputs])
except RuntimeError as error:
    print(error)
    assert "zero-dimensional tensor (at position 2)" in str(error)
else:
    raise AssertionError("a tensor without dimensions must not join")
predictions = torch.cat([output.squeeze(1) for output in outputs])
print(predictions)

assert predictions.tolist() == [0, 1, 2, 3, 4, 5, 6]

# %%
# What you learned
# ----------------
#
# ``unsqueeze`` inserts a dimension of size 1; ``squeeze`` drops it, and should
# be told which. ``cat`` makes a dimension longer, ``stack`` makes a new one as
# long as the list.
#
# Next: :ref:`numpy_bridge` takes tensors to NumPy and back. Sizes of 1 also
# stretch: see :ref:`broadcasting`. The pictures come from `snippets.drawing`.
