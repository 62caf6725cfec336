"""Shrinks a recipe as long as the builds still differ."""

from collections.abc import Callable, Iterator

from tests.builds.fuzz.recipe import Recipe


def shrink(recipe: Recipe, is_bad: Callable[[Recipe], bool], tries: int = 150) -> Recipe:
    """The smallest recipe found that is still bad, after so many tries at most."""
    found = True
    while found:
        found = False
        for candidate in _smaller(recipe):
            if not candidate.is_sound():
                continue
            if tries <= 0:
                return recipe
            tries -= 1
            if is_bad(candidate):
                recipe, found = candidate, True
                break
    return recipe


def _smaller(recipe: Recipe) -> Iterator[Recipe]:
    """Recipes with less in them: much less first."""
    if len(recipe.stages) > 1:
        for number in range(len(recipe.stages)):
            yield recipe._replace(stages=recipe.stages[:number] + recipe.stages[number + 1 :])
    for number, stage in enumerate(recipe.stages):
        steps = stage.steps
        size = len(steps) // 2
        while size:
            for start in range(0, len(steps), size):
                kept = steps[:start] + steps[start + size :]
                yield _with_stage(recipe, number, kept)
            size //= 2
    if recipe.context:
        yield recipe._replace(context=())
    for field in ("context", "ignore", "archives", "arguments", "options"):
        values = getattr(recipe, field)
        size = max(len(values) // 2, 1) if values else 0
        while size:
            for start in range(0, len(values), size):
                yield recipe._replace(**{field: values[:start] + values[start + size :]})
            size //= 2
    for number, archive in enumerate(recipe.archives):
        for entry in range(len(archive.entries)):
            smaller = archive._replace(entries=archive.entries[:entry] + archive.entries[entry + 1 :])
            yield recipe._replace(archives=(*recipe.archives[:number], smaller, *recipe.archives[number + 1 :]))
    for number, stage in enumerate(recipe.stages):
        for place, step in enumerate(stage.steps):
            for smaller in step.smaller():
                yield _with_stage(recipe, number, (*stage.steps[:place], smaller, *stage.steps[place + 1 :]))


def _with_stage(recipe: Recipe, number: int, steps: tuple) -> Recipe:
    stage = recipe.stages[number]._replace(steps=steps)
    return recipe._replace(stages=(*recipe.stages[:number], stage, *recipe.stages[number + 1 :]))
