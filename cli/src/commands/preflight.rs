//! What is checked before the first call to AWS: the configuration, and the files a command needs.

use std::{sync::Arc, time::SystemTime};

use anyhow::Result;

use super::Env;
use crate::{
    config::{self, Config, Files, Invalid, Loaded, Overrides},
    engine::Stage,
    error::Hinted,
    resources::agent_file::AgentFile,
};

/// Loads the configuration and looks at the files `stages` will need: all problems at once.
pub(super) async fn load(env: &Env, stages: &[Stage]) -> Result<Arc<Config>> {
    let files = Files {
        certificate: stages.contains(&Stage::Lb).then(SystemTime::now),
        agent: stages.contains(&Stage::Instances),
    };
    let overrides = Overrides::default()
        .default_to("deployment", "region", "AWS_REGION", std::env::var("AWS_REGION").ok())
        .set("deployment", "region", "--region", env.global.region.clone());
    let Loaded { config, warnings, .. } =
        config::load(&env.global.config, &overrides, files).map_err(refuse)?;
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
