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
}

/// Reads what `settings` calls for; nothing in an open site.
pub async fn read(config: &SdkConfig, settings: &InstanceSettings) -> Result<Kept> {
    match &settings.jitsi.authentication {
        Authentication::Open => Ok(Kept::default()),
        Authentication::Jwt { secret_parameter, .. } => {
            let token = parameter(&Client::new(config), secret_parameter).await?;
            Ok(Kept { token: Some(token), people: Vec::new() })
        }
        Authentication::SecureDomain { users_path } => {
            let domain = settings.domain.as_str();
            let people = users(&Client::new(config), users_path, domain).await?;
            Ok(Kept { token: None, people })
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

async fn users(client: &Client, path: &str, domain: &str) -> Result<Vec<Account>> {
    let request = client.get_parameters_by_path().path(path).recursive(true).with_decryption(true);
    let mut pages = request.into_paginator().send();
    let mut people = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(aws::service).with_context(|| {
            Advice::new(
                format!("reading SSM parameters below `{path}`"),
                format!("aws ssm get-parameters-by-path --path {path}"),
            )
        })?;
        for parameter in page.parameters.unwrap_or_default() {
            let name = parameter.name.unwrap_or_default();
            let user = user(&name)?;
            let password = parameter.value.unwrap_or_default();
            ensure!(!password.is_empty(), "SSM parameter `{name}` is empty");
            people
                .push(Account { jid: format!("{user}@{domain}"), password: Secret::new(password) });
        }
    }
    if people.is_empty() {
        tracing::warn!("no user below `{path}` in SSM: nobody can start a meeting");
    }
    // Any order would do, but the same one each time, or the accounts would seem to change.
    people.sort_by(|a, b| a.jid.cmp(&b.jid));
    Ok(people)
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
    }
}
