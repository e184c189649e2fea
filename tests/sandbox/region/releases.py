"""The published images an instance can be launched from, and the Debian release that each stands for."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A Debian release: its own Java and Prosody are what instances of it install."""

    suite: str
    java: str
    backported: tuple[str, ...] = ()  # packages that Jitsi wants newer than the release has them


TRIXIE = Release("trixie", "openjdk-21-jre-headless")
BOOKWORM = Release("bookworm", "openjdk-17-jre-headless", ("prosody",))  # Prosody 13
RELEASES = (TRIXIE, BOOKWORM)
DEFAULT = TRIXIE

CANONICAL, DEBIAN = "099720109477", "136693071363"  # account ids that publish the images
PUBLISHED = "20261101"


@dataclass(frozen=True)
class Published:
    """One image as its publisher describes it."""

    owner: str
    name: str
    architecture: str
    root_device: str
    stands_for: Release

    @property
    def id(self) -> str:
        return "ami-" + hashlib.sha256(self.name.encode()).hexdigest()[:17]

    def described(self) -> dict:
        """In the form moto's MOTO_AMIS_PATH wants."""
        return {
            "ami_id": self.id,
            "architecture": self.architecture,
            "boot_mode": "uefi-preferred" if self.architecture == "x86_64" else "uefi",
            "description": f"the sandbox's {self.stands_for.suite} layer under this name",
            "hypervisor": "xen",
            "image_location": f"{self.owner}/{self.name}",
            "image_type": "machine",
            "name": self.name,
            "owner_id": self.owner,
            "platform": None,
            "public": True,
            "root_device_name": self.root_device,
            "root_device_type": "ebs",
            "sriov": "simple",
            "state": "available",
            "virtualization_type": "hvm",
        }


def _published() -> list[Published]:
    images = []
    for word, architecture in (("amd64", "x86_64"), ("arm64", "arm64")):
        for number, release in ((13, TRIXIE), (12, BOOKWORM)):
            name = f"debian-{number}-{word}-{PUBLISHED}-2290"
            images.append(Published(DEBIAN, name, architecture, "/dev/xvda", release))
        for volume, ubuntu in (("hvm-ssd-gp3", "noble-24.04"), ("hvm-ssd", "jammy-22.04")):
            name = f"ubuntu/images/{volume}/ubuntu-{ubuntu}-{word}-server-{PUBLISHED}"
            # The Debian whose Java, Python and Prosody are nearest to Ubuntu's.
            images.append(Published(CANONICAL, name, architecture, "/dev/sda1", BOOKWORM))
    return images


PUBLIC = {image.id: image for image in _published()}


def public_images() -> list[dict]:
    """All of them, in the form moto's MOTO_AMIS_PATH wants."""
    return [image.described() for image in PUBLIC.values()]


def of_image(image_id: str) -> Release:
    """The release behind a public image; AWS's own, which moto adds, are the default one."""
    image = PUBLIC.get(image_id)
    return image.stands_for if image else DEFAULT
