//! A zone outage as an experiment of AWS Fault Injection Service, the field's own tool: it ends by
//! itself after its duration, whatever becomes of whoever began it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_fis::{
    error::BuildError,
    operation::create_experiment_template::builders::CreateExperimentTemplateFluentBuilder,
    types::{
        CreateExperimentTemplateActionInput as Action,
        CreateExperimentTemplateStopConditionInput as StopCondition,
        CreateExperimentTemplateTargetInput as Target, ExperimentStatus,
    },
};

use super::Victim;
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Key, Stage},
    error::Hinted,
    tags,
    wait::{self, Progress},
};

// ISO 8601. Longer than any failover we accept, so that the zone stays out for all of it; the end
// takes it back earlier.
const DURATION: &str = "PT20M";
// Resolving targets takes FIS seconds, seldom a minute.
const START_LIMIT: Duration = Duration::from_mins(5);
// Putting the network ACL back takes it seconds.
const STOP_LIMIT: Duration = Duration::from_mins(5);

const ABSENT: &[&str] = &["ResourceNotFoundException"];

/// An experiment that runs, and the template it was started from, which FIS needs for any.
#[derive(Debug)]
pub(super) struct Experiment {
    id: String,
    template: String,
}

impl Experiment {
    /// Cuts the victim's subnet off and lets launches in its zone fail.
    pub(super) async fn start(cx: &Cx, victim: &Victim) -> Result<Self> {
        let zone = &victim.zone;
        let group = group_arn(cx).await?;
        let answer = template(cx, victim, &group)?.send().await;
        let answer = answer.doing(format!("describing the outage of {zone} to AWS FIS"))?;
        let template = answer.experiment_template.and_then(|template| template.id);
        let template = template.context("AWS returned no experiment template")?;
        let started = cx
            .aws
            .fis
            .start_experiment()
            .experiment_template_id(&template)
            .set_tags(Some(tags(cx)))
            .send()
            .await
            .doing(format!("starting the outage of {zone}"));
        let id = match started {
            Ok(answer) => answer.experiment.and_then(|experiment| experiment.id),
            Err(error) => {
                delete_template(cx, &template).await.context(error.to_string())?;
                return Err(error.into());
            }
        };
        let experiment = Self { id: id.context("AWS returned no experiment")?, template };
        if let Err(error) = experiment.running(cx, zone).await {
            experiment.end(cx).await.context(error.to_string())?;
            return Err(error);
        }
        Ok(experiment)
    }

    async fn running(&self, cx: &Cx, zone: &str) -> Result<()> {
        wait::until(cx, &Key::Instance, START_LIMIT, || async {
            let (status, reason) = self.state(cx).await?;
            match status {
                ExperimentStatus::Running => Ok(Progress::Ready(())),
                ExperimentStatus::Pending | ExperimentStatus::Initiating => {
                    Ok(Progress::Pending(format!("outage of {zone}: {}", status.as_str())))
                }
                _ => Err(Hinted::ours(
                    format!("the outage of {zone} did not begin: {}: {reason}", status.as_str()),
                    "see what AWS FIS says of it: `aws fis list-experiments`; a right that is missing is \
                     given by `jitsi-aws setup iam` with admin credentials",
                )
                .into()),
            }
        })
        .await
    }

    async fn state(&self, cx: &Cx) -> Result<(ExperimentStatus, String)> {
        let answer = cx.aws.fis.get_experiment().id(&self.id).send().await;
        let answer = answer.doing(format!("looking at experiment {}", self.id))?;
        let state = answer.experiment.and_then(|experiment| experiment.state);
        let state = state.context("AWS returned no state of the experiment")?;
        let Some(status) = state.status else { bail!("AWS returned no status of the experiment") };
        Ok((status, state.reason.unwrap_or_default()))
    }

    /// Gives the zone back. Waits until AWS has, unless the user is in a hurry.
    pub(super) async fn end(self, cx: &Cx) -> Result<()> {
        // One that has ended by itself cannot be stopped: `ValidationException`.
        let answer = cx.aws.fis.stop_experiment().id(&self.id).send().await;
        answer.unless(&["ValidationException"], format!("stopping experiment {}", self.id))?;
        delete_template(cx, &self.template).await?;
        if cx.stopped() {
            return Ok(());
        }
        wait::until(cx, &Key::Instance, STOP_LIMIT, || async {
            let (status, _) = self.state(cx).await?;
            let over = [
                ExperimentStatus::Cancelled,
                ExperimentStatus::Completed,
                ExperimentStatus::Failed,
                ExperimentStatus::Stopped,
            ];
            if over.contains(&status) {
                return Ok(Progress::Ready(()));
            }
            Ok(Progress::Pending(format!("experiment {}: {}", self.id, status.as_str())))
        })
        .await
    }
}

async fn delete_template(cx: &Cx, id: &str) -> Result<()> {
    let answer = cx.aws.fis.delete_experiment_template().id(id).send().await;
    answer.unless(ABSENT, format!("deleting experiment template {id}"))?;
    Ok(())
}

async fn group_arn(cx: &Cx) -> Result<String> {
    let name = cx.names.deployment();
    let answer = cx
        .aws
        .autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(name)
        .send()
        .await
        .doing("looking for our Auto Scaling group")?;
    let group = answer.auto_scaling_groups.unwrap_or_default().into_iter().next();
    let arn = group.and_then(|group| group.auto_scaling_group_arn);
    arn.with_context(|| format!("there is no Auto Scaling group `{name}`"))
}

fn tags(cx: &Cx) -> std::collections::HashMap<String, String> {
    let name = cx.names.with("zone-outage");
    let tags = tags::new(&cx.names, Stage::Instances, &name);
    tags.map(|(key, value)| (key.to_owned(), value)).into()
}

fn template(
    cx: &Cx,
    victim: &Victim,
    group: &str,
) -> Result<CreateExperimentTemplateFluentBuilder, BuildError> {
    let target = |kind: &str, arn: &str| {
        let target = Target::builder().resource_type(kind).resource_arns(arn);
        target.selection_mode("ALL").build()
    };
    let subnet = cx.names.arn("ec2", &format!("subnet/{}", victim.subnet_id));
    let cut_off = Action::builder()
        .action_id("aws:network:disrupt-connectivity")
        .parameters("scope", "all")
        .parameters("duration", DURATION)
        .targets("Subnets", "subnet")
        .build()?;
    let no_capacity = Action::builder()
        .action_id("aws:ec2:asg-insufficient-instance-capacity-error")
        .parameters("availabilityZoneIdentifiers", &victim.zone)
        .parameters("duration", DURATION)
        .parameters("percentage", "100")
        .targets("AutoScalingGroups", "group")
        .build()?;
    Ok(cx
        .aws
        .fis
        .create_experiment_template()
        .description(format!("{}: {} is out", cx.names.deployment(), victim.zone))
        .role_arn(cx.names.iam_arn("role", &cx.names.fault_injection_role()))
        .stop_conditions(StopCondition::builder().source("none").build()?)
        .targets("subnet", target("aws:ec2:subnet", &subnet)?)
        .targets("group", target("aws:ec2:autoscaling-group", group)?)
        .actions("cut-off", cut_off)
        .actions("no-capacity", no_capacity)
        .set_tags(Some(tags(cx))))
}
