"""In place of machines, where the control plane runs alone: what would wait for an agent goes on by itself."""

from .groups import Groups

PATIENCE = 2.0  # seconds a lifecycle action is seen waiting


class PretendAgents:
    """A part to tick: completes every lifecycle action with CONTINUE."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def tick(self, now: float) -> None:
        for member in self._groups.members.values():
            for action in member.actions:
                if action.waiting and now - action.started >= PATIENCE:
                    action.complete("CONTINUE")
