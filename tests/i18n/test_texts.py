"""That every text people read goes through the catalogue, and is in it in every language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from jinja2 import Environment, nodes

from deploy import translations
from mailapp.i18n.catalogue import LANGUAGES, path

PACKAGE = translations.ROOT / "mailapp"
TEMPLATES = sorted((PACKAGE / "templates").rglob("*.html"))
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(file for file in (PACKAGE / "static").rglob("*.js") if "vendor" not in file.parts)
OTHERS = sorted(LANGUAGES.keys() - {"en"})

# What is called so in every language.
NAMES = {"Mailapp", "CPU", "light dark", "https://"}

# Attributes that are read out or shown.
SHOWN = {"title", "aria-label", "aria-description", "placeholder", "alt"}

# Two words, or one that begins a sentence: no identifier, class or icon is called so.
SENTENCE = re.compile(r"[A-Za-z’'][,:.]? [A-Za-z]|^\W*[A-Z][a-z]+\W*$")

# Of what stands between expressions: the classes of a page, the attributes that a macro gives.
_CLASSES = re.compile(r"{% block page %}.*?{% endblock %}", re.DOTALL)
_ATTRIBUTES = re.compile(r"[a-z-]+=\"[^\"]*\"")

# Calls whose texts people read, however they are reached.
TOLD = {"flash", "Problem", "Refused", "Mistake", "Mistaken", "WeakPassword", "jsonify", "page"}

# Single words in scripts that are keys and headers.
KEYS_AND_HEADERS = re.compile(
    r"(Accept|Files|Tab|Enter|Escape|Delete|Backspace|Shift|Control|Alt|Meta|Home|End|Arrow\w+|Page\w+"
    r"|Space|Basic|Upload|Location|Range|Digit\w)"
)


def _named(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_in_the_catalogue_and_the_catalogue_as_the_command_writes_it(
    language: str,
) -> None:
    catalogue = translations.updated(language, translations.found())
    assert translations.untranslated(catalogue) == []
    assert path(language).read_bytes() == translations.written(catalogue), "run: make translations"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_places_and_the_tags_of_its_text(language: str) -> None:
    different = [
        (message.id, message.string)
        for message in translations.updated(language, translations.found())
        if message.id and not _fits(message)
    ]
    assert different == []


def _fits(message: Message) -> bool:
    one, *more = [message.id] if isinstance(message.id, str) else message.id
    forms = [message.string] if isinstance(message.string, str) else message.string or ()
    # "One message" needs no number; where a language has one form for all, it does.
    texts = more or [one]
    return all(_marks(form) == _marks(texts[-1]) for form in forms)


def _marks(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)[sd]|%%|\{\w+\}|</?\w+", text))


@pytest.mark.parametrize("template", TEMPLATES, ids=_named)
def test_a_template_says_nothing_by_itself(template: Path) -> None:
    source = template.read_text()
    assert _literal_texts(source) + _literal_expressions(source) == []


def _literal_texts(source: str) -> list[str]:
    """What stands in the HTML between the expressions."""
    html = "".join(
        value if kind == "data" else "\0"
        for _line, kind, value in Environment().lex(_CLASSES.sub("", source))
        if kind in {"data", "variable_begin"}
    )
    reader = _Texts()
    reader.feed(html)
    return [text for text in reader.texts if re.search("[A-Za-z]", text.replace("\0", ""))]


class _Texts(HTMLParser):
    """Collects what a page shows and reads out."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value or "" for name, value in attrs if name in SHOWN and value not in NAMES]

    def handle_data(self, data: str) -> None:
        for name in NAMES:
            data = data.replace(name, "")
        self.texts.append(_ATTRIBUTES.sub("", data).strip())


def _literal_expressions(source: str) -> list[str]:
    """Sentences that an expression puts out, or gives to a macro, without asking the catalogue."""
    tree = Environment(extensions=["jinja2.ext.do"]).parse(source)
    return [text for output in tree.find_all(nodes.Output) for text in _constants(output)]


def _constants(node: nodes.Node) -> Iterator[str]:
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Call) and getattr(child.node, "name", "") in {"_", "ngettext"}:
            continue
        if isinstance(child, nodes.Compare | nodes.Test):
            continue
        if isinstance(child, nodes.Const) and isinstance(child.value, str):
            if SENTENCE.search(child.value) and child.value not in NAMES:
                yield child.value
        else:
            yield from _constants(child)


@pytest.mark.parametrize("module", MODULES, ids=_named)
def test_code_tells_people_nothing_that_has_no_translation(module: Path) -> None:
    tree = ast.parse(module.read_text())
    told = [
        f"{node.lineno}: {text}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _called(node) in TOLD
        for argument in [*node.args, *[keyword.value for keyword in node.keywords]]
        for text in _spoken(argument)
    ]
    assert told == []


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _spoken(node: ast.AST) -> Iterator[str]:
    """Sentences in an argument, but those that another call makes something of."""
    if isinstance(node, ast.Call):
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and SENTENCE.search(node.value):
            yield node.value
        return
    for child in ast.iter_child_nodes(node):
        yield from _spoken(child)


@pytest.mark.parametrize("module", MODULES, ids=_named)
def test_every_text_can_be_found_by_the_extraction(module: Path) -> None:
    """Before Python 3.12 it does not look into f-strings; and a `_` that is assigned is no text."""
    tree = ast.parse(module.read_text())
    speaks = any(
        alias.asname == "_"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )
    if not speaks:
        return
    hidden = [
        node.lineno
        for joined in ast.walk(tree)
        if isinstance(joined, ast.JoinedStr)
        for node in ast.walk(joined)
        if isinstance(node, ast.Call) and _called(node) in {"_", "ngettext", "lazy_gettext"}
    ]
    assigned = [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for statement in ast.walk(function)
        if isinstance(statement, ast.Assign | ast.For | ast.With)
        for node in ast.walk(statement)
        if isinstance(node, ast.Name)
        and node.id == "_"
        and isinstance(node.ctx, ast.Store)
        and not _in_comprehension(function, node)
    ]
    assert (hidden, assigned) == ([], [])


def _in_comprehension(function: ast.FunctionDef, name: ast.Name) -> bool:
    """A comprehension's variables are its own."""
    return any(
        name is node
        for outer in ast.walk(function)
        if isinstance(outer, ast.comprehension)
        for node in ast.walk(outer.target)
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=_named)
def test_a_script_takes_its_texts_from_the_page(script: Path) -> None:
    code = re.sub(r"^\s*(//|import\b).*$", "", script.read_text(), flags=re.MULTILINE)
    literals = re.findall(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`', code)
    said = [
        text
        for quoted, template in literals
        for text in [quoted or re.sub(r"\$\{[^}]*\}", "", template)]
        if re.search(r"^\W*[A-Z][a-z]+\b[^-:]", f"{text} ")
        and not KEYS_AND_HEADERS.fullmatch(text.strip())
    ]
    assert said == []
