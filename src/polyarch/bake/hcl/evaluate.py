"""Expressions → values (hclsyntax/spec.md). Every mistake is an HclError with its place.

How much an evaluation may do is limited, because expressions can multiply what they are given without end.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from polyarch.bake.hcl import numbers, operators, syntax, types, values
from polyarch.bake.hcl.convert import ConversionError, convert, unify
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, HclFunction
from polyarch.bake.hcl.source import HclError, Span
from polyarch.bake.hcl.syntax import Expr
from polyarch.bake.hcl.types import BOOL, DYNAMIC, STRING, HclType
from polyarch.bake.hcl.values import HclValue, ValueTooLargeError

# Some seconds.
MAX_STEPS = 1_000_000


class EvaluationError(HclError):
    """A mistake that shows when an expression is evaluated. `result` is the type that its value would have."""

    def __init__(self, reason: str, hint: str | None = None, *, at: Span, result: HclType = DYNAMIC) -> None:
        super().__init__(reason, hint, at=at)
        self.result = result


class LimitExceededError(HclError):
    """An evaluation that does too much. Unlike other errors, `try` and `?:` do not hide it."""


class EvalScope:
    """Variables by name, and those of the scope around."""

    def __init__(self, variables: Mapping[str, HclValue], parent: "EvalScope | None" = None) -> None:
        self.variables = dict(variables)
        self.parent = parent

    def find(self, name: str) -> HclValue | None:
        """The value of a variable; None if there is none."""
        scope: EvalScope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.parent
        return None

    def names(self) -> list[str]:
        """The names of all variables."""
        above = self.parent.names() if self.parent is not None else []
        return [*self.variables, *above]


class Evaluator:
    """Evaluates expressions with one table of functions, to which its owner may add."""

    def __init__(self, functions: MutableMapping[str, HclFunction], host: FunctionHost) -> None:
        self.functions = functions
        self._host = host
        self._steps = 0
        self._methods: dict[type, Callable[[Any, EvalScope], HclValue]] = {
            syntax.LiteralExpr: lambda node, _: node.value,
            syntax.VariableExpr: self._variable,
            syntax.TraversalExpr: self._traversal,
            syntax.SplatExpr: self._splat,
            syntax.CallExpr: self._call,
            syntax.UnaryExpr: self._unary,
            syntax.BinaryExpr: self._binary,
            syntax.ConditionalExpr: self._conditional,
            syntax.TupleExpr: self._tuple,
            syntax.ObjectExpr: self._object,
            syntax.ForExpr: self._for,
            syntax.WrappedExpr: lambda node, scope: self.evaluate(node.inner, scope),
            syntax.TemplateExpr: self._template,
            syntax.JoinExpr: self._join,
            syntax.JsonTextExpr: lambda node, scope: self.evaluate(node.template, scope),
        }

    def evaluate(self, node: Expr, scope: EvalScope) -> HclValue:
        """The value of an expression. Raises HclError."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise LimitExceededError("evaluating this file takes too many steps", at=node.span)
        try:
            return self._methods[type(node)](node, scope)
        except ValueTooLargeError as error:
            raise LimitExceededError(str(error), at=node.span) from None

    def attempt(self, node: Expr, scope: EvalScope) -> HclValue | HclError:
        """The value of an expression, or why it has none. Raises LimitExceededError."""
        try:
            return self.evaluate(node, scope)
        except LimitExceededError:
            raise
        except HclError as error:
            return error

    def _variable(self, node: syntax.VariableExpr, scope: EvalScope) -> HclValue:
        found = scope.find(node.name)
        if found is None:
            raise EvaluationError(f"there is no variable {node.name!r}", near(node.name, scope.names()), at=node.span)
        return found

    def _traversal(self, node: syntax.TraversalExpr, scope: EvalScope) -> HclValue:
        value = self.evaluate(node.source, scope)
        for step in node.steps:
            if isinstance(step, syntax.AttributeStep):
                value = operators.attribute(value, step.name, step.span)
            else:
                value = operators.element(value, self.evaluate(step.key, scope), step.span)
        return value

    def _splat(self, node: syntax.SplatExpr, scope: EvalScope) -> HclValue:
        source = self.evaluate(node.source, scope)
        if source.is_null and not source.is_sequence:
            return values.tuple_of(())
        if source.is_null:
            raise EvaluationError("null has no elements", at=node.source.span)
        if not source.is_sequence:
            source = values.tuple_of((source,))
        found = [self.evaluate(node.each, EvalScope({node.item: one}, scope)) for one in source.data]
        if isinstance(source.type, types.TupleType):
            return values.tuple_of(found)
        kinds = {one.type for one in found}
        if len(kinds) > 1:
            hint = "a 'for' makes a list whose elements have different types"
            raise EvaluationError("the elements of the list would have different types", hint, at=node.span)
        return values.list_of(next(iter(kinds), DYNAMIC), found)

    def _unary(self, node: syntax.UnaryExpr, scope: EvalScope) -> HclValue:
        result = operators.UNARY[node.operator]
        value = self._operand(self.evaluate(node.operand, scope), result, node.operand, node.operator, result)
        if value.is_null:
            raise EvaluationError(f"null has no {node.operator}", at=node.span, result=result)
        return values.boolean(not value.data) if node.operator == "!" else values.number(-value.data)

    def _operand(self, value: HclValue, wanted: HclType, node: Expr, operator: str, result: HclType) -> HclValue:
        try:
            return convert(value, wanted)
        except ConversionError as error:
            raise EvaluationError(f"the operand of {operator}: {error}", at=node.span, result=result) from None

    def _binary(self, node: syntax.BinaryExpr, scope: EvalScope) -> HclValue:
        # Without recursion to the left, because a sum may have thousands of parts.
        chain = [node]
        while isinstance(chain[-1].left, syntax.BinaryExpr):
            chain.append(chain[-1].left)
        left = self.attempt(chain[-1].left, scope)
        for one in reversed(chain):
            left = self._operation(one, left, self.attempt(one.right, scope))
        if isinstance(left, HclError):
            raise left
        return left

    def _operation(
        self, node: syntax.BinaryExpr, left: HclValue | HclError, right: HclValue | HclError
    ) -> HclValue | HclError:
        wanted, result = operators.BINARY[node.operator]
        try:
            if isinstance(left, HclValue):
                left = self._operand(left, wanted, node.left, node.operator, result)
            if isinstance(right, HclValue):
                right = self._operand(right, wanted, node.right, node.operator, result)
        except EvaluationError as error:
            return error
        # The operand that decides && or || hides a mistake in the other one, on either side.
        if node.operator in ("&&", "||"):
            for one in (left, right):
                if isinstance(one, HclValue) and one.data is (node.operator == "||"):
                    return values.boolean(node.operator == "||")
        for one in (left, right):
            if isinstance(one, HclError):
                return EvaluationError(one.reason, one.hint, at=one.at or node.span, result=result)
        assert isinstance(left, HclValue)
        assert isinstance(right, HclValue)
        try:
            return operators.binary(node.operator, left, right)
        except (numbers.NumberError, FunctionError) as error:
            return EvaluationError(f"{node.operator}: {error}", at=node.span, result=result)

    def _conditional(self, node: syntax.ConditionalExpr, scope: EvalScope) -> HclValue:
        results = (self.attempt(node.yes, scope), self.attempt(node.no, scope))
        kinds = [_type_of(one) for one in results]
        wanted = _common(results, kinds)
        if wanted is None:
            shown = " and ".join(types.friendly(kind) for kind in kinds)
            raise EvaluationError(f"the two results of ? must be of one type, but they are {shown}", at=node.span)
        condition = self._condition(self.evaluate(node.condition, scope), node.condition, "the condition")
        chosen = results[0] if condition else results[1]
        if isinstance(chosen, HclError):
            raise chosen
        try:
            return convert(chosen, wanted)
        except ConversionError as error:
            at = (node.yes if condition else node.no).span
            raise EvaluationError(f"the result of ? has the wrong type: {error}", at=at, result=wanted) from None

    def _condition(self, value: HclValue, node: Expr, what: str) -> bool:
        if value.is_null:
            raise EvaluationError(f"{what} is null, and must be true or false", at=node.span)
        try:
            return bool(convert(value, BOOL).data)
        except ConversionError:
            kind = types.friendly(value.type)
            raise EvaluationError(f"{what} must be true or false, but is {kind}", at=node.span) from None

    def _tuple(self, node: syntax.TupleExpr, scope: EvalScope) -> HclValue:
        return values.tuple_of([self.evaluate(item, scope) for item in node.items])

    def _object(self, node: syntax.ObjectExpr, scope: EvalScope) -> HclValue:
        found: dict[str, HclValue] = {}
        for item in node.items:
            name = self._key(item.key, scope)
            value = self.evaluate(item.value, scope)
            if node.unique and name in found:
                raise EvaluationError(f"the key {name!r} appears twice", at=item.key.span)
            found[name] = value
        return values.object_of(found)

    def _key(self, node: Expr, scope: EvalScope) -> str:
        word = "" if isinstance(node, syntax.JsonTextExpr) else syntax.keyword(node)
        if word:
            return word
        if isinstance(node, syntax.TraversalExpr) and syntax.reference(node) is not None:
            raise EvaluationError(
                "a key with dots is either a text or a reference",
                "put it in quotes for a text, or in parentheses for a reference",
                at=node.span,
            )
        return self._text(self.evaluate(node, scope), node, "the key of an object")

    def _text(self, value: HclValue, node: Expr, what: str) -> str:
        if value.is_null:
            raise EvaluationError(f"{what} is null", at=node.span)
        try:
            return str(convert(value, STRING).data)
        except ConversionError:
            kind = types.friendly(value.type)
            raise EvaluationError(f"{what} must be a text, but is {kind}", at=node.span) from None

    def _template(self, node: syntax.TemplateExpr, scope: EvalScope) -> HclValue:
        what = "a value in a template"
        return values.text("".join([self._text(self.evaluate(part, scope), part, what) for part in node.parts]))

    def _join(self, node: syntax.JoinExpr, scope: EvalScope) -> HclValue:
        return values.text("".join([str(part.data) for part in self.evaluate(node.items, scope).data]))

    def _for(self, node: syntax.ForExpr, scope: EvalScope) -> HclValue:
        collection = self.evaluate(node.collection, scope)
        if collection.is_null:
            raise EvaluationError("the collection of 'for' is null", at=node.collection.span)
        if not (collection.is_sequence or collection.is_mapping):
            kind = types.friendly(collection.type)
            raise EvaluationError(f"'for' needs a list, set, map or object, not {kind}", at=node.collection.span)
        listed: list[HclValue] = []
        keyed: dict[str, list[HclValue]] = {}
        for key, value in collection.items():
            local = {node.key_name: key, node.value_name: value} if node.key_name else {node.value_name: value}
            inner = EvalScope(local, scope)
            if node.condition is not None:
                chosen = self._condition(self.evaluate(node.condition, inner), node.condition, "the 'if' of 'for'")
                if not chosen:
                    continue
            if node.key is None:
                listed.append(self.evaluate(node.value, inner))
                continue
            name = self._text(self.evaluate(node.key, inner), node.key, "the key of 'for'")
            if name in keyed and not node.group:
                hint = "... after the value groups the values with the same key"
                raise EvaluationError(f"two elements have the key {name!r}", hint, at=node.key.span)
            keyed.setdefault(name, []).append(self.evaluate(node.value, inner))
        if node.key is None:
            return values.tuple_of(listed)
        grouped = {name: values.tuple_of(found) if node.group else found[0] for name, found in keyed.items()}
        return values.object_of(grouped)

    def _call(self, node: syntax.CallExpr, scope: EvalScope) -> HclValue:
        function = self.functions.get(node.name)
        if function is None:
            raise EvaluationError(
                f"there is no function {node.name!r}", near(node.name, list(self.functions)), at=node.span
            )
        try:
            if function.lazy:
                return self._lazy(function, node, scope)
            arguments = function.checked(self._arguments(node, scope))
            self._steps += sum(argument.size for argument in arguments)
            return function.call(arguments, self._host)
        except (FunctionError, ConversionError, numbers.NumberError) as error:
            raise EvaluationError(f"{node.name}(): {error}", at=node.span) from None

    def _arguments(self, node: syntax.CallExpr, scope: EvalScope) -> list[HclValue]:
        found = [self.evaluate(argument, scope) for argument in node.arguments]
        if not node.expand:
            return found
        last = found.pop()
        if last.is_null or not last.is_sequence:
            raise EvaluationError("... needs a list, tuple or set that is not null", at=node.arguments[-1].span)
        return [*found, *last.data]

    def _lazy(self, function: HclFunction, node: syntax.CallExpr, scope: EvalScope) -> HclValue:
        """`try`, `can` and `convert`, which see expressions."""
        function.count(len(node.arguments))
        if node.name == "convert":
            from polyarch.bake.hcl import typeexpr

            return convert(self.evaluate(node.arguments[0], scope), typeexpr.parse(node.arguments[1]))
        error: HclError | None = None
        for argument in node.arguments:
            found = self.attempt(argument, scope)
            if isinstance(found, HclValue):
                return values.boolean(True) if node.name == "can" else found
            error = error or found
        if node.name == "can":
            return values.boolean(False)
        if error is None:
            raise FunctionError("it takes at least one argument")
        raise error


def _type_of(result: HclValue | HclError) -> HclType:
    if isinstance(result, HclValue):
        return result.type
    return result.result if isinstance(result, EvaluationError) else DYNAMIC


def _common(results: tuple[HclValue | HclError, ...], kinds: list[HclType]) -> HclType | None:
    """The type of both results of a conditional; None if there is none."""
    for one, other in ((0, 1), (1, 0)):
        result = results[one]
        if isinstance(result, HclValue) and result.is_null and types.is_dynamic(result.type):
            return kinds[other]
    if any(map(types.is_dynamic, kinds)):
        return DYNAMIC
    return unify(kinds, unsafe=True)


def near(name: str, known: list[str]) -> str | None:
    """A hint for a name that does not exist."""
    from difflib import get_close_matches

    close = get_close_matches(name, [one for one in known if not one.startswith("*")], n=1)
    return f"did you mean {close[0]}?" if close else None
