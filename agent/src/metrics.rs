//! CloudWatch metrics, once a minute. A send that takes too long is given up: figures are for looking
//! at, nothing waits for them.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use tokio::task::JoinHandle;

use jitsi_templates::layout::{METRICS_DEPLOYMENT, METRICS_NAMESPACE};

use crate::aws;
use crate::board::Status;
use crate::health::Traffic;
use crate::upkeep::Upkeep;

/// The further dimension of `ComponentHealthy`.
pub const COMPONENT: &str = "Component";
/// Time between two sends.
pub const INTERVAL: Duration = Duration::from_mins(1);

const SEND_LIMIT: Duration = Duration::from_secs(20);

/// Sends one set at a time.
pub struct Metrics {
    client: Client,
    deployment: String,
    sending: Option<JoinHandle<()>>,
    ice_failed: Option<u64>,
}

impl Metrics {
    /// Metrics of `deployment`.
    pub fn new(config: &SdkConfig, deployment: &str) -> Self {
        Self {
            client: Client::new(config),
            deployment: deployment.to_owned(),
            sending: None,
            ice_failed: None,
        }
    }

    /// Sends the figures of `status` in the background; skipped while the last set is on its way.
    pub fn send(&mut self, status: &Status) {
        if self.sending.as_ref().is_some_and(|sending| !sending.is_finished()) {
            tracing::warn!(
                "metrics: the last minute's are still on their way, skipping this one's"
            );
            return;
        }
        let failed = status.traffic.and_then(|traffic| traffic.endpoints_ice_failed);
        let new_failures = new_since(self.ice_failed, failed);
        self.ice_failed = failed.or(self.ice_failed);
        let request = self
            .client
            .put_metric_data()
            .namespace(METRICS_NAMESPACE)
            .set_metric_data(Some(data(&self.deployment, status, new_failures)));
        self.sending = Some(tokio::spawn(async move {
            match tokio::time::timeout(SEND_LIMIT, request.send()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!("metrics: {:#}", aws::service(error)),
                Err(_) => tracing::warn!("metrics: no answer within {} s", SEND_LIMIT.as_secs()),
            }
        }));
    }
}

/// A counter begins anew when the bridge restarts.
fn new_since(before: Option<u64>, now: Option<u64>) -> Option<u64> {
    let (before, now) = (before?, now?);
    Some(if now < before { now } else { now - before })
}

fn data(deployment: &str, status: &Status, ice_failed: Option<u64>) -> Vec<MetricDatum> {
    let here = || Dimension::builder().name(METRICS_DEPLOYMENT).value(deployment).build();
    let datum = |name: &str, unit: StandardUnit, value: f64| {
        MetricDatum::builder().metric_name(name).unit(unit).value(value).dimensions(here())
    };
    let mut data = vec![datum("Ready", StandardUnit::Count, flag(status.ready)).build()];
    data.extend(status.components.iter().map(|component| {
        let which = Dimension::builder().name(COMPONENT).value(component.component.to_string());
        datum("ComponentHealthy", StandardUnit::Count, flag(component.ok))
            .dimensions(which.build())
            .build()
    }));
    if let Some(meeting) = &status.meeting {
        let report = &meeting.report;
        data.push(datum("MeetingHeld", StandardUnit::Count, flag(report.held())).build());
        data.push(datum("MeetingTime", StandardUnit::Milliseconds, report.took_ms).build());
    }
    if let Some(traffic) = status.traffic {
        let known = traffic_data(&traffic).into_iter();
        data.extend(
            known.filter_map(|(name, unit, value)| Some(datum(name, unit, value?).build())),
        );
    }
    if let Some(upkeep) = &status.upkeep {
        data.extend(upkeep_data(upkeep).map(|(name, value)| {
            datum(name, StandardUnit::Count, f64::from(u32::try_from(value).unwrap_or(u32::MAX)))
                .build()
        }));
    }
    #[expect(clippy::cast_precision_loss, reason = "failures in one minute are few")]
    data.extend(
        ice_failed.map(|failed| datum("IceFailed", StandardUnit::Count, failed as f64).build()),
    );
    data
}

/// What is not known is not published: a zero would be a figure.
fn traffic_data(traffic: &Traffic) -> [(&'static str, StandardUnit, Option<f64>); 5] {
    [
        ("Conferences", StandardUnit::Count, traffic.conferences.map(f64::from)),
        ("Participants", StandardUnit::Count, traffic.people().map(f64::from)),
        ("StressLevel", StandardUnit::None, traffic.stress_level),
        ("BitRateDownload", StandardUnit::KilobitsSecond, traffic.bit_rate_download),
        ("BitRateUpload", StandardUnit::KilobitsSecond, traffic.bit_rate_upload),
    ]
}

fn upkeep_data(upkeep: &Upkeep) -> impl Iterator<Item = (&'static str, u64)> {
    let count = |figure: usize| u64::try_from(figure).unwrap_or(u64::MAX);
    let age = upkeep.age_days().map(|days| ("AgeInDays", days));
    [
        ("PendingUpdates", count(upkeep.pending)),
        ("PendingSecurityUpdates", count(upkeep.pending_security)),
        ("RebootRequired", u64::from(upkeep.reboot_required)),
    ]
    .into_iter()
    .chain(age)
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_carries_the_deployment() {
        let traffic = Traffic {
            conferences: Some(1),
            local_endpoints: Some(3),
            bit_rate_upload: Some(0.0),
            ..Traffic::default()
        };
        let status = Status { ready: true, traffic: Some(traffic), ..Status::default() };
        let data = data("team", &status, Some(2));
        let value = |name: &str| {
            data.iter().find(|d| d.metric_name() == Some(name)).and_then(MetricDatum::value)
        };
        assert_eq!(value("Ready"), Some(1.0));
        assert_eq!(value("Participants"), Some(3.0));
        assert_eq!(value("IceFailed"), Some(2.0));
        assert_eq!((value("BitRateUpload"), value("BitRateDownload")), (Some(0.0), None));
        assert!(data.iter().all(|d| d.dimensions()[0].value() == Some("team")));
    }

    #[test]
    fn failures_are_counted_from_one_minute_to_the_next() {
        assert_eq!(new_since(None, Some(5)), None, "the first minute has no before");
        assert_eq!(new_since(Some(5), Some(7)), Some(2));
        assert_eq!(new_since(Some(7), Some(1)), Some(1), "the bridge was restarted");
        assert_eq!(new_since(Some(7), None), None);
    }
}
