"""The parts of which the OpenAPI document is made: references, parameters, answers and operations."""

from __future__ import annotations

from .schemas import Json, reference

__all__ = ["answer", "json_answer", "operation", "parameter", "problems", "query", "ref"]


def ref(kind: str, name: str) -> Json:
    """A reference to a component.

    :param kind: `parameters` or `responses`.
    """
    return {"$ref": f"#/components/{kind}/{name}"}


def parameter(name: str, location: str, description: str, schema: Json, **more: object) -> Json:
    """A parameter.

    :param location: `query`, `path` or `header`.
    """
    return {"name": name, "in": location, "description": description, "schema": schema, **more}


def query(name: str, description: str, schema: Json, **more: object) -> Json:
    """A parameter of the query."""
    return parameter(name, "query", description, schema, **more)


def problems(*statuses: int) -> Json:
    """The answers with these statuses, which are problem documents."""
    return {str(status): ref("responses", str(status)) for status in statuses}


def answer(description: str, media_type: str, schema: Json, **more: object) -> Json:
    """An answer with a body."""
    return {"description": description, "content": {media_type: {"schema": schema, **more}}}


def json_answer(description: str, name: str) -> Json:
    """An answer in JSON.

    :param name: the name of its schema.
    """
    return answer(description, "application/json", reference(name))


def operation(id: str, summary: str, answers: Json, *parameters: str, **more: object) -> Json:
    """An operation.

    :param answers: by status.
    :param parameters: names of components.
    """
    listed = [ref("parameters", name) for name in parameters]
    return {
        "operationId": id,
        "summary": summary,
        **({"parameters": listed} if listed else {}),
        **more,
        "responses": answers,
    }
