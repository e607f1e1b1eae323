"""Simulated DynamoDB: items of one table, and conditional updates of them, each atomic.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from simulation.network import Request, SimulatedClient

Item = dict[str, Any]
Values = Mapping[str, Mapping[str, Any]]
_HASH_KEY, _RANGE_KEY = "subject", "period"
_NO_VALUES: Values = {}


class SimulatedDynamoDb:
    def __init__(self) -> None:
        self.items: dict[tuple[str, ...], Item] = {}
        """By the values of the hash key and the range key; sets of bytes as sets, numbers as integers."""
        self.deleted: set[tuple[str, ...]] = set()
        """Keys of items that were deleted."""
        self.observers: list[Callable[[tuple[str, ...], Item], None]] = []
        """Called after every item that is put."""

    def put(self, key: tuple[str, ...], item: Item) -> None:
        self.items[key] = item
        for observe in self.observers:
            observe(key, item)


class ConditionalCheckFailedError(ClientError):
    """`client.exceptions.ConditionalCheckFailedException`"""


class _Exceptions:
    """`client.exceptions`"""

    ConditionalCheckFailedException = ConditionalCheckFailedError


class SimulatedDynamoDbClient(SimulatedClient):
    """`boto3.client("dynamodb")`, as far as the functions use it."""

    service = "dynamodb"
    exceptions = _Exceptions

    def get_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Key: Mapping[str, Mapping[str, str]],  # noqa: N803
        ConsistentRead: bool,  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html"""
        if not ConsistentRead:
            raise NotImplementedError("every read sees what was written before")
        key = _values(Key)

        def effect(request: Request) -> dict[str, Any]:
            item = request.simulation.dynamodb.items.get(key)
            return {} if item is None else {"Item": {name: _typed(value) for name, value in item.items()}}

        return self.call("GetItem", "/".join(key), effect, bucket=TableName)

    def update_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Key: Mapping[str, Mapping[str, str]],  # noqa: N803
        UpdateExpression: str,  # noqa: N803
        ConditionExpression: str | None = None,  # noqa: N803
        ExpressionAttributeValues: Values,  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html"""
        key = _values(Key)

        def effect(request: Request) -> dict[str, Any]:
            items = request.simulation.dynamodb.items
            item = items.get(key, {})
            if ConditionExpression is not None and not _is_met(ConditionExpression, item, ExpressionAttributeValues):
                raise _condition_failed("UpdateItem")
            items[key] = _update(UpdateExpression, item, ExpressionAttributeValues)
            return {}

        return self.call("UpdateItem", "/".join(key), effect, bucket=TableName)

    def put_item(
        self,
        *,
        TableName: str,  # noqa: N803
        Item: Values,  # noqa: N803
        ConditionExpression: str | None = None,  # noqa: N803
        ExpressionAttributeValues: Values = _NO_VALUES,  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html"""
        key = (Item[_HASH_KEY]["S"], Item[_RANGE_KEY]["S"])
        item = {name: _value(typed) for name, typed in Item.items() if name not in (_HASH_KEY, _RANGE_KEY)}

        def effect(request: Request) -> dict[str, Any]:
            dynamodb = request.simulation.dynamodb
            existing = dynamodb.items.get(key, {})
            if ConditionExpression and not _is_met(ConditionExpression, existing, ExpressionAttributeValues):
                raise _condition_failed("PutItem")
            dynamodb.put(key, item)
            return {}

        return self.call("PutItem", "/".join(key), effect, bucket=TableName)

    def delete_item(self, *, TableName: str, Key: Values) -> dict[str, Any]:  # noqa: N803
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteItem.html"""
        key = _values(Key)

        def effect(request: Request) -> dict[str, Any]:
            dynamodb = request.simulation.dynamodb
            if dynamodb.items.pop(key, None) is not None:
                dynamodb.deleted.add(key)
            return {}

        return self.call("DeleteItem", "/".join(key), effect, bucket=TableName)

    def query(
        self,
        *,
        TableName: str,  # noqa: N803
        KeyConditionExpression: str,  # noqa: N803
        ExpressionAttributeValues: Values,  # noqa: N803
        ConsistentRead: bool,  # noqa: N803
    ) -> dict[str, Any]:
        """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html (one page holds everything)"""
        if KeyConditionExpression != f"{_HASH_KEY} = :{_HASH_KEY}" or not ConsistentRead:
            raise NotImplementedError("the items of one hash key are read, as they were written before")
        hash_key = ExpressionAttributeValues[f":{_HASH_KEY}"]["S"]

        def effect(request: Request) -> dict[str, Any]:
            return {
                "Items": [
                    {
                        _HASH_KEY: {"S": key[0]},
                        _RANGE_KEY: {"S": key[1]},
                        **{name: _typed(value) for name, value in item.items()},
                    }
                    for key, item in sorted(request.simulation.dynamodb.items.items())
                    if key[0] == hash_key
                ]
            }

        return self.call("Query", hash_key, effect, bucket=TableName, is_read=True, is_list=True)


def _values(key: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(value["S"] for value in key.values())


def _is_met(expression: str, item: Item, values: Values) -> bool:
    """Whether one of the alternatives holds, each of one or more of `attribute_not_exists(a)`, `contains(a, :v)`,
    `NOT contains(a, :v)`, `size(a) < :v` and `a < :v`. `(...) AND (...)`: whether all of several such expressions do.
    """
    if expression.startswith("("):
        return all(_is_met(part, item, values) for part in expression[1:-1].split(") AND ("))
    return any(
        all(_holds(condition, item, values) for condition in alternative.split(" AND "))
        for alternative in expression.split(" OR ")
    )


def _holds(condition: str, item: Item, values: Values) -> bool:
    if comparison := re.fullmatch(r"(\w+) < (:\w+)", condition):
        name, limit = comparison.groups()
        return name in item and item[name] < _value(values[limit])
    match = re.fullmatch(r"(NOT )?(\w+)\((\w+)(?:, (:\w+))?\)(?: < (:\w+))?", condition)
    match match and match.groups():
        case (None, "attribute_not_exists", name, None, None):
            return name not in item
        case (negation, "contains", name, operand, None):
            return (name in item and _value(values[operand]) in item[name]) == (negation is None)
        case (None, "size", name, None, limit):
            return name in item and len(item[name]) < _value(values[limit])
        case _:
            raise NotImplementedError(condition)


def _update(expression: str, item: Item, values: Values) -> Item:
    """The item after `ADD a :v, b :w DELETE c :x SET d = :y`; ADD and DELETE are optional."""
    match = re.fullmatch(r"(?:ADD (\w+ :\w+(?:, \w+ :\w+)*) )?(?:DELETE (\w+ :\w+) )?SET (\w+) = (:\w+)", expression)
    if match is None:
        raise NotImplementedError(expression)
    added, deleted, name, value = match.groups()
    updated = {**item, name: _value(values[value])}
    for pair in added.split(", ") if added else ():
        name, value = pair.split(" ")
        updated[name] = item.get(name, frozenset()) | _value(values[value])
    if deleted:
        name, value = deleted.split(" ")
        if rest := updated.pop(name, frozenset()) - _value(values[value]):  # an empty set does not exist
            updated[name] = rest
    return updated


def _value(typed: Mapping[str, Any]) -> Any:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html"""
    ((type_, value),) = typed.items()
    return {"S": str, "N": int, "B": bytes, "BS": frozenset}[type_](value)


def _typed(value: int | frozenset[bytes]) -> dict[str, Any]:
    return {"N": str(value)} if isinstance(value, int) else {"BS": sorted(value)}


def _condition_failed(operation: str) -> ConditionalCheckFailedError:
    response: Any = {
        "Error": {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ConditionalCheckFailedError(response, operation)
