"""The guides' words are run: marked blocks in order, a page in a folder of its own; every command line must parse.

A page whose marked blocks ask port 8000 gets a service of its own, with the demo gallery; the port is replaced.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MARK = "<!-- runnable -->"
MARKED = re.compile(rf"{MARK}\n+```(sh|python)\n(.*?)```", re.DOTALL)
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
ADDRESS = re.compile(r"(localhost|127\.0\.0\.1):8000")
GUIDES = sorted(path.name for path in DOCS.glob("*.md") if path.name != "api.md")  # test_api_guide.py runs that
QUOTING = ("troubleshooting.md", "bring-your-own-model.md")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in {*ROOT.glob("*.md"), *ROOT.glob("[!.]*/**/*.md")}
    if not any(part.startswith(".") or part in ("runs", "dist", "build") for part in path.relative_to(ROOT).parts)
)
COMMANDS = Path(sys.executable).parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("VANTAGE_")},
    "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "COLUMNS": "120",
}


def marked(page: str) -> list[tuple[str, str]]:
    return MARKED.findall((DOCS / page).read_text())


# ---- what is run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in GUIDES if marked(page)])
def test_the_marked_blocks_of_a_page_run_one_after_another(page, tmp_path):
    for name in ("models", "service", "docs"):  # blocks are written as if run in the checkout
        (tmp_path / name).symlink_to(ROOT / name)
    blocks = marked(page)
    if not any(ADDRESS.search(text) for _, text in blocks):
        run_all(blocks, tmp_path)
        return
    with (
        (tmp_path / "service.log").open("w+") as log,
        subprocess.Popen(
            ["vantage", "serve", "--demo", "--device", "cpu", "--port", "0"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as service,
    ):
        try:
            port = port_once_ready(service, tmp_path / "service.log")
            run_all([(language, ADDRESS.sub(rf"\1:{port}", text)) for language, text in blocks], tmp_path)
        finally:
            service.terminate()


def run_all(blocks: list[tuple[str, str]], folder: Path) -> None:
    for language, text in blocks:
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        run = subprocess.run(
            command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300
        )
        assert run.returncode == 0, f"{text}\n{run.stdout}{run.stderr}"
        assert "Traceback" not in run.stderr, run.stderr


def port_once_ready(service: subprocess.Popen[str], log: Path) -> str:
    """It prints its address when it is ready, and nothing more until it is asked to stop."""
    assert service.stdout is not None
    for line in service.stdout:
        if (address := re.search(r"service +http://127\.0\.0\.1:(\d+)", line)) is not None:
            return address[1]
    pytest.fail(log.read_text())


@pytest.mark.parametrize("page", GUIDES)
def test_every_mark_stands_before_a_block_of_shell_or_python(page):
    assert len(marked(page)) == (DOCS / page).read_text().count(MARK)


# ---- what is only read -----------------------------------------------------------------------------------------------


@cache
def command_of(name: str) -> TyperGroup:
    from service.cli import app as vantage
    from training.cli import app as vantage_train

    command = typer.main.get_command({"vantage": vantage, "vantage-train": vantage_train}[name])
    assert isinstance(command, TyperGroup)
    return command


def words_of(page: str) -> Iterator[list[str]]:
    """The words behind `vantage` or `vantage-train` in every line of the page's blocks of shell."""
    for language, text in BLOCK.findall((ROOT / page).read_text()):
        if language in ("sh", "bash", "console"):
            yield from words_in(text)


def words_in(text: str) -> Iterator[list[str]]:
    plain = re.sub(r"\$\([^()]*(\([^()]*\))?[^()]*\)", "substituted", text.replace("\\\n", ""))
    for line in plain.splitlines():
        if not re.search(r"\bvantage(-train)? ", line):
            continue
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&()")
            lexer.whitespace_split = True
            tokens = list(lexer)
        except ValueError:  # a line of prose, or of what was printed
            continue
        command: list[str] = []
        for token in [*tokens, ";"]:
            if set(token) <= set(";|&()"):
                yield from _call(command)
                command = []
            else:
                command.append(token)


def _call(command: list[str]) -> Iterator[list[str]]:
    """`.venv/bin/vantage key list`, `VANTAGE_PORT=1 vantage serve`, `docker compose exec vantage vantage key list`."""
    starts = [place for place, token in enumerate(command) if Path(token).name in ("vantage", "vantage-train")]
    if not starts:
        return
    before = [token for token in command[: starts[-1]] if "=" not in token]
    if not before or before[0] in ("docker", "docker-compose", "exec", "nohup"):
        words = command[starts[-1] :]
        cut = next(
            (place for place, word in enumerate(words) if word in (">", "<", ">>", "2>") or word == "2>&1"), None
        )
        yield [Path(words[0]).name, *words[1:cut]]


def parse(words: list[str]) -> None:
    """Raises the parser's error where an option or command does not exist, or a value is none of those allowed."""
    command = command_of(words[0])
    context = command.make_context(words[0], words[1:])
    while isinstance(command, TyperGroup):
        rest = [*context._protected_args, *context.args]
        if not rest and command.invoke_without_command:
            return
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)


CALLS = [(page, words) for page in PAGES for words in words_of(page)]


@pytest.mark.parametrize(("page", "words"), CALLS, ids=[f"{page}: {shlex.join(words)}" for page, words in CALLS])
def test_a_command_that_is_written_somewhere_exists_with_its_options(page, words, monkeypatch, capsys):
    monkeypatch.delenv("VANTAGE_DATA", raising=False)
    if len(words) == 1 or words[-1] == "--help":
        words = [word for word in words if word != "--help"] + ["--help"]
    try:
        parse(words)
    except Exception as error:
        if type(error).__name__ != "Exit":  # as --help leaves; typer does not export the class
            pytest.fail(f"{page}: {shlex.join(words)}: {getattr(error, 'message', error)}")


@pytest.mark.parametrize("page", PAGES)
def test_a_command_within_a_sentence_names_only_what_exists(page, monkeypatch, capsys):
    """What it needs besides is often left out there."""
    monkeypatch.delenv("VANTAGE_DATA", raising=False)
    text = BLOCK.sub("", (ROOT / page).read_text())
    for span in re.findall(r"(?<!`)`(vantage(?:-train)?\s[a-z][^`]*)`(?!`)", text):
        if "..." in span:
            continue
        try:
            parse(shlex.split(span))
        except Exception as error:
            if "No such" in (said := getattr(error, "message", str(error))):
                pytest.fail(f"{page}: {span}: {said}")


@pytest.mark.parametrize("wrong", ["vantage serve --prot 1", "vantage gallary list", "vantage-train fit --data x"])
def test_a_wrong_command_would_be_noticed(wrong):
    with pytest.raises(Exception, match=r"(?i)no such|missing"):
        parse(shlex.split(wrong))


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page):
    text = BLOCK.sub("", (ROOT / page).read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page} links to {target}, and {file.name} has no such heading"


def anchors(file: Path) -> set[str]:
    """As the usual viewers make them of headings."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", GUIDES)
def test_a_page_is_short_and_its_lines_are(page):
    lines = (DOCS / page).read_text().splitlines()
    assert len(lines) < 250
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text()
    assert [page for page in GUIDES if page != "README.md" and f"({page})" not in index] == []


# ---- the sentences that are quoted -----------------------------------------------------------------------------------


def quoted(page: str) -> list[str]:
    """Every paragraph behind `>`; `…` stands for what differs from time to time."""
    paragraphs = re.findall(r"(?:^>.*\n)+", (DOCS / page).read_text(), re.MULTILINE)
    return [re.sub(r"\s*\n> ?", " ", text.removeprefix("> ")).strip() for text in paragraphs]


@cache
def texts_of_the_code() -> tuple[str, ...]:
    """Every text in our packages, with a zero byte for each value that is put into it."""
    found: list[str] = []
    for package in ("models", "retrieval", "training", "service"):
        for file in sorted((ROOT / package).rglob("*.py")):
            found += [text for node in ast.walk(ast.parse(file.read_text())) if (text := _text(node))]
    return tuple(found)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "\0" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return f"{left or chr(0)}{right or chr(0)}" if left or right else ""
    return ""


def said_by_the_code(sentence: str) -> bool:
    wanted = r"[^\0]*\0.*?".join(re.escape(part) for part in sentence.split("…"))
    return any(re.search(wanted, text, re.DOTALL) for text in texts_of_the_code())


SENTENCES = [(page, text) for page in QUOTING if (DOCS / page).exists() for text in quoted(page)]


@pytest.mark.parametrize(("page", "sentence"), SENTENCES, ids=[text[:60] for _, text in SENTENCES])
def test_a_sentence_that_is_quoted_is_still_said(page, sentence):
    assert len(sentence.replace("…", "").strip()) > 20
    assert said_by_the_code(sentence), f"{page} quotes a sentence that no code says: {sentence}"


def test_a_sentence_that_nobody_says_would_be_noticed():
    assert said_by_the_code("… is taken by another program: stop that")
    assert not said_by_the_code("… is taken by a different program: stop that")
