//! `completions` and `man`: made from the same definition as `--help`.

use anyhow::{Context, Result};
use clap_complete::Shell;

use super::{Env, Exit};
use crate::args::Args;

pub(super) fn completions(env: &Env, shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::definition(), "jitsi-aws", &mut script);
    env.ui.raw(&script);
    Exit::Done
}

/// One page: the command, then each of its commands.
pub(super) fn man(env: &Env) -> Result<Exit> {
    let mut page = Vec::new();
    let definition = Args::definition().flatten_help(true);
    clap_mangen::Man::new(definition).render(&mut page).context("rendering the manual page")?;
    env.ui.raw(&page);
    Ok(Exit::Done)
}
