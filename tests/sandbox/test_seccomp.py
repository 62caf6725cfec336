"""The seccomp profile as data."""

import pytest

from polyarch.sandbox import seccomp

_ARCHITECTURES = ["386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"]


def _allowed(architecture: str) -> set[str]:
    profile = seccomp.profile(architecture)
    assert profile is not None
    rules = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule]
    return {name for rule in rules for name in rule["names"]}


@pytest.mark.parametrize("architecture", _ARCHITECTURES)
def test_what_is_not_named_is_refused(architecture: str) -> None:
    profile = seccomp.profile(architecture)
    assert profile is not None
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    dangerous = (
        "mount umount2 pivot_root setns unshare bpf kexec_load init_module reboot swapon ptrace_scope keyctl add_key "
        "open_by_handle_at perf_event_open userfaultfd io_uring_setup clone3 move_mount fsopen syslog settimeofday"
    )
    assert not _allowed(architecture) & set(dangerous.split())


def test_what_every_program_needs_is_allowed() -> None:
    needed = "read write openat execve mmap futex rt_sigaction exit_group chown setuid socketpair fork statx chroot"
    for architecture in _ARCHITECTURES:
        assert set(needed.split()) <= _allowed(architecture)


def test_the_flags_of_clone_are_looked_for_where_the_architecture_has_them() -> None:
    def index(architecture: str) -> int:
        profile = seccomp.profile(architecture)
        assert profile is not None
        (rule,) = (rule for rule in profile["syscalls"] if rule["names"] == ["clone"])
        return int(rule["args"][0]["index"])

    assert (index("amd64"), index("s390x")) == (0, 1)


def test_an_architecture_that_libseccomp_lacks_has_no_profile() -> None:
    assert seccomp.profile("ppc64") is None
