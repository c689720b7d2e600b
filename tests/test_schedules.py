"""`snippets.schedules` are the curves of the papers, and survive a checkpoint."""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import pytest
import torch
from torch.optim import lr_scheduler

from snippets.schedules import inverse_square_root, warmup_cosine, warmup_linear

FALLING = (warmup_cosine, warmup_linear)
LENGTHS = [(0, 1), (0, 7), (1, 2), (1, 9), (4, 5), (5, 40)]
FINALS = [0.0, 0.1, 0.3, 0.7, 1.0]
EVERY = [
    *(
        schedule(warmup_steps=warmup, total_steps=total, final=final)
        for schedule, (warmup, total), final in itertools.product(
            FALLING, LENGTHS, FINALS
        )
    ),
    *(inverse_square_root(warmup_steps=warmup) for warmup in (1, 2, 10)),
]


def new_optimizer(groups=1):
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(groups)]
    given = [{"params": [p], "lr": 0.5 / (k + 1)} for k, p in enumerate(parameters)]
    return torch.optim.SGD(given, momentum=0.9)


def rates(optimizer, scheduler, updates):
    """The learning rates of the updates, one list for each update."""
    seen = []
    for _ in range(updates):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return seen


def torch_schedule(name, warmup, total, final):
    """The factors of torch's own schedulers, one after the other."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    up = []
    if warmup:
        rise = lr_scheduler.LinearLR(
            optimizer, start_factor=1 / warmup, total_iters=warmup - 1
        )
        up = rates(optimizer, rise, warmup)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    if name == "cosine":
        fall = lr_scheduler.CosineAnnealingLR(optimizer, total - warmup, eta_min=final)
    else:
        fall = lr_scheduler.LinearLR(
            optimizer, start_factor=1, end_factor=final, total_iters=total - warmup
        )
    down = rates(optimizer, fall, total - warmup + 1)
    return [rate for (rate,) in [*up, *down]]


@pytest.mark.parametrize("final", FINALS)
@pytest.mark.parametrize(("warmup", "total"), LENGTHS)
@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_schedules_are_torchs_own_one_after_the_other(name, warmup, total, final):
    """LinearLR up, then CosineAnnealingLR or LinearLR down, up to the end."""
    schedule = {"cosine": warmup_cosine, "linear": warmup_linear}[name]
    factor = schedule(warmup_steps=warmup, total_steps=total, final=final)
    given = [factor(step) for step in range(total + 1)]
    assert given == pytest.approx(torch_schedule(name, warmup, total, final), abs=1e-12)


@pytest.mark.parametrize("final", FINALS)
@pytest.mark.parametrize(("warmup", "total"), LENGTHS)
@pytest.mark.parametrize("schedule", FALLING)
def test_the_ends_are_exact(schedule, warmup, total, final):
    """The first, the peak, the last, and all that comes after."""
    factor = schedule(warmup_steps=warmup, total_steps=total, final=final)
    assert factor(0) == (1 / warmup if warmup else 1)
    assert factor(max(warmup - 1, 0)) == 1
    assert factor(warmup) == 1
    for step in (total, total + 1, 10 * total):
        assert factor(step) == final


@pytest.mark.parametrize(
    ("schedule", "middle", "quarter"),
    [(warmup_cosine, 0.6, 0.6 + 0.4 * math.sqrt(0.5)), (warmup_linear, 0.6, 0.8)],
)
def test_falling_halfway_and_a_quarter_of_the_way(schedule, middle, quarter):
    """Half a cosine stays high longer than a line; both meet in the middle."""
    factor = schedule(warmup_steps=10, total_steps=50, final=0.2)
    assert factor(30) == pytest.approx(middle)
    assert factor(20) == pytest.approx(quarter)


@pytest.mark.parametrize("factor", EVERY, ids=repr)
def test_factors_rise_then_fall_between_0_and_1(factor):
    """No update is wasted with a factor of 0, none is above the optimizer's rate."""
    warmup = factor.warmup_steps
    given = [factor(step) for step in range(factor.total_steps or 200)]
    assert all(0 < number <= 1 for number in given)
    assert given[:warmup] == [(step + 1) / warmup for step in range(warmup)]
    falling = given[warmup:]
    assert falling == sorted(falling, reverse=True)
    assert all(isinstance(number, float) for number in given)


@pytest.mark.parametrize("warmup", [1, 4, 4000])
def test_inverse_square_root_is_the_papers(warmup):
    """The rate of section 5.3, divided by its peak."""
    factor = inverse_square_root(warmup_steps=warmup)
    size = 512
    peak = (size * warmup) ** -0.5
    for update in (1, 2, 3, 4, 5, 100, 3999, 4000, 4001, 100_000):
        rate = size**-0.5 * min(update**-0.5, update * warmup**-1.5)
        assert factor(update - 1) == pytest.approx(rate / peak, rel=1e-12)
    assert factor(warmup - 1) == 1
    assert factor(4 * warmup - 1) == 0.5


@pytest.mark.parametrize("schedule", FALLING)
def test_final_is_0_if_left_out(schedule):
    """A run comes down all the way."""
    assert schedule(warmup_steps=2, total_steps=6)(6) == 0


@pytest.mark.parametrize("factor", EVERY[::7], ids=repr)
def test_lambda_lr_multiplies_the_rate_of_each_group(factor):
    """The first update has the factor of step 0."""
    optimizer = new_optimizer(groups=2)
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for step, (first, second) in enumerate(rates(optimizer, scheduler, 12)):
        assert first == 0.5 * factor(step)
        assert second == 0.25 * factor(step)


def save(optimizer, scheduler, path):
    state = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    torch.save(state, path)


def resume(factor, path):
    """Build an optimizer and a scheduler as a new program does, and load."""
    optimizer = new_optimizer()
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    state = torch.load(path, weights_only=True)
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    return optimizer, scheduler


OTHERS = [
    warmup_cosine(warmup_steps=1, total_steps=50, final=0.5),
    warmup_linear(warmup_steps=0, total_steps=8),
    inverse_square_root(warmup_steps=3),
]


@pytest.mark.parametrize("stop", [0, 2, 6, 11, 15])
@pytest.mark.parametrize("built", OTHERS, ids=repr)
@pytest.mark.parametrize(
    "factor",
    [
        warmup_cosine(warmup_steps=4, total_steps=12, final=0.1),
        warmup_linear(warmup_steps=4, total_steps=12, final=0.1),
        inverse_square_root(warmup_steps=4),
    ],
    ids=repr,
)
def test_a_checkpoint_brings_its_curve_with_it(factor, built, stop, tmp_path):
    """Resumed anywhere, the rates are those of the run that was not interrupted.

    That holds although the new program asks for another schedule, and the file is read
    with ``weights_only``.
    """
    optimizer = new_optimizer()
    expected = rates(optimizer, lr_scheduler.LambdaLR(optimizer, factor), 20)
    optimizer = new_optimizer()
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    given = rates(optimizer, scheduler, stop)
    save(optimizer, scheduler, tmp_path / "run.pt")
    optimizer, scheduler = resume(copy.copy(built), tmp_path / "run.pt")
    given += rates(optimizer, scheduler, 20 - stop)
    assert given == expected


@pytest.mark.parametrize(
    ("factor", "curve", "total", "final"),
    [
        (warmup_cosine(warmup_steps=2, total_steps=6), "cosine", 6, 0.0),
        (warmup_linear(warmup_steps=2, total_steps=6, final=0.5), "linear", 6, 0.5),
        (inverse_square_root(warmup_steps=2), "inverse_square_root", 0, 0.0),
    ],
    ids=repr,
)
def test_the_form_of_a_checkpoint_stays(factor, curve, total, final):
    """What is saved today is what later versions must read."""
    scheduler = lr_scheduler.LambdaLR(new_optimizer(), factor)
    (saved,) = scheduler.state_dict()["lr_lambdas"]
    expected = {"warmup_steps": 2, "total_steps": total, "final": final}
    assert saved == {"curve": curve, **expected}


@pytest.mark.parametrize("factor", OTHERS, ids=repr)
def test_a_schedule_does_not_change(factor):
    """It is a value: nothing can be set, and equal ones have one hash."""
    with pytest.raises(AttributeError, match="cannot assign to field 'final'"):
        factor.final = 1.0
    assert len({factor, copy.deepcopy(factor)}) == 1


@pytest.mark.parametrize("factor", EVERY[::7], ids=repr)
def test_schedules_can_be_pickled_copied_and_compared(factor):
    """As programs with several processes do."""
    for other in (pickle.loads(pickle.dumps(factor)), copy.deepcopy(factor)):
        assert other == factor
        assert [other(step) for step in range(50)] == [factor(s) for s in range(50)]
    assert warmup_cosine(warmup_steps=1, total_steps=2) != warmup_linear(
        warmup_steps=1, total_steps=2
    )


def test_whole_numbers_of_other_kinds_are_taken():
    """What counts as an index does, and a checkpoint holds plain integers."""
    factor = warmup_linear(warmup_steps=torch.tensor(2), total_steps=torch.tensor(6))
    assert factor == warmup_linear(warmup_steps=2, total_steps=6)
    kinds = {type(value) for value in vars(factor).values()}
    assert kinds == {str, int, float}
    whole = warmup_linear(warmup_steps=2, total_steps=6, final=1)
    assert type(whole.final) is float


@pytest.mark.parametrize("schedule", FALLING)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"warmup_steps": -1}, ValueError, "warmup_steps is -1: expected at least 0"),
        ({"warmup_steps": 2.0}, TypeError, r"warmup_steps is 2\.0: expected a whole"),
        ({"total_steps": 1e3}, TypeError, r"total_steps is 1000\.0: .*// or round"),
        ({"total_steps": 0}, ValueError, "total_steps is 0: expected at least 1"),
        ({"total_steps": 3}, ValueError, "warmup_steps is 3, total_steps 3: expected"),
        ({"total_steps": 2}, ValueError, "is 3, total_steps 2: expected fewer"),
        ({"final": -0.1}, ValueError, r"final is -0\.1: expected a factor"),
        ({"final": 1.1}, ValueError, r"final is 1\.1: expected a factor from 0 to 1"),
        ({"final": math.nan}, ValueError, "final is nan"),
    ],
)
def test_falling_schedules_refuse(schedule, options, error, message):
    """The message says which number, what it is, and what is expected."""
    with pytest.raises(error, match=message):
        schedule(**{"warmup_steps": 3, "total_steps": 10, **options})


def test_inverse_square_root_refuses():
    """It needs a warm-up of at least one update, counted whole."""
    with pytest.raises(ValueError, match="warmup_steps is 0: expected at least 1"):
        inverse_square_root(warmup_steps=0)
    with pytest.raises(TypeError, match=r"warmup_steps is 0\.5: expected a whole"):
        inverse_square_root(warmup_steps=0.5)


@pytest.mark.parametrize("factor", OTHERS, ids=repr)
def test_a_negative_step_is_refused(factor):
    """Steps are counted from 0."""
    with pytest.raises(ValueError, match="the step is -1: steps are counted from 0"):
        factor(-1)
