//! The two lifecycle hooks. The group is made with them, so that no instance escapes; here they are
//! found, mended and, where somebody removed one, made again.

use anyhow::Result;
use async_trait::async_trait;

use super::autoscaling::{Hook, absent, arn};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags::Owner,
};

/// One of the group's two hooks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LifecycleHook {
    /// Holds a new instance until a meeting was held on it.
    Launch,
    /// Holds a dying instance while people are in meetings.
    Terminate,
}

const TRANSITION: &str = "transition";
const DEFAULT_RESULT: &str = "default result";
const HEARTBEAT: &str = "heartbeat timeout";

#[async_trait]
impl Resource for LifecycleHook {
    fn name(&self, cx: &Cx) -> String {
        self.wanted_hook(cx).name
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        vec![
            Permission::read(&["autoscaling:DescribeLifecycleHooks"]),
            Permission::write(&["autoscaling:PutLifecycleHook", "autoscaling:DeleteLifecycleHook"])
                .on([arn(names)])
                .on_ours(names),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some(group) = cx.id(&Key::AutoScalingGroup) else { return Ok(Vec::new()) };
        let wanted = self.wanted_hook(cx);
        let answer = cx
            .aws
            .autoscaling
            .describe_lifecycle_hooks()
            .auto_scaling_group_name(group)
            .lifecycle_hook_names(&wanted.name)
            .send()
            .await
            .doing(format!("looking for lifecycle hook `{}`", wanted.name))?;
        let hooks = answer.lifecycle_hooks.unwrap_or_default();
        Ok(hooks
            .iter()
            .map(|hook| {
                let (transition, default_result, heartbeat) = Hook::read(hook);
                // A part of our group is ours.
                let mut found = Found::new(&wanted.name, Owner::Ours)
                    .detail(format!("{default_result} after {heartbeat} s"));
                found
                    .compare(TRANSITION, transition, wanted.transition)
                    .compare(DEFAULT_RESULT, default_result, wanted.default_result)
                    .compare(
                        HEARTBEAT,
                        format!("{heartbeat} s"),
                        format!("{} s", wanted.heartbeat),
                    );
                found
            })
            .collect())
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let hook = self.wanted_hook(cx);
        cx.aws
            .autoscaling
            .put_lifecycle_hook()
            .auto_scaling_group_name(cx.need(&Key::AutoScalingGroup)?)
            .lifecycle_hook_name(&hook.name)
            .lifecycle_transition(hook.transition)
            .default_result(hook.default_result)
            .heartbeat_timeout(hook.heartbeat)
            .send()
            .await
            .doing(format!("setting lifecycle hook `{}`", hook.name))?;
        Ok(hook.name)
    }

    async fn update(&self, cx: &Cx, _found: &Found) -> Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let answer = cx
            .aws
            .autoscaling
            .delete_lifecycle_hook()
            .auto_scaling_group_name(cx.names.deployment())
            .lifecycle_hook_name(&found.id)
            .send()
            .await
            .doing(format!("deleting lifecycle hook `{}`", found.id));
        match answer {
            Err(error) if !absent(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl LifecycleHook {
    fn wanted_hook(self, cx: &Cx) -> Hook {
        match self {
            Self::Launch => Hook::launch(&cx.names),
            Self::Terminate => Hook::terminate(&cx.names, cx.config.drain),
        }
    }
}
