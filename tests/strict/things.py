"""What the emulator knows of things at the moment of a call: their tags, what they belong to."""

from moto.acm.models import acm_backends
from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.fis.models import fis_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.ssm.models import ssm_backends


class Things:
    """The things of an account in a region."""

    def __init__(self, account, region):
        self.account, self.region = account, region
        self.ec2 = ec2_backends[account][region]

    def tags(self, arn):
        """Tags of what has this ARN; empty when there is no such thing."""
        service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
        if service == "ec2":
            name = resource.split("/", 1)[1]
            if resource.startswith("key-pair/") and name in self.ec2.key_pairs:
                name = self.ec2.key_pairs[name].id
            return dict(self.ec2.tags.get(name, {}))
        if service == "autoscaling":
            groups = autoscaling_backends[self.account][self.region].autoscaling_groups
            group = groups.get(resource.rsplit("/", 1)[1])
            return pairs(group.tags) if group else {}
        if service == "elasticloadbalancing":
            backend = elbv2_backends[self.account][self.region]
            return backend.tagging_service.get_tag_dict_for_resource(arn)
        if service == "acm":
            certificate = acm_backends[self.account][self.region]._certificates.get(arn)
            return pairs(certificate.tags) if certificate else {}
        if service == "fis":
            return fis_backends[self.account][self.region].tagger.get_tag_dict_for_resource(arn)
        return {}

    def route_table_of(self, association):
        """The route table an association belongs to, and its subnet."""
        for table in self.ec2.route_tables.values():
            if association in table.associations:
                return table.id, table.associations[association]
        return None, None

    def launch_template(self, wanted):
        """Id and data of the launch template an Auto Scaling group is given."""
        if name := wanted.get("LaunchTemplateName"):
            template = self.ec2.get_launch_template_by_name(name)
        else:
            template = self.ec2.launch_templates.get(wanted.get("LaunchTemplateId"))
        if template is None:
            return None, {}
        return template.id, template.get_version(wanted.get("Version", "$Default")).data

    def iam(self, kind, name):
        """ARN of a user, role or instance profile; paths are part of it."""
        backend = iam_backends[self.account]["aws"]
        known = {"user": backend.users, "role": backend.roles, "instance-profile": backend.instance_profiles}[kind]
        found = known.get(name) or next((each for each in known.values() if each.name == name), None)
        return found.arn if found else f"arn:aws:iam::{self.account}:{kind}/jitsi-aws/{name}"

    def user_of(self, key):
        user = iam_backends[self.account]["aws"].get_user_from_access_key_id(key)
        return user.arn if user else f"arn:aws:iam::{self.account}:user/nobody"

    def encrypted_parameters(self, path):
        """Name and key's ARN of the parameter called `path`, and of those under it, that a key of the
        account's own encrypts. AWS's own key lets everybody in the account who may read the parameter."""
        parameters = ssm_backends[self.account][self.region]._parameters
        for name in list(parameters.keys()):
            latest, name = parameters[name][-1], name.strip("/")
            own = latest.parameter_type == "SecureString" and latest.keyid != "alias/aws/ssm"
            if own and (name == path or name.startswith(path + "/")):
                yield name, kms_backends[self.account][self.region].describe_key(latest.keyid).arn

    def has_object(self, bucket, key):
        known = s3_backends[self.account]["aws"].buckets.get(bucket)
        return known is not None and key in known.keys

    def role_of_profile(self, arn_or_name):
        name = arn_or_name.rsplit("/", 1)[-1]
        for profile in iam_backends[self.account]["aws"].instance_profiles.values():
            if profile.name == name and profile.roles:
                return profile.roles[0].arn
        return None


def pairs(tags):
    """However the emulator keeps them."""
    if isinstance(tags, dict):
        return {key: value if isinstance(value, str) else (value or "") for key, value in tags.items()}
    return {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in tags or ()}
