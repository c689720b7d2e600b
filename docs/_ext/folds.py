"""Put the lesson of each cell in front, and fold what stands behind it.

Sphinx-Gallery writes a cell as its code and what the code printed and drew. This
divides the code (see `lesson`): the lesson stays, the check becomes a fold below the
output. A cell that only draws shows its picture, its code folded. Solution and checks
of an exercise go into the exercise. What ``show_error`` printed is set off as an error.

A fold is Sphinx's own collapsible admonition, which is a ``<details>`` in HTML: it
opens without JavaScript. (sphinx-togglebutton, and with it sphinx-exercise, needs
JavaScript; sphinx-design would do the same as Sphinx itself.) Its code is no part of
the search.
"""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from lesson import count_facts, split_check
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

from snippets.explain import MARK

GENERATED = "GENERATED FROM PYTHON SOURCE LINES"
OUTPUT = "sphx-glr-script-out"


def fold(title: str, *content: nodes.Node, kind: str) -> nodes.admonition:
    """Return a closed fold with a title."""
    classes = ["fold", kind]
    heading = nodes.title("", title)
    return nodes.admonition(
        "", heading, *content, classes=classes, collapsible="closed"
    )


def code_fold(title: str, code: str, kind: str) -> nodes.admonition:
    """Return a fold of code, which the search leaves out."""
    block = nodes.literal_block(code, code, language="Python")
    folded = fold(title, block, kind=kind)
    folded["classes"].append("no-search")
    return folded


def facts(count: int) -> str:
    """Return a number of facts in words."""
    return f"{count} fact" if count == 1 else f"{count} facts"


def exercise_label(docname: str, title: str) -> str:
    """Return the label by which other pages link to an exercise."""
    return nodes.make_id(f"exercise-{docname.rpartition('/')[2]}-{title}")


class Exercise(SphinxDirective):
    """Set an exercise; the cell below holds its solution and checks."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the exercise with its hints folded."""
        title = nodes.title("", f"Exercise: {self.arguments[0]}")
        label = exercise_label(self.env.docname, self.arguments[0])
        exercise = nodes.admonition("", title, classes=["exercise"], ids=[label])
        std = self.env.domains.standard_domain
        std.note_hyperlink_target(label, self.env.docname, label, self.arguments[0])
        self.state.nested_parse(self.content, self.content_offset, exercise)
        for hint in list(exercise.findall(nodes.hint)):
            hint.replace_self(fold("Hint", *hint.children, kind="hint"))
        return [exercise]


class LessonFirst(SphinxTransform):
    """Divide the cells of a page of the gallery."""

    default_priority = 500

    def apply(self, **options: Any) -> None:
        """Rearrange each cell, and say below the opening what the page checks."""
        if not self.env.docname.startswith("gallery/"):
            return
        blocks = [n for n in self.document.findall(nodes.literal_block) if is_code(n)]
        for block in blocks:
            rearrange(block)
        exercise = next(iter(self.document.findall(is_exercise)), None)
        if exercise is not None:
            exercise.parent.insert(exercise.parent.index(exercise), where_to_practice())
        checked = list(self.document.findall(is_check))
        if checked:
            add_summary(self.document, sum(node["facts"] for node in checked))


def is_code(node: nodes.Element) -> bool:
    """Tell whether a block is code of the page's script."""
    before = node.parent[node.parent.index(node) - 1]
    is_generated = isinstance(before, nodes.comment) and GENERATED in before.astext()
    return is_generated and node.get("language") == "Python"


def is_exercise(node: nodes.Node) -> bool:
    """Tell whether a node is an exercise."""
    return isinstance(node, nodes.admonition) and "exercise" in node["classes"]


def where_to_practice() -> nodes.paragraph:
    """Return the sentence that stands above the exercises of a page."""
    command = nodes.literal("", "python -m nox -s practice")
    before, after = "Solve these in files of your own with ", ", or in the notebook."
    return nodes.paragraph("", "", nodes.Text(before), command, nodes.Text(after))


def is_check(node: nodes.Node) -> bool:
    """Tell whether a node is the fold of a check."""
    return isinstance(node, nodes.admonition) and "check" in node["classes"]


def rearrange(block: nodes.literal_block) -> None:
    """Put the parts of a cell in the order in which they are read."""
    parent, place = block.parent, block.parent.index(block)
    outputs = list(outputs_after(block))
    prose = list(prose_before(block))
    exercise = next(filter(is_exercise, prose), None)
    lesson, check = split_check(block.astext(), exercise=exercise is not None)
    shown: list[nodes.Node] = [
        part for node in outputs for part in set_off_errors(node)
    ]
    if exercise is not None:
        shown.insert(0, code_fold("Solution", lesson, "solution"))
    elif any(n.astext() == "fold: picture" for n in prose):
        shown.append(code_fold("Show the code of this picture", lesson, "picture-code"))
    elif lesson:
        lesson_block = block.copy()
        lesson_block += nodes.Text(lesson)
        lesson_block.rawsource = lesson  # highlighted as long as it is the text
        shown.insert(0, lesson_block)
    if check:
        count = count_facts(check)
        checked = "How an answer is checked" if exercise is not None else "Checked"
        shown.append(code_fold(f"{checked}: {facts(count)}", check, "check"))
        shown[-1]["facts"] = count
    parent[place : place + 1 + len(outputs)] = [] if exercise is not None else shown
    if exercise is not None:
        exercise += shown


def outputs_after(block: nodes.Element) -> Iterator[nodes.Element]:
    """Yield what Sphinx-Gallery shows of a cell's run."""
    siblings = block.parent.children
    for node in siblings[siblings.index(block) + 1 :]:
        if not (isinstance(node, nodes.raw) or OUTPUT in node.get("classes", ())):
            return
        yield node


def prose_before(block: nodes.Element) -> Iterator[nodes.Element]:
    """Yield the nodes of a cell's prose, the last one first."""
    siblings = block.parent.children
    for node in reversed(siblings[: siblings.index(block) - 1]):
        if isinstance(node, nodes.comment) and GENERATED in node.astext():
            return
        yield node


def set_off_errors(output: nodes.Element) -> Iterator[nodes.Element]:
    """Yield an output in pieces: as it is, and each shown error as an error."""
    if not isinstance(output, nodes.literal_block) or MARK not in output.astext():
        yield output
        return
    for is_error, text in pieces(output.astext().splitlines()):
        piece = output.copy()
        piece.rawsource = text
        piece += nodes.Text(text)
        piece["classes"] = [OUTPUT, "expected-error"] if is_error else [OUTPUT]
        yield piece


def pieces(lines: list[str]) -> Iterator[tuple[bool, str]]:
    """Divide printed lines into errors, without their mark, and what is between."""
    plain: list[str] = []
    while lines:
        line = lines.pop(0)
        if line != MARK:
            plain.append(line)
            continue
        if plain:
            yield False, "\n".join(plain)
            plain = []
        error = []
        while lines and lines[0].startswith("  "):
            error.append(lines.pop(0)[2:])
        yield True, "\n".join(error)
    if plain:
        yield False, "\n".join(plain)


def add_summary(document: nodes.document, count: int) -> None:
    """Say above the first section how much is checked; site.js adds a switch."""
    text = f"{facts(count).capitalize()} checked each time this page is built."
    summary = nodes.paragraph("", text, classes=["checks-summary", "no-search"])
    page = next(iter(document.findall(nodes.section)))
    first = next(iter(page.findall(nodes.section, include_self=False)), None)
    if first is not None:
        page.insert(page.index(first), summary)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive of exercises and the transform of pages."""
    app.add_directive("exercise", Exercise)
    app.add_transform(LessonFirst)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
