"""What the tools cannot see: sizes, where SQL stands, words with a better word, unused files.

Each rule is a function from a piece of text to its complaints, so that each can be shown a text it
must complain about.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("routing", "inventory", "services")
FUNCTION_LINES_MAX = 40
FILE_LINES_MAX = 400
PARAMETERS_MAX = 6
MEDIAN_LINES_MAX = 10

SQL = re.compile(
    r"^\s*(SELECT\b|INSERT INTO\b|UPDATE [a-z_]+\b.* SET\b|DELETE FROM\b|WITH [a-z_]+ AS\b|COPY [a-z_]+\b"
    r"|(CREATE|ALTER|DROP) (TABLE|DATABASE|INDEX|TYPE)\b|LOCK TABLE\b|TRUNCATE\b)",
    re.DOTALL,
)
SQL_PLACES = ("records.py", "tables.py", "database.py", "migrations/")
FILE_SIZE_EXEMPT = ("records.py", "migrations/")

BETTER_WORDS = {
    "fulfil": "fulfill",
    "fulfils": "fulfills",
    "fulfilment": "fulfillment",
    "fulfilments": "fulfillments",
    "optimise": "optimize",
    "optimiser": "optimizer",
    "normalise": "normalize",
    "serialise": "serialize",
    "initialise": "initialize",
    "colour": "color",
    "centre": "center",
    "repository": "records (a repository is where code lives)",
    "repositories": "records",
    "datastore": "records",
    "route": "lane for a carrier, handler for HTTP, plan for an order",
    "routes": "lanes, handlers or plans",
    "location": "node",
    "locations": "nodes",
    "warehouse_id": "node_id",
    "safety": "buffer",
    "stuff": "the name of the thing",
    "util": "the name of what it does",
    "utils": "the name of what it does",
    "helper": "the name of what it does",
    "helpers": "the name of what it does",
    "misc": "the name of what it does",
}
CLASS_SUFFIXES = {
    "Service": "a service is never a class; name the resource or write functions",
    "Manager": "say what it holds or does",
    "Store": "a store is a shop; persistence is records",
    "Repository": "persistence is records, and plain functions",
    "Helper": "say what it does",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
SELF = Path(__file__).name


# --- reading the project


def sources(*folders: str) -> Iterator[Path]:
    """Yield the Python files of these folders, this one excepted: it is full of bad examples."""
    for folder in folders:
        yield from sorted(p for p in (ROOT / folder).rglob("*.py") if p.name != SELF)


def texts() -> Iterator[Path]:
    """Yield every text file that is part of the project, this one excepted."""
    endings = {".py", ".toml", ".lock", ".md", ".yaml", ".yml", ".html", ".sql", ".mako", ".json"}
    for folder in (*PACKAGES, "tests", "deploy", ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.name != SELF:
                yield path
    for path in sorted(ROOT.iterdir()):
        if path.is_file() and (path.suffix in endings or path.name in {"Makefile", ".gitignore"}):
            yield path


def name_of(path: Path) -> str:
    """Return how a complaint names a file."""
    return path.relative_to(ROOT).as_posix()


def complaints(paths: Iterator[Path], rule: Callable[[str], Iterator[str]]) -> list[str]:
    """Return what a rule has against these files, each with the file's name."""
    return [
        f"{name_of(path)}: {complaint}"
        for path in paths
        for complaint in rule(path.read_text(encoding="utf-8"))
    ]


def assert_none(found: list[str]) -> None:
    """Fail with every complaint on a line of its own."""
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def functions(tree: ast.AST) -> Iterator[Function]:
    """Yield every function and method, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def body_lines(function: Function) -> int:
    """Return the lines of a function's body, its docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def docstrings(tree: ast.AST) -> set[int]:
    """Return the identities of the nodes that are docstrings, or strings that stand alone."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a file gives to functions, classes, parameters and variables."""
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


# --- the rules


def long_functions(text: str) -> Iterator[str]:
    """Complain about functions that do not fit one screen."""
    for function in functions(ast.parse(text)):
        if body_lines(function) > FUNCTION_LINES_MAX:
            yield f"{function.name} has {body_lines(function)} lines, at most {FUNCTION_LINES_MAX}"


def many_parameters(text: str) -> Iterator[str]:
    """Complain about functions with more parameters than one can keep apart at a call."""
    for function in functions(ast.parse(text)):
        every = function.args
        names = [a.arg for a in (*every.posonlyargs, *every.args, *every.kwonlyargs)]
        count = len([name for name in names if name not in {"self", "cls"}])
        # A handler's parameters are the request's parts, which litestar reads by name.
        handler = any(isinstance(mark, ast.Call) for mark in function.decorator_list)
        if count > PARAMETERS_MAX and not handler:
            yield f"{function.name} has {count} parameters, at most {PARAMETERS_MAX}"


def long_files(text: str) -> Iterator[str]:
    """Complain about files that hold more than one thing."""
    count = len(text.splitlines())
    if count > FILE_LINES_MAX:
        yield f"has {count} lines, at most {FILE_LINES_MAX}"


def misplaced_sql(text: str) -> Iterator[str]:
    """Complain about statements outside the files where all of them are."""
    tree = ast.parse(text)
    prose = docstrings(tree)
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and id(node) not in prose and SQL.match(value):
            yield f"has SQL: {value.strip()[:40]!r}"


def worse_words(text: str) -> Iterator[str]:
    """Complain about names for which the project has another word."""
    for name in sorted(set(defined_names(ast.parse(text)))):
        for suffix, advice in CLASS_SUFFIXES.items():
            if name.endswith(suffix) and name != suffix:
                yield f"class {name}: {advice}"
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
        for word in words:
            if word.lower() in BETTER_WORDS:
                yield f"{name}: better {BETTER_WORDS[word.lower()]}"


def empty_docstrings(text: str) -> Iterator[str]:
    """Complain about docstrings that only say the function's name again."""
    filler = {"a", "an", "the", "and", "of", "to", "for", "in", "with", "this", "these", "its"}
    for function in functions(ast.parse(text)):
        said = set(re.findall(r"[a-z]+", (ast.get_docstring(function) or "").lower())) - filler
        named = set(re.findall(r"[a-z]+", function.name.lower()))
        if said and said <= named | {word + "s" for word in named}:
            yield f"{function.name}: its docstring says nothing that its name does not"


def unexplained_tests(text: str) -> Iterator[str]:
    """Complain about tests that do not say why, and about those that do not run."""
    for function in functions(ast.parse(text)):
        if function.name.startswith("test_") and ast.get_docstring(function) is None:
            yield f"{function.name} has no docstring with its reason"
    for found in re.finditer(r"mark\.(skip|xfail)|pytest\.skip\(", text):
        yield f"a test is left out: {found.group()}"


def machine_paths(text: str) -> Iterator[str]:
    """Complain about paths that exist on one machine only."""
    for found in re.finditer(r"(?<![\w.~$}])/(home|root|Users|work|mnt)/[\w.-]+", text):
        yield f"names a path of some machine: {found.group()}"


def foreign_addresses(text: str) -> Iterator[str]:
    """Complain about content delivery networks and package registries."""
    hosts = r"cdn\.|unpkg\.com|jsdelivr|googleapis|cloudflare|pythonhosted|pypi\.org|npmjs"
    for found in re.finditer(hosts, text):
        yield f"names an address that must not be needed: {found.group()}"


def unfinished(text: str) -> Iterator[str]:
    """Complain about work that was left for later."""
    for found in re.finditer(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError\(\)", text):
        yield f"is not finished: {found.group()}"


def loose_pins(text: str) -> Iterator[str]:
    """Complain about a lock that downloads from an address, or installs what it cannot check."""
    for line in text.splitlines():
        if "://" in line or line.startswith("-"):
            yield f"says where to download: {line}"
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^#.*\n", "", text).strip()):
        if "==" not in entry or "--hash=sha256:" not in entry:
            yield f"does not pin: {entry.splitlines()[0]}"


def exceptions_without_reason(text: str) -> Iterator[str]:
    """Complain about lint rules that are switched off in silence."""
    inside = False
    for line in text.splitlines():
        inside = (inside or bool(re.match(r"(ignore|\".*\") = \[", line))) and line != "]"
        if inside and re.match(r'    "[A-Z]+\d*"', line) and "#" not in line:
            yield f"a rule is ignored without a reason: {line.strip()}"


def modules_nobody_names(files: dict[str, str]) -> list[str]:
    """Return the modules that no other file names, given each module's text.

    A module is named by an import of it or from it, or in a string, as commands and workers are.
    """
    orphans = []
    for module in files:
        package, _, name = module.rpartition(".")
        named = re.compile(
            rf"\b{re.escape(module)}\b"
            rf"|from {re.escape(package)} import (\([^)]*\b{name}\b|[^\n(]*\b{name}\b)"
        )
        # Most files do not have so much as its last word, and to see that is quick.
        others = [text for other, text in files.items() if other != module and name in text]
        if not any(named.search(text) for text in others):
            orphans.append(module)
    return orphans


# --- the project keeps them


def elsewhere(places: tuple[str, ...]) -> Iterator[Path]:
    """Yield the packages' files outside of these places."""
    for path in sources(*PACKAGES):
        if not any(place in name_of(path) for place in places):
            yield path


def test_functions_fit_on_a_screen() -> None:
    """A function one must scroll through is a function nobody reads."""
    # A migration is one list from top to bottom, and is never read in parts.
    paths = [*elsewhere(("migrations/",)), *sources("tests")]
    assert_none(complaints(iter(paths), long_functions))


def test_functions_have_few_parameters() -> None:
    """More than six values at a call cannot be told apart; they belong together in a struct."""
    assert_none(complaints(sources(*PACKAGES), many_parameters))


def test_files_hold_one_thing() -> None:
    """A file of more than four hundred lines has two subjects."""
    assert_none(complaints(elsewhere(FILE_SIZE_EXEMPT), long_files))


@pytest.mark.parametrize("package", PACKAGES)
def test_most_functions_are_small(package: str) -> None:
    """Decide in the parent, compute in small leaves: then most functions are leaves."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sources(package)]
    lines = [body_lines(function) for tree in trees for function in functions(tree)]
    assert median(lines) < MEDIAN_LINES_MAX


def test_sql_stands_in_its_places() -> None:
    """Who looks for a statement, or for all that touch a table, must not search the project."""
    assert_none(complaints(elsewhere(SQL_PLACES), misplaced_sql))


def test_names_use_the_words_of_the_field() -> None:
    """Two words for one thing are two things to every reader."""
    assert_none(complaints(sources(*PACKAGES), worse_words))


def test_modules_are_named_after_what_they_do() -> None:
    """A module called utils is where the next unrelated function goes."""
    parts = {part for path in sources(*PACKAGES) for part in path.with_suffix("").parts}
    assert parts & {"utils", "util", "common", "core", "helpers", "misc", "managers"} == set()


def test_docstrings_say_more_than_names() -> None:
    """A docstring that repeats the name costs a line and tells nothing."""
    assert_none(complaints(sources(*PACKAGES), empty_docstrings))


def test_tests_say_why_and_all_of_them_run() -> None:
    """A skipped test is a promise nobody keeps; one without a reason cannot be judged."""
    assert_none(complaints(sources("tests"), unexplained_tests))


def test_nothing_names_one_machine() -> None:
    """A path that exists here only works here only."""
    assert_none(complaints(texts(), machine_paths))


def test_nothing_is_loaded_from_elsewhere() -> None:
    """The service and its pages work without the internet."""
    assert_none(complaints(texts(), foreign_addresses))


def test_nothing_is_left_for_later() -> None:
    """What is worth doing later is an issue; on main it is only noise."""
    assert_none(complaints(texts(), unfinished))


def test_locks_pin_by_hash_alone() -> None:
    """Versions and hashes are the same everywhere; where packages come from is not."""
    locks = sorted(ROOT.glob("*.lock"))
    assert locks
    assert_none(complaints(iter(locks), loose_pins))


def test_every_ignored_lint_rule_has_a_reason() -> None:
    """A rule that is off without a reason can never be switched on again."""
    assert_none(complaints(iter([ROOT / "pyproject.toml"]), exceptions_without_reason))


def test_every_file_is_used() -> None:
    """A file nobody imports is dead, or was forgotten."""
    named = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sources(*PACKAGES, "tests")
    }
    named["pyproject"] = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    exempt = re.compile(r"^(tests\b.*|.*__init__|services\.migrations\..*|pyproject)$")
    assert_none([m for m in modules_nobody_names(named) if not exempt.match(m)])


def test_the_wheel_contains_every_package() -> None:
    """A package that is not listed works from a checkout, and is missing once installed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert tuple(listed) == PACKAGES


# --- and they can fail

LONG = "def f() -> None:\n" + "    pass\n" * 41
BAD_TEXTS: list[tuple[Callable[[str], Iterator[str]], str]] = [
    (long_functions, LONG),
    (many_parameters, "def f(a, b, c, d, *, e, g, h): ..."),
    (long_files, "pass\n" * 401),
    (misplaced_sql, "rows = ask('SELECT sku FROM stock')"),
    (misplaced_sql, "rows = ask(f'UPDATE {table} SET x = 1', 'UPDATE stock SET x = 1')"),
    (worse_words, "fulfilment_id = 1"),
    (worse_words, "class OrderService: ..."),
    (worse_words, "def find_route(): ..."),
    (empty_docstrings, "def load_nodes():\n    '''Load the nodes.'''"),
    (unexplained_tests, "def test_something():\n    assert True"),
    (unexplained_tests, "@pytest.mark.skip\ndef test_x():\n    '''Why.'''"),
    (machine_paths, "open('/home/someone/file')"),
    (foreign_addresses, "<script src='https://cdn.example/x.js'>"),
    (unfinished, "# TODO: later"),
    (loose_pins, "--index-url https://example.org/simple\na==1 \\\n    --hash=sha256:0\n"),
    (loose_pins, "a==1 \\\n    --hash=sha256:0\nb==2\n"),
    (exceptions_without_reason, 'ignore = [\n    "D100",\n]'),
]


@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS)
def test_each_rule_can_fail(rule: Callable[[str], Iterator[str]], text: str) -> None:
    """A rule that never complains is no rule."""
    assert list(rule(text)) != []


def test_a_file_nobody_imports_is_found() -> None:
    """The rule about unused files must be able to fail as well."""
    files = {"a.used": "", "a.unused": "", "a.user": "from a import used\n", "b": "import a.user"}
    assert modules_nobody_names(files) == ["a.unused", "b"]
