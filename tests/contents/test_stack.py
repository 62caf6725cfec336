"""How stages share their stacks of layers."""

from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack, layers_of, on


def test_every_layer_of_a_stack_is_found_by_its_number() -> None:
    layers = [Layer(snapshot=str(number)) for number in range(300)]
    stack = on(None, layers)
    assert stack is not None
    assert layers_of(stack) == tuple(layers)
    assert [stack.at(number) for number in range(300)] == layers


def test_stacks_of_the_same_layers_have_one_key_and_no_others() -> None:
    one, two = Layer(snapshot="1"), Layer(snapshot="2")
    stacks = [on(None, layers) for layers in ([one], [two], [one, two], [two, one], [one, two])]
    keys = [stack.key for stack in stacks if isinstance(stack, Stack)]
    assert len(set(keys)) == 4
    assert keys[2] == keys[4]
