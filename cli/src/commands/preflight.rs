//! What is checked before the first call to AWS: the configuration, and the files a command needs.

use std::{sync::Arc, time::SystemTime};

use anyhow::Result;
use jitsi_http::NoAuthorities;

use super::{Env, confirm};
use crate::{
    config::{self, Config, Files, Invalid, Loaded, Overrides},
    engine::Stage,
    error::Hinted,
    invocation,
    resources::agent_file::AgentFile,
};

const REGION_VARIABLE: &str = "AWS_REGION";

/// Loads the configuration and looks at the files `stages` will need: all problems at once.
pub(super) async fn load(env: &Env, stages: &[Stage]) -> Result<Arc<Config>> {
    let readable = jitsi_http::check_authorities_file();
    readable.map_err(|none| Hinted::user(none.to_string(), NoAuthorities::HINT))?;
    let files = Files {
        certificate: stages.contains(&Stage::Lb).then(SystemTime::now),
        agent: stages.contains(&Stage::Instances),
    };
    let overrides = Overrides::default()
        .default_to("deployment", "region", REGION_VARIABLE, std::env::var(REGION_VARIABLE).ok())
        .set("deployment", "region", "--region", env.global.region.clone());
    let Loaded { config, warnings, stood_in, .. } =
        config::load(&env.global.config, &overrides, files).map_err(refuse)?;
    confirm::refuse_other_name(env, config.name.as_str())?;
    if env.global.region.is_none() && stood_in.contains(&REGION_VARIABLE) {
        invocation::region_is(config.region.as_str());
    }
    for warning in warnings {
        env.ui.warn(&warning.to_string());
    }
    if files.agent {
        AgentFile::read(&config).await?;
    }
    Ok(Arc::new(config))
}

fn refuse(invalid: Invalid) -> anyhow::Error {
    let problems: Vec<String> = invalid.problems.iter().map(ToString::to_string).collect();
    Hinted::user(invalid.to_string(), invalid.hint).with(problems).into()
}
