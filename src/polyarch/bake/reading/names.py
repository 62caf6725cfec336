"""BakeNames on demand: variables, globals and functions are evaluated when something needs them, each once.

What an expression needs is known from its text, so it is evaluated before the expression is. A name that needs itself
is an error. The order is that of buildx (hclparser.go, loadDeps).
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from polyarch.bake.hcl import syntax, typeexpr, types, values
from polyarch.bake.hcl.bodies import HclAttribute, HclBlock
from polyarch.bake.hcl.convert import ConversionError, convert
from polyarch.bake.hcl.evaluate import EvalScope, Evaluator
from polyarch.bake.hcl.functions import FunctionHost, HclFunction, Parameter
from polyarch.bake.hcl.source import HclError, Span
from polyarch.bake.hcl.syntax import Expr, VariableUse
from polyarch.bake.hcl.types import HclType
from polyarch.bake.hcl.values import HclValue
from polyarch.bake.reading import variables
from polyarch.bake.reading.variables import BakeVariable, Outside, VariableBlock

FUNCTION_ATTRIBUTES = ("params", "variadic_params", "result")


class FunctionBlock(msgspec.Struct, frozen=True, eq=False):
    """The definition of a function."""

    name: str
    attributes: Mapping[str, HclAttribute]
    at: Span


class BakeNames:
    """The names of the files. `load_block` evaluates what an expression needs of a block: `target.NAME.attribute`."""

    def __init__(
        self,
        evaluator: Evaluator,
        outside: Outside,
        load_block: Callable[[VariableUse, EvalScope], None],
        block_types: Sequence[str],
    ) -> None:
        self.root = EvalScope({name: values.text(value) for name, value in outside.builtin.items()})
        self.evaluator = evaluator
        self.variables: dict[str, VariableBlock] = {}
        self.globals: dict[str, HclAttribute] = {}
        self.functions: dict[str, FunctionBlock] = {}
        self._outside = outside
        self._load_block = load_block
        self._block_types = block_types
        self._types: dict[str, HclType] = {}
        self._in_progress: set[str] = set()

    def evaluate(self, expression: Expr, scope: EvalScope) -> HclValue:
        """The value of an expression, with what it needs. Raises HclError."""
        self.load(expression, scope)
        return self.evaluator.evaluate(expression, scope)

    def load(
        self, expression: Expr, scope: EvalScope, local: frozenset[str] = frozenset(), *, strict: bool = False
    ) -> None:
        """Evaluate what an expression needs. `local` are names that it has itself.

        A name that does not exist is an error only if `strict`: the value may not be needed.
        """
        uses, calls = syntax.uses(expression)
        for call in calls:
            if not self._load_function(call.name) and strict:
                raise HclError(f"there is no function {call.name!r}", at=call.span)
        for use in uses:
            if use.name in local:
                continue
            if use.name in self._block_types:
                self._load_block(use, scope)
            elif not self.load_value(use.name, scope, use.span) and strict:
                raise HclError(f"there is no variable {use.name!r}", at=use.span)

    def _load_function(self, name: str) -> bool:
        """Make a function available. Returns whether there is one."""
        if name in self.evaluator.functions:
            return True
        block = self.functions.get(name)
        if block is None:
            return False
        key = f"{name}()"
        if key in self._in_progress:
            raise HclError(f"the function {name} calls itself", at=block.at)
        self._in_progress.add(key)
        self.evaluator.functions[name] = self._function(block)
        return True

    def load_functions(self) -> None:
        """Make all functions available. Raises HclError."""
        for name in self.functions:
            self._load_function(name)

    def _function(self, block: FunctionBlock) -> HclFunction:
        for name in ("result", "params"):
            if name not in block.attributes:
                raise HclError(f"the function {block.name} has no {name}", at=block.at)
        given = block.attributes["params"].value
        if not isinstance(given, syntax.TupleExpr):
            raise HclError("params is a list of names", "as in params = [first, second]", at=given.span)
        names = [_word(one) for one in given.items]
        last = block.attributes.get("variadic_params")
        variadic = None if last is None else _word(last.value)
        result = block.attributes["result"].value
        self.load(result, self.root, frozenset((*names, *((variadic,) if variadic else ()))), strict=True)

        def call(arguments: Sequence[HclValue], _: FunctionHost) -> HclValue:
            local = dict(zip(names, arguments, strict=False))
            if variadic is not None:
                local[variadic] = values.tuple_of(arguments[len(names) :])
            return self.evaluator.evaluate(result, EvalScope(local, self.root))

        parameters = tuple(map(Parameter, names))
        return HclFunction(block.name, call, parameters, None if variadic is None else Parameter(variadic))

    def load_value(self, name: str, scope: EvalScope, at: Span) -> bool:
        """Evaluate a variable or global. Returns whether there is one."""
        if name in self.root.variables or name in scope.variables:
            return True
        if name not in self.globals and name not in self.variables:
            return False
        if name in self._in_progress:
            raise HclError(f"the value of {name} needs itself", at=at)
        self._in_progress.add(name)
        found = self._global(name, scope) if name in self.globals else self._variable(self.variables[name])
        self.root.variables[name] = found
        return True

    def _global(self, name: str, scope: EvalScope) -> HclValue:
        attribute = self.globals[name]
        found = self.evaluate(attribute.value, scope)
        # A name may be both, and then the value comes from the global, and the text from outside.
        if name in self.variables:
            return self._overridden(name, None, found, attribute.at)
        return found

    def _variable(self, block: VariableBlock) -> HclValue:
        wanted = self._type(block)
        default: HclValue | None = None
        if block.default is not None:
            default = self.evaluate(block.default.value, self.root)
            if wanted is not None:
                try:
                    default = convert(default, wanted)
                except ConversionError as error:
                    at = block.default.value.span
                    raise HclError(f"the default of {block.name}: {error}", at=at) from None
        return self._overridden(block.name, wanted, default, block.at)

    def _type(self, block: VariableBlock) -> HclType | None:
        """The type of a variable; None if it has none."""
        if block.type is None:
            return None
        self._types[block.name] = typeexpr.parse(block.type)
        return self._types[block.name]

    def _overridden(self, name: str, wanted: HclType | None, default: HclValue | None, at: Span) -> HclValue:
        found = self._outside.override(name, self.variables, typed=wanted is not None)
        if found is None:
            if default is not None:
                return default
            return values.text("") if wanted is None else values.null(types.without_optional(wanted), name)
        try:
            return variables.converted(name, *found, wanted, default)
        except ConversionError as error:
            raise HclError(f"the value of {name} from outside of the files: {error}", at=at) from None

    def load_variables(self) -> list[BakeVariable]:
        """Evaluate and validate all variables. Raises HclError."""
        found = []
        for name, block in self.variables.items():
            self.load_value(name, self.root, block.at)
            description = ""
            if block.description is not None:
                description = self._description(block.description)
            found.append(variables.listed(name, description, self.root.variables[name], self._types.get(name)))
        for block in self.variables.values():
            for validation in block.validations:
                self._validate(block, validation)
        return found

    def _description(self, attribute: HclAttribute) -> str:
        """A description, which is not evaluated in any scope."""
        empty = Evaluator({}, FunctionHost())
        found = empty.evaluate(attribute.value, EvalScope({}))
        try:
            text = convert(found, types.STRING)
        except ConversionError as error:
            raise HclError(f"description: {error}", at=attribute.value.span) from None
        if text.is_null:
            raise HclError("description: null is not a text", at=attribute.value.span)
        result: str = text.data
        return result

    def _validate(self, block: VariableBlock, validation: variables.Validation) -> None:
        at = validation.condition.span
        found = self.evaluate(validation.condition, self.root)
        try:
            if convert(found, types.BOOL).data is True:
                return
        except ConversionError as error:
            raise HclError(f"the condition of {block.name}: {error}", at=at) from None
        if found.is_null:
            raise HclError(f"the condition of {block.name} is null", "it must be true or false", at=at)
        message = self.evaluate(validation.message, self.root)
        text = message.data if isinstance(message.data, str) else "the value does not meet the condition"
        raise HclError(f"{block.name}: {text}", at=at)


def _word(expression: Expr) -> str:
    word = syntax.keyword(expression)
    if not word:
        raise HclError("a parameter is a plain name", at=expression.span)
    return word


def function_block(block: HclBlock) -> FunctionBlock:
    """The definition in a block. Raises HclError."""
    attributes = block.body.attributes()
    for name, attribute in attributes.items():
        if name not in FUNCTION_ATTRIBUTES:
            from polyarch.bake.hcl.evaluate import near

            hint = near(name, list(FUNCTION_ATTRIBUTES))
            raise HclError(f"a function has no attribute {name!r}", hint, at=attribute.at)
    for kind, at in block.body.block_types():
        raise HclError(f"a function has no block {kind!r}", at=at)
    return FunctionBlock(block.labels[0], attributes, block.at)
