//! Secrets that outlive an instance: the token signing secret and people's accounts, `SecureString`
//! parameters of SSM.

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use jitsi_templates::Secret;
use jitsi_templates::settings::{Authentication, InstanceSettings};

use crate::advice::Advice;
use crate::aws;
use crate::configure::Account;

/// What the site's way of authentication keeps in SSM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The token signing secret.
    pub token: Option<Secret>,
    /// People's accounts.
    pub people: Vec<Account>,
    /// Parameters that are nobody's account, and why: they keep nobody else out.
    pub skipped: Vec<String>,
}

/// Reads what `settings` calls for; nothing in an open site.
pub async fn read(config: &SdkConfig, settings: &InstanceSettings) -> Result<Kept> {
    match &settings.jitsi.authentication {
        Authentication::Open => Ok(Kept::default()),
        Authentication::Jwt { secret_parameter, .. } => {
            let token = parameter(&Client::new(config), secret_parameter).await?;
            Ok(Kept { token: Some(token), ..Kept::default() })
        }
        Authentication::SecureDomain { users_path } => {
            let domain = settings.domain.as_str();
            users(&Client::new(config), users_path, domain).await
        }
    }
}

async fn parameter(client: &Client, name: &str) -> Result<Secret> {
    let answer = client.get_parameter().name(name).with_decryption(true).send().await;
    let value = answer
        .map_err(aws::service)
        .with_context(|| {
            Advice::new(
                format!("reading SSM parameter `{name}`"),
                format!("aws ssm put-parameter --type SecureString --name {name} --value …"),
            )
        })?
        .parameter
        .and_then(|parameter| parameter.value)
        .ok_or_else(|| anyhow!("SSM parameter `{name}` has no value"))?;
    Ok(Secret::new(value))
}

async fn users(client: &Client, path: &str, domain: &str) -> Result<Kept> {
    let request = client.get_parameters_by_path().path(path).recursive(true).with_decryption(true);
    let mut pages = request.into_paginator().send();
    let mut kept = Kept::default();
    while let Some(page) = pages.next().await {
        let page = page.map_err(aws::service).with_context(|| {
            Advice::new(
                format!("reading SSM parameters below `{path}`"),
                format!("aws ssm get-parameters-by-path --path {path}"),
            )
        })?;
        for parameter in page.parameters.unwrap_or_default() {
            let name = parameter.name.unwrap_or_default();
            match account(&name, parameter.value.unwrap_or_default(), domain) {
                Ok(account) => kept.people.push(account),
                Err(error) => {
                    tracing::warn!("skipped: {error:#}");
                    kept.skipped.push(format!("{error:#}"));
                }
            }
        }
    }
    if kept.people.is_empty() {
        tracing::warn!("no user below `{path}` in SSM: nobody can start a meeting");
    }
    // Any order would do, but the same one each time, or the accounts would seem to change.
    kept.people.sort_by(|a, b| a.jid.cmp(&b.jid));
    Ok(kept)
}

fn account(name: &str, password: String, domain: &str) -> Result<Account> {
    let user = user(name)?;
    ensure!(!password.is_empty(), "SSM parameter `{name}` is empty");
    Ok(Account { jid: format!("{user}@{domain}"), password: Secret::new(password) })
}

/// The last part of the parameter's name; Prosody knows accounts in lower case only.
fn user(name: &str) -> Result<String> {
    let user = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let reserved = ["probe", "focus", "jvb"].contains(&user.as_str());
    ensure!(
        !user.is_empty() && !reserved,
        "SSM parameter `{name}`: `{user}` cannot be a user's name"
    );
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_the_last_part_in_lower_case() {
        assert_eq!(user("/jitsi/team/users/Ann.Lee").unwrap(), "ann.lee");
        assert!(user("/jitsi/users/").is_err());
        assert!(user("/jitsi/users/Probe").is_err());
        let ann = account("/jitsi/users/ann", "x".to_owned(), "meet.example.org").unwrap();
        assert_eq!(ann.jid, "ann@meet.example.org");
        assert!(account("/jitsi/users/ann", String::new(), "meet.example.org").is_err());
    }
}
