import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.page_changes import is_assert, mutants

PROGRAM = Path(__file__).with_name("page_mutants.py")
EXAMPLES = PROGRAM.parents[1] / "examples"
CHAPTERS = tomllib.loads((EXAMPLES / "curriculum.toml").read_text("utf-8"))["chapters"]
# Of all pages, `nox -s mutants` takes minutes; CI takes a sample of each.
PAGES = [
    EXAMPLES / c / f"{CHAPTERS[c][0]}.py" for c in ("tensors", "shapes", "autograd")
]
SAMPLE = 6

needs_fork = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="this platform has no os.fork"
)


def run(*arguments):
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.fixture
def page(tmp_path):
    def write(text, name="page.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def results(code):
    """Return what each mutant of some code looks like."""
    tree = ast.parse(code)
    for mutant in mutants(tree):
        with mutant.made():
            yield ast.unparse(tree).strip()


# The pages
# ---------


@needs_fork
def test_pages_notice_nine_tenths_of_a_sample_of_changes_to_what_they_print():
    """Three of the pages do."""
    judged = run("--sample", SAMPLE, "--seed", 1, *PAGES)

    assert judged.returncode == 0, judged.stdout + judged.stderr
    total = re.search(r"total of (\d+) pages: killed \d+ of (\d+)", judged.stdout)
    assert int(total[1]) == len(PAGES) > 0
    # About half of the mutants count; far fewer would mean that little is tested.
    assert int(total[2]) >= len(PAGES) * SAMPLE / 4, judged.stdout


# Which changes are made
# ----------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("c = a + b", ["c = a - b"]),
        ("c = a @ b", ["c = a * b"]),
        ("c = a & b", ["c = a | b"]),
        ("c = a <= b", ["c = a >= b"]),
        ("c = -a", ["c = a"]),
        ("c = 3", ["c = 4"]),
        ("c = 0.5", ["c = 1.5"]),
        ("c = a[-1]", ["c = a[1]", "c = a[-2]"]),
        ("c = f(keepdim=True)", ["c = f(keepdim=False)"]),
        ("c = a.flip(dims=0)", ["c = a.flip(dims=1)"]),
        ("c = a.cumprod(1)", ["c = a.cumsum(1)", "c = a.cumprod(0)"]),
        ("c = f(a, dim=1)", ["c = f(a, dim=0)"]),
        ("c = a.sum()", ["c = a.mean()"]),
        ("c = torch.stack(a)", ["c = torch.cat(a)"]),
        ("c = max(a)", ["c = min(a)"]),
        ("c = a.clone()", ["c = a"]),
        ("c = a.T", ["c = a"]),
        ("c = a.clamp_(b)", ["c = a.clamp(b)"]),
        ("c += a", ["c -= a", "c = a", "pass"]),
        ("a[b] = c", ["pass"]),
        ("optimizer.step()", ["pass"]),
        ("print(a + b, sep='')", ["print(a - b, sep='')"]),
    ],
)
def test_a_mutant_has_one_small_change(code, expected):
    assert list(results(code)) == expected


@pytest.mark.parametrize(
    "code",
    [
        '"""Text."""',
        "import torch",
        "assert 1 + 1 == 2",
        "raise AssertionError(1 + 1)",
        "torch.testing.assert_close(a + b, c, atol=1)",
        "torch.manual_seed(0)",
        "generator = torch.Generator().manual_seed(0)",
        "print(a, end='-' * 40)",
        "print('-' * 40)",
        "print(f'{a:.4f}')",
        "print(round(a, 3))",
        "fig, panels = plt.subplots(1, 3)\npanels[0].plot(a + b)",
        "from snippets.drawing import draw_tensor\ndraw_tensor(a + b, title=1)",
        "for a in b:\n    if a % 10 == 0:\n        print(a)",
        "if __name__ == '__main__':\n    f = a",
    ],
)
def test_asserts_text_looks_and_seeds_are_never_changed(code):
    assert list(results(code)) == []


def test_the_asserts_of_the_pages_are_never_changed():
    changes = 0
    for path in PAGES:
        tree = ast.parse(path.read_text("utf-8"))
        asserts = [node for node in ast.walk(tree) if is_assert(node)]
        text = [ast.unparse(node) for node in asserts]
        for mutant in mutants(tree):
            with mutant.made():
                assert [ast.unparse(node) for node in asserts] == text
            changes += 1
    assert changes > len(PAGES)


# What becomes of them
# --------------------


@needs_fork
def test_an_assert_on_the_result_kills_every_mutant(page):
    path = page("total = 2 + 3\nprint(total)\nassert total == 5\n")

    judged = run(path)

    assert "killed 3 of 3 (100%)" in judged.stdout
    assert judged.returncode == 0


@needs_fork
def test_a_dropped_line_counts_wherever_it_stands(page):
    path = page(
        "a = [1]\na.append(2)\na[0] = 3\nb = 4\nb += 5\nprint(a, b)\n"
        "assert a == [3, 2] and b == 9\n"
    )

    # Three drops, five numbers, b -= 5, b = 5; the first 1 is written over.
    assert (
        "killed 10 of 10 (100%); 0 crashed, 0 timed out, 1 unchanged"
        in run(path).stdout
    )


@needs_fork
def test_a_change_to_a_function_reaches_the_script_that_a_page_makes_of_it(page):
    code = (
        "import inspect\n"
        "# %%\n"
        "def doubled(number):\n"
        "    return 2 * number\n\n\n"
        "made = {}\n"
        "exec(inspect.getsource(doubled), made)\n"
        "result = made['doubled'](3)\n"
        "print(result)\n"
        "assert result == 6\n"
    )
    judged = run(page(code))

    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "killed 3 of 3" in judged.stdout


@needs_fork
def test_a_call_that_asserts_counts_as_an_assert_also_at_the_end_of_a_cell(page):
    path = page(
        "from unittest import TestCase\n\n"
        "total = 2 + 3\nprint(total)\nTestCase().assertEqual(total, 5)\n# %%\n"
    )

    assert "killed 3 of 3 (100%); 0 crashed" in run(path).stdout


@needs_fork
def test_an_assert_that_cannot_fail_leaves_survivors_which_are_named(page):
    path = page("total = 2 + 3\nprint(total)\nassert total is not None\n")

    judged = run(path)

    assert "killed 0 of 3 (0%)" in judged.stdout
    survivor = f"{path}:1\n      - total = 2 + 3\n      + total = 2 - 3\n"
    assert survivor in judged.stdout
    assert judged.returncode == 1


@needs_fork
def test_a_check_that_repeats_what_is_shown_is_one_of_what_is_shown(page):
    """The lesson prints an expression, the check says something of the same one."""
    shown = '"""Text."""\n# %%\n\na = 2\nprint("sum:", 10 * (a + 3))\n\n'
    repeated = run(page(shown + "assert 10 * (a + 3) == 50\n"))
    within = run(page(shown + "assert a + 3 == 5\n"))

    assert "killed 5 of 5 (100%)" in repeated.stdout
    assert "killed 3 of 5 (60%)" in within.stdout


@needs_fork
def test_an_error_that_is_shown_is_noticed_when_it_does_not_come(page):
    path = page(
        "from snippets.explain import show_error\n"
        'with show_error("by zero"):\n    7 / 0\n'
        "a = 1\nassert a == 1\n"
    )

    # 8 / 0 fails alike, and a is not shown.
    assert "killed 2 of 2 (100%); 0 crashed, 0 timed out, 2" in run(path).stdout


@needs_fork
def test_checks_and_code_that_only_draws_are_no_lesson(page):
    path = page(
        '"""Text."""\n# %%\n\na = 2\nprint(a)\n\nassert a == 2\nb = a + 3\n'
        "assert b == 5\n\n# %%\n# .. fold: picture\n\nc = a + 7\nprint(c)\n"
    )

    assert "killed 1 of 1 (100%); 0 crashed, 0 timed out, 0" in run(path).stdout


@needs_fork
def test_nine_tenths_are_asked_of_each_page_not_only_of_all_together(page):
    numbers = list(range(60))
    good = page(f"a = {numbers}\nprint(a)\nassert a == {numbers}\n", "good.py")
    bad = page("a = [1, 2, 3, 4, 5]\nprint(a)\n", "bad.py")

    judged = run(good, bad)

    assert "total of 2 pages: killed 60 of 65 (92%)" in judged.stdout
    assert judged.stdout.endswith(f"broken or below 90%: {bad}\n")
    assert judged.returncode == 1


@needs_fork
def test_a_mutant_that_hangs_is_ended_and_does_not_count(page):
    path = page("n = 0\nwhile n < 3:\n    n += 1\nprint(n)\nassert n == 3\n")

    judged = run(path, "--limit", 1)

    assert "0 crashed, 3 timed out, 1 unchanged" in judged.stdout
    assert judged.returncode == 0


@needs_fork
def test_a_mutant_that_crashes_or_prints_the_same_does_not_count(page):
    path = page("a = [10, 20][1]\nb = a > 3\nprint(b)\nassert b\n")

    judged = run(path)

    # [10, 21] and > 4 print the same, and so does [11, 20]; [2] is out of range.
    assert "killed 1 of 1 (100%); 1 crashed, 0 timed out, 3 unchanged" in judged.stdout


@needs_fork
def test_an_error_that_no_longer_comes_is_noticed_by_the_raise_in_else(page):
    path = page(
        "try:\n    print([10][1])\nexcept IndexError as error:\n    print(error)\n"
        "else:\n    raise AssertionError('must not be found')\n"
    )

    assert "killed 0 of 0 (none counted); 0 crashed" in run(path).stdout
    path.write_text(path.read_text().replace("[10][1]", "[10][len('a') - 0]"))
    assert "killed 1 of 1 (100%); 0 crashed" in run(path).stdout


@needs_fork
def test_the_value_that_ends_a_cell_counts_as_printed(page):
    path = page('"""Title."""\n\na = 2\na\n# %%\n# Text.\nb = 0\n')

    assert "killed 0 of 1 (0%); 0 crashed, 0 timed out, 1 unchanged" in run(path).stdout


@needs_fork
def test_what_the_intact_page_prints_differently_each_time_is_not_compared(page):
    path = page("import time\nprint(time.perf_counter_ns() + 1)\nprint(7)\n")

    judged = run(path)

    assert "killed 0 of 1 (0%)" in judged.stdout
    assert f"{path}:3" in judged.stdout


@needs_fork
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "print(1)\nassert 1 == 2, 'no'\n",
            "fails by itself in line 2: AssertionError: no",
        ),
        ("assert (n := 2)\nprint(n)\n", "does not run without its asserts"),
    ],
)
def test_a_page_that_cannot_be_judged_is_named(page, code, reason):
    path = page(code)

    judged = run(path)

    assert f"{path}: {reason}" in judged.stdout
    assert judged.returncode == 1


@needs_fork
def test_the_sample_of_a_page_does_not_depend_on_the_other_pages(page):
    first = page(f"print({list(range(20))})\n", "first.py")
    second = page(f"print({list(range(30))})\n", "second.py")

    alone = run("--sample", 3, "--seed", 7, second).stdout
    together = run("--sample", 3, "--seed", 7, first, second).stdout

    assert "killed 0 of 3" in alone
    assert alone.partition("total of")[0] in together
    assert alone.partition("total of")[0] not in run("--sample", 3, second).stdout
