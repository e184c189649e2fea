//! The lists of files the agent owns.

use crate::{InstallContext, OwnedFile, Result, SiteContext};

/// The files that must be there before the packages are installed: apt sources, pins, the
/// exclusion from unattended upgrades, the debconf answers.
pub fn render_install(_context: &InstallContext<'_>) -> Result<Vec<OwnedFile>> {
    Ok(Vec::new())
}

/// The files that make the installed packages one site, in the order they are written.
/// Fails when a required Prosody module is missing or the memory is too small.
pub fn render_site(_context: &SiteContext<'_>) -> Result<Vec<OwnedFile>> {
    Ok(Vec::new())
}
