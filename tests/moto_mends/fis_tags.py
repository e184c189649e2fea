"""Lets the emulator's tagging API know what AWS Fault Injection Service keeps: on AWS it does."""

from moto.core.resource_tagging import TaggableResourcesMixin, TaggedResource
from moto.fis.models import FISBackend, fis_backends


class TaggedFIS(FISBackend, TaggableResourcesMixin):
    """The emulator's own, and what of it has tags."""

    SERVICE_NAMESPACE = "fis"
    __module__ = FISBackend.__module__  # where the emulator looks for the service's addresses

    def iter_tagged_resources(self):
        kinds = {"experiment-template": self.experiment_templates, "experiment": self.experiments}
        for kind, known in kinds.items():
            for each in known.values():
                tags = self.tagger.get_tag_dict_for_resource(each.arn)
                yield TaggedResource(arn=each.arn, tags=tags, resource_type=f"fis:{kind}")


def install() -> None:
    """Puts it in the place of the emulator's own; before the first call to FIS."""
    fis_backends.backend = TaggedFIS
