"""Lets the emulator keep settings of an Auto Scaling group that moto forgets: how long its instances may live, how they
spread over its zones, whether it may be deleted."""

from moto.autoscaling.responses import AutoScalingResponse


def install() -> None:
    """Before the first group is made."""

    def remembering(call):
        def answer(response):
            result = call(response)
            group = response.autoscaling_backend.autoscaling_groups[response._get_param("AutoScalingGroupName")]
            seconds = response._get_int_param("MaxInstanceLifetime")
            if seconds is not None:
                group.max_instance_lifetime = seconds or None
            for parameter, setting in (
                ("AvailabilityZoneDistribution", "availability_zone_distribution"),
                ("DeletionProtection", "deletion_protection"),
            ):
                if value := response._get_param(parameter):
                    setattr(group, setting, value)
            return result

        return answer

    for call in ("create_auto_scaling_group", "update_auto_scaling_group"):
        setattr(AutoScalingResponse, call, remembering(getattr(AutoScalingResponse, call)))
