"""Lets the emulator hold an instance at its group's launch hook, where its own instances never are, for a test
that names it in a tag of the group; and give it up when the hook is told ABANDON (CompleteLifecycleAction): it then
stands for its successor. Instances keep the version of the launch template they were made from."""

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult

TAG = "emulator:held"
made_from = InstanceState.launch_template.fget


def held(group) -> str | None:
    """The instance the group's launch hook holds."""
    return next((tag["Value"] for tag in group.tags if tag["Key"] == TAG), None)


def complete_lifecycle_action(response) -> EmptyResult:
    """The call itself, which moto lacks; only ABANDON is made use of here."""
    backend, instance = response.autoscaling_backend, response._get_param("InstanceId")
    group = backend.autoscaling_groups[response._get_param("AutoScalingGroupName")]
    if held(group) != instance:
        raise ValidationError(f"No active Lifecycle Action found with instance ID {instance}")
    assert response._get_param("LifecycleActionResult") == "ABANDON"
    group.tags = [tag for tag in group.tags if tag["Key"] != TAG]
    for state in group.instance_states:
        state.made_from = made_from(state)
    return EmptyResult()


def install() -> None:
    """Before the first group is made."""
    made = InstanceState.__init__

    def init(state, *args, **kwargs):
        made(state, *args, **kwargs)
        state.made_from = made_from(state)

    def state_of(state):
        return "Pending:Wait" if held(state.auto_scaling_group) == state.instance_id else state.state_given

    InstanceState.__init__ = init
    InstanceState.launch_template = property(lambda state: state.made_from)
    InstanceState.lifecycle_state = property(state_of, lambda state, given: setattr(state, "state_given", given))
    # moto counts those in service, and would launch another beside the one that is held
    FakeAutoScalingGroup.active_instances = lambda group: [
        state for state in group.instance_states if state.state_given == "InService"
    ]
    AutoScalingResponse.complete_lifecycle_action = complete_lifecycle_action
