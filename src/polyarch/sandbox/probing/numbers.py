"""The numbers of system calls, and the constants that differ between architectures.

Linux has them in arch/*/…/syscall*.tbl and, for arm64, riscv64 and loong64, in scripts/syscall.tbl (until 6.10:
include/uapi/asm-generic/unistd.h). A test compares them with the kernel's headers where these are installed.
"""

import msgspec

_ARCHITECTURES = ("amd64", "386", "arm", "arm64", "ppc64", "s390x", "mips64")
_SAME = {"riscv64": "arm64", "loong64": "arm64", "ppc64le": "ppc64", "mips64le": "mips64"}

# A dash: the architecture does not have the call.
_TABLE = """
brk                 12  45  45 214  45  45 5012
clone               56 120 120 220 120 120 5055
close                3   6   6  57   6   6 5003
close_range        436 436 436 436 436 436 5436
clone3             435 435 435 435 435 435 5435
copy_file_range    326 377 391 285 379 375 5320
epoll_pwait2       441 441 441 441 441 441 5441
execve              59  11  11 221  11  11 5057
execveat           322 358 387 281 362 354 5316
exit                60   1   1  93   1   1 5058
exit_group         231 252 248  94 234 248 5205
faccessat2         439 439 439 439 439 439 5439
futex              202 240 240  98 221 238 5194
futex_waitv        449 449 449 449 449 449 5449
getdents64         217 220 217  61 202 220 5308
geteuid            107 201 201 175  49 201 5105
getpid              39  20  20 172  20  20 5038
getrandom          318 355 384 278 359 349 5313
gettid             186 224 224 178 207 236 5178
io_uring_setup     425 425 425 425 425 425 5425
kill                62  37  37 129  37  37 5060
landlock_create_ruleset 444 444 444 444 444 444 5444
_llseek              - 140 140   -   -   -    -
lseek                8  19  19  62  19  19 5008
mkdirat            258 296 323  34 287 289 5248
mmap                 9 192 192 222  90  90 5009
mprotect            10 125 125 226 125 125 5010
msync               26 144 144 227 144 144 5025
nanosleep           35 162 162 101 162 162 5034
openat             257 295 322  56 286 288 5247
openat2            437 437 437 437 437 437 5437
personality        135 136 136  92 136 136 5132
pidfd_open         434 434 434 434 434 434 5434
prctl              157 172 172 167 171 172 5153
prlimit64          302 340 369 261 325 334 5297
ptrace             101  26  26 117  26  26 5099
read                 0   3   3  63   3   3 5000
readlinkat         267 305 332  78 296 298 5257
rseq               334 386 398 293 387 383 5327
rt_sigaction        13 174 174 134 173 174 5013
rt_sigprocmask      14 175 175 135 174 175 5014
rt_sigreturn        15 173 173 139 172 173 5211
set_robust_list    273 311 338  99 300 304 5268
set_tid_address    218 258 256  96 232 252 5212
setitimer           38 104 104 103 104 104 5036
setuid             105 213 213 146  23 213 5103
statx              332 383 397 291 383 379 5326
uname               63 122 122 160 122 122 5061
userfaultfd        323 374 388 282 364 355 5317
utimensat          280 412 412  88 304 315 5275
wait4               61 114 114 260 114 114 5059
write                1   4   4  64   4   4 5001
"""


def _columns() -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {name: {} for name in _ARCHITECTURES}
    for line in _TABLE.split("\n"):
        name, *numbers = line.split() or [""]
        for architecture, number in zip(_ARCHITECTURES, numbers, strict=False):
            if number != "-":
                found[architecture][name] = int(number)
    return found


# On 32 bits, `mmap` is mmap2, whose offset is in pages, and `utimensat` is utimensat_time64, and the calls on users are
# those with 32-bit ids.
CALLS = _columns()
CALLS |= {name: CALLS[other] for name, other in _SAME.items()}


class Constants(msgspec.Struct, frozen=True, kw_only=True):
    """What has another value on mips than everywhere else (arch/mips/include/uapi/asm), or on some others."""

    absent: int = 38  # ENOSYS
    anonymous: int = 0x20  # MAP_ANONYMOUS
    creating: int = 0o100  # O_CREAT
    user_signal: int = 10  # SIGUSR1
    child_signal: int = 17  # SIGCHLD
    signals: int = 8  # the bytes of a set of signals
    address_space: int = 9  # RLIMIT_AS
    # Whether the arguments of mmap are in memory, and whether clone has its first two the other way round.
    in_memory: bool = False
    reversed_clone: bool = False


_MIPS = Constants(
    absent=89, anonymous=0x800, creating=0x100, user_signal=16, child_signal=18, signals=16, address_space=6
)
_S390 = Constants(in_memory=True, reversed_clone=True)


def constants(architecture: str) -> Constants:
    """The constants of an architecture (GOARCH)."""
    return {"mips64": _MIPS, "mips64le": _MIPS, "s390x": _S390}.get(architecture, Constants())
