"""docker's default seccomp profile (moby/profiles, 2026-08) for docker's default capabilities.

One call more is allowed: personality(ADDR_NO_RANDOMIZE), see SECURITY.md. Rules for further capabilities are omitted,
and so are keyctl and related calls, which docker before 29 forbids. The rules are for the machine's native system
calls: a program of another platform makes them through qemu, which is a native program.
"""

from collections.abc import Iterator
from typing import Any

_FILES = """
access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listmount listxattr listxattrat llistxattr _llseek
lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2
pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr
removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs
statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat
utime utimensat utimensat_time64 utimes vmsplice write writev chroot
"""
_WAITING = """
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit _newselect poll ppoll
ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4
"""
_MEMORY = """
brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect
mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
"""
_PROCESSES = """
capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid
get_thread_area gettid getuid getuid32 ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self pause pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace
restart_syscall riscv_hwprobe rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam
sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid
setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32
setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid set_thread_area set_tid_address setuid
setuid32 sigaltstack sigprocmask sigreturn sysinfo tgkill tkill ugetrlimit uname uretprobe vfork wait4 waitid waitpid
"""
_TIME = """
adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64 times
"""
_TALKING = """
accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd recv
recvfrom recvmmsg recvmmsg_time64 recvmsg semctl semget semop semtimedop semtimedop_time64 send sendmmsg sendmsg sendto
setsockopt shmat shmctl shmdt shmget shutdown socketcall socketpair
"""

# By the host's architecture (GOARCH): the audit architectures of its programs, and its additional calls.
_HOSTS: dict[str, tuple[tuple[str, ...], str]] = {
    "amd64": (("X86_64", "X86", "X32"), "arch_prctl modify_ldt"),
    "386": (("X86",), "modify_ldt"),
    "arm64": (
        ("AARCH64", "ARM"),
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    "arm": (("ARM",), "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"),
    "ppc64le": (("PPC64LE",), "sync_file_range2 swapcontext"),
    "s390x": (("S390X", "S390"), "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    "riscv64": (("RISCV64",), "riscv_flush_icache"),
    "mips64": (("MIPS64", "MIPS", "MIPS64N32"), ""),
    "mips64le": (("MIPSEL64", "MIPSEL", "MIPSEL64N32"), ""),
}
_AF_VSOCK = 40
# The CLONE_NEW* flags, except CLONE_NEWTIME, which shares its bit with the exit signal.
_NEW_NAMESPACES = 0x7E020000
# Allowed arguments of personality(2): PER_LINUX, PER_LINUX32, each also with UNAME26; 0xffffffff queries it. docker
# refuses ADDR_NO_RANDOMIZE, which `setarch -R`, sanitizers and debuggers ask for. It weakens only the program itself.
_ADDR_NO_RANDOMIZE = 0x40000
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, _ADDR_NO_RANDOMIZE, _ADDR_NO_RANDOMIZE | 0x8, 0xFFFFFFFF)
_ENOSYS = 38
# The system calls that wait for the disk. The first argument of `_SYNCS_OF_FILES` is a file descriptor.
_SYNCS_OF_FILES = "arm_sync_file_range fdatasync fsync sync_file_range sync_file_range2 syncfs".split()
_SYNCS = {"msync", "sync", *_SYNCS_OF_FILES}
_SIGN = 1 << 31
_MS_SYNC = 4


def profile(architecture: str, *, skip_syncs: bool = False, answer: int = 0) -> dict[str, Any] | None:
    """Return the `linux.seccomp` object of the runtime specification for a host of `architecture`.

    With `skip_syncs`, system calls that wait for the disk return 0 and do nothing. `answer` is what an emulator is told
    that asks which processor to show (`processors.py`). Returns None if libseccomp does not support the architecture.
    """
    if architecture not in _HOSTS:
        return None
    architectures, extra = _HOSTS[architecture]
    names = sorted({name for group in (_FILES, _WAITING, _MEMORY, _PROCESSES, _TIME, _TALKING, extra)
                    for name in group.split()} - (_SYNCS if skip_syncs else set()))  # fmt: skip
    # On s390, the flags are clone's second argument.
    flags_index = 1 if architecture == "s390x" else 0
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": [f"SCMP_ARCH_{name}" for name in architectures],
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            _allowed_if("socket", 0, _AF_VSOCK, "SCMP_CMP_NE"),
            *(_allowed_if("personality", 0, value, "SCMP_CMP_EQ") for value in _PERSONALITIES),
            _allowed_if("clone", flags_index, _NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ"),
            # seccomp cannot check clone3's flags behind a pointer. On ENOSYS, libc uses clone instead.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
            *(_skipped_syncs() if skip_syncs else ()),
            *([_answered(answer)] if answer else []),
        ],
    }


def only_answer(architecture: str, answer: int) -> dict[str, Any] | None:
    """Return a profile that forbids nothing, and tells an emulator which processor to show."""
    if architecture not in _HOSTS:
        return None
    architectures = [f"SCMP_ARCH_{name}" for name in _HOSTS[architecture][0]]
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": [_answered(answer)]}


def _answered(answer: int) -> dict[str, Any]:
    # No kernel since Linux 3.1 has this call.
    return {"names": ["nfsservctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": answer}


def _skipped_syncs() -> Iterator[dict[str, Any]]:
    """Yield the rules under which syncs return 0 at once.

    A negative file descriptor still gets EBADF. msync without MS_SYNC waits for nothing, and libunwind uses it to find
    out whether memory is mapped.
    """
    yield {"names": ["sync"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}
    for names, index, mask, skipped in ((_SYNCS_OF_FILES, 0, _SIGN, 0), (["msync"], 2, _MS_SYNC, _MS_SYNC)):
        for value in (0, mask):
            argument = {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
            action = {"action": "SCMP_ACT_ERRNO", "errnoRet": 0} if value == skipped else {"action": "SCMP_ACT_ALLOW"}
            yield {"names": names, **action, "args": [argument]}


def _allowed_if(name: str, index: int, value: int, operator: str) -> dict[str, Any]:
    # SCMP_CMP_MASKED_EQ: the argument, masked with `value`, equals `valueTwo`, which is 0 here.
    argument = {"index": index, "value": value, "valueTwo": 0, "op": operator}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument]}
