"""Machine images as layers: a base layer for each Debian release, made with debootstrap when first needed and
kept in the cache, and one layer on top of it for each image made from an instance (CreateImage)."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import addresses, releases
from .releases import Release
from .shell import run

# What a Debian cloud image has and the instance's programs expect.
BOOTSTRAP = (
    "systemd,systemd-sysv,dbus,ca-certificates,curl,iproute2,iputils-ping,procps,python3,openssl,sudo,"
    "less,nftables,gpg,kmod,netbase,debconf"
)
# cloud-init's virtual dependencies are beyond debootstrap's resolver.
INSTALLED = ["cloud-init"]

MASKED = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
    "systemd-firstboot.service",
    "getty@.service",
    "console-getty.service",
    "container-getty@.service",
]

# cloud-init recognises EC2, and then uses metadata version 2, by the hypervisor's UUID. A container cannot
# have /sys/hypervisor, so the image's cloud-init looks here. Its search before the network is up would ask
# for an address by DHCP; the address is there from the beginning.
HYPERVISOR_UUID = "etc/hypervisor-uuid"
CLOUD_INIT_EC2 = "usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py"
CLOUD_INIT_CHANGES = {
    "/sys/hypervisor/uuid": f"/{HYPERVISOR_UUID}",
    "    (DataSourceEc2Local, (sources.DEP_FILESYSTEM,)),": "",
}

ENDPOINT = f"http://{addresses.API}:{addresses.API_PORT}"

FILES = {
    "etc/cloud/cloud.cfg.d/90_ec2.cfg": (
        "# As in an EC2 image: user-data and metadata come from 169.254.169.254.\n"
        "datasource_list: [Ec2]\n"
        "datasource: {Ec2: {strict_id: false, max_wait: 60, timeout: 5}}\n"
        "network: {config: disabled}\n"
        "apt: {preserve_sources_list: true}\n"
        "manage_etc_hosts: true\n"
        "locale: C.UTF-8\n"
        "ssh_deletekeys: false\n"
        "ssh_genkeytypes: []\n"
    ),
    HYPERVISOR_UUID: "ec2e1916-9099-7caf-fd21-012345abcdef\n",
    "etc/environment": f"AWS_ENDPOINT_URL={ENDPOINT}\n",
    "etc/systemd/system.conf.d/10-endpoint.conf": (
        f"[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL={ENDPOINT}\n"
    ),
    "etc/apt/sources.list": "",
    "etc/dpkg/dpkg.cfg.d/unsafe-io": "force-unsafe-io\n",
    "etc/resolv.conf": f"nameserver {addresses.RESOLVER}\n",
    "etc/machine-id": "",
    "etc/hostname": "localhost\n",
    "etc/fstab": "",
}
SOURCE = "etc/apt/sources.list.d/debian.list"


def source(release: Release) -> str:
    """Where instances get Debian's packages from."""
    return f"deb [signed-by=/usr/share/keyrings/sandbox.gpg] http://{addresses.PACKAGES}/debian {release.suite} main\n"


# Mounts and processes of its own, which end with it, however it ends.
APART = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def recipe_id(release: Release) -> str:
    """Changes with anything the base layer is made from, so that a stale cache is never used."""
    recipe = json.dumps([source(release), BOOTSTRAP, INSTALLED, MASKED, FILES, CLOUD_INIT_CHANGES], sort_keys=True)
    return hashlib.sha256(recipe.encode()).hexdigest()[:10]


def build_base(cache: Path, release: Release, say: Callable[[str], None]) -> Path:
    """Makes a release's base layer unless the cache holds it; takes about a minute and a half."""
    suite = release.suite
    layer = cache / f"base-{suite}-{recipe_id(release)}"
    if layer.is_dir():
        return layer
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob("base-*.part"):
        shutil.rmtree(left, ignore_errors=True)
    work = cache / f"{layer.name}.part"
    log = cache / f"base-{suite}.log"
    try:
        with log.open("w") as out:
            say(f"making the {suite} image with debootstrap (log: {log})")
            argv = ["debootstrap", "--variant=minbase", f"--include={BOOTSTRAP}", suite, str(work), mirror()]
            environment = os.environ | proxy()
            subprocess.run([*APART, "nice", *argv], stdout=out, stderr=out, check=True, timeout=1800,
                           env=environment)
            say("installing cloud-init into it")
            shutil.copy("/etc/resolv.conf", work / "etc/resolv.conf")
            in_image(work, ["apt-get", "install", "-y", "--no-install-recommends", *INSTALLED], out)
            in_image(work, ["apt-get", "clean"], out)
            in_image(work, ["systemctl", "mask", *MASKED], out)
        # packages.py downloads from where the base came from
        shutil.copy(work / "etc/apt/sources.list", cache / f"{layer.name}.sources")
        for path, text in {**FILES, SOURCE: source(release)}.items():
            target = work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.write_text(text)
        program = work / CLOUD_INIT_EC2
        text = program.read_text()
        for before, after in CLOUD_INIT_CHANGES.items():
            if before not in text:
                raise RuntimeError(f"{CLOUD_INIT_EC2}: {before!r} is not there any more")
            text = text.replace(before, after)
        program.write_text(text)
        work.rename(layer)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return layer


def mirror() -> str:
    """Where this machine gets Debian from, if it does; a machine of another kind asks Debian itself."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    known = run(argv)
    return next((uri.rstrip("/") for uri in known.split() if uri.startswith("http")), "http://deb.debian.org/debian")


def proxy() -> dict[str, str]:
    """The proxy this machine's apt uses, for programs that do not read its configuration."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    found = {name: os.environ[name] for name in names if os.environ.get(name)}
    for kind in ("http", "https"):
        setting = run(["apt-config", "shell", "value", f"Acquire::{kind}::Proxy"])
        if setting:  # value='http://…'
            found[f"{kind}_proxy"] = setting.strip().split("=", 1)[1].strip("'")
    return found


def in_image(root: Path, argv: list[str], out) -> None:
    """Runs a program inside an image's tree, with /proc and /dev of its own and no services started."""
    guard = root / "usr/sbin/policy-rc.d"
    guard.write_text("#!/bin/sh\nexit 101\n")
    guard.chmod(0o755)
    try:
        subprocess.run(
            [*APART[:-1], f"--mount-proc={root / 'proc'}", "chroot", str(root), "nice", *argv],
            stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=True, timeout=1800,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"} | proxy(),
        )
    finally:
        guard.unlink(missing_ok=True)


class Images:
    """Which layers an image consists of, lowest last as overlayfs wants them."""

    def __init__(self, prepare: Callable[[Release], list[Path]], made: Path) -> None:
        self._prepare = prepare
        self._made = made
        self._layers: dict[str, list[Path]] = {}

    def layers(self, image_id: str) -> list[Path]:
        """Layers of an image; takes minutes for the first of a release that the cache does not hold."""
        return self._layers.get(image_id) or self._prepare(releases.of_image(image_id))

    def add(self, image_id: str, upper: Path, below: list[Path]) -> None:
        """Makes an image of an instance's changes on top of the layers it ran on."""
        layer = self._made / image_id
        self._made.mkdir(parents=True, exist_ok=True)
        run(["cp", "--archive", "--reflink=auto", str(upper), str(layer)], timeout=600)
        # What makes an instance itself does not belong into its image.
        shutil.rmtree(layer / "var/lib/cloud", ignore_errors=True)
        machine_id = layer / "etc/machine-id"
        if machine_id.exists():
            machine_id.write_text("")
        self._layers[image_id] = [layer, *below]
