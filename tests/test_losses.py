"""`snippets.losses` are torch's cross-entropies, with a say for what is learned."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from snippets.losses import binary_focal_loss, focal_loss

REDUCTIONS = ("mean", "sum", "none")
HALVES = (torch.float16, torch.bfloat16)
FLOATS = (*HALVES, torch.float32, torch.float64)
# Shapes of logits, classes in the second dimension; and without a batch.
SHAPES = ((5, 3), (4, 3, 2), (2, 3, 4, 5), (2, 3, 2, 2, 2), (3,))
IGNORED = (-100, 1, 255)
OPTIONS = list(itertools.product((False, True), IGNORED, (0.0, 0.1, 1.0), REDUCTIONS))
NO_EFFECT = 1e-12
"""A gamma that is not 0, so the whole computation runs, but changes no digit."""


def problem(shape, dtype=torch.float64, *, ignored=None):
    """Logits, and targets of which about a third have the given number."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    sizes = shape[:1] + shape[2:] if len(shape) > 1 else ()
    target = torch.randint(3, sizes, generator=generator)
    if ignored is not None:
        target[torch.rand(sizes, generator=generator) < 0.3] = ignored
    return logits.to(dtype), target


def options_of(weighted, ignore_index, label_smoothing, reduction):
    return {
        "weight": torch.tensor([0.5, 3.0, 1.0]) if weighted else None,
        "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
        "reduction": reduction,
    }


def cross_entropy(logits, target, *, weight, **options):
    weight = None if weight is None else weight.to(logits.dtype)
    return F.cross_entropy(logits, target, weight=weight, **options)


def answers(shape=(4, 3), dtype=torch.float64, *, soft=False):
    """Logits, and for each a yes or no, or something between."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.rand(shape, generator=generator, dtype=torch.float64)
    return logits.to(dtype), (target if soft else target.round()).to(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gamma_0_is_cross_entropy(shape, dtype):
    """Every bit and the dtype, whatever the options."""
    for chosen in OPTIONS:
        options = options_of(*chosen)
        logits, target = problem(shape, dtype, ignored=options["ignore_index"])
        expected = cross_entropy(logits, target, **options)
        given = focal_loss(logits, target, gamma=0, **options)
        assert given.dtype == expected.dtype
        torch.testing.assert_close(given, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_options_mean_what_they_mean_in_cross_entropy(shape):
    """A gamma too small to matter gives torch's loss and torch's gradient."""
    for chosen in OPTIONS:
        options = options_of(*chosen)
        logits, target = problem(shape, ignored=options["ignore_index"])
        ours = logits.clone().requires_grad_()
        theirs = logits.clone().requires_grad_()
        given = focal_loss(ours, target, gamma=NO_EFFECT, **options)
        expected = cross_entropy(theirs, target, **options)
        torch.testing.assert_close(given, expected, equal_nan=True)
        given.sum().backward()
        expected.sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad)


def loop(logits, target, gamma, weight, ignore_index, label_smoothing):
    """Each loss by the formula, one class at a time, for logits (N, C)."""
    losses, shares = [], []
    for row, right in zip(logits.tolist(), target.tolist(), strict=True):
        if right == ignore_index:
            losses.append(0.0)
            continue
        total = sum(math.exp(score) for score in row)
        loss = 0.0
        for place, score in enumerate(row):
            p = math.exp(score) / total
            q = label_smoothing / len(row) + (place == right) * (1 - label_smoothing)
            loss -= weight[place] * q * (1 - p) ** gamma * math.log(p)
        losses.append(loss)
        shares.append(weight[right])
    return losses, sum(losses) / sum(shares)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_the_formula(gamma, label_smoothing):
    """Sum over classes of weight, target, fading and log, and the weighted mean."""
    logits, target = problem((20, 3), ignored=2)
    weight = [0.5, 3.0, 1.0]
    each, mean = loop(logits, target, gamma, weight, 2, label_smoothing)
    options = {
        "gamma": gamma,
        "weight": torch.tensor(weight),
        "ignore_index": 2,
        "label_smoothing": label_smoothing,
    }
    each = torch.tensor(each, dtype=torch.float64)
    given = focal_loss(logits, target, reduction="none", **options)
    torch.testing.assert_close(given, each)
    given = focal_loss(logits, target, reduction="sum", **options)
    torch.testing.assert_close(given, each.sum())
    given = focal_loss(logits, target, **options)
    torch.testing.assert_close(given.item(), mean)


def test_default_gamma_is_2():
    """What the paper found best."""
    logits, target = problem((5, 3))
    given = focal_loss(logits, target)
    assert torch.equal(given, focal_loss(logits, target, gamma=2.0))
    logits, target = answers()
    given = binary_focal_loss(logits, target)
    assert torch.equal(given, binary_focal_loss(logits, target, gamma=2.0))


def test_the_papers_example():
    """At p = 0.9 the loss is 100 times lower, at 0.968 about 1000 times."""
    p = torch.tensor([0.9, 0.968], dtype=torch.float64)
    yes = torch.ones(2, dtype=torch.float64)
    times = -p.log() / binary_focal_loss(p.logit(), yes, reduction="none")
    torch.testing.assert_close(times[0].item(), 100.0)
    assert times[1].item() == pytest.approx(1000, rel=0.03)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_gradients(gamma, weighted, label_smoothing):
    """First and second derivatives are those of the differences."""
    logits, target = problem((3, 3, 2), ignored=-100)
    weight = torch.tensor([0.5, 3.0, 1.0]).double() if weighted else None

    def loss(x):
        options = {"weight": weight, "label_smoothing": label_smoothing}
        return focal_loss(x, target, gamma=gamma, **options)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())
    assert torch.autograd.gradgradcheck(loss, logits.requires_grad_())


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_binary_gradients(gamma):
    """First and second derivatives are those of the differences."""
    logits, target = answers(soft=True)

    def loss(x):
        return binary_focal_loss(x, target, gamma=gamma, alpha=0.25)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())
    assert torch.autograd.gradgradcheck(loss, logits.requires_grad_())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
def test_what_is_certain_and_right_costs_nothing(gamma, dtype):
    """At a probability of 1 loss and gradient are 0, for small gamma too."""
    logits = torch.tensor([[9999.0, 0.0]], dtype=dtype, requires_grad=True)
    focal_loss(logits, torch.tensor([0]), gamma=gamma).backward()
    assert torch.equal(logits.grad, torch.zeros(1, 2, dtype=dtype))
    logits = torch.tensor([9999.0, -9999.0], dtype=dtype, requires_grad=True)
    target = torch.tensor([1.0, 0.0], dtype=dtype)
    binary_focal_loss(logits, target, gamma=gamma).backward()
    assert torch.equal(logits.grad, torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
def test_nearly_certain_keeps_its_digits(gamma, dtype):
    """Where 1 - p would round to 0 in the dtype, the loss is still not 0."""
    logits = torch.tensor([[8.0, 0.0]], dtype=dtype)
    expected = _nearly_certain(8, gamma, dtype)
    given = focal_loss(logits, torch.tensor([0]), gamma=gamma)
    torch.testing.assert_close(given, expected, rtol=1e-2, atol=0)
    logits, yes = torch.tensor([25.0], dtype=dtype), torch.ones(1, dtype=dtype)
    given = binary_focal_loss(logits, yes, gamma=gamma)
    expected = _nearly_certain(25, gamma, dtype)
    torch.testing.assert_close(given, expected, rtol=1e-2, atol=0)


def _nearly_certain(score, gamma, dtype):
    """Return the loss by the formula, in Python's numbers."""
    odds = math.exp(-score)
    loss = (odds / (1 + odds)) ** gamma * math.log1p(odds)
    return torch.tensor(loss, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
def test_what_is_certain_and_wrong_costs_as_in_cross_entropy(gamma, dtype):
    """The loss is the distance of the logits, the gradient -1 and 1."""
    logits = torch.tensor([[30000.0, -30000.0]], dtype=dtype, requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1]), gamma=gamma)
    loss.backward()
    assert loss.item() == torch.tensor(60000.0, dtype=dtype).item()
    assert torch.equal(logits.grad, torch.tensor([[1.0, -1.0]], dtype=dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("gamma", [0.1, 1.0, 2.0])
def test_the_largest_logits_have_finite_gradients(gamma, dtype):
    """Even where the loss itself does not fit the dtype."""
    largest = torch.finfo(dtype).max
    for smoothing, target in itertools.product((0.0, 0.1), (0, 1, 2)):
        logits = torch.tensor([[largest, 0, -largest]], dtype=dtype).requires_grad_()
        options = {"gamma": gamma, "label_smoothing": smoothing}
        focal_loss(logits, torch.tensor([target]), **options).backward()
        assert logits.grad.isfinite().all()
    logits = torch.tensor([largest, -largest, largest], dtype=dtype).requires_grad_()
    target = torch.tensor([0, 1, 1], dtype=dtype)
    binary_focal_loss(logits, target, gamma=gamma, reduction="none").sum().backward()
    assert torch.equal(logits.grad, torch.tensor([1, -1, 0], dtype=dtype))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_computed_in_float32(dtype, reduction):
    """The loss is that of float32, rounded once."""
    for smoothing in (0.0, 0.1):
        logits, target = problem((50, 3, 4), dtype, ignored=-100)
        weight = torch.tensor([0.5, 3.0, 1.0], dtype=dtype)
        options = {"weight": weight, "label_smoothing": smoothing}
        given = focal_loss(logits, target, reduction=reduction, **options)
        expected = focal_loss(logits.float(), target, reduction=reduction, **options)
        assert torch.equal(given, expected.to(dtype))
    logits, target = answers((50, 3), dtype)
    options = {"alpha": 0.25, "reduction": reduction}
    given = binary_focal_loss(logits, target, **options)
    expected = binary_focal_loss(logits.float(), target.float(), **options)
    assert torch.equal(given, expected.to(dtype))


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
def test_weights_of_another_dtype_are_converted(dtype):
    """Many of them are summed as well as in the dtype of the logits."""
    logits, target = problem((5000, 3), torch.float32)
    weight = torch.tensor([0.5, 3.0, 1.0])
    given = focal_loss(logits, target, weight=weight.to(dtype))
    assert torch.equal(given, focal_loss(logits, target, weight=weight))


def test_one_class_is_always_right():
    """Its probability is 1: no loss, with ignored targets and weights too."""
    target = torch.tensor([0, -100, 0])
    options = {"weight": torch.tensor([2.0]), "reduction": "none"}
    given = focal_loss(torch.ones(3, 1), target, **options)
    assert torch.equal(given, torch.zeros(3))


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
@pytest.mark.parametrize("gamma", [0, 2])
def test_answers_of_another_dtype_are_converted(gamma, dtype):
    """The loss is that of answers in the dtype of the logits."""
    logits, target = answers((20,), torch.float32)
    given = binary_focal_loss(logits, target.to(dtype), gamma=gamma)
    assert given.dtype == torch.float32
    assert torch.equal(given, binary_focal_loss(logits, target, gamma=gamma))


@pytest.mark.parametrize("gamma", [0, 2])
def test_under_autocast_the_loss_is_float32(gamma):
    """As torch's own losses are."""
    logits, target = problem((5, 3), torch.bfloat16)
    yes_or_no = answers((5,), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert focal_loss(logits, target, gamma=gamma).dtype == torch.float32
        assert binary_focal_loss(*yes_or_no, gamma=gamma).dtype == torch.float32
        assert F.cross_entropy(logits, target).dtype == torch.float32


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_a_class_ruled_out_by_minus_infinity_changes_nothing(gamma):
    """Loss and gradient are those without that class."""
    logits, target = problem((5, 3))
    small = logits.clone().requires_grad_()
    large = F.pad(logits, (0, 1), value=-math.inf).requires_grad_()
    for x in (small, large):
        focal_loss(x, target, gamma=gamma).backward()
    torch.testing.assert_close(large.grad, F.pad(small.grad, (0, 1)))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_all_ignored_is_as_in_torch(gamma, label_smoothing):
    """The mean is NaN, the sum 0, the gradient 0."""
    options = {"gamma": gamma, "label_smoothing": label_smoothing}
    logits, target = problem((4, 3))
    target = torch.full_like(target, -100)
    logits.requires_grad_()
    mean = focal_loss(logits, target, **options)
    mean.backward()
    assert mean.isnan()
    assert focal_loss(logits, target, reduction="sum", **options) == 0
    assert focal_loss(logits, target, reduction="none", **options).eq(0).all()
    theirs = logits.detach().requires_grad_()
    F.cross_entropy(theirs, target, label_smoothing=label_smoothing).backward()
    assert torch.equal(logits.grad, theirs.grad)
    assert torch.equal(logits.grad, torch.zeros(4, 3, dtype=torch.float64))


def test_an_empty_batch_is_as_in_torch():
    """The mean is NaN, the sum 0."""
    logits, target = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    assert focal_loss(logits, target).isnan()
    assert focal_loss(logits, target, reduction="sum") == 0
    assert binary_focal_loss(logits, logits).isnan()
    assert binary_focal_loss(logits, logits, reduction="sum") == 0


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_gamma_0_is_binary_cross_entropy(reduction, dtype):
    """Every bit and the dtype, also of targets between 0 and 1."""
    for shape, soft in itertools.product(((7,), (4, 3), (), (0,)), (False, True)):
        logits, target = answers(shape, dtype, soft=soft)
        options = {"reduction": reduction}
        expected = F.binary_cross_entropy_with_logits(logits, target, **options)
        given = binary_focal_loss(logits, target, gamma=0, **options)
        assert given.dtype == expected.dtype
        torch.testing.assert_close(given, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_reductions_are_torchs(reduction):
    """A gamma too small to matter gives torch's loss."""
    logits, target = answers(soft=True)
    options = {"reduction": reduction}
    given = binary_focal_loss(logits, target, gamma=NO_EFFECT, **options)
    expected = F.binary_cross_entropy_with_logits(logits, target, **options)
    torch.testing.assert_close(given, expected)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 1.0])
@pytest.mark.parametrize("gamma", [0, 0.5, 2, 5])
def test_binary_focal_loss_is_the_formula(gamma, alpha, soft):
    """Yes weighs alpha, no the rest of 1; without alpha both weigh 1."""
    logits, target = answers(soft=soft)
    yes, no = (1, 1) if alpha is None else (alpha, 1 - alpha)
    expected = []
    for x, y in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        loss = yes * y * (1 - p) ** gamma * math.log(p)
        expected.append(-loss - no * (1 - y) * p**gamma * math.log(1 - p))
    given = binary_focal_loss(
        logits, target, gamma=gamma, alpha=alpha, reduction="none"
    )
    torch.testing.assert_close(given, logits.new_tensor(expected).reshape(4, 3))


def test_each_question_can_have_its_alpha():
    """A tensor is broadcast: each column is as if computed alone."""
    logits, target = answers()
    alpha = torch.tensor([0.1, 0.5, 0.9])
    together = binary_focal_loss(logits, target, alpha=alpha, reduction="none")
    for column, number in enumerate(alpha.tolist()):
        alone = binary_focal_loss(
            logits[:, column], target[:, column], alpha=number, reduction="none"
        )
        torch.testing.assert_close(together[:, column], alone)
    column = torch.full((4, 1), 0.3, dtype=torch.float64)
    torch.testing.assert_close(
        binary_focal_loss(logits, target, alpha=column),
        binary_focal_loss(logits, target, alpha=0.3),
    )
    single = answers((4, 3), torch.float32)
    assert binary_focal_loss(*single, alpha=alpha.double()).dtype == torch.float32


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_two_classes_are_one_question(label_smoothing):
    """The scores 0 and x give the loss of x, with targets smoothed alike."""
    logits, target = answers((10,))
    two = torch.stack([torch.zeros_like(logits), logits], dim=1)
    many = focal_loss(two, target.long(), label_smoothing=label_smoothing)
    smoothed = target * (1 - label_smoothing) + label_smoothing / 2
    torch.testing.assert_close(many, binary_focal_loss(logits, smoothed))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_no_value_is_looked_at(label_smoothing, monkeypatch):
    """Tensors without values will do, so an accelerator is never waited for."""
    asked = []
    monkeypatch.setattr(torch.Tensor, "__bool__", asked.append)
    logits, target = (x.to("meta") for x in problem((4, 3, 2)))
    weight = torch.ones(3, device="meta")
    for gamma in (0, 2):
        options = {"weight": weight, "label_smoothing": label_smoothing}
        assert focal_loss(logits, target, gamma=gamma, **options).shape == ()
        assert binary_focal_loss(logits, logits, gamma=gamma).shape == ()
    assert not asked


def test_works_inside_vmap():
    """One loss a sample, as for gradients of each sample."""
    logits, target = problem((4, 3, 2))
    weight = torch.tensor([0.5, 3.0, 1.0]).double()
    given = torch.vmap(lambda x, y: focal_loss(x.T, y, weight=weight))(logits, target)
    expected = [
        focal_loss(x.T, y, weight=weight) for x, y in zip(logits, target, strict=True)
    ]
    torch.testing.assert_close(given, torch.stack(expected))
    logits, target = answers()
    given = torch.vmap(binary_focal_loss)(logits, target)
    expected = [binary_focal_loss(*pair) for pair in zip(logits, target, strict=True)]
    torch.testing.assert_close(given, torch.stack(expected))


def test_compiles_as_one_graph():
    """No check breaks the graph."""
    logits, target = problem((4, 3))
    many = torch.compile(focal_loss, backend="eager", fullgraph=True)
    options = {"weight": torch.ones(3), "label_smoothing": 0.1}
    assert torch.equal(
        many(logits, target, **options), focal_loss(logits, target, **options)
    )
    logits, target = answers()
    binary = torch.compile(binary_focal_loss, backend="eager", fullgraph=True)
    expected = binary_focal_loss(logits, target, alpha=0.25)
    assert torch.equal(binary(logits, target, alpha=0.25), expected)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 5)])
@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_target_that_is_no_class_is_refused(wrong, shape, gamma):
    """The message says which, what is expected, and what would be ignored."""
    for smoothing, weighted in itertools.product((0.0, 0.1), (False, True)):
        logits, target = problem(shape)
        target.view(-1)[-1] = wrong
        weight = torch.ones(3).double() if weighted else None
        with pytest.raises(
            ValueError, match=rf"Target {wrong} is.*0 to 2, or ignore_index 255$"
        ):
            focal_loss(
                logits,
                target,
                gamma=gamma,
                weight=weight,
                label_smoothing=smoothing,
                ignore_index=255,
            )


@pytest.mark.parametrize("target", [-0.1, 1.1, 2.0, math.nan])
def test_an_answer_out_of_range_is_refused(target):
    """Also NaN, and also where gamma is 0."""
    for gamma in (0, 2):
        with pytest.raises(ValueError, match="not from 0 to 1"):
            binary_focal_loss(torch.zeros(2), torch.tensor([1.0, target]), gamma=gamma)


X, Y = torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("logits", "target", "options", "error", "message"),
    [
        (X, Y[:, None], {}, ValueError, r"\(4, 3\).*in dimension 1.*\(4,\).*\(4, 1\)"),
        (X, Y[:3], {}, ValueError, r"need targets of shape \(4,\), got \(3,\)"),
        (torch.zeros(3), Y, {}, ValueError, r"dimension 0, need targets of shape \(\)"),
        (torch.zeros(4, 3, 2), Y, {}, ValueError, r"shape \(4, 2\), got \(4,\)"),
        (torch.tensor(1.0), Y, {}, ValueError, "logits have no dimension"),
        (X, Y.int(), {}, TypeError, r"torch\.int32.*target\.long\(\)"),
        (X, X, {}, TypeError, r"float32: expected class.* binary_focal_loss$"),
        (X.long(), Y, {}, TypeError, r"logits are torch\.int64: expected floating"),
        (X, Y, {"weight": torch.ones(4)}, ValueError, r"\(4,\): .* \(3,\), one number"),
        (X, Y, {"weight": torch.ones(3, 1)}, ValueError, r"\(3, 1\): expected"),
        (X, Y, {"weight": torch.ones(3).int()}, TypeError, "weight is torch.int32"),
        (X, Y, {"gamma": -0.1}, ValueError, r"gamma is -0\.1: expected"),
        (X, Y, {"gamma": math.nan}, ValueError, "gamma is nan"),
        (X, Y, {"gamma": math.inf}, ValueError, "gamma is inf"),
        (X, Y, {"label_smoothing": 1.5}, ValueError, r"is 1\.5: expected 0 to 1"),
        (X, Y, {"label_smoothing": -0.1}, ValueError, r"label_smoothing is -0\.1"),
        (X, Y, {"reduction": "average"}, ValueError, "'average': expected 'mean'"),
    ],
)
def test_focal_loss_refuses(logits, target, options, error, message):
    """What was given, what is expected, whatever gamma is."""
    for gamma in (0.0, 2.0):
        with pytest.raises(error, match=message):
            focal_loss(logits, target, **{"gamma": gamma, **options})


@pytest.mark.parametrize(
    ("logits", "target", "options", "error", "message"),
    [
        (X, X[:, 0], {}, ValueError, r"shape \(4,\), logits \(4, 3\)"),
        (X, X[:, :1], {}, ValueError, r"shape \(4, 1\), logits \(4, 3\)"),
        (X, X.long(), {}, TypeError, r"targets are torch\.int64.*to\(logits\.dtype\)"),
        (X, X.bool(), {}, TypeError, r"targets are torch\.bool"),
        (X.long(), X, {}, TypeError, r"logits are torch\.int64"),
        (X, X, {"alpha": 1.1}, ValueError, r"alpha is 1\.1: expected"),
        (X, X, {"alpha": -0.1}, ValueError, r"alpha is -0\.1: expected"),
        (X, X, {"alpha": math.nan}, ValueError, "alpha is nan"),
        (X, X, {"alpha": torch.ones(4)}, ValueError, r"\(4,\).*not broadcast.*\(4, 3"),
        (X, X, {"alpha": torch.ones(1, 4, 3)}, ValueError, r"\(1, 4, 3\), which"),
        (X, X, {"gamma": -1.0}, ValueError, r"gamma is -1\.0: expected"),
        (X, X, {"reduction": "no"}, ValueError, "'no': expected 'mean'"),
    ],
)
def test_binary_focal_loss_refuses(logits, target, options, error, message):
    """What was given, what is expected, whatever gamma is."""
    for gamma in (0.0, 2.0):
        with pytest.raises(error, match=message):
            binary_focal_loss(logits, target, **{"gamma": gamma, **options})


def test_nothing_given_is_changed():
    """Neither by a loss nor by an error."""
    logits, target = problem((4, 3), ignored=-100)
    weight = torch.tensor([0.5, 3.0, 1.0])
    before = logits.clone(), target.clone(), weight.clone()
    focal_loss(logits, target, weight=weight, label_smoothing=0.1)
    with pytest.raises(ValueError, match="no class"):
        focal_loss(logits, target - 1, weight=weight)
    for now, then in zip((logits, target, weight), before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_an_accelerator_gives_the_same(accelerator, dtype):
    """Loss and gradient agree with those of the CPU."""
    logits, target = problem((50, 3, 4), dtype, ignored=-100)
    options = {"weight": torch.tensor([0.5, 3.0, 1.0]), "label_smoothing": 0.1}
    here = logits.clone().requires_grad_()
    there = logits.to(accelerator).requires_grad_()
    expected = focal_loss(here, target, **options)
    options["weight"] = options["weight"].to(accelerator)
    given = focal_loss(there, target.to(accelerator), **options)
    torch.testing.assert_close(given.cpu(), expected)
    given.backward()
    expected.backward()
    torch.testing.assert_close(there.grad.cpu(), here.grad)
    pair = answers((50, 3), dtype)
    given = binary_focal_loss(*(x.to(accelerator) for x in pair), alpha=0.25)
    torch.testing.assert_close(given.cpu(), binary_focal_loss(*pair, alpha=0.25))


@pytest.mark.gpu
def test_an_accelerator_is_not_waited_for(accelerator):
    """CUDA, asked to refuse every wait, finds none."""
    if accelerator.type != "cuda":
        pytest.skip("only CUDA can refuse to wait")
    logits, target = (x.to(accelerator) for x in problem((50, 3), torch.float32))
    yes_or_no = [x.to(accelerator) for x in answers((50, 3), torch.float32)]
    weight = torch.ones(3, device=accelerator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        focal_loss(logits, target, weight=weight, label_smoothing=0.1)
        binary_focal_loss(*yes_or_no, alpha=0.25)
    finally:
        torch.cuda.set_sync_debug_mode("default")
