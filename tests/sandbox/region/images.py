"""Machine images as layers: one Debian base layer made with debootstrap and kept in the cache, and one
layer on top of it for each image made from an instance (CreateImage)."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import addresses
from .shell import run

SUITE = "bookworm"
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
    "etc/apt/sources.list.d/debian.list": (
        f"deb [signed-by=/usr/share/keyrings/sandbox.gpg] http://{addresses.PACKAGES}/debian {SUITE} main\n"
    ),
    "etc/dpkg/dpkg.cfg.d/unsafe-io": "force-unsafe-io\n",
    "etc/resolv.conf": f"nameserver {addresses.RESOLVER}\n",
    "etc/machine-id": "",
    "etc/hostname": "localhost\n",
    "etc/fstab": "",
}


# Mounts and processes of its own, which end with it, however it ends.
APART = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def recipe_id() -> str:
    """Changes with anything the base layer is made from, so that a stale cache is never used."""
    recipe = json.dumps([SUITE, BOOTSTRAP, INSTALLED, MASKED, FILES, CLOUD_INIT_CHANGES], sort_keys=True)
    return hashlib.sha256(recipe.encode()).hexdigest()[:10]


def base_layer(cache: Path) -> Path:
    """Where the base layer is, or will be."""
    return cache / f"base-{recipe_id()}"


def build_base(cache: Path, say: Callable[[str], None]) -> Path:
    """Makes the base layer unless the cache holds it; takes about a minute and a half."""
    layer = base_layer(cache)
    if layer.is_dir():
        return layer
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob("base-*.part"):
        shutil.rmtree(left, ignore_errors=True)
    work = cache / f"{layer.name}.part"
    log = cache / "base.log"
    try:
        with log.open("w") as out:
            say(f"making the base image with debootstrap (log: {log})")
            argv = ["debootstrap", "--variant=minbase", f"--include={BOOTSTRAP}", SUITE, str(work), mirror()]
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
        for path, text in FILES.items():
            target = work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.write_text(text)
        source = work / CLOUD_INIT_EC2
        text = source.read_text()
        for before, after in CLOUD_INIT_CHANGES.items():
            if before not in text:
                raise RuntimeError(f"{CLOUD_INIT_EC2}: {before!r} is not there any more")
            text = text.replace(before, after)
        source.write_text(text)
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

    def __init__(self, base: list[Path], made: Path) -> None:
        self._base = base
        self._made = made
        self._layers: dict[str, list[Path]] = {}

    def layers(self, image_id: str) -> list[Path]:
        """Layers of an image; every public image stands for the Debian base layer."""
        return self._layers.get(image_id, self._base)

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


CANONICAL, DEBIAN = "099720109477", "136693071363"  # account ids that publish the images
PUBLISHED = "20261101"


def public_images() -> list[dict]:
    """Images as Canonical and Debian publish them, in the form moto's MOTO_AMIS_PATH wants."""
    ubuntu = "ubuntu/images/{}/ubuntu-{}-{}-server-" + PUBLISHED
    images = [(DEBIAN, f"debian-12-amd64-{PUBLISHED}-1", "x86_64")]
    for volume, release in (("hvm-ssd-gp3", "noble-24.04"), ("hvm-ssd", "jammy-22.04")):
        images.append((CANONICAL, ubuntu.format(volume, release, "amd64"), "x86_64"))
        images.append((CANONICAL, ubuntu.format(volume, release, "arm64"), "arm64"))
    return [_image(*image) for image in images]


def _image(owner: str, name: str, architecture: str) -> dict:
    return {
        "ami_id": "ami-" + hashlib.sha256(name.encode()).hexdigest()[:17],
        "architecture": architecture,
        "description": "the sandbox's Debian 12 base layer under this name",
        "hypervisor": "xen",
        "image_location": f"{owner}/{name}",
        "image_type": "machine",
        "name": name,
        "owner_id": owner,
        "platform": None,
        "public": True,
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "sriov": "simple",
        "state": "available",
        "virtualization_type": "hvm",
    }
