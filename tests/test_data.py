"""`snippets.data` feeds data to a model."""

from __future__ import annotations

import copy
import io
import itertools
import math
import multiprocessing
import pathlib
import pickle
import random
from collections import Counter, namedtuple
from traceback import clear_frames

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import distributed
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    get_worker_info,
)

from snippets import data
from snippets.data import ArrayDataset, BatchLoader, FileDataset, make_loader, split

# What a machine with one core, and a Python that minds forks, warn of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]

many = settings(
    deadline=None,
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def global_state():
    """Give back the generators that a test changes."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])


def draw() -> tuple[float, float, float]:
    """One number of each library."""
    return random.random(), float(np.random.rand()), torch.rand(()).item()


def rows(count: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """An input of two columns and a target, each row another."""
    return torch.arange(2.0 * count).reshape(count, 2), torch.arange(count)


def same(first, second) -> bool:
    """Compare nested batches: kinds, dtypes, strides and every bit."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        form = first.dtype, first.shape, first.stride(), first.device
        form_2 = second.dtype, second.shape, second.stride(), second.device
        return form == form_2 and torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(
            same(first[key], second[key]) for key in first
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def plain_loader(dataset, *, seed=0, **options) -> DataLoader:
    """The loader of torch with a generator of its own."""
    return DataLoader(dataset, generator=torch.Generator().manual_seed(seed), **options)


class PerSample(Dataset):
    """The rows as a beginner's dataset gives them: one by one, of no known class."""

    def __init__(self, count: int = 10) -> None:
        self.x, self.y = rows(count)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Noise(Dataset):
    """Each item: its index, and one random number of each library."""

    def __init__(self, count: int = 10) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index):
        return index, *draw()


def double(row):
    return 2 * row


def add_noise(row):
    return row + torch.rand(2) + random.random() + float(np.random.rand())


def fail_on_seven(row):
    if 7 in row:
        raise StopIteration("seven")
    return row


# --- ArrayDataset -----------------------------------------------------------------


def test_one_array_gives_rows_and_several_give_tuples():
    """A sample is what TensorDataset gives, but bare where there is one array."""
    x, y = rows()
    one, two, reference = ArrayDataset(x), ArrayDataset(x, y), TensorDataset(x, y)
    assert len(one) == len(two) == 10
    for index in range(10):
        assert torch.equal(one[index], x[index])
        assert same(two[index], reference[index])


@pytest.mark.parametrize("index", [-10, -1, np.int64(3), torch.tensor(4)], ids=repr)
def test_an_index_may_be_negative_or_of_another_library(index):
    """It is counted from the end, as in a list."""
    assert ArrayDataset(torch.arange(10))[index] == range(10)[int(index)]


@pytest.mark.parametrize("index", [10, -11, 99])
@pytest.mark.parametrize("batch", [False, True])
def test_an_index_out_of_range_is_named(index, batch):
    """The error has the index and the length, for a sample and in a batch."""
    dataset = ArrayDataset(torch.arange(10))
    message = f"index {index} is out of range: the ArrayDataset has 10 rows, 0 to 9"
    with pytest.raises(IndexError, match=message):
        dataset.__getitems__([1, index, 2]) if batch else dataset[index]


def test_a_slice_or_a_float_is_no_index():
    """They are refused as a list refuses them."""
    for index in (slice(2), 1.0):
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            ArrayDataset(torch.arange(10))[index]


def test_a_loop_over_the_dataset_ends():
    """It can be iterated without a loader."""
    assert list(ArrayDataset([1, 2, 3])) == [1, 2, 3]


def test_numpy_arrays_share_their_memory():
    """What is written into the array is in the dataset, and dtypes stay."""
    array = np.zeros((3, 2), dtype=np.float64)
    dataset = ArrayDataset(array)
    array[1] = 5
    assert same(dataset[1], torch.tensor([5.0, 5.0], dtype=torch.float64))
    assert dataset.arrays[0].data_ptr() == array.ctypes.data


def test_a_transform_changes_the_input_alone():
    """The first row of each sample goes through it, one sample at a time."""
    x, y = rows()
    dataset = ArrayDataset(x, y, transform=double)
    assert same(dataset[3], (2 * x[3], y[3]))
    assert same(dataset.__getitems__([3, -1]), [(2 * x[3], y[3]), (2 * x[9], y[9])])
    assert same(ArrayDataset(x, transform=double).__getitems__([2]), [2 * x[2]])


@pytest.mark.parametrize("batch", [False, True])
def test_a_failing_transform_names_the_index(batch):
    """StopIteration, which could end a loop in silence, arrives as an error too."""
    dataset = ArrayDataset(torch.arange(20).reshape(10, 2), transform=fail_on_seven)
    message = "the transform failed at index 3: StopIteration: seven"
    with pytest.raises(RuntimeError, match=message) as caught:
        dataset.__getitems__([1, -7]) if batch else dataset[-7]
    assert isinstance(caught.value.__cause__, StopIteration)


@pytest.mark.parametrize("arrays", [1, 2, 3])
@pytest.mark.parametrize("transform", [None, double])
@pytest.mark.parametrize("indices", [[], [3], [4, 0, 4], [-1, 2]], ids=str)
def test_a_batch_is_the_list_of_its_samples(arrays, transform, indices):
    """Fetching many at once gives what fetching one by one gives."""
    x, y = rows()
    dataset = ArrayDataset(*(x, y, x + 1)[:arrays], transform=transform)
    expected = [dataset[index] for index in indices]
    assert same(dataset.__getitems__(indices), expected)


@pytest.mark.parametrize("arrays", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_loader_gives_the_same_batches(arrays, workers):
    """It works in torch's DataLoader, which collates what it fetched."""
    x, y = rows()
    dataset = ArrayDataset(*(x, y)[:arrays])
    samples = [dataset[index] for index in range(10)]
    options = {"batch_size": 4, "shuffle": True}
    ours = list(plain_loader(dataset, **options, num_workers=workers))
    assert same(ours, list(plain_loader(samples, **options)))


def test_a_derived_class_counts_in_a_batch_too():
    """What it does to a sample is not passed by when a batch is fetched."""

    class Shifted(ArrayDataset):
        def __getitem__(self, index):
            return super().__getitem__(index) + 100

    dataset = Shifted(torch.arange(4))
    expected = [torch.tensor([100, 101, 102, 103])]
    assert same(list(DataLoader(dataset, batch_size=4)), expected)
    loader = make_loader(dataset, batch_size=4, shuffle=False, seed=0)
    assert same(list(loader), expected)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ([], TypeError, "no arrays: give at least one"),
        ([torch.arange(3), 5], ValueError, "array 1 is the scalar 5: give rows"),
        ([[1], [1, 2], [1]], ValueError, r"the arrays have \[1, 2, 1\] rows"),
        ([torch.zeros(0, 3), []], ValueError, "the arrays have 0 rows"),
        ([[1], ["a"]], TypeError, "array 1, of type list, cannot become a tensor: "),
        ([[[1], [1, 2]]], TypeError, "array 0, of type list, cannot become a tensor"),
        ([None], TypeError, "array 0, of type NoneType, cannot become a tensor"),
        ([{"a": 1}], TypeError, "array 0, of type dict, cannot .* dtype of dict$"),
    ],
)
def test_bad_arrays_are_refused(arrays, error, message):
    """The error says which array, or the length of each."""
    with pytest.raises(error, match=message):
        ArrayDataset(*arrays)


class Column(list):
    """Stands for a pandas Series, which torch takes for a list and fails at."""

    def __getitem__(self, index):
        raise TypeError("could not determine the shape")

    def to_numpy(self):
        return np.array(list(self))


class Frame(Column):
    """Stands for a pandas DataFrame, whose items are the names of its columns."""

    columns = ("height", "weight")


NUMBERED = r"[^.]\. Number the words: .*np.unique\(names, return_inverse=True\)"


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (Frame(["height", "weight"]), r'. Give frame.to_numpy\(dtype="float32"\)$'),
        (Column([1, 2]), r"'Column'. Give series.to_numpy\(\)$"),
        (Column(["cat", "dog"]), NUMBERED),
        (["cat", "dog"], NUMBERED),
        (np.array(["cat", "dog"]), NUMBERED),
        (np.array(["cat", "dog"], dtype=object), NUMBERED),
    ],
)
def test_tables_and_words_are_told_how_to_become_numbers(array, advice):
    """The error has the line of code that helps; that line works."""
    with pytest.raises(TypeError, match=advice):
        ArrayDataset(array)
    if advice is NUMBERED:
        classes, numbers = np.unique(list(array), return_inverse=True)
        assert [
            classes[number] for _, number in ArrayDataset(numbers, numbers)
        ] == list(array)


# --- FileDataset ------------------------------------------------------------------


@pytest.fixture
def files(tmp_path) -> list[pathlib.Path]:
    """Six files, whose text is their number."""
    paths = [tmp_path / f"{number}.txt" for number in range(6)]
    for number, path in enumerate(paths):
        path.write_text(str(number))
    return paths


def read_number(path) -> torch.Tensor:
    return torch.tensor(int(pathlib.Path(path).read_text()))


def test_a_file_is_read_when_it_is_asked_for(files):
    """Item i is what read gives for path i, at that moment."""
    dataset = FileDataset(iter(files), read_number)
    files[2].write_text("22")
    assert len(dataset) == 6 and dataset.paths == files
    assert [int(dataset[index]) for index in (0, 2, -1)] == [0, 22, 5]


@pytest.mark.parametrize("labels", [list("abcdef"), torch.arange(6), np.arange(6)])
def test_labels_go_with_their_files(files, labels):
    """A sample is then a pair; read gets the path as it was given."""
    dataset = FileDataset([str(path) for path in files], str, labels=labels)
    for index in (0, 5, -1):
        assert dataset[index] == (str(files[index]), labels[index])


def test_a_transform_follows_the_reading(files):
    """It is given what was read, not the label."""
    dataset = FileDataset(files, read_number, labels="abcdef", transform=double)
    assert dataset[3] == (6, "d")


def test_an_index_out_of_range_is_named_by_files_too(files):
    """The error has the index and the length."""
    message = "index 6 is out of range: the FileDataset has 6 rows, 0 to 5"
    with pytest.raises(IndexError, match=message):
        FileDataset(files, read_number)[6]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", [make_loader, plain_loader])
def test_a_file_that_cannot_be_read_is_named(files, workers, make):
    """File, index and cause arrive from a worker too, and from inside a Subset."""
    files[4].write_text("four")
    dataset = Subset(FileDataset(files, read_number), [0, 1, 4])
    loader = make(dataset, batch_size=1, shuffle=False, seed=0, num_workers=workers)
    message = r"reading failed on '.*4\.txt', index 4: ValueError: invalid literal"
    batches = iter(loader)
    assert next(batches) == 0 and next(batches) == 1
    with pytest.raises(RuntimeError, match=message) as caught:
        next(batches)
    clear_frames(caught.tb)  # else the workers end 5 s late, with the error


def test_a_failing_transform_names_the_file(files):
    """The original error is its cause, and the error survives pickling."""
    dataset = FileDataset(files, read_number, transform=len)
    with pytest.raises(RuntimeError, match=r"1\.txt', index 1: TypeError: ") as caught:
        dataset[1 - 6]
    assert str(caught.value).startswith("the transform failed on '")
    assert isinstance(caught.value.__cause__, TypeError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_missing_files_are_found_at_once(files):
    """The error counts them and shows the first three."""
    for path in files[1:5]:
        path.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        FileDataset(files, read_number)
    names = ", ".join(repr(str(path)) for path in files[1:4])
    assert str(caught.value) == f"4 of 6 files do not exist: {names}, ..."
    with pytest.raises(FileNotFoundError) as caught:
        FileDataset(files[:4], read_number)
    assert str(caught.value) == f"3 of 4 files do not exist: {names}"


@pytest.mark.parametrize("single", ["a.txt", b"a.txt", pathlib.Path("a.txt")], ids=repr)
def test_a_single_path_is_refused(single):
    """A string would be taken for a list of letters."""
    with pytest.raises(TypeError, match=r"paths is the single path .*: give a list"):
        FileDataset(single, read_number)


def test_bad_file_arguments_are_refused(files):
    """No files, labels of another length, and a reader that is none."""
    with pytest.raises(ValueError, match="there are 0 paths"):
        FileDataset([], read_number)
    with pytest.raises(
        ValueError, match="6 paths and 5 labels: give one label for each"
    ):
        FileDataset(files, read_number, labels=range(5))
    with pytest.raises(TypeError, match="read is 'r': give a function"):
        FileDataset(files, "r")


# --- split ------------------------------------------------------------------------


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Divided by their sum, they are fractions with an exact meaning.
weights = st.lists(st.integers(1, 50), min_size=1, max_size=6)


def hamilton(weights: list[int], length: int) -> list[int]:
    """Largest remainders in integers, with no rounding anywhere."""
    total = sum(weights)
    sizes = [weight * length // total for weight in weights]
    by_loss = sorted(range(len(weights)), key=lambda i: -(weights[i] * length % total))
    for part in by_loss[: length - sum(sizes)]:
        sizes[part] += 1
    return sizes


@many
@given(weights, st.integers(1, 300), st.integers(0, 9), st.booleans())
def test_sizes_are_exact_and_no_row_is_lost(weights, length, seed, stratified):
    """Largest remainders, summing to the length; each row is in one part."""
    dataset = ArrayDataset(torch.arange(length))
    shares = [weight / sum(weights) for weight in weights]
    labels = torch.arange(length) % 3 if stratified else None
    options = {"generator": generator(seed), "labels": labels}
    expected = hamilton(weights, length)
    if 0 in expected:
        with pytest.raises(ValueError, match="give each part at least one row"):
            split(dataset, shares, **options)
        return
    parts = split(dataset, shares, **options)
    assert [len(part) for part in parts] == expected
    assert all(part.dataset is dataset for part in parts)
    found = [int(row) for part in parts for row in part]
    assert sorted(found) == list(range(length))


@many
@given(weights, st.lists(st.integers(0, 5), min_size=40, max_size=250))
def test_each_class_is_in_each_part_by_its_share(weights, labels):
    """Off by at most one row, with four parts or more by less than two."""
    shares = [weight / sum(weights) for weight in weights]
    if 0 in hamilton(weights, len(labels)):
        return
    parts = split(range(len(labels)), shares, generator=generator(), labels=labels)
    limit = 1 if len(weights) < 4 else 2
    for label, count in Counter(labels).items():
        for part, share in zip(parts, shares, strict=True):
            held = sum(labels[row] == label for row in part.indices)
            assert abs(held - share * count) <= limit + 1e-6


def test_whole_shares_are_met_exactly():
    """Where every class divides, every part has every class in its share."""
    labels = [0] * 50 + [1] * 20 + [2] * 30
    for part, size in zip(
        split(range(100), [0.7, 0.2, 0.1], generator=generator(), labels=labels),
        (70, 20, 10),
        strict=True,
    ):
        counts = Counter(labels[row] for row in part.indices)
        assert counts == {0: size // 2, 1: size // 5, 2: size * 3 // 10}


def test_left_over_rows_of_a_class_go_where_it_lost_most():
    """Among the parts that still miss rows, the class picks the one it lost most in."""
    counts = data._class_counts([5, 5], [0.5, 0.3, 0.2], [5, 3, 2])
    assert counts == [[3, 1, 1], [2, 2, 1]] or counts == [[2, 2, 1], [3, 1, 1]]
    assert data._class_counts([3], [0.5, 0.5], [1, 2]) == [[1, 2]]


def test_a_part_is_served_twice_only_if_no_other_misses_rows():
    """Then the sizes of the parts still hold."""
    counts = data._class_counts([7], [0.25] * 4, [2, 2, 2, 1])
    assert counts == [[2, 2, 2, 1]]
    # The second part comes before the first one is served again, though it misses less.
    counts = data._class_counts([3, 3], [0.25] * 4, [3, 1, 1, 1])
    assert counts == [[1, 1, 1, 0], [2, 0, 0, 1]]
    # 0.75 rows for each part, but the sizes ask for 3 rows in two parts.
    assert data._class_counts([3], [0.25] * 4, [2, 1, 0, 0]) == [[2, 1, 0, 0]]


@pytest.mark.parametrize("fraction", [0.29, 0.57, 0.58, 0.55])
def test_a_fraction_that_no_float_holds_is_still_exact(fraction):
    """0.29 of 100 rows are 29, though 0.29 * 100 is less."""
    parts = split(range(100), [fraction, 1 - fraction], generator=generator())
    assert len(parts[0]) == round(100 * fraction)


def test_a_tie_goes_to_the_first_part():
    """Thirds of ten rows are 4, 3 and 3; halves of five are 3 and 2."""
    thirds = split(range(10), [1 / 3] * 3, generator=generator())
    assert [len(part) for part in thirds] == [4, 3, 3]
    parts = split(range(10), [0.45, 0.55], generator=generator())
    assert [len(part) for part in parts] == [5, 5]
    # 2.4 and 8.4 rows, where 8.4 - 8 is a little more than 2.4 - 2 in floats.
    shares = [weight / 60 for weight in (3, 8, 21, 28)]
    parts = split(range(18), shares, generator=generator())
    assert [len(part) for part in parts] == [1, 3, 6, 8]


def test_fractions_may_be_rounded_to_six_digits():
    """Their sum may be 0.999999, and the sizes still sum to the length."""
    parts = split(range(3_000), [0.333333] * 3, generator=generator())
    assert [len(part) for part in parts] == [1000, 1000, 1000]


def test_the_generator_decides():
    """One state, one split; its parts are in random order, classes mixed."""
    labels = [0] * 50 + [1] * 50

    def rows_of(seed, **options):
        parts = split(range(100), [0.5, 0.5], generator=generator(seed), **options)
        return [part.indices for part in parts]

    order = torch.randperm(100, generator=generator(3)).tolist()
    assert rows_of(3) == [order[:50], order[50:]]
    assert rows_of(3, labels=labels) == rows_of(3, labels=labels)
    assert rows_of(3) != rows_of(4)
    first = rows_of(3, labels=labels)[0]
    assert first == [row for row in order if row in first]


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([0, 1] * 10),
        np.array([0, 1] * 10),
        np.array(["cat", "dog"] * 10),
        ["cat", "dog"] * 10,
        [torch.tensor(number) for number in [0, 1] * 10],
        [torch.tensor([number]) for number in [0, 1] * 10],
        (number for number in [0.0, 1.0] * 10),
    ],
    ids=["tensor", "array", "strings", "list", "scalars", "ones", "iterator"],
)
def test_labels_of_any_kind_make_the_same_parts(labels):
    """Equal labels are one class, be they tensors, arrays, numbers or words."""
    parts = split(range(20), [0.6, 0.4], generator=generator(), labels=labels)
    expected = split(range(20), [0.6, 0.4], generator=generator(), labels=[0, 1] * 10)
    assert [part.indices for part in parts] == [part.indices for part in expected]
    assert sum(row % 2 for row in parts[0].indices) == 6


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ([0.5, 0.4], r"fractions is \[0.5, 0.4\], with a sum of 0.9: make it 1"),
        ([8, 2], "with a sum of 10: make it 1"),
        ([], "with a sum of 0: make it 1"),
        ([1.5, -0.5], r"fractions is \[1.5, -0.5\]: give numbers from 0 to 1"),
        ([math.nan, 1], "give numbers from 0 to 1"),
        ([0.999, 0.001], r"of 10 rows give parts of \[10, 0\] rows"),
        ([0.0, 1.0], r"of 10 rows give parts of \[0, 10\] rows"),
    ],
)
def test_bad_fractions_are_refused(fractions, message):
    """The error shows them, and the generator has drawn nothing."""
    numbers = generator()
    with pytest.raises(ValueError, match=message):
        split(range(10), fractions, generator=numbers)
    assert torch.equal(numbers.get_state(), generator().get_state())


@pytest.mark.parametrize("number", [None, 0])
def test_a_split_without_a_generator_is_refused(number):
    """The error says how to make one."""
    said = (
        r"give torch.Generator\(\).*, so that the parts are the same in the next run$"
    )
    with pytest.raises(TypeError, match=said):
        split(range(10), [0.5, 0.5], generator=number)
    with pytest.raises(TypeError, match="generator"):
        split(range(10), [0.5, 0.5])


def test_bad_labels_are_refused():
    """Another length, or one-hot rows instead of classes."""
    options = {"fractions": [0.5, 0.5], "generator": generator()}
    with pytest.raises(ValueError, match="there are 10 rows and 9 labels"):
        split(range(10), labels=range(9), **options)
    for labels in (torch.eye(10), list(torch.eye(10))):
        with pytest.raises(TypeError, match="is no single value: give class names"):
            split(range(10), labels=labels, **options)


# --- make_loader: the batches ------------------------------------------------------


def kinds(count: int = 10) -> dict[str, Dataset]:
    """Datasets of every way there is to read them."""
    x, y = rows(count)
    back = list(range(count))[::-1]
    return {
        "array": ArrayDataset(x),
        "arrays": ArrayDataset(x, y),
        "transform": ArrayDataset(x, y, transform=double),
        "tensors": TensorDataset(x, y),
        "tensor": TensorDataset(x),
        "subset": Subset(ArrayDataset(x, y), back),
        "nested": Subset(Subset(TensorDataset(x, y), back), np.array(back)),
        "plain": PerSample(count),
        "subset of plain": Subset(PerSample(count), torch.tensor(back)),
        "list": [{"x": row, "name": str(row)} for row in range(count)],
    }


@many
@given(
    st.integers(1, 40),
    st.integers(1, 45),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from(sorted(kinds())),
)
def test_batches_are_those_of_a_plain_loader(count, size, shuffle, drop, seed, kind):
    """Bit for bit, in each of several epochs, with the same structure and strides."""
    dataset = kinds(count)[kind]
    options = {"batch_size": size, "shuffle": shuffle, "drop_last": drop, "seed": seed}
    if drop and size > count:
        with pytest.raises(ValueError, match=f"{count} rows: with batch_size={size}"):
            make_loader(dataset, **options)
        return
    loader, reference = (
        make_loader(dataset, **options),
        plain_loader(dataset, **options),
    )
    assert len(loader) == len(reference)
    for _ in range(3):
        assert same(list(loader), list(reference))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("count", [8, 10])
@pytest.mark.parametrize("taken", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["arrays", "plain"])
def test_an_epoch_left_early_changes_the_next_as_in_a_plain_loader(
    kind, taken, count, shuffle, drop_last
):
    """After break or islice, and after iter alone, the orders that follow agree."""
    options = {"batch_size": 4, "shuffle": shuffle, "drop_last": drop_last}
    loader = make_loader(kinds(count)[kind], seed=1, **options)
    reference = plain_loader(kinds(count)[kind], seed=1, **options)
    for batches in (iter(loader), iter(reference)):
        list(itertools.islice(batches, taken or 0))
        if taken is None:
            del batches
    assert same([list(loader), list(loader)], [list(reference), list(reference)])


def test_two_iterations_at_once_agree_with_a_plain_loader():
    """Pairs of batches, as from zip of a loader with itself, are the same pairs."""
    options = {"batch_size": 4, "shuffle": True, "seed": 0}
    loader = make_loader(PerSample(), **options)
    reference = plain_loader(PerSample(), **options)
    for _ in range(2):
        ours = list(zip(loader, loader, strict=True))
        assert same(ours, list(zip(reference, reference, strict=True)))


def blocks(batches) -> int:
    """Count the pieces of memory that the batches lie in."""
    return len({batch.untyped_storage().data_ptr() for batch in batches})


def test_blocks_do_not_show(monkeypatch):
    """However few batches are gathered at a time, the epoch is the same."""
    x = torch.arange(200.0).reshape(50, 4)  # 64 bytes a batch
    options = {"batch_size": 4, "shuffle": True, "seed": 2}
    expected = list(plain_loader(x, **options))
    for limit in (1, 64, 3 * 64, 3 * 64 + 1, 10**9):
        monkeypatch.setattr(data, "CHUNK_BYTES", limit)
        batches = list(make_loader(ArrayDataset(x), **options))
        assert same(batches, expected)
        assert blocks(batches) == math.ceil(13 / max(1, limit // 64))


def test_a_block_has_four_mebibytes():
    """Twenty of them are gathered in five blocks, so memory hardly grows."""
    dataset = ArrayDataset(torch.zeros(80 * 64, 1024))
    batches = list(make_loader(dataset, batch_size=64, shuffle=True, seed=0))
    assert len(batches) == 80 and blocks(batches) == 5


@pytest.mark.parametrize("world", [1, 3])
def test_a_batch_begins_where_a_tensor_of_its_own_would(monkeypatch, world):
    """At a multiple of 64 bytes, which decides how kernels round."""
    dataset = ArrayDataset(torch.randn(50, 3), torch.arange(50))

    def places():
        loader = make_loader(dataset, batch_size=7, shuffle=True, seed=0)
        return [part.data_ptr() % 64 for batch in loader for part in batch]

    for found in in_processes(monkeypatch, world, places):
        assert found == [0] * 16


@pytest.mark.parametrize(("columns", "size"), [(30, 7), (13, 10), (64, 16)])
def test_training_ends_with_the_very_weights(columns, size):
    """As with a plain loader, and so does a run that goes on in mid-epoch."""
    numbers = generator()
    x = torch.randn(569, columns, generator=numbers)
    y = torch.randint(3, (569,), generator=numbers)
    options = {"batch_size": size, "shuffle": True, "seed": 0}

    def train(batches, model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for inputs, targets in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
        return model

    start = torch.nn.Linear(columns, 3)
    whole = train(plain_loader(TensorDataset(x, y), **options), copy.deepcopy(start))
    loader = make_loader(ArrayDataset(x, y), **options)
    batches = iter(loader)
    ours = train(itertools.islice(batches, 5), start)
    loader.load_state_dict(loader.state_dict())
    assert same(dict(train(loader, ours).state_dict()), dict(whole.state_dict()))


def test_rows_without_bytes_are_no_trouble():
    """Inputs of no columns are gathered like others."""
    loader = make_loader(
        ArrayDataset(torch.zeros(5, 0)), batch_size=2, shuffle=True, seed=0
    )
    assert [batch.shape for batch in loader] == [(2, 0), (2, 0), (1, 0)]


@pytest.mark.parametrize("kind", ["array", "arrays", "tensors", "subset", "plain"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_writing_into_a_batch_leaves_the_dataset_alone(kind, shuffle):
    """Batches are copies, and share no row with each other."""
    dataset = kinds()[kind]
    expected = copy.deepcopy([dataset[index] for index in range(10)])
    for batch in make_loader(dataset, batch_size=4, shuffle=shuffle, seed=0):
        for tensor in [batch] if kind == "array" else batch:
            assert (tensor >= 0).all()
            tensor.fill_(-1)
    assert same([dataset[index] for index in range(10)], expected)


def test_data_in_memory_is_not_read_sample_by_sample(monkeypatch):
    """Neither items nor workers are asked for."""

    def refuse(*_):
        raise AssertionError("read sample by sample")

    monkeypatch.setattr(data, "DataLoader", refuse)
    for kind in ("array", "arrays", "tensors", "tensor", "subset", "nested"):
        dataset = kinds()[kind]
        loader = make_loader(dataset, batch_size=4, shuffle=True, seed=0, num_workers=2)
        assert len(list(loader)) == 3
    monkeypatch.undo()


@pytest.mark.parametrize("indices", [[-1, 0, 3, 3], range(0, 10, 3), (np.int64(2),)])
def test_a_subset_may_repeat_and_count_from_the_end(indices):
    """Any indices that torch's loader takes."""
    dataset = Subset(ArrayDataset(*rows()), indices)
    options = {"batch_size": 3, "shuffle": True, "seed": 0}
    assert same(
        list(make_loader(dataset, **options)), list(plain_loader(dataset, **options))
    )


@pytest.mark.parametrize("index", [-11, 10])
@pytest.mark.parametrize("nested", [False, True])
def test_a_subset_of_rows_that_are_not_there_is_refused(index, nested):
    """When the loader is made, not in the middle of an epoch."""
    dataset = ArrayDataset(*rows())
    if nested:
        dataset = Subset(dataset, range(10))
    with pytest.raises(IndexError, match=f"index {index} is out of bounds"):
        make_loader(Subset(dataset, [0, index]), batch_size=1, shuffle=False, seed=0)


def test_a_subset_of_a_subset_may_count_from_the_end():
    """The end is that of the inner one."""
    inner = Subset(ArrayDataset(torch.arange(10)), [4, -2, 6])
    loader = make_loader(Subset(inner, [-1, 1]), batch_size=2, shuffle=False, seed=0)
    assert [batch.tolist() for batch in loader] == [[6, 8]]


@pytest.mark.parametrize("pair", [rows(), (1, 2)])
def test_a_tuple_is_no_dataset(pair):
    """Taken for two samples, it would be split or joined in silence."""
    message = r"the dataset is a tuple of 2: .*wrap them: ArrayDataset\(X, y\)"
    with pytest.raises(TypeError, match=message):
        make_loader(pair, batch_size=1, shuffle=False, seed=0)
    with pytest.raises(TypeError, match=message):
        split(pair, [0.5, 0.5], generator=torch.Generator())


def test_ranges_and_lists_are_datasets():
    """Row numbers can be split, and a list of samples gives batches."""
    parts = split(range(10, 14), (0.5, 0.5), generator=torch.Generator())
    assert sorted(number for part in parts for number in part) == [10, 11, 12, 13]
    loader = make_loader([1, 2, 3], batch_size=2, shuffle=False, seed=0)
    assert [batch.tolist() for batch in loader] == [[1, 2], [3]]


@pytest.mark.parametrize("fraction", [0.8, 1, np.float64(0.8)])
def test_a_single_fraction_is_refused(fraction):
    """The rest is not guessed."""
    message = rf"fractions is {fraction}: give one for each part, such as \(0.8, 0.2\)"
    with pytest.raises(TypeError, match=message):
        split(range(10), fraction, generator=torch.Generator())


def test_inputs_that_need_gradients_get_a_graph_for_each_batch():
    """Each batch can be gone back through, as with a plain loader."""
    x = torch.ones(4, 2, requires_grad=True)
    for batch in make_loader(ArrayDataset(x), batch_size=2, shuffle=True, seed=0):
        (batch**2).sum().backward()
    assert torch.equal(x.grad, torch.full((4, 2), 2.0))


def test_sparse_rows_are_read_like_other_datasets():
    """The error of torch itself comes through, and a collate_fn can join them."""
    dataset = ArrayDataset(torch.eye(4).to_sparse())
    options = {"batch_size": 2, "shuffle": False, "seed": 0}
    with pytest.raises(RuntimeError, match="Batches of sparse tensors"):
        list(make_loader(dataset, **options))
    batches = list(make_loader(dataset, **options, collate_fn=torch.stack))
    assert torch.equal(torch.cat(batches).to_dense(), torch.eye(4))


def test_a_collate_function_joins_samples_of_unequal_length():
    """It gets the list of samples, also of data in memory."""
    texts = [torch.arange(length) for length in (3, 1, 2)]
    pad = torch.nn.utils.rnn.pad_sequence
    options = {"batch_size": 2, "shuffle": True, "seed": 0, "collate_fn": pad}
    assert same(
        list(make_loader(texts, **options)), list(plain_loader(texts, **options))
    )
    loader = make_loader(
        ArrayDataset([1, 2]), batch_size=2, shuffle=False, seed=0, collate_fn=len
    )
    assert list(loader) == [2] and loader.collate_fn is len


def test_the_default_device_is_not_the_loaders():
    """Orders and seeds are drawn on the CPU, whatever torch makes new tensors on."""
    options = {"batch_size": 4, "shuffle": True, "seed": 0}
    datasets = [kinds()[kind] for kind in ("arrays", "nested", "plain", "transform")]
    expected = [list(plain_loader(dataset, **options)) for dataset in datasets]
    # Not by set_default_device: reset to None, it leaves torch 2.6 broken.
    with torch.device("meta"):
        got = [list(make_loader(dataset, **options)) for dataset in datasets]
        in_order = make_loader(datasets[0], batch_size=4, shuffle=False, seed=0)
        assert [len(batch[0]) for batch in in_order] == [4, 4, 2]
        parts = split(range(10), [0.5, 0.5], generator=generator())
    assert same(got, expected)
    again = split(range(10), [0.5, 0.5], generator=generator())
    assert [part.indices for part in parts] == [part.indices for part in again]


@pytest.mark.gpu
def test_data_on_an_accelerator_stays_there(accelerator):
    """The same batches, gathered on the device."""
    x, y = rows()
    dataset = Subset(ArrayDataset(x.to(accelerator), y), range(1, 10))
    options = {"batch_size": 4, "shuffle": True, "seed": 0}
    reference = plain_loader(Subset(ArrayDataset(x, y), range(1, 10)), **options)
    for (x_batch, y_batch), expected in zip(
        make_loader(dataset, **options), reference, strict=True
    ):
        assert x_batch.device.type == accelerator.type and y_batch.device.type == "cpu"
        assert same([x_batch.cpu(), y_batch], expected)
    samples = ArrayDataset(x.to(accelerator), y).__getitems__([3, 1])
    assert samples[0][0].device.type == accelerator.type
    parts = split(
        range(10), [0.5, 0.5], generator=torch.Generator(accelerator).manual_seed(0)
    )
    assert sorted([*parts[0].indices, *parts[1].indices]) == list(range(10))


# --- make_loader: random numbers and workers ---------------------------------------


def epochs(dataset, *, workers=0, count=2, **options) -> list:
    loader = make_loader(
        dataset,
        **{"batch_size": 3, "shuffle": True, "seed": 5, "num_workers": workers}
        | options,
    )
    return [list(loader) for _ in range(count)]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_random_numbers_are_the_same_with_any_number_of_workers(workers):
    """Whatever the global generators hold, and they are left as they were."""
    reference = epochs(Noise())
    for module_seed in (1, 2):
        random.seed(module_seed)
        np.random.seed(module_seed)
        torch.manual_seed(module_seed)
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()
        assert same(epochs(Noise(), workers=workers), reference)
        assert random.getstate() == before[0]
        assert str(np.random.get_state()) == str(before[1])
        assert torch.equal(torch.get_rng_state(), before[2])


def test_random_numbers_differ_between_rows_batches_epochs_and_seeds():
    """No number comes twice, in none of the three libraries."""
    runs = epochs(Noise()) + epochs(Noise(), seed=6)
    runs += epochs(Noise(), seed=7, shuffle=False)
    for place in (1, 2, 3):
        numbers = [float(n) for run in runs for batch in run for n in batch[place]]
        assert len(set(numbers)) == len(numbers) == 60


def test_the_order_of_a_dataset_that_draws_is_that_of_a_plain_loader():
    """Drawing in the dataset does not touch the order."""
    options = {"batch_size": 3, "shuffle": True, "seed": 5}
    reference = plain_loader(Noise(), **options)
    for run in epochs(Noise()):
        assert same([batch[0] for batch in run], [batch[0] for batch in reference])


@pytest.mark.parametrize("workers", [1, 2])
def test_random_transforms_are_reproducible(workers):
    """A transform of an ArrayDataset, inside a Subset of a split."""
    dataset = ArrayDataset(*rows(), transform=add_noise)
    part = split(dataset, [0.8, 0.2], generator=generator())[0]
    assert same(epochs(part, workers=workers), epochs(part))
    assert not same(
        epochs(part)[0], epochs(Subset(ArrayDataset(*rows()), part.indices))
    )


class WorkerNumber(Noise):
    def __getitem__(self, index):
        worker = get_worker_info()
        return -1 if worker is None else worker.id


@pytest.mark.parametrize(("workers", "found"), [(0, {-1}), (2, {0, 1})])
def test_the_workers_read(workers, found):
    """As many as are asked for take part."""
    run = epochs(WorkerNumber(), workers=workers, count=1)[0]
    assert set(torch.cat(run).tolist()) == found


@pytest.mark.slow
def test_workers_may_be_spawned():
    """What goes to a worker can be pickled."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        spawned = epochs(Noise(), workers=1, count=1)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert same(spawned, epochs(Noise(), count=1))


def test_the_global_numbers_come_back_after_an_error():
    """A dataset that fails leaves the program's random numbers alone."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    dataset = ArrayDataset(torch.full((1, 2), 7), transform=fail_on_seven)
    with pytest.raises(RuntimeError, match="index 0"):
        list(make_loader(dataset, batch_size=1, shuffle=True, seed=0))
    assert random.getstate() == before[0]
    assert str(np.random.get_state()) == str(before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_without_numpy_the_rest_is_seeded(monkeypatch):
    """NumPy is not needed, and not imported for this."""
    expected = [(batch[1], batch[3]) for batch in epochs(Noise())[0]]
    monkeypatch.delitem(data.sys.modules, "numpy")
    with data._random_numbers("a"):
        first = random.random(), torch.rand(()).item()
    assert "numpy" not in data.sys.modules
    monkeypatch.undo()
    with data._random_numbers("a"):
        assert (random.random(), torch.rand(()).item()) == first
    assert expected


class Broken(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index):
        if index == 7:
            raise KeyError("seven")
        return torch.zeros(2 if index == 3 else 1)


@pytest.mark.parametrize("nested", [False, True])
def test_an_error_of_any_dataset_gets_a_note_with_the_index(nested):
    """The error itself stays what it was; the index is that of the dataset."""
    dataset = Subset(Broken(), range(6, 10)) if nested else Broken()
    loader = make_loader(dataset, batch_size=1, shuffle=False, seed=0)
    with pytest.raises(KeyError) as caught:
        list(loader)
    assert caught.value.__notes__ == ["at index 7 of the Broken"]
    with pytest.raises(KeyError, match="at index 7 of the Broken") as caught:
        list(make_loader(Broken(), batch_size=1, shuffle=False, seed=0, num_workers=1))
    clear_frames(caught.tb)


def test_a_dataset_that_reads_whole_batches_is_asked_for_them():
    """Its own batch-wise reading is used, with the indices of the dataset inside."""

    class Batches(PerSample):
        def __getitems__(self, indices):
            return [indices] * len(indices)

    dataset = Subset(Batches(), [9, 8, 7])
    loader = make_loader(
        dataset, batch_size=2, shuffle=False, seed=0, collate_fn=lambda batch: batch
    )
    assert list(loader) == [[[9, 8]] * 2, [[7]]]


def test_samples_that_do_not_fit_together_are_listed():
    """The error of stacking has a note with the rows of the batch."""
    loader = make_loader(Broken(), batch_size=4, shuffle=False, seed=0)
    with pytest.raises(RuntimeError, match="equal size") as caught:
        next(iter(loader))
    rows_read = "while joining rows [0, 1, 2, 3] of the dataset to a batch"
    assert caught.value.__notes__ == [rows_read]


# --- make_loader: saving and resuming ----------------------------------------------


@many
@given(
    st.integers(1, 20),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["arrays", "nested", "plain", "noise"]),
    st.data(),
)
def test_a_resumed_loader_goes_on_with_the_next_batch(
    count, size, shuffle, drop, kind, data_source
):
    """From any batch of any epoch, through a file, to the end and beyond."""
    dataset = Noise(count) if kind == "noise" else kinds(count)[kind]
    options = {"batch_size": size, "shuffle": shuffle, "drop_last": drop, "seed": 3}
    if drop and size > count:
        return
    whole, first = make_loader(dataset, **options), make_loader(dataset, **options)
    every = [list(whole) for _ in range(4)]
    epoch = data_source.draw(st.integers(0, 2))
    taken = data_source.draw(st.integers(0, len(whole)))
    for _ in range(epoch):
        list(first)
    batches = iter(first)
    for _ in range(taken):
        next(batches)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = make_loader(dataset, **options)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.state_dict()["position"] == taken
    assert same(list(second), every[epoch][taken:])
    assert same(list(second), every[epoch + 1])


@pytest.mark.parametrize("kind", ["arrays", "plain"])
@pytest.mark.parametrize("count", [8, 10])
def test_the_end_of_an_epoch_is_the_start_of_the_next(kind, count):
    """Position 0, in a state that gives the next epoch; before the end it counts."""
    options = {"batch_size": 4, "shuffle": True, "seed": 0}
    loader = make_loader(kinds(count)[kind], **options)
    start = loader.state_dict()
    positions = [loader.state_dict()["position"] for _ in loader]
    assert positions == list(range(1, len(loader) + 1)) and start["position"] == 0
    described = {"seed": 0, "batch_size": 4, "rows": count, "shuffle": True}
    assert start["loader"] == described | {"drop_last": False}
    end = loader.state_dict()
    assert end["position"] == 0
    assert not torch.equal(end["generator"], start["generator"])
    expected = list(loader)
    loader.load_state_dict(end)
    assert same(list(loader), expected)


def test_a_state_can_be_loaded_while_an_iteration_runs():
    """The iteration that still runs changes neither the place nor the order."""
    options = {"batch_size": 4, "shuffle": True, "seed": 0}
    loader, other = (make_loader(PerSample(), **options) for _ in range(2))
    state = loader.state_dict()
    running = iter(loader)
    next(running)
    loader.load_state_dict(state)
    list(running)
    assert loader.state_dict()["position"] == 0
    assert same([list(loader), list(loader)], [list(other), list(other)])


def test_the_place_is_that_of_the_newest_iteration():
    """An older one that runs to its end does not end the epoch."""
    loader = make_loader(PerSample(), batch_size=4, shuffle=True, seed=0)
    older, newer = iter(loader), iter(loader)
    next(newer)
    list(older)
    assert loader.state_dict()["position"] == 1


def test_a_state_does_not_change_afterwards():
    """What was saved stays, while the loader goes on."""
    loader = make_loader(PerSample(), batch_size=4, shuffle=True, seed=0)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    before = copy.deepcopy(state)
    list(batches), list(loader)
    assert same(state, before)
    assert same(loader.dataset[0], PerSample()[0]) and loader.batch_size == 4


def test_resuming_reads_nothing_again():
    """The rows of the batches before are not asked for."""
    asked = []

    class Asked(PerSample):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    options = {"batch_size": 4, "shuffle": False, "seed": 0}
    loader = make_loader(Asked(), **options)
    next(iter(loader))
    state = loader.state_dict()
    asked.clear()
    loader.load_state_dict(state)
    list(loader)
    assert asked == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"batch_size": 5}, {"shuffle": False}, {"drop_last": True}, {}],
    ids=str,
)
def test_a_state_of_another_loader_is_refused(other):
    """The error shows both, and nothing is changed."""
    options = {"batch_size": 4, "shuffle": True, "seed": 0, "drop_last": False}
    loader = make_loader(PerSample(), **options)
    foreign = make_loader(PerSample(10 if other else 11), **options | other)
    next(iter(foreign))
    before = loader.state_dict()
    message = (
        "the state is that of another loader: it has .*, this one .*'rows': 10.*"
        "Make the loader as it was when it was saved, or start anew without"
    )
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict(foreign.state_dict())
    assert same(loader.state_dict(), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": 4}, "the position is 4: expected 0 to 3"),
        ({"position": -1}, "the position is -1: expected 0 to 3"),
        ({"position": True}, "the position is True: expected 0 to 3"),
        ({"generator": None}, "the state of the generator is broken"),
        ({"generator": torch.zeros(3)}, "the state of the generator is broken"),
        ({"generator": torch.zeros(3, dtype=torch.uint8)}, "generator is broken"),
        ({"more": 1}, "this is no state of a BatchLoader, which has the keys"),
    ],
    ids=str,
)
def test_a_broken_state_is_refused(change, message):
    """The error says what is wrong, and nothing is changed."""
    loader = make_loader(PerSample(), batch_size=4, shuffle=True, seed=0)
    next(iter(loader))
    before = loader.state_dict()
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict(before | change)
    assert same(loader.state_dict(), before)
    for state in (None, {}, []):
        with pytest.raises(ValueError, match="this is no state of a BatchLoader"):
            loader.load_state_dict(state)


# --- make_loader: several processes ------------------------------------------------


def in_processes(monkeypatch, world: int, use) -> list:
    """What ``use`` returns in each of several processes."""
    results = []
    for rank in range(world):
        with monkeypatch.context() as patch:
            patch.setattr(distributed, "is_initialized", lambda: True)
            patch.setattr(distributed, "get_rank", lambda rank=rank: rank)
            patch.setattr(distributed, "get_world_size", lambda: world)
            results.append(use())
    return results


Named = namedtuple("Named", "x name")


def epochs_of_a_share(dataset, **options) -> list[list]:
    """Two epochs of this process; each is as long as an epoch of one process."""
    loader = make_loader(
        dataset, **{"batch_size": 4, "shuffle": True, "seed": 0} | options
    )
    runs = [list(loader) for _ in range(2)]
    assert [len(run) for run in runs] == [len(loader)] * 2
    return runs


@pytest.mark.parametrize("kind", ["array", "arrays", "nested", "plain", "transform"])
@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_shares_of_all_processes_are_the_batches_of_one(
    monkeypatch, kind, world, drop_last
):
    """Put together in order, no row is missing and none comes twice."""
    dataset = kinds()[kind]
    whole = epochs_of_a_share(dataset, drop_last=drop_last)
    shares = in_processes(
        monkeypatch, world, lambda: epochs_of_a_share(dataset, drop_last=drop_last)
    )
    for epoch, number in itertools.product(range(2), range(len(whole[0]))):
        parts = [share[epoch][number] for share in shares]
        if kind == "array":
            joined = torch.cat(parts)
        else:
            joined = [torch.cat(column) for column in zip(*parts, strict=True)]
        assert same(joined, whole[epoch][number])


@pytest.mark.parametrize("kind", ["arrays", "plain"])
def test_shares_are_as_equal_as_can_be(monkeypatch, kind):
    """Ten rows in fours, for three processes: the last batch leaves one without."""
    runs = in_processes(monkeypatch, 3, lambda: epochs_of_a_share(kinds()[kind])[0])
    assert [[len(batch[0]) for batch in run] for run in runs] == [
        [1, 1, 0],
        [1, 1, 1],
        [2, 2, 1],
    ]


def test_a_share_without_rows_looks_like_a_batch(monkeypatch):
    """Its structure, shapes and dtypes are those of the batch, with 0 rows."""
    samples = [
        {"x": torch.ones(2), "pair": (torch.tensor(1), "a"), "named": Named(0, "b")}
    ]
    empty, full = in_processes(
        monkeypatch,
        2,
        lambda: epochs_of_a_share(samples)[0][0],
    )
    assert same(empty["x"], torch.ones(0, 2))
    assert same(empty["pair"], [torch.ones(0, dtype=torch.int64), []])
    assert same(empty["named"], Named(torch.ones(0, dtype=torch.int64), []))
    assert same(full, default_collate(samples))
    counts = in_processes(
        monkeypatch, 2, lambda: epochs_of_a_share(samples, collate_fn=len)[0]
    )
    assert counts == [[1], [1]]
    scalars = in_processes(
        monkeypatch,
        2,
        lambda: epochs_of_a_share([3], collate_fn=lambda s: torch.ones(())),
    )
    assert same(scalars[0][0], [torch.ones(())])


def test_processes_draw_other_random_numbers(monkeypatch):
    """Two samples of one batch are not changed alike."""
    first, second = in_processes(
        monkeypatch, 2, lambda: epochs_of_a_share(Noise(), batch_size=2)[0]
    )
    for place in (1, 2, 3):
        numbers = [float(batch[place]) for batch in first + second]
        assert len(set(numbers)) == 10


def test_a_run_may_go_on_with_another_number_of_processes(monkeypatch):
    """A state of one process fits two, since it counts whole batches."""
    options = {"batch_size": 4, "shuffle": True, "seed": 0}
    loader = make_loader(PerSample(), **options)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()

    def resume():
        other = make_loader(PerSample(), **options)
        other.load_state_dict(state)
        return [batch[1] for batch in other]

    shares = in_processes(monkeypatch, 2, resume)
    expected = [batch[1] for batch in batches]
    assert same([torch.cat(pair) for pair in zip(*shares, strict=True)], expected)


def test_a_torch_without_distributed_is_one_process(monkeypatch):
    """Then nothing else of torch.distributed is asked."""
    monkeypatch.setattr(distributed, "is_available", lambda: False)
    monkeypatch.delattr(distributed, "is_initialized")
    assert len(epochs_of_a_share(PerSample())[0]) == 3


# --- make_loader: what it refuses --------------------------------------------------


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


class NoLength(Dataset):
    def __getitem__(self, index):
        return index


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Stream(), "Stream is an IterableDataset, .*or use torch's DataLoader"),
        (NoLength(), "the dataset is a NoLength, without a length or without indexing"),
        ({1, 2}, "the dataset is a set, without a length or without indexing"),
        (iter([1]), "give one with __len__ and __getitem__"),
        (DataLoader([1]), "the dataset is a DataLoader, without"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_dataset_without_rows_to_choose_is_refused(dataset, message):
    """By the loader and by a split; the error says what to do."""
    with pytest.raises(TypeError, match=message):
        make_loader(dataset, batch_size=1, shuffle=False, seed=0)
    with pytest.raises(TypeError, match=message):
        split(dataset, [0.5, 0.5], generator=generator())


@pytest.mark.parametrize(
    "dataset", [[], Subset(ArrayDataset([1]), [])], ids=["list", "subset"]
)
def test_a_dataset_of_no_rows_is_refused(dataset):
    """The error counts them."""
    message = "the dataset has 0 rows: with batch_size=2 and drop_last=False that makes"
    with pytest.raises(ValueError, match=message):
        make_loader(dataset, batch_size=2, shuffle=True, seed=0)
    with pytest.raises(ValueError, match=r"of 0 rows give parts of \[0, 0\] rows"):
        split(dataset, [0.5, 0.5], generator=generator())


@pytest.mark.parametrize("name", ["batch_size", "seed", "num_workers"])
@pytest.mark.parametrize("value", [True, 2.0, "2", None, torch.tensor(2)], ids=repr)
def test_a_number_of_another_type_is_refused(name, value):
    """The error names it and its type."""
    options = {"batch_size": 1, "shuffle": True, "seed": 0} | {name: value}
    message = f"{name} is .*, of type {type(value).__name__}: give an integer"
    with pytest.raises(TypeError, match=message):
        make_loader([1, 2], **options)


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("batch_size", 0, 1),
        ("batch_size", -1, 1),
        ("seed", -1, 0),
        ("seed", 2**64, 0),
        ("num_workers", -1, 0),
    ],
)
def test_a_number_out_of_range_is_refused(name, value, least):
    """The error says the least that there may be."""
    options = {"batch_size": 1, "shuffle": True, "seed": 0} | {name: value}
    message = f"{name} is {value}: give an integer of {least} or more"
    with pytest.raises(ValueError, match=message):
        make_loader([1, 2], **options)


def test_an_integer_of_numpy_is_as_good():
    """And the largest seed is one, as in torch."""
    loader = make_loader(
        PerSample(), batch_size=np.int64(4), shuffle=True, seed=2**64 - 1
    )
    reference = plain_loader(PerSample(), batch_size=4, shuffle=True, seed=2**64 - 1)
    assert same(list(loader), list(reference))
    assert type(loader) is BatchLoader and type(loader.batch_size) is int


@pytest.mark.parametrize("left_out", ["batch_size", "shuffle", "seed"])
def test_size_order_and_seed_have_to_be_chosen(left_out):
    """There is no default that would be right in silence."""
    options = {"batch_size": 1, "shuffle": True, "seed": 0}
    del options[left_out]
    with pytest.raises(TypeError, match=left_out):
        make_loader([1, 2], **options)
