//! What can be asked for.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::health::Endpoints;

/// Makes an EC2 instance a Jitsi server, watches it and tells the truth about it
#[derive(Debug, Parser)]
#[command(name = "jitsi-agent", version, max_term_width = 100)]
pub(super) struct Args {
    /// Configuration file, TOML or JSON [default: /etc/jitsi-agent/config.json, then config.toml]
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,

    /// Show more of what is going on
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,

    /// Where the machine's files begin; for tests
    #[arg(long, global = true, hide = true, default_value = "/", value_name = "DIR")]
    pub(super) root: PathBuf,

    /// Where services listen, as JSON; for tests
    #[arg(long, global = true, hide = true, value_parser = endpoints, value_name = "JSON")]
    pub(super) endpoints: Option<Endpoints>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Install, configure, watch and drain this instance: the service
    Run,
    /// Start the agent now and at every boot: writes its systemd unit
    Enable,
    /// Install what is missing
    Install,
    /// Install Systems Manager's own agent where the image lacks it, checked by AWS's signature
    InstallSsmAgent,
    /// Render all files, validate them, restart who must know
    Configure,
    /// Show what the running agent knows (exit code 4: not ready)
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hold a meeting now and show each step (exit code 4: none could be held)
    Probe {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write every file of this configuration below a folder, with made-up secrets and addresses
    Render {
        /// The folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Examine this instance and say what to do about what is wrong (exit code 4: something is)
    Doctor,
}

fn endpoints(text: &str) -> Result<Endpoints, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
