"""The Auto Scaling API: what moto lacks is added, what moto does at once is left to the controller."""

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState, LifecycleHook
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from .groups import LEAVING, Groups
from .lifecycle import LAUNCHING
from .refresh import Refreshes


def install(groups: Groups, refreshes: Refreshes) -> None:
    """Puts the controller behind moto's Auto Scaling API."""
    _leave_to_controller(groups)
    _hooks(groups)
    _actions(groups)
    _refreshes(refreshes)


def _leave_to_controller(groups: Groups) -> None:
    def set_desired_capacity(group, new_capacity):
        group.desired_capacity = group.min_size if new_capacity is None else new_capacity

    def detach_target_groups(backend, group_name, arns):
        group = backend.autoscaling_groups[group_name]
        group.target_group_arns = [a for a in group.target_group_arns if a not in arns]
        for state in group.instance_states:
            for arn in arns:
                groups.targets.deregister(arn, state.instance.id, groups.world.clock())

    def launch_template(state):
        tags = {t["key"]: t["value"] for t in state.instance.get_tags()}
        template = state.auto_scaling_group.ec2_launch_template
        if template is None:
            return None
        return {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Version": tags.get("aws:ec2launchtemplate:version"),
        }

    FakeAutoScalingGroup.set_desired_capacity = set_desired_capacity
    AutoScalingBackend.update_attached_target_groups = lambda backend, name: None
    AutoScalingBackend.notify_terminate_instances = lambda backend, ids: None
    AutoScalingBackend.detach_load_balancer_target_groups = detach_target_groups
    InstanceState.launch_template = property(launch_template)


def _hooks(groups: Groups) -> None:
    original_create = AutoScalingResponse.create_auto_scaling_group
    original_put = AutoScalingResponse.put_lifecycle_hook
    original_delete = AutoScalingBackend.delete_lifecycle_hook
    original_init = LifecycleHook.__init__

    def init(hook, *args, **kwargs):
        original_init(hook, *args, **kwargs)
        # moto answers with made-up ARNs here
        hook.role_arn = hook.notification_target_arn = hook.notification_metadata = None
        hook.global_timeout = min(172_800, 100 * hook.heartbeat_timeout)

    def create_auto_scaling_group(response):
        name = response._get_param("AutoScalingGroupName")
        if name in response.autoscaling_backend.autoscaling_groups:
            raise AutoscalingClientError(
                "AlreadyExists", f"AutoScalingGroup by this name already exists - A group with the name {name} "
                "already exists"
            )
        for hook in response._get_param("LifecycleHookSpecificationList", []):
            made = response.autoscaling_backend.create_lifecycle_hook(
                hook["LifecycleHookName"], name, hook["LifecycleTransition"],
                hook.get("HeartbeatTimeout"), hook.get("DefaultResult"),
            )
            made.notification_metadata = hook.get("NotificationMetadata")
        return original_create(response)

    def put_lifecycle_hook(response):
        result = original_put(response)
        key = f"{response._get_param('AutoScalingGroupName')}_{response._get_param('LifecycleHookName')}"
        metadata = response._get_param("NotificationMetadata")
        response.autoscaling_backend.lifecycle_hooks[key].notification_metadata = metadata
        return result

    def delete_lifecycle_hook(backend, as_name, name):
        # AWS ends what still waits for the hook: a launch is abandoned, a termination goes on.
        for action in groups.open_actions(as_name, name):
            action.complete("ABANDON" if action.transition == LAUNCHING else "CONTINUE")
        original_delete(backend, as_name, name)

    def find(response):
        group, hook = response._get_param("AutoScalingGroupName"), response._get_param("LifecycleHookName")
        instance, token = response._get_param("InstanceId"), response._get_param("LifecycleActionToken")
        if (action := groups.action(group, hook, instance, token)) is None:
            what = f"token {token}" if token else f"instance ID {instance}"
            raise ValidationError(f"No active Lifecycle Action found with {what}")
        return action

    def complete_lifecycle_action(response):
        find(response).complete(response._get_param("LifecycleActionResult"))
        return EmptyResult()

    def record_lifecycle_action_heartbeat(response):
        find(response).heartbeat(groups.world.clock())
        return EmptyResult()

    LifecycleHook.__init__ = init
    AutoScalingBackend.delete_lifecycle_hook = delete_lifecycle_hook
    AutoScalingResponse.create_auto_scaling_group = create_auto_scaling_group
    AutoScalingResponse.put_lifecycle_hook = put_lifecycle_hook
    AutoScalingResponse.complete_lifecycle_action = complete_lifecycle_action
    AutoScalingResponse.record_lifecycle_action_heartbeat = record_lifecycle_action_heartbeat


def _actions(groups: Groups) -> None:
    def describe_scaling_activities(response):
        name = response._get_param("AutoScalingGroupName")
        ids = response._get_param("ActivityIds", [])
        rows = [
            a for a in groups.activities
            if (not name or a.auto_scaling_group_name == name) and (not ids or a.activity_id in ids)
        ]
        return ActionResult({"Activities": rows[: response._get_int_param("MaxRecords") or 100]})

    def delete_auto_scaling_group(response):
        name = response._get_param("AutoScalingGroupName")
        group = response.autoscaling_backend.autoscaling_groups.get(name)
        if group is None:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        if group.instance_states and not response._get_bool_param("ForceDelete", False):
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance "
                "request(s) still in the group.",
            )
        groups.record(group).deleting = True
        group.status = "Delete in progress"
        now = groups.world.clock()
        for state in list(group.instance_states):
            groups.terminate(group, state, now, "in response to the deletion of its group.")
        if not group.instance_states:
            response.autoscaling_backend.autoscaling_groups.pop(name, None)
        return EmptyResult()

    def terminate_instance(response):
        instance_id = response._get_param("InstanceId")
        if (found := groups.find(instance_id)) is None:
            raise ValidationError(f"Instance Id not found - No managed instance found for instance ID {instance_id}")
        group, state = found
        if response._get_bool_param("ShouldDecrementDesiredCapacity", False):
            if group.desired_capacity <= group.min_size:
                raise ValidationError("Currently, desiredSize equals minSize. Terminating instance without "
                                      "replacement will violate group's min size constraint.")
            if state.lifecycle_state not in LEAVING:
                group.desired_capacity -= 1
        activity = groups.terminate(group, state, groups.world.clock(), "in response to a user request.")
        return ActionResult({"Activity": activity})

    AutoScalingResponse.describe_scaling_activities = describe_scaling_activities
    AutoScalingResponse.delete_auto_scaling_group = delete_auto_scaling_group
    AutoScalingResponse.terminate_instance_in_auto_scaling_group = terminate_instance


def _refreshes(refreshes: Refreshes) -> None:
    def group_of(response):
        name = response._get_param("AutoScalingGroupName")
        group = response.autoscaling_backend.autoscaling_groups.get(name)
        if group is None:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return group

    def start_instance_refresh(response):
        group = group_of(response)
        if refreshes.current(group.name):
            raise AutoscalingClientError(
                "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution "
                "of this Instance Refresh."
            )
        refresh = refreshes.start(group, response._get_param("Preferences") or {})
        return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})

    def describe_instance_refreshes(response):
        name = group_of(response).name
        ids = response._get_param("InstanceRefreshIds", [])
        rows = [r for r in refreshes.all if r.auto_scaling_group_name == name
                and (not ids or r.instance_refresh_id in ids)]
        return ActionResult({"InstanceRefreshes": rows})

    def cancel_instance_refresh(response):
        refresh = refreshes.current(group_of(response).name)
        if refresh is None:
            raise AutoscalingClientError(
                "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for Auto "
                "Scaling group"
            )
        refreshes.cancel(refresh)
        return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})

    AutoScalingResponse.start_instance_refresh = start_instance_refresh
    AutoScalingResponse.describe_instance_refreshes = describe_instance_refreshes
    AutoScalingResponse.cancel_instance_refresh = cancel_instance_refresh
