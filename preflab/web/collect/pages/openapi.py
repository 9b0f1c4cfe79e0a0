"""The API described for programs, as OpenAPI 3.0.

A literal, not starlette's SchemaGenerator: that joins YAML from the docstrings of endpoints, and would repeat the
schemas of slots, judgements and refusals at each. A test sends requests drawn from this description to a real server.
"""

from typing import Any

from starlette.responses import JSONResponse, Response

from preflab import __version__
from preflab.web.collect.request_context import RequestContext

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 999_999_999_999}
_STUDY_PARAMETER = {"name": "study", "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": _NUMBER}


def _object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": sorted(fields)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _operation(summary: str, status: str, response: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One operation; every refusal has the same form."""
    refusal = {"description": "Refused; error says why.", "content": _json({"$ref": "#/components/schemas/Refusal"})}
    responses = {status: {"description": "Done.", "content": _json(response)}, "4XX": refusal}
    return {"summary": summary, "responses": responses, **more}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_SLOTS = _object(slots=_NUMBER, filled=_NUMBER, held=_NUMBER, free=_NUMBER)
_STUDY_FIELDS = {"name": _TEXT, "state": _TEXT, "revision": _NUMBER}
_JUDGEMENT = _object(
    seq=_NUMBER,
    item_name=_TEXT,
    part={"type": "integer"},
    person=_TEXT,
    status=_TEXT,
    supersedes={"type": "integer", "nullable": True},
    at={"type": "integer"},
    says={"type": "object", "nullable": True},
)
_NEW_ITEMS = {
    "type": "object",
    "required": ["items"],
    "properties": {
        "items": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        "purpose": {"type": "string", "enum": ["main", "gold", "practice"]},
    },
}
_NEW_TOKEN = {
    "type": "object",
    "properties": {
        "study": _TEXT,
        "role": {"type": "string", "enum": ["annotator", "reviewer", "owner"]},
        "days": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 365},
    },
}
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "preflab collect", "version": __version__},
    "security": [{"token": []}],
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "schemas": {"Refusal": _object(error=_TEXT)},
    },
    "paths": {
        "/api/studies": {
            "get": _operation(
                "Studies that the token reaches.", "200", _object(studies=_list(_object(**_STUDY_FIELDS, role=_TEXT)))
            )
        },
        "/api/studies/{study}": {
            "get": _operation(
                "Definition, progress and counts of a study.",
                "200",
                _object(**_STUDY_FIELDS, definition={"type": "object"}, progress=_SLOTS, judgements={"type": "object"}),
                parameters=[_STUDY_PARAMETER],
            )
        },
        "/api/studies/{study}/judgements": {
            "get": _operation(
                "Judgements in the order they came.",
                "200",
                _object(judgements=_list(_JUDGEMENT), next=_NUMBER),
                parameters=[
                    _STUDY_PARAMETER,
                    _query("after", "Only those of a higher seq."),
                    _query("limit", "At most 1,000."),
                ],
            )
        },
        "/api/studies/{study}/items": {
            "post": _operation(
                "Add items, all or none.",
                "201",
                _object(added=_NUMBER),
                parameters=[_STUDY_PARAMETER],
                requestBody={"required": True, "content": _json(_NEW_ITEMS)},
            )
        },
        "/api/tokens": {
            "post": _operation(
                "A token, shown this once.",
                "201",
                _object(token=_TEXT),
                requestBody={"required": True, "content": _json(_NEW_TOKEN)},
            )
        },
    },
}


def openapi_document(context: RequestContext) -> Response:
    """The description, with the site's own address."""
    root = context.site.config.root_path
    return JSONResponse({**DESCRIPTION, "servers": [{"url": root or "/"}]})
