"""The documentation says what is: pages, links, commands, variables, make targets and messages that exist.

What belongs here: checks of the Markdown files against the code. What does not: whether a page is good.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main

from unierp_assets.cli import app
from unierp_assets.generated import stale_pages
from unierp_assets.settings import FILE_SUFFIX, PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
PACKAGE = ROOT / "unierp_assets"

SPECIAL_VARIABLES = {
    # Read where settings cannot be: by the last handler of errors.
    "UNIERP_DEBUG",
    # Passed by `unierp ui` to the processes it starts, nobody else sets it.
    "UNIERP_DAGSTER_URL",
}
MESSAGES_OF_OTHERS = {"ensurepip is not available", "You are not allowed to", "Input should be"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """The page without what stands in code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as web pages of Markdown make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_generated_page_is_stale() -> None:
    assert stale_pages(ROOT) == []


@pages
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    broken = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def commands() -> dict[str, set[str]]:
    """Every command of ``unierp`` with its options; groups with the names of their commands."""
    found: dict[str, set[str]] = {}

    def add(name: str, command: object) -> None:
        found[name] = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
        for child, below in getattr(command, "commands", {}).items():
            add(f"{name} {child}".strip(), below)

    add("", typer.main.get_command(app))
    return found


def mentioned(text: str) -> Iterator[list[str]]:
    """The words after ``unierp`` wherever a command line is quoted or stands in a code block."""
    quoted = re.findall(r"`(?:\.venv/bin/)?unierp ([^`\n]+)`", text)
    blocks = re.findall(r"^(?:\.venv/bin/|\$ )unierp (.+)$", text, flags=re.MULTILINE)
    for line in [*quoted, *blocks]:
        yield line.split("#")[0].split("&&")[0].split()


@pages
def test_every_command_that_is_named_exists(page: Path) -> None:
    known = commands()
    unknown = []
    for words in mentioned(page.read_text(encoding="utf-8")):
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        options = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
        if name not in known or not options <= known[name]:
            unknown.append(" ".join(words))
    assert unknown == []


def test_make_calls_only_commands_that_exist() -> None:
    called = re.findall(r"\$\(BIN\)/unierp ([a-z]+(?: [a-z]+)?)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    known = commands()
    assert [name for name in called if name not in known and name.split()[0] not in known] == []


def test_every_command_of_daily_use_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in commands() if name and not re.search(rf"(unierp|make) {name}\b|`{name}`", text)]
    assert missing == []


def unknown_variables(text: str) -> set[str]:
    """Environment variables in a text that nobody reads."""
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(rf"\b{PREFIX}[A-Z][A-Z_]*[A-Z]\b", text))
    return named - settings - {f"{name}{FILE_SUFFIX}" for name in settings} - SPECIAL_VARIABLES


@pages
def test_every_variable_that_a_page_names_is_read(page: Path) -> None:
    assert unknown_variables(page.read_text(encoding="utf-8")) == set()


def test_every_variable_that_a_message_names_is_read() -> None:
    assert unknown_variables("\n".join(texts())) == set()


@pages
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z-]+)", text) + re.findall(r"^make ([a-z-]+)", text, flags=re.MULTILINE)
    assert set(named) - targets == set()


@pages
def test_every_file_that_is_named_exists(page: Path) -> None:
    folders = "unierp_assets|tests|docs|expectations"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists() and not name.startswith(NEW_FILES)] == []


NEW_FILES = ("unierp_assets/warehouse/migrations/versions/0002_add_the_position", "unierp_assets/totter/")
"""What CONTRIBUTING makes as it goes along, and what is still to come."""


@cache
def texts() -> list[str]:
    """Every text of the program, with blanks for the values that are put into it."""
    found = [(ROOT / "Makefile").read_text(encoding="utf-8")]
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def quoted_messages() -> Iterator[tuple[str, str]]:
    """(message as quoted, part of it that stands in the program as it is)"""
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    for bold in re.findall(r"^\*\*(.+?)\*\*", text, flags=re.MULTILINE):
        for message in re.findall(r"`([^`]+)`", bold):
            for part in re.split(r"\.\.\.|[A-Z]+_[A-Z_]+|\b\d+\b", message):
                words = part.strip(" .:;,('")
                if len(words.split()) >= 3:
                    yield message, words


@pytest.mark.parametrize(("message", "part"), list(quoted_messages()))
def test_every_message_in_the_troubleshooting_page_is_one_of_the_program(message: str, part: str) -> None:
    if message not in MESSAGES_OF_OTHERS and part not in MESSAGES_OF_OTHERS:
        assert any(part in text for text in texts()), message
