//! The mail of an instance that gives itself up: the group's own mail says only that a launch was
//! abandoned, and the console goes with the instance. Sent through the deployment's topic, once.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata as _;
use jitsi_templates::settings::InstanceSettings;

use crate::board::Phase;
use crate::imds::{Identity, Imds};
use crate::node::Node;
use crate::{advice, aws, failures};

/// Longest wait for the metadata service and SNS together: the hook is told right after.
const LIMIT: Duration = Duration::from_secs(15);
/// Characters of a cause: a chain that quotes a program's last lines is shorter.
const LONGEST_CAUSE: usize = 2_000;

/// A mail, not yet sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// ASCII, at most 100 characters (`Publish`).
    subject: String,
    text: String,
}

/// What an instance that failed for good in `phase` says.
pub(crate) fn gave_up(node: &Node, phase: Phase, error: &anyhow::Error) -> Mail {
    let settings = &node.settings;
    write(&settings.deployment, settings.domain.as_str(), &node.identity(), phase, error)
}

/// What an instance says whose bridge answers on its own machine and not at its public address.
pub(crate) fn cut_off(node: &Node, reason: &str) -> Mail {
    let Identity { instance_id, public_ipv4, .. } = node.identity();
    let InstanceSettings { deployment, domain, .. } = &node.settings;
    let text = format!(
        "Jitsi Meet on {domain} (deployment {deployment}): media does not reach the instance.\n\
         Instance: {instance_id} at {public_ipv4}\n\
         Cause: {reason}\n\
         Visitors are turned away. Neither a restart nor another instance would mend this: look at security \
         group, network ACL and route for udp/10000.\n\
         Next: jitsi-aws setup instances, which puts the security group right\n"
    );
    Mail { subject: format!("Jitsi {deployment}: no media reaches {instance_id}"), text }
}

fn write(
    deployment: &str,
    domain: &str,
    identity: &Identity,
    phase: Phase,
    error: &anyhow::Error,
) -> Mail {
    let cause: String = format!("{error:#}").chars().take(LONGEST_CAUSE).collect();
    let Identity { instance_id, zone, instance_type, .. } = identity;
    let mut text = format!(
        "Jitsi Meet on {domain} (deployment {deployment}): an instance gave up.\n\
         Instance: {instance_id} ({instance_type}) in {zone}\n\
         Phase: {phase}\n\
         Cause: {cause}\n"
    );
    if let Some(next) = advice::next_step(error) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Next: {next}");
    }
    text += "The Auto Scaling group replaces the instance; the next one meets the same cause unless it has \
             passed. Each that fails the same way tries longer, up to 4 hours, and mails nothing more.\n";
    let _ = writeln!(text, "To stop that: {}", failures::how_to_stop(deployment));
    text += "To see whether one can meet: jitsi-aws probe\n";
    Mail { subject: format!("Jitsi {deployment}: {instance_id} gave up in phase {phase}"), text }
}

/// Sends it, or says in the log why nobody will read it. Never fails: nothing waits for a mail.
pub(crate) async fn send(node: &Node, imds: &Imds, mail: &Mail) {
    match tokio::time::timeout(LIMIT, publish(node, imds, mail)).await {
        Ok(Ok(true)) => tracing::info!("mailed: {}", mail.subject),
        // `setup monitoring` comes after the first instance.
        Ok(Ok(false)) => {
            tracing::info!("no mail: there is no topic yet (jitsi-aws setup monitoring)");
        }
        Ok(Err(error)) => tracing::warn!("no mail: {error:#}"),
        Err(_) => tracing::warn!("no mail: no answer within {} s", LIMIT.as_secs()),
    }
}

/// False when the topic does not exist.
async fn publish(node: &Node, imds: &Imds, mail: &Mail) -> Result<bool> {
    let profile = imds.instance_profile_arn().await?;
    let topic = profile
        .as_deref()
        .and_then(|profile| topic(profile, &node.settings.region, &node.settings.deployment))
        .with_context(|| format!("no instance profile names the account: {profile:?}"))?;
    let client = Client::new(&node.sdk);
    let answer =
        client.publish().topic_arn(&topic).subject(&mail.subject).message(&mail.text).send().await;
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("NotFound") => Ok(false),
        Err(error) => Err(aws::service(error)).with_context(|| format!("publishing to {topic}")),
    }
}

/// The topic has the deployment's name; partition and account are those of the instance profile,
/// `arn:aws:iam::123456789012:instance-profile/…`.
fn topic(profile: &str, region: &str, deployment: &str) -> Option<String> {
    let mut parts = profile.split(':');
    let (partition, account) = (parts.nth(1)?, parts.nth(2)?);
    Some(format!("arn:{partition}:sns:{region}:{account}:{deployment}"))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::advice::Advice;

    #[test]
    fn a_mail_names_instance_phase_cause_and_next_step() {
        let identity = Identity {
            instance_id: "i-0123456789abcdef0".into(),
            zone: "eu-central-1a".into(),
            instance_type: "t3.medium".into(),
            private_ipv4: [10, 0, 3, 7].into(),
            public_ipv4: [198, 51, 100, 7].into(),
        };
        let error = anyhow!("404")
            .context(Advice::new("fetching the key", "check jitsi.apt.jitsi.key_url"))
            .context("install");
        let domain = "ü.example.org";
        let mail = write(&"d".repeat(20), domain, &identity, Phase::Configure, &error);
        assert!(mail.subject.is_ascii() && mail.subject.len() <= 100, "{}", mail.subject);
        for part in [
            "Jitsi Meet on ü.example.org (deployment dddddddddddddddddddd): an instance gave up.\n",
            "\nInstance: i-0123456789abcdef0 (t3.medium) in eu-central-1a\n",
            "\nPhase: configure\n",
            "\nCause: install: fetching the key: 404\n",
            "\nNext: check jitsi.apt.jitsi.key_url\n",
        ] {
            assert!(mail.text.contains(part), "{part} in {}", mail.text);
        }
        let endless = anyhow!("x".repeat(300_000));
        let mail = write("d", domain, &identity, Phase::Install, &endless);
        assert!(mail.text.len() < 262_144, "limit of Publish");
    }

    #[test]
    fn the_topic_is_the_one_the_deployer_makes() {
        let profile = "arn:aws-cn:iam::123456789012:instance-profile/jitsi-aws/jitsi-instance";
        assert_eq!(
            topic(profile, "cn-north-1", "jitsi").unwrap(),
            "arn:aws-cn:sns:cn-north-1:123456789012:jitsi"
        );
        assert_eq!(topic("nonsense", "cn-north-1", "jitsi"), None);
    }
}
