//! A zone outage that was tried and not taken back: an experiment of AWS Fault Injection Service and
//! its template. A failover test leaves none behind; one that was killed may. Never wanted: swept by
//! the next `setup instances`, and by `setup delete` before the subnets it cuts off.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_fis::types::{ExperimentState, ExperimentStatus, ExperimentSummary};
use aws_sdk_resourcegroupstagging::types::TagFilter;

use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::Permission,
    tags,
    wait::{self, Progress},
};

/// The experiment; its id is its template's.
pub struct LeftOutage;

const ABSENT: &[&str] = &["ResourceNotFoundException"];
// Putting the network ACL back takes FIS seconds.
const STOP_LIMIT: Duration = Duration::from_mins(5);

#[async_trait]
impl Resource for LeftOutage {
    fn name(&self, cx: &Cx) -> String {
        cx.names.zone_outage()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let kinds = ["experiment", "experiment-template"];
        vec![
            Permission::read(&["fis:ListExperiments"]),
            Permission::write(&[
                "fis:DeleteExperimentTemplate",
                "fis:GetExperiment",
                "fis:GetExperimentTemplate",
                "fis:StopExperiment",
            ])
            .on(kinds.map(|kind| names.arn("fis", &format!("{kind}/*"))))
            .on_ours(names),
        ]
    }

    fn wanted(&self, _: &Cx) -> bool {
        false
    }

    /// Found by tag: asking FIS itself would fail in a region that has none.
    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        if !cx.names.facts().fault_injection {
            return Ok(Vec::new());
        }
        let filter = |key: &str, value| TagFilter::builder().key(key).values(value).build();
        let mut pages = cx
            .aws
            .tagging
            .get_resources()
            .resource_type_filters("fis:experiment-template")
            .tag_filters(filter(tags::DEPLOYMENT, cx.names.deployment()))
            .tag_filters(filter(tags::REGION, cx.names.region()))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.doing("looking for zone outages that were left behind")?;
            for mapping in page.resource_tag_mapping_list() {
                let Some((_, id)) = mapping.resource_arn().and_then(|arn| arn.rsplit_once('/'))
                else {
                    continue;
                };
                // The tagging API goes on listing for a while what is deleted.
                let answer = cx.aws.fis.get_experiment_template().id(id).send().await;
                let answer = answer.unless(ABSENT, format!("looking at FIS template {id}"))?;
                if let Some(template) = answer.and_then(|answer| answer.experiment_template) {
                    let detail = template.description.unwrap_or_default();
                    found.push(Found::new(id, tags::Owner::Ours).stale(true).detail(detail));
                }
            }
        }
        Ok(found)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        Ok(self.name(cx)) // never wanted
    }

    async fn update(&self, _: &Cx, _: &Found) -> Result<()> {
        Ok(()) // never wanted
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        let pages = cx.aws.fis.list_experiments().experiment_template_id(&found.id);
        let all = pages.into_paginator().items().send().try_collect().await;
        let all = all.unless(ABSENT, format!("listing the experiments of {}", found.id))?;
        let id = |experiment: ExperimentSummary| {
            let state = experiment.state.as_ref().and_then(ExperimentState::status);
            experiment.id.filter(|_| state.is_none_or(|status| !is_over(status)))
        };
        for id in all.unwrap_or_default().into_iter().filter_map(id) {
            stop(cx, &id).await?;
        }
        delete_template(cx, &found.id).await
    }
}

/// Ends an experiment, and waits until FIS has put back what it changed.
pub async fn stop(cx: &Cx, id: &str) -> Result<()> {
    // One that has ended meanwhile cannot be stopped.
    let answer = cx.aws.fis.stop_experiment().id(id).send().await;
    let gone = ["ValidationException", "ResourceNotFoundException"];
    if answer.unless(&gone, format!("stopping experiment {id}"))?.is_none() || cx.stopped() {
        return Ok(());
    }
    wait::until(cx, &Key::ZoneOutage, STOP_LIMIT, || async {
        let state = state(cx, id).await?;
        match state.status {
            Some(status) if is_over(&status) => Ok(Progress::Ready(())),
            status => Ok(Progress::Pending(described(id, status.as_ref()))),
        }
    })
    .await
}

/// Where an experiment stands.
pub async fn state(cx: &Cx, id: &str) -> Result<ExperimentState> {
    let answer = cx.aws.fis.get_experiment().id(id).send().await;
    let answer = answer.doing(format!("looking at experiment {id}"))?;
    answer.experiment.and_then(|experiment| experiment.state).context("AWS returned no state")
}

/// `experiment EXP… initiating`.
pub fn described(id: &str, status: Option<&ExperimentStatus>) -> String {
    format!("experiment {id} {}", status.map_or("in no state", ExperimentStatus::as_str))
}

/// Deletes what experiments are started from; already gone is fine.
pub async fn delete_template(cx: &Cx, id: &str) -> Result<()> {
    let answer = cx.aws.fis.delete_experiment_template().id(id).send().await;
    answer.unless(ABSENT, format!("deleting FIS template {id}"))?;
    Ok(())
}

fn is_over(status: &ExperimentStatus) -> bool {
    [
        ExperimentStatus::Cancelled,
        ExperimentStatus::Completed,
        ExperimentStatus::Failed,
        ExperimentStatus::Stopped,
    ]
    .contains(status)
}
