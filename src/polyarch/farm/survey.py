"""What a build is told of a farm before its first step."""

from collections.abc import Sequence

from polyarch.farm.link_messages import Surveyed
from polyarch.farm.placement import StepPlacer
from polyarch.farm.table import survey_lines, troubles
from polyarch.farm.values import Member, table_of


def surveyed(placer: StepPlacer, members: Sequence[Member], version: str) -> Surveyed:
    """What the members that `placer` knows can do, and what is wrong with them for a build of this version."""
    places = {}
    for platform in placer.platforms:
        how = placer.how(platform)
        if how is not None:
            places[platform] = (placer.names(platform, how)[0], how)
    warnings = tuple(
        f"member {name} of the farm: {trouble}"
        for name, processes in table_of(members).items()
        for trouble in troubles(processes[0], version)
    )
    return Surveyed(places=places, slots=placer.slots, table=tuple(survey_lines(members)), warnings=warnings)
