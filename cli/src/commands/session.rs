//! Who a command works as, and the context it works in.

use std::sync::Arc;

use anyhow::Result;

use super::Env;
use crate::{
    aws::{AwsError, Caller, Calls, Credentials, Fate, connect},
    catalog::catalog,
    config::Config,
    cx::Cx,
    engine::Entry,
    error::Hinted,
    local::CredentialsFile,
    names::Names,
};

/// Whose rights a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Those of the account's administrator: whatever the environment or `--profile` gives.
    Admin,
    /// Those of the deployer that `setup iam` made, when its profile is there.
    Deployer,
}

/// An open connection to one deployment.
pub(super) struct Session {
    /// What the resources are given.
    pub cx: Cx,
    /// The deployment's resources.
    pub catalog: Vec<Entry>,
    /// Who AWS says we are.
    pub caller: Caller,
    /// Whose credentials these are.
    pub credentials: Credentials,
}

impl Session {
    /// Connects and asks AWS who we are, which also proves that the credentials work.
    pub(super) async fn open(env: &Env, config: &Arc<Config>, role: Role) -> Result<Self> {
        let credentials = choose(env, config, role)?;
        let region = config.region.as_str();
        let ui = env.ui.clone();
        let calls = Calls::telling(move |call| ui.call(call));
        let aws = connect(&credentials, region, env.http.clone(), calls).await?;
        let caller = aws.caller().await.map_err(|error| unusable(error, &credentials))?;
        let names = Names::new(config.name.as_str(), region, &caller.account);
        let ui = env.ui.clone();
        let listener = Arc::new(move |event| ui.event(event));
        let cx = Cx::new(aws, Arc::clone(config), names, listener, env.stop.clone());
        Ok(Self { catalog: catalog(config), cx, caller, credentials })
    }

    /// Whether these are the deployer's own credentials, who may not touch the IAM part.
    pub(super) fn is_deployer(&self) -> bool {
        self.caller.arn == self.cx.names.iam_arn("user", &self.cx.names.deployer_user())
    }

    /// The caller as a person knows it: `jitsi-deployer (profile jitsi-aws-jitsi)`.
    pub(super) fn who(&self) -> String {
        let name = self.caller.arn.rsplit(['/', ':']).next().unwrap_or_default();
        match &self.credentials {
            Credentials::Profile(profile) => format!("{name} (profile {profile})"),
            Credentials::Ambient => format!("{name} (credentials of the environment)"),
        }
    }
}

/// Nothing was sent with a named profile: it is the profile that is at fault, not the chain.
fn unusable(error: anyhow::Error, credentials: &Credentials) -> anyhow::Error {
    let unsent = error.downcast_ref::<AwsError>().is_some_and(|error| error.fate == Fate::NotSent);
    match credentials {
        Credentials::Profile(profile) if unsent => error.context(Hinted::user(
            format!("the profile `{profile}` gives no credentials"),
            "see which there are with `aws configure list-profiles`",
        )),
        _ => error,
    }
}

/// `--profile` beats everything; the deployer's own profile beats the environment, which is the admin's.
fn choose(env: &Env, config: &Config, role: Role) -> Result<Credentials> {
    if let Some(profile) = &env.global.profile {
        return Ok(Credentials::Profile(profile.clone()));
    }
    let profile = Names::new(config.name.as_str(), config.region.as_str(), "").profile();
    if role == Role::Deployer && CredentialsFile::standard()?.read(&profile)?.is_some() {
        return Ok(Credentials::Profile(profile));
    }
    Ok(Credentials::Ambient)
}
