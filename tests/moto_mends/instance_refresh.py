"""Lets the emulator replace a group's instances when asked to (StartInstanceRefresh), which moto cannot: each then
stands for its successor, made from the present version of the launch template."""

import uuid

from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from .held_launches import made_from


def install() -> None:
    """Before the first call."""

    def start_instance_refresh(response):
        group = response.autoscaling_backend.autoscaling_groups[response._get_param("AutoScalingGroupName")]
        for state in group.instance_states:
            state.made_from = made_from(state)
        return ActionResult({"InstanceRefreshId": str(uuid.uuid4())})

    AutoScalingResponse.start_instance_refresh = start_instance_refresh
