//! A zone outage as an experiment of AWS Fault Injection Service, the field's own tool: it ends by
//! itself after its duration, whatever becomes of whoever began it.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_sdk_fis::{
    error::BuildError,
    operation::create_experiment_template::builders::CreateExperimentTemplateFluentBuilder,
    types::{
        CreateExperimentTemplateActionInput as Action,
        CreateExperimentTemplateStopConditionInput as StopCondition,
        CreateExperimentTemplateTargetInput as Target, ExperimentStatus,
    },
};
use serde_json::json;

use super::Victim;
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Key, Stage},
    error::Hinted,
    invocation::as_admin,
    names::Names,
    policy::Permission,
    resources::zone_outage,
    tags,
    wait::{self, Progress},
};

// ISO 8601. Longer than any failover we accept, so that the zone stays out for all of it; the test
// takes it back earlier.
const DURATION: &str = "PT20M";
// Finding its targets takes FIS seconds, seldom a minute.
const START_LIMIT: Duration = Duration::from_mins(5);

/// Denies all traffic that enters or leaves a subnet, by a network ACL.
const CUT_OFF: &str = "aws:network:disrupt-connectivity";
/// Lets a group's launches in a zone fail.
const NO_CAPACITY: &str = "aws:ec2:asg-insufficient-instance-capacity-error";

/// An experiment under way, and the template it was started from: FIS knows none without.
#[derive(Debug)]
pub(super) struct Experiment {
    id: String,
    template: String,
}

impl Experiment {
    /// Cuts the victim's subnet off and lets launches in its zone fail. What was begun when that
    /// fails is taken back.
    pub(super) async fn start(cx: &Cx, victim: &Victim) -> Result<Self> {
        let group = group_arn(cx).await?;
        let answer = template(cx, victim, &group)?.send().await;
        let answer = answer.doing("describing the outage to AWS Fault Injection Service")?;
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
            .doing(format!("beginning the outage of {}", victim.zone));
        let id = match started {
            Ok(answer) => answer.experiment.and_then(|experiment| experiment.id),
            Err(error) => {
                zone_outage::delete_template(cx, &template).await.context(error.to_string())?;
                return Err(error.into());
            }
        };
        let experiment = Self { id: id.context("AWS returned no experiment")?, template };
        if let Err(error) = experiment.running(cx, &victim.zone).await {
            experiment.end(cx).await.context(error.to_string())?;
            return Err(error);
        }
        Ok(experiment)
    }

    async fn running(&self, cx: &Cx, zone: &str) -> Result<()> {
        wait::until(cx, &Key::ZoneOutage, START_LIMIT, || async {
            let state = zone_outage::state(cx, &self.id).await?;
            match state.status() {
                Some(ExperimentStatus::Running) => Ok(Progress::Ready(())),
                status
                @ (None | Some(ExperimentStatus::Pending | ExperimentStatus::Initiating)) => {
                    Ok(Progress::Pending(zone_outage::described(&self.id, status)))
                }
                status => Err(Hinted::ours(
                    format!(
                        "the outage of {zone} did not begin: {}: {}",
                        zone_outage::described(&self.id, status),
                        state.reason().unwrap_or("AWS gives no reason")
                    ),
                    format!(
                        "a right that is missing is given with admin credentials: `{}`",
                        as_admin("setup iam")
                    ),
                )
                .into()),
            }
        })
        .await
    }

    /// Gives the zone back.
    pub(super) async fn end(self, cx: &Cx) -> Result<()> {
        zone_outage::stop(cx, &self.id).await?;
        zone_outage::delete_template(cx, &self.template).await
    }
}

/// What beginning takes; what ending takes stands with the resource.
pub(super) fn permissions(names: &Names) -> Vec<Permission> {
    let fis = |resource: &str| names.arn("fis", resource);
    // AWS's own actions belong to no account of ours.
    let action =
        |id: &str| format!("arn:{}:fis:{}:*:action/{id}", names.partition(), names.region());
    let role = names.iam_arn("role", &names.fault_injection_role());
    vec![
        Permission::read(&["autoscaling:DescribeAutoScalingGroups"]),
        Permission::write(&["fis:CreateExperimentTemplate", "fis:TagResource"])
            .on([action(CUT_OFF), action(NO_CAPACITY), fis("experiment-template/*")])
            .tagging_ours(names),
        Permission::write(&["fis:StartExperiment", "fis:TagResource"])
            .on([fis("experiment/*")])
            .tagging_ours(names),
        Permission::write(&["fis:StartExperiment"])
            .on([fis("experiment-template/*")])
            .on_ours(names),
        Permission::write(&["iam:PassRole"])
            .on([role])
            .when(json!({ "StringEquals": { "iam:PassedToService": "fis.amazonaws.com" } })),
    ]
}

async fn group_arn(cx: &Cx) -> Result<String> {
    let name = cx.names.deployment();
    let call = cx.aws.autoscaling.describe_auto_scaling_groups().auto_scaling_group_names(name);
    let answer = call.send().await.doing("looking for our Auto Scaling group")?;
    let group = answer.auto_scaling_groups.unwrap_or_default().into_iter().next();
    let arn = group.and_then(|group| group.auto_scaling_group_arn);
    arn.with_context(|| format!("there is no Auto Scaling group `{name}`"))
}

fn tags(cx: &Cx) -> HashMap<String, String> {
    let tags = tags::new(&cx.names, Stage::Instances, &cx.names.zone_outage());
    tags.map(|(key, value)| (key.to_owned(), value)).into()
}

fn template(
    cx: &Cx,
    victim: &Victim,
    group: &str,
) -> Result<CreateExperimentTemplateFluentBuilder, BuildError> {
    let target = |kind: &str, arn: &str| {
        Target::builder().resource_type(kind).resource_arns(arn).selection_mode("ALL").build()
    };
    let subnet = cx.names.arn("ec2", &format!("subnet/{}", victim.subnet_id));
    let cut_off = Action::builder()
        .action_id(CUT_OFF)
        .parameters("scope", "all")
        .parameters("duration", DURATION)
        .targets("Subnets", "subnet")
        .build()?;
    let no_capacity = Action::builder()
        .action_id(NO_CAPACITY)
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
