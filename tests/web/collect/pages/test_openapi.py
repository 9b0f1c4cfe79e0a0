"""The description of the API: complete, resolvable, and with the site's own address."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from preflab import __version__
from preflab.web.collect.pages.openapi import DESCRIPTION
from preflab.web.collect.routes import PAGES
from tests.web.collect.lab import Lab


def test_the_description_names_every_address_of_the_api_and_no_other() -> None:
    described = {(method.upper(), path) for path, known in DESCRIPTION["paths"].items() for method in known}
    ours = {(page.method, page.path) for page in PAGES if page.path.startswith("/api/")}
    assert described == ours - {("GET", "/api/openapi.json")}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["$ref"]] if "$ref" in node else []
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_references_lead_to_schemas_and_parameters_are_those_of_the_paths() -> None:
    assert set(references(DESCRIPTION)) == {"#/components/schemas/Refusal"}
    assert DESCRIPTION["components"]["schemas"].keys() == {"Refusal"}
    for path, operations in DESCRIPTION["paths"].items():
        for operation in operations.values():
            in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert in_path == ({"study"} if "{study}" in path else set())


@pytest.mark.parametrize(("root_path", "server"), [("", "/"), ("/lab", "/lab")])
def test_a_program_is_told_where_the_site_is_mounted(tmp_path: Path, root_path: str, server: str) -> None:
    lab = Lab(tmp_path, root_path=root_path)
    document = lab.program(lab.person()).get("/api/openapi.json").json()
    assert document["servers"] == [{"url": server}]
    assert document["info"]["version"] == __version__ and document["openapi"] == "3.0.3"
    lab.close()
