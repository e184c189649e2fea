#!/usr/bin/env python3
"""Runs a program inside an arm64 Debian as if this machine were one: enter.py ROOT SHARED PROGRAM [ARGUMENT…]

Becomes the program, in a user and a mount namespace of its own. There, and nowhere else on this machine, the
kernel hands arm64 programs to qemu (binfmt_misc belongs to the user namespace since Linux 6.7), so whatever
the program starts inside the root runs, too. SHARED is a folder that has the same name on both sides. Needs root.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000  # <linux/sched.h>
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18  # <linux/mount.h>
# Debian's /usr/lib/binfmt.d/qemu-aarch64.conf; F: opened now, so it need not be inside the root.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
RULE = f":qemu-aarch64:M::{MAGIC}:{MASK}:/usr/bin/qemu-aarch64-static:FP"
OF_THIS_MACHINE = ("dev", "proc", "sys")

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments) -> None:
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: Path | str, kind: str | None, flags: int) -> None:
    call("mount", source.encode(), str(target).encode(), kind and kind.encode(), flags, None)


def own_namespaces() -> None:
    """User ids stay what they are; only a process outside may say so."""
    unshared, mapped = os.pipe(), os.pipe()
    me = os.getpid()
    if (helper := os.fork()) == 0:
        os.read(unshared[0], 1)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{me}/{kind}").write_text("0 0 65536\n")
        os.write(mapped[1], b".")
        os._exit(0)
    call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    os.write(unshared[1], b".")
    os.read(mapped[0], 1)
    os.waitpid(helper, 0)


def main() -> None:
    root, shared, program = Path(sys.argv[1]), sys.argv[2].lstrip("/"), sys.argv[3:]
    own_namespaces()
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("none", "/proc/sys/fs/binfmt_misc", "binfmt_misc", 0)
    Path("/proc/sys/fs/binfmt_misc/register").write_text(RULE)
    (root / shared).mkdir(parents=True, exist_ok=True)
    for name in (*OF_THIS_MACHINE, shared):
        mount(f"/{name}", root / name, None, MS_BIND | MS_REC)
    os.chroot(root)
    os.chdir("/")
    os.execv(program[0], program)


main()
