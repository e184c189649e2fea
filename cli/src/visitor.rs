//! The site as a visitor from outside meets it. Where a meeting takes a token or an account, the
//! probe uses what the site itself is checked against: the SSM parameters, read with the rights of
//! whoever runs it, and never shown.

use anyhow::{Result, anyhow};
use aws_sdk_ssm::types::Parameter;
use jitsi_templates::settings::Authentication;
use meeting_probe::{Auth, Depth, Secret, Target};

use crate::{
    aws::{Answer, Aws, AwsError},
    config::Config,
    error::Hinted,
    invocation::{as_admin, aws_cli, command},
};

// SSM's way of saying that there is no such parameter (API reference, `GetParameter`).
const ABSENT: &[&str] = &["ParameterNotFound"];

/// The site for somebody with neither token nor account.
pub fn stranger(config: &Config) -> Target {
    Target { depth: Depth::Heard, ..Target::new(config.domain.as_str()) }
}

/// The site for somebody who may start a meeting there.
pub async fn target(aws: &Aws, config: &Config) -> Result<Target> {
    let mut target = stranger(config);
    target.auth = match &config.jitsi.authentication {
        Authentication::Open => Auth::Anonymous,
        Authentication::Jwt { app_id, secret_parameter } => Auth::Token {
            app_id: app_id.clone(),
            app_secret: secret(aws, config, secret_parameter).await?,
        },
        Authentication::SecureDomain { users_path } => account(aws, config, users_path).await?,
    };
    Ok(target)
}

async fn secret(aws: &Aws, config: &Config, name: &str) -> Result<Secret> {
    let answer = aws.ssm.get_parameter().name(name).with_decryption(true).send().await;
    let answer = answer.unless(ABSENT, reading(name)).map_err(|error| untried(error, name))?;
    let parameter = answer.and_then(|answer| answer.parameter);
    Ok(parameter.and_then(value).ok_or_else(|| missing(config, name))?.1)
}

/// The first account by name: which one makes no difference to the site.
async fn account(aws: &Aws, config: &Config, path: &str) -> Result<Auth> {
    let pages = aws.ssm.get_parameters_by_path().path(path).recursive(true).with_decryption(true);
    let pages = pages.into_paginator().send().try_collect().await;
    let pages = pages.doing(reading(path)).map_err(|error| untried(error, path))?;
    let found = pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default());
    let first = found.filter_map(value).min_by(|one, other| one.0.cmp(&other.0));
    let (name, password) = first.ok_or_else(|| missing(config, &format!("{path}/USER")))?;
    // As the agent names accounts: the last part, in lower case.
    let username = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    Ok(Auth::Account { username, password })
}

fn value(parameter: Parameter) -> Option<(String, Secret)> {
    let value = parameter.value.filter(|value| !value.is_empty())?;
    Some((parameter.name.unwrap_or_default(), Secret::new(value)))
}

fn reading(name: &str) -> String {
    format!("reading SSM parameter `{name}`")
}

/// Says what was not checked, and keeps AWS's own words as the cause.
fn untried(error: AwsError, name: &str) -> anyhow::Error {
    anyhow!(error).context(Hinted::user(
        "no meeting was tried: it takes what only SSM knows",
        format!(
            "use credentials that may read `{name}` (`--profile NAME`; `{}` lets \
             the deployer), or see what a stranger meets: `{}`",
            as_admin("setup iam"),
            command("probe --anonymous")
        ),
    ))
}

fn missing(config: &Config, name: &str) -> Hinted {
    let put = format!("ssm put-parameter --type SecureString --name {name} --value file://FILE");
    Hinted::user(
        format!("no meeting was tried: SSM parameter `{name}` does not exist or is empty"),
        format!("put it there: `{}`", aws_cli(&put, config.region.as_str(), None)),
    )
}
