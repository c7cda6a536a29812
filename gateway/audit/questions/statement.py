"""Which SQL of a person's own is let through: exactly one SELECT (a WITH is one), that reads the view and nothing else.

Judged by DuckDB's own parse of it, not by looking for words. It is the second of two walls: the engine's settings keep
every other file shut whatever the statement is.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import duckdb

from gateway.audit.questions.errors import QuestionError

_FUNCTIONS: Final = frozenset({"unnest", "range", "generate_series"})
_HINT: Final = "one SELECT (or WITH … SELECT) over the view `events`, and no other table, file or function of tables"
_TREE: Final = "SELECT json_serialize_sql($1::VARCHAR)"
_PLAIN: Final = "SELECT json_deserialize_sql($1::JSON)"
# What may stand in a FROM. Everything else that DuckDB has there, or will have, is refused.
_RELATIONS: Final = frozenset({"EMPTY", "EXPRESSION_LIST", "JOIN", "SUBQUERY"})
_PLACES: Final = ("from_table", "left", "right")


def check(connection: duckdb.DuckDBPyConnection, sql: str, view: str) -> str:
    """The statement, if it is let through, as DuckDB has understood it: without comments and semicolons.

    Raises:
        QuestionError: it is no SQL, more than one statement, no SELECT, or reads something besides the view.
    """
    try:
        kinds = [statement.type for statement in connection.extract_statements(sql)]
    except duckdb.Error as error:
        raise QuestionError(str(error).partition("\n")[0], _HINT, place="--sql") from error
    if kinds != [duckdb.StatementType.SELECT]:
        named = ", ".join(kind.name for kind in kinds) or "none"
        raise QuestionError(f"one SELECT is let through, not: {named}", _HINT, place="--sql")
    found = connection.execute(_TREE, [sql]).fetchone()
    tree = json.loads(found[0]) if found else {"error": True}
    if tree["error"]:
        raise QuestionError(f"cannot be judged: {tree.get('error_message', '')}", _HINT, place="--sql")
    allowed = frozenset({view}) | frozenset(_own_tables(tree))
    for refused in _refused(tree, allowed):
        raise QuestionError(f"only the view `{view}` can be asked, not {refused}", _HINT, place="--sql")
    plain = connection.execute(_PLAIN, [json.dumps(tree)]).fetchone()
    return str(plain[0]) if plain else sql


def _refused(tree: object, allowed: frozenset[str]) -> Iterator[str]:
    for node in _nodes(tree):
        for place in _PLACES:
            relation = node.get(place)
            if isinstance(relation, dict) and "type" in relation and not _is_query(relation):
                yield from _refused_relation(relation, allowed)


def _refused_relation(relation: dict[str, Any], allowed: frozenset[str]) -> Iterator[str]:
    match relation["type"]:
        case "BASE_TABLE":
            if relation.get("table_name") not in allowed:
                yield f"`{relation.get('table_name')}`"
        case "TABLE_FUNCTION":
            name = str(relation.get("function", {}).get("function_name", "")).lower()
            if name not in _FUNCTIONS:
                yield f"`{name}(…)`"
        case kind:
            if kind not in _RELATIONS:
                yield str(kind).lower().replace("_", " ")


def _is_query(node: dict[str, Any]) -> bool:
    """Whether it is a whole query (a side of a UNION, of a recursion), or an expression: not a relation of a FROM."""
    return str(node["type"]).endswith("_NODE") or "class" in node


def _own_tables(tree: object) -> Iterator[str]:
    for node in _nodes(tree):
        for each in node.get("cte_map", {}).get("map", ()) if isinstance(node.get("cte_map"), dict) else ():
            yield str(each.get("key"))


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    match tree:
        case dict():
            yield tree
            for each in tree.values():
                yield from _nodes(each)
        case list():
            for each in tree:
                yield from _nodes(each)
        case _:
            return
