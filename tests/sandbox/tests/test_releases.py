"""Which Debian an image stands for."""

from region import releases
from region.images import Images, recipe_id


def test_an_image_is_made_of_the_release_in_its_name(sandbox):
    described = sandbox.client("ec2").describe_images(Owners=[releases.DEBIAN])["Images"]
    suites = {image["Name"][:9]: releases.of_image(image["ImageId"]).suite for image in described}
    assert suites == {"debian-13": "trixie", "debian-12": "bookworm"}
    assert {image["RootDeviceName"] for image in described} == {"/dev/xvda"}


def test_a_layer_is_made_when_an_instance_needs_it(tmp_path):
    asked = []
    images = Images(lambda release: asked.append(release) or [tmp_path], tmp_path)
    assert not asked
    old = next(image for image in releases.PUBLIC.values() if image.name.startswith("debian-12"))
    assert images.layers(old.id) == [tmp_path]
    assert asked == [releases.BOOKWORM]


def test_releases_never_share_a_cached_layer():
    assert len({recipe_id(release) for release in releases.RELEASES}) == len(releases.RELEASES)
