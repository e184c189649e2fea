//! The CloudWatch dashboard: load balancer, instance and meetings on one page.

use anyhow::{Context, Result};
use async_trait::async_trait;
use jitsi_templates::layout::{METRICS_DEPLOYMENT, METRICS_NAMESPACE};
use serde_json::{Value, json};

use super::{difference::compare_document, elbv2::dimension};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    invocation::aws_as_admin,
    names::Names,
    policy::Permission,
    tags::{Foreign, Owner},
};

/// The figures of the deployment.
pub struct Figures;

// The code of the query protocol, and the name of the error in the others.
const NOT_FOUND: [&str; 2] = ["ResourceNotFound", "DashboardNotFoundError"];
const WIDGETS: &str = "widgets";

#[async_trait]
impl Resource for Figures {
    fn name(&self, cx: &Cx) -> String {
        name(&cx.names)
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let partition = names.partition();
        let arn =
            format!("arn:{partition}:cloudwatch::{}:dashboard/{}", names.account(), name(names));
        vec![
            Permission::read(&["cloudwatch:GetDashboard"]).on([arn.clone()]),
            Permission::write(&["cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards"])
                .on([arn]),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .cloudwatch
            .get_dashboard()
            .dashboard_name(&name)
            .send()
            .await
            .unless(&NOT_FOUND, format!("looking for dashboard `{name}`"))?;
        let Some(answer) = answer else { return Ok(Vec::new()) };
        let actual: Value = serde_json::from_str(answer.dashboard_body().unwrap_or_default())
            .with_context(|| format!("dashboard `{name}` is not JSON"))?;
        let mut found = Found::new(&name, owner(&cx.names, &actual));
        compare_document(&mut found, WIDGETS, &actual.to_string(), &body(cx).to_string());
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        cx.aws
            .cloudwatch
            .put_dashboard()
            .dashboard_name(&name)
            .dashboard_body(body(cx).to_string())
            .send()
            .await
            .doing(format!("setting dashboard `{name}`"))?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, _: &Found) -> Result<()> {
        self.create(cx).await.map(drop)
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        cx.aws
            .cloudwatch
            .delete_dashboards()
            .dashboard_names(&found.id)
            .send()
            .await
            .unless(&NOT_FOUND, format!("deleting dashboard `{}`", found.id))?;
        Ok(())
    }
}

/// Dashboards have no region, other than all that they show.
fn name(names: &Names) -> String {
    names.with(names.region())
}

/// The line by which a dashboard is told to be ours, for tags on one came late and not everywhere.
fn marker(names: &Names) -> String {
    format!("Kept by jitsi-aws for the deployment `{}`; changes are undone.", names.deployment())
}

fn owner(names: &Names, body: &Value) -> Owner {
    let marker = marker(names);
    let widgets = body["widgets"].as_array();
    let ours = widgets.into_iter().flatten().any(|widget| {
        widget["properties"]["markdown"].as_str().is_some_and(|text| text.contains(&marker))
    });
    if ours {
        return Owner::Ours;
    }
    let delete = format!("cloudwatch delete-dashboards --dashboard-names {}", name(names));
    Owner::Foreign(Foreign::InTheWay {
        why: "the line by which jitsi-aws knows its own is not in it".to_owned(),
        hint: format!(
            "where nobody needs it, delete it with `{}`; it is made anew",
            aws_as_admin(&delete, true)
        ),
    })
}

/// What is not there yet is made before the dashboard.
fn body(cx: &Cx) -> Value {
    let suffix = |key| cx.id(key).map(|arn| dimension(&arn).to_owned()).unwrap_or_default();
    document(
        &cx.names,
        cx.config.domain.as_str(),
        &suffix(&Key::LoadBalancer),
        &suffix(&Key::TargetGroup),
    )
}

fn document(names: &Names, domain: &str, alb: &str, targets: &str) -> Value {
    let group = names.deployment();
    let agent = |metric: &str| json!([METRICS_NAMESPACE, metric, METRICS_DEPLOYMENT, group]);
    let elb = |metric: &str| json!(["AWS/ApplicationELB", metric, "LoadBalancer", alb]);
    let target = |metric: &str| {
        json!(["AWS/ApplicationELB", metric, "TargetGroup", targets, "LoadBalancer", alb])
    };
    let ec2 = |metric: &str| json!(["AWS/EC2", metric, "AutoScalingGroupName", group]);
    // EC2 measures every five minutes unless paid for more (EC2 user guide, "Basic monitoring"): drawn
    // finer, the line would be dots.
    let (minute, basic) = (60, 300);
    let graphs = [
        ("Meetings", "Maximum", minute, vec![agent("Conferences"), agent("Participants")]),
        ("A meeting can be held", "Minimum", minute, vec![agent("Ready"), agent("MeetingHeld")]),
        ("Stress of the videobridge", "Maximum", minute, vec![agent("StressLevel")]),
        (
            "Media (kbit/s)",
            "Average",
            minute,
            vec![agent("BitRateDownload"), agent("BitRateUpload")],
        ),
        ("Media that did not get through", "Sum", minute, vec![agent("IceFailed")]),
        ("Processor (%)", "Average", basic, vec![ec2("CPUUtilization")]),
        ("Healthy hosts", "Minimum", minute, vec![target("HealthyHostCount")]),
        (
            "Errors",
            "Sum",
            minute,
            vec![elb("HTTPCode_ELB_5XX_Count"), target("HTTPCode_Target_5XX_Count")],
        ),
        ("Requests", "Sum", minute, vec![elb("RequestCount")]),
    ];
    // A dashboard is 24 columns wide: three graphs in a row under two rows of text.
    let mut widgets = vec![json!({
        "type": "text", "x": 0, "y": 0, "width": 24, "height": 2,
        "properties": { "markdown": format!("## https://{domain}\n{}", marker(names)) },
    })];
    widgets
        .extend(graphs.into_iter().enumerate().map(|(place, (title, statistic, period, metrics))| {
        json!({
            "type": "metric", "x": place % 3 * 8, "y": 2 + place / 3 * 6, "width": 8, "height": 6,
            "properties": {
                "title": title,
                "region": names.region(),
                "view": "timeSeries",
                "stat": statistic,
                "period": period,
                "metrics": metrics,
            },
        })
    }));
    json!({ "widgets": widgets })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(deployment: &str) -> Names {
        Names::new(deployment, "eu-central-1", "123456789012")
    }

    #[test]
    fn only_our_own_dashboard_is_ours() {
        let body =
            document(&names("jitsi"), "meet.example.org", "app/jitsi/1", "targetgroup/jitsi/2");
        assert_eq!(owner(&names("jitsi"), &body), Owner::Ours);
        assert_ne!(owner(&names("jitsi-2"), &body), Owner::Ours);
        assert_ne!(owner(&names("jitsi"), &json!({ "widgets": [] })), Owner::Ours);
    }

    #[test]
    fn what_ec2_measures_every_five_minutes_is_drawn_so() {
        let body = document(&names("jitsi"), "meet.example.org", "a", "t");
        let widgets = body["widgets"].as_array().unwrap();
        for widget in widgets.iter().filter(|widget| widget["type"] == "metric") {
            let basic = widget["properties"]["metrics"].to_string().contains("AWS/EC2");
            assert_eq!(widget["properties"]["period"], if basic { 300 } else { 60 }, "{widget}");
        }
    }

    #[test]
    fn no_two_widgets_overlap() {
        let body = document(&names("jitsi"), "meet.example.org", "a", "t");
        let place = |widget: &Value| (widget["x"].as_u64(), widget["y"].as_u64());
        let mut places: Vec<_> =
            body["widgets"].as_array().into_iter().flatten().map(place).collect();
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
    }
}
