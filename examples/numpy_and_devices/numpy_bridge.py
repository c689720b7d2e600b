r"""
.. _numpy_bridge:

from_numpy and numpy(): exchange data with NumPy
================================================

Your data is in a NumPy array, the model wants a tensor, and the plot wants an
array again. Which of these steps copies the numbers, and which leaves two
names for the same ones? After this page you can predict that, avoid the
float64 surprise, and fix the conversions that fail.

.. concepts: N01 N02 N03
.. claims: c0-03 c0-25 c0-31 c3-07
"""

import warnings

import numpy as np
import torch

from snippets.drawing import draw_memory, show_pictures
from snippets.explain import show_error

# %%
# The short answer
# ----------------
#
# Into PyTorch with `torch.from_numpy`, back with `torch.Tensor.numpy`. Two
# habits spare you most errors. On the way in, convert floats to float32, the
# dtype that models compute with. On the way back, write
# ``.detach().cpu().numpy()``: ``detach()`` lets go of gradients, and ``cpu()``
# fetches the numbers from a GPU. You can always write both, because they copy
# nothing where there is nothing to do.

measured = np.array([1.5, 2.5, 3.5])  # NumPy makes floats float64

tensor = torch.from_numpy(measured).float()  # float64 -> float32
back = tensor.detach().cpu().numpy()

print(tensor)
print(back, back.dtype)

assert measured.dtype == np.float64
assert tensor.dtype == torch.float32
assert tensor.tolist() == back.tolist() == [1.5, 2.5, 3.5]
assert back.dtype == np.float32
assert back.ctypes.data == tensor.data_ptr() != measured.ctypes.data

# %%
# numpy() shares the memory
# -------------------------
#
# `torch.Tensor.numpy` copies nothing. The array reads the numbers where the
# tensor keeps them, so a change in place on one side shows on the other.
# ``tensor + 1`` is not in place: its result has memory of its own.

tensor = torch.ones(5)
array = tensor.numpy()
plus_one = tensor + 1

tensor.add_(1)  # changes the tensor, and so the array
array[0] = 7  # changes the array, and so the tensor

print("tensor:  ", tensor)
print("array:   ", array)
print("plus_one:", plus_one)

assert tensor.tolist() == array.tolist() == [7, 2, 2, 2, 2]
assert plus_one.tolist() == [2, 2, 2, 2, 2]
assert array.ctypes.data == tensor.data_ptr()
assert array.dtype == np.float32

# %%
# .. alt: The tensor and the array stand side by side above one strip of memory
#    that holds 7, 2, 2, 2, 2. The tensor plus_one stands above a strip of its
#    own that holds 2, 2, 2, 2, 2.
# .. fold: picture

draw_memory({"tensor": tensor, "array": array, "plus_one": plus_one})
show_pictures()

assert plus_one.data_ptr() != tensor.data_ptr()

# %%
# From an array: share or copy
# ----------------------------
#
# On the way in you choose. `torch.from_numpy` and `torch.as_tensor` share the
# array's memory, `torch.tensor` copies it. (`torch.as_tensor` takes lists,
# too, and a list it has to copy.) All three keep the array's dtype: an array
# of int64 becomes a tensor of int64, not of floats. When the array changes,
# only the copy still has its 1:

source = np.array([1, 2, 3], dtype=np.int64)
shared = torch.from_numpy(source)
also_shared = torch.as_tensor(source)
copied = torch.tensor(source)

source[0] = 99

print("from_numpy:  ", shared, shared.dtype)
print("as_tensor:   ", also_shared)
print("torch.tensor:", copied)

assert shared.tolist() == also_shared.tolist() == [99, 2, 3]
assert shared.data_ptr() == also_shared.data_ptr() == source.ctypes.data
assert copied.tolist() == [1, 2, 3]
assert shared.dtype == also_shared.dtype == copied.dtype == torch.int64
plain = [1, 2, 3]
from_list = torch.as_tensor(plain)
plain[0] = 99
assert from_list.tolist() == [1, 2, 3]

# %%
# .. alt: The array, the result of from_numpy and that of as_tensor stand above
#    one strip of memory with 99, 2, 3. The result of torch.tensor stands above
#    a strip of its own with 1, 2, 3.
# .. fold: picture

sharing = {"array": source, "from_numpy": shared, "as_tensor": also_shared}
draw_memory(sharing | {"torch.tensor": copied})
show_pictures()

assert copied.data_ptr() != source.ctypes.data

# %%
# .. admonition:: Common mistake
#    :class: mistake
#
#    "I scaled my tensor, and now my original data is scaled, too." An
#    operation in place, such as ``/=``, writes into the shared memory.

pixels = np.array([0.0, 100.0, 200.0], dtype=np.float32)
image = torch.from_numpy(pixels)
image /= 200  # in place: this is where the pixels get lost

print(pixels)

assert pixels.tolist() == [0, 0.5, 1]
assert image.dtype == torch.float32

# %%
# Write ``image = image / 200``, which makes a new tensor and leaves the array
# alone:

pixels = np.array([0.0, 100.0, 200.0], dtype=np.float32)
image = torch.from_numpy(pixels)
image = image / 200

print(pixels)
print(image)

assert pixels.tolist() == [0, 100, 200]
assert image.tolist() == [0, 0.5, 1]
assert image.dtype == torch.float32

# %%
# The float64 surprise
# --------------------
#
# A model is built of *layers*, and a layer multiplies your data by numbers of
# its own, its *weights*. NumPy's floats have 64 bits, the weights have 32, and
# a matrix product refuses to mix them (see :ref:`products`). The layer here,
# `torch.nn.Linear`, turns two numbers into one; a later page, :ref:`linear`,
# explains how. The error says *Double* for float64 and *Float* for float32:

measured = np.array([0.5, 1.5])
layer = torch.nn.Linear(2, 1)  # two numbers in, one out

with show_error("must have the same dtype, but got Double and Float"):
    layer(torch.from_numpy(measured))

assert torch.from_numpy(measured).dtype == torch.float64
assert layer.weight.dtype == torch.float32

# %%
# ``.float()`` mends it. float64 and float32 numbers differ in size, so they
# cannot share one memory: ``.float()`` copies here, and the tensor no longer
# follows the array. A float32 tensor needs no conversion: ``.float()`` returns
# the very same tensor. So if the array was float32 already, array and tensor
# still share their memory after ``.float()``.

inputs = torch.from_numpy(measured).float()
measured[0] = -8

print(inputs)
print(layer(inputs).shape)  # (2,) -> (1,)

assert inputs.tolist() == [0.5, 1.5]
assert inputs.dtype == torch.float32
assert layer(inputs).shape == (1,)
assert inputs.float() is inputs
single = np.array([0.5, 1.5], dtype=np.float32)
assert torch.from_numpy(single).float().data_ptr() == single.ctypes.data

# %%
# Tensors that NumPy refuses
# --------------------------
#
# The weights of a model require gradients, and so does everything computed
# from them. NumPy knows nothing of gradients, so PyTorch refuses to hand such
# a tensor over. The error names the way out:

weight = torch.ones(2, requires_grad=True)

with show_error("requires grad. Use tensor.detach().numpy() instead"):
    weight.numpy()

assert (weight * 3).requires_grad

# %%
# `torch.Tensor.detach` gives you the same numbers without gradients. It does
# not copy them, so writing to this array changes the weight:

array = weight.detach().numpy()
array[0] = 5

print(weight)

assert weight.tolist() == [5, 1]
assert weight.requires_grad

# %%
# NumPy cannot read the memory of a GPU. So that you see the error without one,
# this tensor is on the device ``meta``, which every machine has and which
# keeps shapes and no numbers. For a GPU the message says ``cuda:0`` in place
# of ``meta``.

elsewhere = torch.ones(2, device="meta")

with show_error("can't convert meta device type tensor", "Use Tensor.cpu()"):
    elsewhere.numpy()

assert elsewhere.device.type == "meta"

# %%
# ``.detach().cpu().numpy()`` mends both errors, and ``.numpy(force=True)`` is
# a short form of it. From a GPU you get a copy; from the CPU you get an array
# that shares the tensor's memory. If you want to write to the array, take a
# copy of your own:

array = weight.numpy(force=True).copy()
array[0] = -1

print(array)
print(weight)

assert array.tolist() == [-1, 1]
assert weight.tolist() == [5, 1]
assert weight.numpy(force=True).ctypes.data == weight.data_ptr()
assert weight.detach().cpu().numpy().ctypes.data == weight.data_ptr()

# %%
# NumPy has no bfloat16, and ``force=True`` does not help. Convert to float32
# first. (0.1 comes back as 0.10009766 because bfloat16 has few digits and
# stored it only roughly: see :ref:`dtypes`.)

rough = torch.tensor([1.0, 0.1], dtype=torch.bfloat16)

with show_error("unsupported ScalarType BFloat16"):
    rough.numpy(force=True)

print(rough.float().numpy())

assert rough.float().numpy().tolist() == [1, 0.10009765625]
assert rough.float().numpy().dtype == np.float32

# %%
# The other common dtypes have a twin of the same name in NumPy and need no
# conversion. That goes for int8, too, although old tutorials say that a
# *CharTensor*, the old name for a tensor of int8, cannot be converted:

small = torch.tensor([1, -2], dtype=torch.int8)
array = small.numpy()

print(array, array.dtype)

assert array.tolist() == [1, -2]
assert array.dtype == np.int8
for same in ("float16", "float64", "int32", "int64", "uint8", "bool"):
    assert torch.ones(1, dtype=getattr(torch, same)).numpy().dtype == same

# %%
# Arrays that PyTorch refuses
# ---------------------------
#
# A single ``None``, for a missing value, turns a NumPy array into an array of
# Python objects, and no tensor holds objects. Convert the array to a dtype of
# numbers first. The missing value becomes ``nan``, "not a number".

ages = np.array([31, None, 45])

with show_error("can't convert np.ndarray of type numpy.object_"):
    torch.from_numpy(ages)

converted = torch.from_numpy(ages.astype(np.float32))
print(converted)

assert ages.dtype == object
assert converted.dtype == torch.float32
assert converted.isnan().tolist() == [False, True, False]
assert converted[0] == 31
assert converted[2] == 45

# %%
# Words are no numbers, either. `numpy.unique` gives each word a number, and
# the names to translate back:

animals = np.array(["dog", "cat", "dog"])

with show_error("can't convert np.ndarray of type numpy.str_"):
    torch.from_numpy(animals)

names, numbers = np.unique(animals, return_inverse=True)
print(torch.from_numpy(numbers))
print(names)

assert torch.from_numpy(numbers).tolist() == [1, 0, 1]
assert names.tolist() == ["cat", "dog"]
assert names[numbers].tolist() == ["dog", "cat", "dog"]

# %%
# A reversed array reads its memory backwards, which a tensor cannot do. Images
# that were flipped are such arrays. The message names the fix:

backwards = np.array([1, 2, 3])[::-1]

with show_error("strides are not currently supported", "array.copy()"):
    torch.from_numpy(backwards)

print(torch.from_numpy(backwards.copy()))

assert torch.from_numpy(backwards.copy()).tolist() == [3, 2, 1]

# %%
# `torch.tensor` does accept a list of arrays, but reads it number by number
# and warns that this is "extremely slow". Make one array of them first:

samples = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0])]
stacked = np.stack(samples)  # three of (2,) -> (3, 2)

print(torch.from_numpy(stacked).float())

assert torch.from_numpy(stacked).float().tolist() == [[1, 2], [3, 4], [5, 6]]
torch.set_warn_always(True)  # otherwise torch warns once in a program
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    slow = torch.tensor(samples)
torch.set_warn_always(False)
assert "list of numpy.ndarrays is extremely slow" in str(caught[0].message)
assert slow.tolist() == stacked.tolist()

# %%
# The same name, another meaning
# ------------------------------
#
# Most names that you know from NumPy mean the same for tensors. These four
# mean something else, and no error tells you so:
#
# .. list-table::
#    :header-rows: 1
#
#    * - name
#      - for an array
#      - for a tensor
#      - to get what NumPy gives
#    * - ``x.size``
#      - how many numbers
#      - a method that gives the shape
#      - ``x.numel()``
#    * - ``x.std()``
#      - divides by N
#      - divides by N - 1
#      - ``x.std(correction=0)``
#    * - ``x.repeat(2)``
#      - each number twice
#      - the whole row twice
#      - ``x.repeat_interleave(2)``
#    * - ``split(x, 2)``
#      - two parts
#      - parts of two numbers
#      - ``x.tensor_split(2)``

array = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
tensor = torch.from_numpy(array).float()
halves = np.split(array, 2)
pairs = torch.split(tensor, 2)

print("size:  ", array.size, "and", tensor.size())
print("std:   ", array.std().round(4), "and", tensor.std())
print("repeat:", array.repeat(2), "and", tensor.repeat(2))
print("split: ", len(halves), "parts and", len(pairs), "parts")

assert array.size == tensor.numel() == 6
assert tensor.size() == (6,)
assert array.std().round(4) == 1.7078
assert abs(tensor.std() - 1.8708) < 1e-4
assert abs(tensor.std(correction=0) - array.std()) < 1e-6
assert array.repeat(2)[:4].tolist() == [1, 1, 2, 2]
assert tensor.repeat(2).tolist() == 2 * [1, 2, 3, 4, 5, 6]
assert tensor.repeat_interleave(2).tolist() == array.repeat(2).tolist()
assert len(halves) == 2
assert halves[0].tolist() == [1, 2, 3]
assert len(pairs) == 3
assert pairs[0].tolist() == [1, 2]
assert tensor.tensor_split(2)[0].tolist() == [1, 2, 3]

# %%
# Look closer: read-only arrays
# -----------------------------
#
# NumPy can protect an array from being written to, and some libraries hand you
# the pixels of a picture file in such an array. A tensor cannot be read-only.
# So `torch.from_numpy` takes the array with a warning, "The given NumPy array
# is not writable", and writing to that tensor would change the array in spite
# of its protection. A copy is safe and gives no warning:

photo = np.array([1.0, 2.0])
photo.flags.writeable = False

safe = torch.tensor(photo)
safe[0] = 9

print(safe)
print(photo)

assert safe.tolist() == [9, 2]
assert photo.tolist() == [1, 2]
torch.set_warn_always(True)  # otherwise torch warns once in a program
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    unsafe = torch.from_numpy(photo)
torch.set_warn_always(False)
assert "The given NumPy array is not writable" in str(caught[0].message)
unsafe[1] = 8
assert photo.tolist() == [1, 8]

# %%
# Try it
# ------
#
# .. exercise:: Standardize a table, and leave it alone
#
#    ``table`` is a NumPy array of floats of shape (N, D), float64 or float32:
#    one row for each sample. Write ``standardize(table)``. It returns a
#    float32 tensor of the same shape in which each column has a mean of 0 and
#    a standard deviation of 1, as ``std`` of PyTorch computes it. The array
#    itself must not change.
#
#    .. hint:: Convert first, then compute the mean and the deviation of each
#       column with ``dim=0``. Which of your operations are in place?


def standardize(table):
    """Return the (N, D) array as a float32 tensor, standardized by column."""
    x = torch.from_numpy(table).float()
    return (x - x.mean(dim=0)) / x.std(dim=0)  # (N, D) - (D,) -> (N, D)


table = np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]])
single = table.astype(np.float32)
kept = table.copy()
expected = torch.tensor([[-1.0, -1.0], [0.0, 1.0], [1.0, 0.0]])
answer = standardize(table)
assert isinstance(answer, torch.Tensor), "return a tensor, not an array"
assert answer.dtype == torch.float32, "models want float32"
assert answer.shape == (3, 2), "as many rows and columns as the table"
assert torch.allclose(answer.mean(dim=0), torch.zeros(2), atol=1e-6), (
    "the mean of each column is 0"
)
assert torch.allclose(answer, expected), (
    "divide each column by its own std, as PyTorch computes it"
)
assert torch.allclose(standardize(single), expected), "float32 works as well"
assert (table == kept).all(), "the array must keep its numbers"
assert (single == kept).all(), (
    "the array must keep its numbers, also if it is float32 already"
)

# %%
# .. exercise:: Any tensor to NumPy
#
#    Write ``to_array(tensor)``. It returns a NumPy array with the numbers of
#    any tensor: one that requires gradients, one on a GPU, one of bfloat16,
#    which becomes float32. Other dtypes stay as they are. Writing to the array
#    must not change the tensor.
#
#    .. hint:: Only one dtype needs a conversion. ``copy()`` of an array gives
#       it memory of its own.


def to_array(tensor):
    """Return the numbers of any tensor as an array with its own memory."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().numpy().copy()


integers = torch.tensor([1, 2, 3])
array = to_array(integers)
assert isinstance(array, np.ndarray), "return a NumPy array"
assert array.dtype == np.int64, "integers stay integers"
array[0] = 9
assert integers.tolist() == [1, 2, 3], (
    "writing to the array must not change the tensor"
)
assert to_array(torch.ones(2, dtype=torch.float64)).dtype == np.float64, (
    "float64 stays float64"
)
weights = torch.tensor([1.0, 2.0], requires_grad=True)
array = to_array(weights)
assert array.tolist() == [1, 2], "a tensor that requires gradients"
assert weights.requires_grad, "the tensor itself still requires gradients"
rough = torch.tensor([1.0, 0.5], dtype=torch.bfloat16)
assert to_array(rough).tolist() == [1, 0.5], "the numbers of a bfloat16 tensor"
assert to_array(rough).dtype == np.float32, "bfloat16 becomes float32"
fetched = False
try:  # meta stands in for a GPU, but has no numbers to fetch
    to_array(torch.ones(2, device="meta"))
except NotImplementedError as error:
    fetched = "Cannot copy out of meta tensor" in str(error)
assert fetched, "fetch the numbers to the CPU first"

# %%
# What you learned
# ----------------
#
# ``numpy()``, ``from_numpy`` and ``as_tensor`` share memory; `torch.tensor`
# and a change of dtype copy. If you are not sure who else writes to an array,
# copy it. Floats go in as float32, and ``.detach().cpu().numpy()`` brings them
# back.
#
# Next: :ref:`devices` explains where a tensor is and how to move it. More on
# float32 and its relatives is in :ref:`dtypes`, and what ``detach`` lets go of
# in :ref:`first_gradient`.
