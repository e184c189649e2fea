"""RunInstances as an Auto Scaling group does it: everything its launch template says, in one subnet."""

from moto.ec2 import ec2_backends


def launch_instance(group, subnet):
    """The new instance, pending, with its profile and the group's tags."""
    backend = ec2_backends[group.account_id][group.region]
    template = group.ec2_launch_template
    data, reference = {}, None
    if template is not None:
        version = template.get_version(group.launch_template_version)
        data = version.data
        reference = {"LaunchTemplateId": template.id, "Version": str(version.number)}
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    kwargs = {}
    if groups := interface.get("Groups") or data.get("SecurityGroupIds"):
        kwargs["security_group_ids"] = list(groups)
    public = interface.get("AssociatePublicIpAddress")
    tags = {**group.instance_tags, **group.get_propagated_tags(), "aws:autoscaling:groupName": group.name}
    reservation = backend.run_instances(
        group.image_id,
        1,
        # moto refuses to read the user-data of a version made by CreateLaunchTemplateVersion
        data["UserData"] if "UserData" in data else group.user_data,
        [] if groups else group.security_groups,
        instance_type=group.instance_type,
        is_instance_type_default=False,
        tags={"instance": tags},
        placement=subnet.availability_zone if subnet else None,
        region_name=group.region,
        subnet_id=subnet.id if subnet else None,
        launch_template=reference,
        associate_public_ip=str(public).lower() == "true" if public is not None else None,
        key_name=data.get("KeyName"),
        metadata_options=data.get("MetadataOptions", {}),
        **kwargs,
    )
    instance = reservation.instances[0]
    profile = data.get("IamInstanceProfile") or {}
    if profile:
        backend.associate_iam_instance_profile(
            instance.id, iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    return instance
