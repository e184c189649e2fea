//! Who a command works as, and the context it works in.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::time::Instant;

use super::{Env, rights::Rights};
use crate::{
    aws::{Aws, AwsError, Caller, Calls, Credentials, Fate, connect, endpoints_by_hand},
    catalog::catalog,
    config::Config,
    cx::Cx,
    engine::Entry,
    error::{Hinted, SIGN_IN},
    invocation::{as_admin, as_deployer, aws_anywhere, command, deploys_to, with_other_profile},
    local::{self, CredentialsFile},
    names::Names,
    partition::PARTITIONS,
    recent::Recent,
    wait,
};

// Between two tries with a key that is new.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

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
    /// How the deployer's rights differ from those it needs, once that was looked at.
    pub rights: Rights,
    role: Role,
}

impl Session {
    /// Connects and asks AWS who we are, which also proves that the credentials work.
    pub(super) async fn open(env: &Env, config: &Arc<Config>, role: Role) -> Result<Self> {
        let credentials = choose(env, config, role)?;
        let region = config.region.as_str();
        let Look { aws, caller, recent } = look(env, &credentials, region, recent(config)).await?;
        if role == Role::Admin {
            refuse_without_iam(&aws, &caller).await?;
        }
        let names = Names::new(config.name.as_str(), region, &caller.account);
        env.ui.busy(&format!("looking for what exists in {region}"));
        let ui = env.ui.clone();
        let listener = Arc::new(move |event| ui.event(event));
        let mut cx = Cx::new(aws, Arc::clone(config), names, listener, env.stop.clone());
        cx.recent = recent;
        if let Credentials::Profile(profile) = &credentials {
            cx.profile = Some(profile.clone());
        }
        let rights = Rights::default();
        Ok(Self { catalog: catalog(config), cx, caller, credentials, rights, role })
    }

    /// Says what to do about a right that is missing. The deployer's come with `setup iam`; nobody else's
    /// do, least of all those `setup iam` itself takes. `words` are those of the command.
    pub(super) fn explain(&self, error: anyhow::Error, words: &str) -> anyhow::Error {
        let action = match error.downcast_ref::<AwsError>() {
            Some(aws) if aws.is_denied() && !aws.is_denied_explicitly() => aws.denied_action(),
            _ => return error,
        };
        if error.is::<Hinted>() {
            return error;
        }
        if self.is_deployer() {
            if self.rights.are_right() {
                return error;
            }
            let hint = format!("run `{}`, then `{}`", as_admin("setup iam"), command(words));
            let what = format!("the deployer's rights are not those it needs: {}", self.rights);
            return error.context(Hinted::user(what, hint));
        }
        let allow = action.map(|action| format!(" or have {action} allowed")).unwrap_or_default();
        let hint = match self.role {
            Role::Admin => format!(
                "use an administrator's credentials, for example `{}`,{allow}",
                with_other_profile(words)
            ),
            Role::Deployer => format!(
                "use the deployer's credentials, which `{}` makes: `{}`,{allow}",
                as_admin("setup iam"),
                as_deployer(words)
            ),
        };
        let hint = hint.trim_end_matches(',').to_owned();
        error.context(Hinted::user(format!("{} may not do that", self.who()), hint))
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

/// What `setup iam` lately changed, by the deployer's profile. One that cannot be read is told of
/// where it is needed.
fn recent(config: &Config) -> Recent {
    let name = Names::new(config.name.as_str(), config.region.as_str(), "").profile();
    let profile = CredentialsFile::standard().and_then(|file| file.read(&name));
    Recent::new(profile.ok().flatten().and_then(|profile| profile.age()))
}

/// A look without a configuration, or with that alone.
pub(super) struct Look {
    /// The clients.
    pub aws: Aws,
    /// Who AWS says we are.
    pub caller: Caller,
    /// What AWS may not know everywhere yet.
    pub recent: Recent,
}

impl Look {
    /// Connects to `region`, as the deployer of `config` where there is one.
    pub(super) async fn open(env: &Env, config: Option<&Config>, region: &str) -> Result<Self> {
        let credentials = match (config, &env.global.profile) {
            (Some(config), _) => choose(env, config, Role::Deployer)?,
            (None, Some(profile)) => Credentials::Profile(profile.clone()),
            (None, None) => Credentials::Ambient,
        };
        look(env, &credentials, region, config.map_or_else(Recent::default, recent)).await
    }
}

/// Connects, and asks AWS who we are.
async fn look(env: &Env, credentials: &Credentials, region: &str, recent: Recent) -> Result<Look> {
    deploys_to(region);
    let ui = env.ui.clone();
    let calls = Calls::telling(move |call| ui.call(call));
    let aws = connect(credentials, region, env.http.clone(), calls).await?;
    env.ui.busy("asking AWS who we are");
    let caller = excused(env, &recent, || aws.caller()).await;
    let caller = caller.map_err(|error| unusable(error, credentials));
    let caller = caller.map_err(|error| no_such_region(error, region))?;
    Ok(Look { aws, caller, recent })
}

/// Repeats a look while AWS may merely not know yet what `setup iam` made lately.
pub(super) async fn excused<T, F>(
    env: &Env,
    recent: &Recent,
    mut look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let start = Instant::now();
    loop {
        match look().await {
            Err(error) => {
                let new = error
                    .downcast_ref::<AwsError>()
                    .is_some_and(|error| recent.excuses(error, start));
                if !new || *env.stop.borrow() {
                    return Err(error);
                }
                wait::pause(PAUSE).await;
            }
            seen => return seen,
        }
    }
}

/// Session credentials that were made without MFA cannot call IAM, nor can those of a federated user
/// (`GetSessionToken`, `GetFederationToken`). Told before anything else is made with them.
async fn refuse_without_iam(aws: &Aws, caller: &Caller) -> Result<()> {
    let of_user = [":user/", ":federated-user/"].iter().any(|kind| caller.arn.contains(kind));
    if !of_user || !aws.in_session().await {
        return Ok(());
    }
    match aws.calls_iam().await {
        Err(error) if error.is(&["InvalidClientTokenId"]) => Err(anyhow::Error::from(error)
            .context(Hinted::user(
                format!("the session of {} may not call IAM: it was begun without MFA", caller.arn),
                SIGN_IN,
            ))),
        // Whether it is allowed to is asked where it counts.
        _ => Ok(()),
    }
}

/// Nothing was sent: which variable or file is at fault, where that can be seen.
fn unusable(error: anyhow::Error, credentials: &Credentials) -> anyhow::Error {
    let unsent = error.downcast_ref::<AwsError>().filter(|error| error.fate == Fate::NotSent);
    let Some(unsent) = unsent else { return error };
    let named = match credentials {
        Credentials::Profile(profile) => Some(profile.as_str()),
        Credentials::Ambient => None,
    };
    if let Some(local::Fault { what, hint }) = local::credential_fault(named, &unsent.message) {
        return Hinted::user(format!("no credentials: {what}"), hint).into();
    }
    match credentials {
        Credentials::Profile(profile) => error.context(Hinted::user(
            format!("the profile `{profile}` gives no credentials"),
            format!(
                "see which there are with `aws configure list-profiles`; if it asks for an MFA code, {SIGN_IN}"
            ),
        )),
        Credentials::Ambient => error,
    }
}

/// Nothing answers for a region that nobody has heard of: its services have no names in the DNS.
fn no_such_region(error: anyhow::Error, region: &str) -> anyhow::Error {
    let unanswered = error
        .downcast_ref::<AwsError>()
        .is_some_and(|error| error.code.is_empty() && error.fate == Fate::Unknown);
    let known = PARTITIONS.iter().any(|partition| partition.regions.contains(&region));
    // What is given by hand answers for every region, or for none.
    if !unanswered || known || !endpoints_by_hand().is_empty() {
        return error;
    }
    error.context(Hinted::user(
        format!("nothing answers for the region `{region}`, which this version does not know"),
        format!(
            "set [deployment] region in jitsi.toml to one of `{}`",
            aws_anywhere("account list-regions")
        ),
    ))
}

/// `--profile` beats everything; the deployer's own profile beats the environment, which is the admin's.
fn choose(env: &Env, config: &Config, role: Role) -> Result<Credentials> {
    if let Some(profile) = &env.global.profile {
        return Ok(Credentials::Profile(profile.clone()));
    }
    let names = Names::new(config.name.as_str(), config.region.as_str(), "");
    let profile = names.profile();
    let kept = CredentialsFile::standard()?.read(&profile)?;
    // One of the same name may belong to a deployment in another region.
    let usable =
        kept.is_some_and(|kept| kept.region().is_none_or(|region| region == names.region()));
    if role == Role::Deployer && usable {
        return Ok(Credentials::Profile(profile));
    }
    Ok(Credentials::Ambient)
}
