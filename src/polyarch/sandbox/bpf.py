"""Compiling a seccomp profile to BPF once for all processes of a sandbox.

crun compiles the profile in config.json for each container, which takes 13 of the 22 ms of a container's start (crun
1.8; some later versions cache it). It accepts the compiled program in the annotation run.oci.seccomp_bpf_data, and uses
the profile if it does not know that annotation, so config.json has both.
"""

import ctypes
import os
from typing import Any

ANNOTATION = "run.oci.seccomp_bpf_data"

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_OPERATORS = {"SCMP_CMP_NE": 1, "SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}
_NO_SUCH_CALL = -1
_ATTRIBUTE_NO_NEW_PRIVILEGES = 3


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("value_two", ctypes.c_uint64),
    )


def compiled(profile: dict[str, Any]) -> bytes | None:
    """Return the BPF program of a `linux.seccomp` object; None if libseccomp is missing or fails."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    context = library.seccomp_init(_ERRNO | profile["defaultErrnoRet"])
    if not context:
        return None
    try:
        library.seccomp_attr_set(context, _ATTRIBUTE_NO_NEW_PRIVILEGES, 0)
        for name in profile["architectures"]:
            token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
            # The native architecture is present from the start; adding it again fails with EEXIST.
            if not token or library.seccomp_arch_add(context, token) not in (0, -17):
                return None
        if not all(_add(library, context, rule) for rule in profile["syscalls"]):
            return None
        output = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            if library.seccomp_export_bpf(context, output) != 0:
                return None
            return os.pread(output, os.fstat(output).st_size, 0)
        finally:
            os.close(output)
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, rule: dict[str, Any]) -> bool:
    action = _ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else _ERRNO | rule["errnoRet"]
    arguments = rule.get("args", [])
    comparisons = (_Comparison * len(arguments))(
        *(_Comparison(arg["index"], _OPERATORS[arg["op"]], arg["value"], arg["valueTwo"]) for arg in arguments)
    )
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        # A system call that this libseccomp does not know stays forbidden.
        if number != _NO_SUCH_CALL and library.seccomp_rule_add_array(
            context, action, number, len(arguments), comparisons
        ):
            return False
    return True
