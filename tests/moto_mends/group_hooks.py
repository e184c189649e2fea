"""Lets the emulator make the hooks that a group is created with (LifecycleHookSpecificationList), which moto passes
over, and end a group's hooks with it."""

from moto.autoscaling.models import AutoScalingBackend
from moto.autoscaling.responses import AutoScalingResponse


def install() -> None:
    """Before the first group is made."""
    create, delete = AutoScalingResponse.create_auto_scaling_group, AutoScalingBackend.delete_auto_scaling_group

    def creating(response):
        result = create(response)
        group = response._get_param("AutoScalingGroupName")
        for hook in response._get_param("LifecycleHookSpecificationList", []):
            response.autoscaling_backend.create_lifecycle_hook(
                hook["LifecycleHookName"], group, hook["LifecycleTransition"],
                hook.get("HeartbeatTimeout"), hook.get("DefaultResult"),
            )
        return result

    def deleting(backend, name):
        delete(backend, name)
        hooks = backend.lifecycle_hooks
        for key in [key for key, hook in hooks.items() if hook.auto_scaling_group_name == name]:
            del hooks[key]

    AutoScalingResponse.create_auto_scaling_group = creating
    AutoScalingBackend.delete_auto_scaling_group = deleting
