r"""
.. _numpy_bridge:

Exchange data with NumPy
========================

Your data is in a NumPy array, the model wants a tensor, and the plot wants an
array again. Which of these steps copies, and which leaves two names for the
same numbers? After this page you can predict that, avoid the float64 surprise,
and fix each conversion that PyTorch refuses.

.. concepts: N01 N02 N03
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch

from snippets.drawing import draw_memory

# %%
# A tensor and its array share memory
# -----------------------------------
#
# `torch.Tensor.numpy` copies nothing. The array reads the numbers where the
# tensor keeps them, so a change in place shows on both sides. ``tensor + 1``
# is not in place: its result has memory of its own.
#
# .. alt: The tensor and the array stand side by side above one strip of memory
#    that holds 7, 2, 2, 2, 2. The sum stands below, above a strip of its own
#    that holds 8, 3, 3, 3, 3.

tensor = torch.ones(5)
array = tensor.numpy()
tensor.add_(1)  # changes the tensor, and so the array
array[0] = 7  # changes the array, and so the tensor
plus_one = tensor + 1
print(tensor, array, array.dtype)
draw_memory({"tensor": tensor, "array": array, "tensor + 1": plus_one})
plt.show()

assert tensor.tolist() == array.tolist() == [7, 2, 2, 2, 2]
assert plus_one.tolist() == [8, 3, 3, 3, 3]
assert array.dtype == np.float32

# %%
# From an array: share or copy
# ----------------------------
#
# On the way in you choose: `torch.from_numpy` and `torch.as_tensor` share,
# `torch.tensor` copies. Only the copy will still have its 1:
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A tensor and its array are said to share memory always (claim c0-25):
#    the copy below does not. An array of integers is shown to become floats
#    (claim c3-07): the tensor keeps the array's dtype, here int64.
#
# .. alt: The array, the result of from_numpy and that of as_tensor stand above
#    one strip of memory with 99, 2, 3. The result of torch.tensor stands above
#    a strip of its own with 1, 2, 3.

source = np.array([1, 2, 3], dtype=np.int64)
shared = torch.from_numpy(source)
also_shared = torch.as_tensor(source)
copied = torch.tensor(source)
source[0] = 99
print(shared, copied, shared.dtype)
draw_memory(
    {"array": source, "from_numpy": shared, "as_tensor": also_shared}
    | {"torch.tensor": copied}
)
plt.show()

assert shared.tolist() == also_shared.tolist() == [99, 2, 3]
assert shared.data_ptr() == also_shared.data_ptr() == source.ctypes.data
assert copied.tolist() == [1, 2, 3]
assert shared.dtype == copied.dtype == torch.int64

# %%
# The float64 surprise
# --------------------
#
# NumPy's floats have 64 bits, the weights of a layer have 32, and a layer
# refuses to mix them. The error calls them *Double* and *Float*:

measured = np.array([0.5, 1.5])
layer = torch.nn.Linear(2, 1)
try:
    layer(torch.from_numpy(measured))
except RuntimeError as error:
    print(error)
    assert "Double and Float" in str(error)
else:
    raise AssertionError("a layer must not mix float64 and float32")

# %%
# The fix is `torch.Tensor.float`. A float64 number does not fit into a float32
# place, so this copies, and the copy no longer follows the array. A float32
# tensor needs no conversion: ``.float()`` returns the very same tensor.

converted = torch.from_numpy(measured).float()
measured[0] = -8
print(converted, converted.dtype, tuple(layer(converted).shape))

assert converted.tolist() == [0.5, 1.5] and converted.dtype == torch.float32
assert layer(converted).shape == (1,)
assert converted.float() is converted

# %%
# Tensors that NumPy cannot take
# ------------------------------
#
# Three tensors that do not convert. The last is on the device ``meta``, which
# keeps shapes and no numbers. It stands in for a GPU, whose memory NumPy
# cannot read either.

half = torch.tensor([1.0, 0.1], dtype=torch.bfloat16)
weight = torch.ones(2, requires_grad=True)
elsewhere = torch.ones(2, device="meta")
messages = []
for refused in half, weight, elsewhere:
    try:
        refused.numpy()
    except (TypeError, RuntimeError) as error:
        messages.append(str(error))
        print("-", error)
    else:
        raise AssertionError("NumPy must not take this tensor")

assert messages[0].endswith("ScalarType BFloat16")
assert messages[1].endswith("Use tensor.detach().numpy() instead.")
assert "meta device type" in messages[2] and "Tensor.cpu()" in messages[2]

# %%
# Two of the messages name their fix: ``.detach()`` for a tensor that requires
# gradients, ``.cpu()`` for one on a GPU. NumPy has no bfloat16, so widen that
# to float32 first. Detaching does not copy: writing to that array changes the
# weight.
#
# .. admonition:: In the notes
#    :class: note-check
#
#    A CharTensor, today called int8, is said not to convert to NumPy (claim
#    c0-31). It does: that limit is long gone.

widened = half.float().numpy()
detached = weight.detach().numpy()
detached[0] = 5
small = torch.tensor([1, -2], dtype=torch.int8).numpy()
print(widened, weight, small, small.dtype, sep="\n")

assert widened.dtype == np.float32
assert widened.tolist() == [1, 0.10009765625]  # 0.1 as bfloat16 keeps it
assert weight.tolist() == [5, 1] and weight.requires_grad
assert small.tolist() == [1, -2] and small.dtype == np.int8

# %%
# Arrays that PyTorch cannot take
# -------------------------------
#
# A reversed array is a view that reads memory backwards, which no tensor can
# do. Strings are not numbers at all.

backwards = np.array([1, 2, 3])[::-1]
words = np.array(["dog", "cat", "dog"])
messages = []
for refused in backwards, words:
    try:
        torch.from_numpy(refused)
    except (TypeError, ValueError) as error:
        messages.append(str(error))
        print("-", error)
    else:
        raise AssertionError("PyTorch must not take this array")

assert "stride" in messages[0] and "array.copy()" in messages[0]
assert "numpy.str_" in messages[1] and "float64" in messages[1]

# %%
# Copy the first into the usual order. Give each word a number with
# `numpy.unique`, and keep the names to translate back:

in_order = torch.from_numpy(backwards.copy())
names, numbers = np.unique(words, return_inverse=True)
labels = torch.from_numpy(numbers)
print(in_order, labels, names)

assert in_order.tolist() == [3, 2, 1]
assert labels.tolist() == [1, 0, 1] and names.tolist() == ["cat", "dog"]
assert names[labels.numpy()].tolist() == words.tolist()

# %%
# A read-only array is taken with a warning. No tensor can be read-only, so
# writing to this one changes the array all the same, and may even crash where
# the array is a file. A copy is safe.

frozen = np.array([1.0, 2.0])
frozen.flags.writeable = False
torch.set_warn_always(True)  # without it, torch warns once in a program
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    unsafe = torch.from_numpy(frozen)
    safe = torch.tensor(frozen)  # a copy: no warning
torch.set_warn_always(False)
safe[0] = 9
unsafe[1] = 8
message = str(caught[0].message).split(",")[0]
print(message, safe, frozen, sep="\n")

assert message == "The given NumPy array is not writable" and len(caught) == 1
assert safe.tolist() == [9, 2] and frozen.tolist() == [1, 8]

# %%
# What you learned
# ----------------
#
# ``.numpy()``, ``from_numpy`` and ``as_tensor`` share memory; `torch.tensor`
# and a change of dtype copy. Not sure who else writes to an array? Copy it.
#
# Next: :ref:`devices` keeps tensors and models on the same device. More on
# float32 and its relatives is in :ref:`dtypes`; the pictures come from
# `snippets.drawing`.
