"""Lets the emulator keep how long a group's instances may live (MaxInstanceLifetime), which moto forgets."""

from moto.autoscaling.responses import AutoScalingResponse


def install() -> None:
    """Before the first group is made."""

    def remembering(call):
        def answer(response):
            result = call(response)
            seconds = response._get_int_param("MaxInstanceLifetime")
            if seconds is not None:
                name = response._get_param("AutoScalingGroupName")
                response.autoscaling_backend.autoscaling_groups[name].max_instance_lifetime = seconds or None
            return result

        return answer

    for call in ("create_auto_scaling_group", "update_auto_scaling_group"):
        setattr(AutoScalingResponse, call, remembering(getattr(AutoScalingResponse, call)))
