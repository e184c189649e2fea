//! The load balancer's two listeners: HTTPS to the target group, HTTP to HTTPS.

use anyhow::{Context, Result};
use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::types::{
    self as elb, Action, ActionTypeEnum, Certificate, MutualAuthenticationAttributes, ProtocolEnum,
    RedirectActionConfig, RedirectActionStatusCodeEnum, Tag,
};

use super::elbv2::once;
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource, Stage},
    invocation::aws_as_admin,
    names::Names,
    policy::Permission,
    tag_list,
    tags::Owner,
};

/// A listener of the load balancer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Port 443, to the target group.
    Https,
    /// Port 80, sent on to HTTPS.
    Http,
}

/// TLS 1.3 and 1.2 with forward secrecy and authenticated encryption only, post-quantum key exchange
/// for those who can: what AWS recommends and its console chooses (Elastic Load Balancing user
/// guide, "Security policies for your Application Load Balancer").
const TLS_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

const PROTOCOL: &str = "protocol";
const CERTIFICATE: &str = "certificate";
const POLICY: &str = "TLS policy";
const ACTION: &str = "action";
const CLIENTS: &str = "client certificates";
/// Whoever comes needs no certificate of their own.
const NOT_ASKED_FOR: &str = "off";

#[async_trait]
impl Resource for Listener {
    fn name(&self, cx: &Cx) -> String {
        cx.names.with(&format!("{}", self.port()))
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let on = |kind| {
            let path = format!("{kind}/app/{}/*", names.deployment());
            [names.arn("elasticloadbalancing", &path)]
        };
        vec![
            Permission::read(&[
                "elasticloadbalancing:DescribeListenerCertificates",
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeRules",
            ]),
            // Whether it may be made is asked of the load balancer, whether it may be tagged of
            // the listener (Service Authorization Reference, "Elastic Load Balancing V2").
            Permission::write(&["elasticloadbalancing:CreateListener"])
                .on(on("loadbalancer"))
                .tagging_ours(names),
            Permission::write(&["elasticloadbalancing:AddTags"])
                .on(on("listener"))
                .tagging_ours(names),
            Permission::write(&[
                "elasticloadbalancing:ModifyListener",
                "elasticloadbalancing:DeleteListener",
            ])
            .on(on("listener"))
            .on_ours(names),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let Some(alb) = cx.id(&Key::LoadBalancer) else { return Ok(Vec::new()) };
        let mut pages = cx
            .aws
            .elbv2
            .describe_listeners()
            .load_balancer_arn(alb)
            .into_paginator()
            .items()
            .send();
        let mut all = Vec::new();
        while let Some(listener) = pages.next().await {
            let what = "looking for the listeners of our load balancer";
            let Some(listener) = listener.unless(&["LoadBalancerNotFound"], what)? else { break };
            if listener.port() == Some(self.port()) {
                let mut found = self.found(cx, &listener);
                found.warnings = before_ours(&rules(cx, &found.id).await?);
                all.push(found);
            }
        }
        Ok(all)
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        let answer = cx
            .aws
            .elbv2
            .create_listener()
            .load_balancer_arn(cx.need(&Key::LoadBalancer)?)
            .port(self.port())
            .protocol(self.protocol())
            .set_ssl_policy(self.tls_policy())
            .set_certificates(self.certificates(cx)?)
            .default_actions(self.action(cx)?)
            .set_tags(Some(tag_list!(cx, Stage::Lb, &name, Tag)))
            .customize()
            .config_override(once())
            .send()
            .await
            .doing(format!("creating listener `{name}`"))?;
        let arn = answer.listeners.and_then(|mut all| all.pop()?.listener_arn);
        arn.context("AWS named no listener ARN")
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        cx.aws
            .elbv2
            .modify_listener()
            .listener_arn(&found.id)
            .protocol(self.protocol())
            .set_ssl_policy(self.tls_policy())
            .set_mutual_authentication(
                (*self == Self::Https)
                    .then(|| MutualAuthenticationAttributes::builder().mode(NOT_ASKED_FOR).build()),
            )
            .set_certificates(self.certificates(cx)?)
            .default_actions(self.action(cx)?)
            .send()
            .await
            .doing(format!("changing listener `{}`", self.name(cx)))?;
        Ok(())
    }

    /// Rules and further certificates go with their listener (`DeleteListener`); each has one default of both.
    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        let doing = format!("looking what listener `{}` has besides", self.name(cx));
        let rules = rules(cx, &found.id).await?;
        let mut all: Vec<String> = rules.iter().map(|arn| format!("the rule {arn}")).collect();
        if *self == Self::Https {
            let pages = cx.aws.elbv2.describe_listener_certificates().listener_arn(&found.id);
            let pages = pages.into_paginator().items().send();
            let further = pages.try_collect().await.unless(&["ListenerNotFound"], &doing)?;
            let further = further.unwrap_or_default().into_iter();
            let further = further.filter(|one| one.is_default() != Some(true));
            all.extend(further.filter_map(|one| {
                one.certificate_arn().map(|arn| format!("the certificate {arn}"))
            }));
        }
        Ok(all)
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        cx.aws
            .elbv2
            .delete_listener()
            .listener_arn(&found.id)
            .send()
            .await
            .unless(&["ListenerNotFound"], format!("deleting listener `{}`", self.name(cx)))?;
        Ok(())
    }
}

impl Listener {
    pub(super) fn port(self) -> i32 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }

    fn protocol(self) -> ProtocolEnum {
        match self {
            Self::Https => ProtocolEnum::Https,
            Self::Http => ProtocolEnum::Http,
        }
    }

    fn tls_policy(self) -> Option<String> {
        (self == Self::Https).then(|| TLS_POLICY.to_owned())
    }

    fn certificates(self, cx: &Cx) -> Result<Option<Vec<Certificate>>> {
        if self == Self::Http {
            return Ok(None);
        }
        let arn = cx.need(&Key::Certificate)?;
        Ok(Some(vec![Certificate::builder().certificate_arn(arn).build()]))
    }

    fn action(self, cx: &Cx) -> Result<Action> {
        let action = Action::builder();
        Ok(match self {
            Self::Https => action
                .r#type(ActionTypeEnum::Forward)
                .target_group_arn(cx.need(&Key::TargetGroup)?)
                .build(),
            Self::Http => {
                action.r#type(ActionTypeEnum::Redirect).redirect_config(to_https()).build()
            }
        })
    }

    /// A listener is a part of the load balancer and as much ours as that is.
    fn found(self, cx: &Cx, listener: &elb::Listener) -> Found {
        let arn = listener.listener_arn().unwrap_or_default();
        let action = listener.default_actions().first();
        let mut found = Found::new(arn, Owner::Ours);
        let protocol = listener.protocol().map_or("none", ProtocolEnum::as_str);
        found.compare(PROTOCOL, protocol, self.protocol());
        // What is not there yet is made before this is compared in earnest.
        let or_new = |key| cx.id(key).unwrap_or_else(|| "one not made yet".to_owned());
        match self {
            Self::Https => {
                let certificate = listener.certificates().first();
                let certificate = certificate.and_then(Certificate::certificate_arn);
                found
                    .compare(CERTIFICATE, certificate.unwrap_or("none"), or_new(&Key::Certificate))
                    .compare(POLICY, listener.ssl_policy().unwrap_or("none"), TLS_POLICY)
                    .compare(CLIENTS, clients(listener), NOT_ASKED_FOR)
                    .compare(
                        ACTION,
                        told(action),
                        format!("forward to {}", or_new(&Key::TargetGroup)),
                    );
                found.detail("HTTPS 443 → target group")
            }
            Self::Http => {
                let wanted = Action::builder()
                    .r#type(ActionTypeEnum::Redirect)
                    .redirect_config(to_https())
                    .build();
                found.compare(ACTION, told(action), told(Some(&wanted)));
                found.detail("HTTP 80 → redirect to HTTPS")
            }
        }
    }
}

/// Whether browsers are asked for certificates of their own, by `MutualAuthentication`'s mode.
fn clients(listener: &elb::Listener) -> &str {
    let mutual = listener.mutual_authentication();
    mutual.and_then(MutualAuthenticationAttributes::mode).unwrap_or(NOT_ASKED_FOR)
}

/// ARNs of the listener's rules but for its default one, which is ours.
async fn rules(cx: &Cx, listener: &str) -> Result<Vec<String>> {
    let pages = cx.aws.elbv2.describe_rules().listener_arn(listener).into_paginator().items();
    let rules = pages.send().try_collect().await;
    let rules = rules.unless(&["ListenerNotFound"], format!("reading the rules of {listener}"))?;
    let rules = rules.unwrap_or_default().into_iter();
    Ok(rules.filter(|rule| rule.is_default() != Some(true)).filter_map(|r| r.rule_arn).collect())
}

/// What such rules do, and what takes each away.
fn before_ours(rules: &[String]) -> Vec<String> {
    let told = |arn: &String| {
        format!(
            "somebody's rule answers visitors whom it suits, and the instance never hears of them; take it away with \
             `{}`",
            aws_as_admin(&format!("elbv2 delete-rule --rule-arn {arn}"), true)
        )
    };
    rules.iter().map(told).collect()
}

/// 301, because browsers remember it: the next visit starts with HTTPS.
fn to_https() -> RedirectActionConfig {
    RedirectActionConfig::builder()
        .protocol("HTTPS")
        .port("443")
        .host("#{host}")
        .path("/#{path}")
        .query("#{query}")
        .status_code(RedirectActionStatusCodeEnum::Http301)
        .build()
}

/// An action in words; what AWS fills in by itself (`ForwardConfig`, `Order`) is left out.
fn told(action: Option<&Action>) -> String {
    let Some(action) = action else { return "none".to_owned() };
    if let Some(arn) = action.target_group_arn() {
        return format!("forward to {arn}");
    }
    if let Some(to) = action.redirect_config() {
        let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
        return format!(
            "{} to {}://{}:{}{}?{}",
            to.status_code().map_or("redirect", RedirectActionStatusCodeEnum::as_str),
            part(to.protocol()).to_lowercase(),
            part(to.host()),
            part(to.port()),
            part(to.path()),
            part(to.query()),
        );
    }
    action.r#type().map_or("unknown", ActionTypeEnum::as_str).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_fills_in_is_no_drift() {
        let ours = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn("tg");
        let theirs = ours.clone().order(1).forward_config(
            elb::ForwardActionConfig::builder()
                .target_groups(
                    elb::TargetGroupTuple::builder().target_group_arn("tg").weight(1).build(),
                )
                .build(),
        );
        assert_eq!(told(Some(&ours.build())), told(Some(&theirs.build())));
    }

    #[test]
    fn a_temporary_redirect_is_drift() {
        let ours = Action::builder().redirect_config(to_https()).build();
        let temporary = RedirectActionConfig::builder()
            .protocol("HTTPS")
            .port("443")
            .host("#{host}")
            .path("/#{path}")
            .query("#{query}")
            .status_code(RedirectActionStatusCodeEnum::Http302)
            .build();
        let theirs = Action::builder().redirect_config(temporary).build();
        assert_ne!(told(Some(&theirs)), told(Some(&ours)));
    }
}
