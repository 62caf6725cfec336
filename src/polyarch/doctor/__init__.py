"""What this machine can do for builds and runs, what it cannot, and which command changes that."""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.doctor.diagnosis import Diagnosis as Diagnosis
    from polyarch.doctor.machine import examine_machine as examine_machine
    from polyarch.doctor.registries import examine_credentials as examine_credentials
    from polyarch.doctor.registries import examine_registries as examine_registries
else:
    __getattr__, __all__ = lazy.exports(
        __name__,
        {
            "diagnosis": "Diagnosis",
            "machine": "examine_machine",
            "registries": "examine_credentials examine_registries",
        },
    )
