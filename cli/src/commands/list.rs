//! `list`: every deployment of the account and region, whatever `jitsi.toml` says.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Env, Exit, preflight,
    session::{Look, excused},
};
use crate::{
    config::Region,
    deployments::{self, Deployment, Deployments},
    error::Hinted,
    invocation::in_region,
    ui::table,
};

pub(super) async fn run(env: &Env) -> Result<Exit> {
    let config =
        if env.global.config.exists() { Some(preflight::load(env, &[]).await?) } else { None };
    let region = match &config {
        Some(config) => config.region.as_str().to_owned(),
        None => region(env)?,
    };
    let look = Look::open(env, config.as_deref(), &region).await?;
    let found = excused(env, &look.recent, || deployments::find(&look.aws, &region)).await?;
    let account = &look.caller.account;
    let mut result = document(&found);
    result["account"] = json!(account);
    result["region"] = json!(region);
    env.ui.document("list", &result);
    if found.deployments.is_empty() {
        env.ui.result(&format!("no deployment in {region} of account {account}"));
    }
    if !found.is_empty() {
        env.ui.result(&text(&found, &region));
    }
    if !found.iam_seen {
        env.ui.say(
            "these credentials may not ask IAM, which alone knows of deployments in other regions",
        );
    }
    Ok(Exit::Done)
}

/// A region that everybody has.
const EXAMPLE: &str = "eu-central-1";

fn region(env: &Env) -> Result<String> {
    let given = env.global.region.clone();
    let given =
        given.or_else(|| std::env::var("AWS_REGION").ok().filter(|region| !region.is_empty()));
    let Some(given) = given else {
        return Err(Hinted::user(
            format!("no region is named, and there is no {}", env.global.config.display()),
            format!("name one: `{}`", in_region("list", EXAMPLE)),
        )
        .into());
    };
    match Region::parse(&given) {
        Ok(region) => Ok(region.as_str().to_owned()),
        Err(why) => {
            let hint = format!("name another: `{}`", in_region("list", EXAMPLE));
            Err(Hinted::user(format!("the region \"{given}\" {why}"), hint).into())
        }
    }
}

/// What was found, as JSON.
pub(super) fn document(found: &Deployments) -> Value {
    json!(found)
}

/// What was found, for a person: a line for each.
pub(super) fn text(found: &Deployments, region: &str) -> String {
    let since = |since: &Option<String>| {
        let day = since.as_deref().and_then(|since| since.get(..10));
        day.map(|day| format!("since {day}")).unwrap_or_default()
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for one in &found.deployments {
        let domain = one.domain.clone().unwrap_or_else(|| "no domain known".to_owned());
        let count = match one.tagged {
            1 => "1 thing has its tag".to_owned(),
            many => format!("{many} things have its tag"),
        };
        rows.push(vec![
            format!(" {}", one.name),
            region.to_owned(),
            domain,
            since(&one.since),
            count,
            instances(one),
        ]);
    }
    for other in &found.elsewhere {
        rows.push(vec![
            format!(" {}", other.name),
            other.region.clone(),
            String::new(),
            since(&other.since),
            String::new(),
            format!("more: `{}`", in_region("list", &other.region)),
        ]);
    }
    table(&rows)
}

fn instances(deployment: &Deployment) -> String {
    let instances = deployment.instances.iter().map(|instance| {
        format!("{} {} {} {}", instance.id, instance.zone, instance.state, instance.health)
    });
    let instances: Vec<String> = instances.collect();
    if instances.is_empty() { "no instance".to_owned() } else { instances.join(", ") }
}
