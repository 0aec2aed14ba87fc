"""The API document of a real service holds against whatever schemathesis can think of."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from services.app import HANDLERS
from services.http.examples import SAID, Call, recorded
from services.problems import KINDS
from tests.services.example_calls import demonstrated, play, shape
from tests.simulation.served import Served

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
PHASES = ("examples", "coverage", "fuzzing", "stateful")
EXAMPLES_MAX = 8
SEED = 31
PATIENCE_S = 900
WORDS = ["grinder-hand", "mug-enamel", "columbus", "new-york", "east", "US", "10001", "web", "near"]
"""Strings that mean something on the demonstration network, mixed among the senseless ones."""
WORD_SHARE = 0.4
CALL_COUNT = re.compile(
    r'^nom_requests_total\{method="(\w+)",path="([^"]+)",status="(\d+)"\} (\d+)', re.MULTILINE
)


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Served]:
    """Yield a service on the demonstration network."""
    async with demonstrated() as service:
        yield service


@pytest.fixture(scope="module")
async def document(service: Served) -> dict[str, Any]:
    """Return the document as anybody gets it."""
    async with httpx.AsyncClient(base_url=service.address) as client:
        answer = await client.get("/docs/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every operation with its name."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


# --- what it says


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """Generators of clients are less forgiving than browsers."""
    assert document["openapi"].startswith("3.1")
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_call_says_what_it_does_for_whom_and_shows_it(document: dict[str, Any]) -> None:
    """The document is the only manual that most callers ever open."""
    for name, operation in operations(document):
        assert operation["summary"], name
        assert "For: " in operation["description"], name
        assert operation["tags"], name
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for media_type in body.get("content", {}).values():
                assert media_type["examples"], f"{name}: {body.get('description')}"


def test_every_problem_type_has_something_to_say() -> None:
    """A refusal without an example is one nobody has looked at."""
    assert SAID.keys() == KINDS.keys()


async def test_every_example_works_as_it_stands(service: Served) -> None:
    """The first thing anyone does with an example is to paste it."""
    recorded_calls = recorded()
    assert {each.call for each in recorded_calls} == {name for name, _ in handler_names()}
    for before, now in zip(recorded_calls, await play(service), strict=True):
        assert (now.call, now.status) == (before.call, before.status), now.answer
        assert shape(now.answer) == shape(before.answer), now.call


def handler_names() -> Iterator[tuple[str, str | None]]:
    """Yield every call the document must have, with a role that may make it."""
    for handler in HANDLERS:
        roles = handler.opt.get("roles", (None,))
        for path in handler.paths:
            for method in handler.http_methods:
                yield f"{method} {re.sub(r':[a-z]+}', '}', path)}", roles[0]


# --- whether it holds


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.slow
async def test_no_request_finds_a_server_error_or_an_undocumented_answer(
    service: Served, tmp_path: Path
) -> None:
    """Thousands of requests, sensible, borderline and senseless, each with a key that may ask."""
    played = await play(service)
    config = tmp_path / "schemathesis.toml"
    config.write_text(configuration(service, played))
    report = tmp_path / "report.json"
    finished = await asyncio.to_thread(schemathesis, service, config, report)
    assert finished.returncode == 0, finished.stdout[-20_000:]
    result = json.loads(report.read_text())
    print(f"{result['test_cases']['generated']} requests in {result['running_time']:.0f} s")
    assert result["operations"]["tested"] == len(list(handler_names()))
    await assert_every_call_was_answered_well(service)


def schemathesis(service: Served, config: Path, report: Path) -> subprocess.CompletedProcess[str]:
    """Run schemathesis over the whole document."""
    return subprocess.run(
        [
            *(SCHEMATHESIS, "--config-file", config, "run", f"{service.address}/docs/openapi.json"),
            *(f"--checks={','.join(CHECKS)}", f"--phases={','.join(PHASES)}"),
            *(f"--max-examples={EXAMPLES_MAX}", f"--seed={SEED}", "--continue-on-failure"),
            *("--generation-database=none", "--warnings=off", "--no-color"),
            *("--report=json", f"--report-json-path={report}"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=report.parent,
    )


def configuration(service: Served, played: list[Call]) -> str:
    """Return schemathesis' settings: a key for each call, and ids and words that exist."""
    ids = {name: value for call in played for name, value in call.path.items()}
    lines = [f"[dictionaries.words]\nvalues = {json.dumps(WORDS)}"]
    lines += [
        f"[dictionaries.{name}]\nvalues = [{json.dumps(value)}]" for name, value in ids.items()
    ]
    lines.append(
        f'[generation]\ndictionaries.string = {{ dictionary = "words", probability = {WORD_SHARE} }}'
    )
    lines.append("[parameters]")
    lines += [
        f'"path.{name}" = {{ dictionary = "{name}", probability = {WORD_SHARE} }}' for name in ids
    ]
    for call, role in handler_names():
        if role is not None:
            lines.append(f'[[operations]]\ninclude-name = "{call}"')
            lines.append(f'headers = {{ Authorization = "Bearer {service.secrets[role]}" }}')
    return "\n".join(lines)


async def assert_every_call_was_answered_well(service: Served) -> None:
    """See that each call was also made in a way that succeeds, or the test would prove little."""
    async with httpx.AsyncClient(base_url=service.address) as client:
        metrics = await client.get("/metrics", headers=service.headers("operator", "-"))
    counts: dict[str, dict[str, int]] = {}
    for method, path, status, count in CALL_COUNT.findall(metrics.text):
        counts.setdefault(f"{method} {path}", {})[status] = int(count)
    for call, _ in handler_names():
        assert any(status.startswith("2") for status in counts[call]), f"{call}: {counts[call]}"


# --- whether it can be read offline


async def test_the_documentation_page_asks_for_nothing_from_elsewhere(service: Served) -> None:
    """A page that loads its script from a content network is blank where there is none."""
    async with httpx.AsyncClient(base_url=service.address, follow_redirects=True) as client:
        page = await client.get("/docs/")
        assert page.status_code == 200
        assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert assets
        for asset in assets:
            assert asset.startswith(("/", "data:")), asset
            if asset.startswith("/"):
                assert (await client.get(asset)).status_code == 200, asset
    assert re.findall(r"url\(\s*['\"]?https?:", page.text) == []
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is not None:
        assert "Plan a basket and hold its stock" in await asyncio.to_thread(
            rendered, browser, f"{service.address}/docs/"
        )


def rendered(browser: str, address: str) -> str:
    """Return the page as a browser shows it that can reach this machine only."""
    return subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--virtual-time-budget=20000",
            address,
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    ).stdout
