//! The command line: what can be asked for, and what is printed. Results go to standard output,
//! events and errors to standard error.

mod args;
mod offline;
mod show;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use meeting_probe::{Failure, Observer, Step, StepName};

use crate::advice::{Advice, next_step};
use crate::board::Status;
use crate::http::{Request, STATUS_PATH};
use crate::imds::Imds;
use crate::journal::Journal;
use crate::node::{Machine, Node};
use crate::system::Host;
use crate::{aws, config, doctor, install, run, service};

use args::{Args, Command};

/// Nothing to complain of.
const WELL: u8 = 0;
/// The command failed.
const FAILED: u8 = 1;
/// The command worked and what it looked at is not well; the deployer's `status` uses the same code.
const UNHEALTHY: u8 = 4;

/// The program.
pub async fn main() -> ExitCode {
    let args = Args::parse();
    let journal = Journal::install(args.verbose);
    match dispatch(args, journal).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!("{error:#}");
            if let Some(next) = next_step(&error) {
                tracing::error!("next: {next}");
            }
            ExitCode::from(FAILED)
        }
    }
}

async fn dispatch(args: Args, journal: Journal) -> Result<u8> {
    let machine = Machine {
        system: Box::new(Host::new(&args.root)),
        root: args.root,
        endpoints: args.endpoints.unwrap_or_default(),
    };
    let config = args.config.as_deref();
    match args.command {
        Command::Run => run::run(machine, config, journal).await.map(|()| WELL),
        Command::Enable => {
            service::enable(&*machine.system).await?;
            print("the agent starts now and at every boot")
        }
        Command::Install => {
            let system = Host::new(&machine.root);
            let installed = async { node(machine, config).await?.install().await }.await;
            install::leave_word(&system, installed.as_ref().err());
            print(if installed? { "installed" } else { "nothing to do" })
        }
        Command::Configure => {
            let outcome = node(machine, config).await?.converge(None).await?;
            print(&show::configured(&outcome))
        }
        Command::InstallSsmAgent => {
            let region = config::load(&*machine.system, config)?.region;
            let imds = Imds::of(&machine.root)?;
            let new = install::ensure_ssm_agent(&*machine.system, &region, &imds).await?;
            print(if new { "installed" } else { "nothing to do" })
        }
        Command::Status { json } => status(&machine, json).await,
        Command::Probe { json } => probe(&node(machine, config).await?, json).await,
        Command::Render { out } => {
            let written = offline::render(&machine, config, &out)?;
            print(&format!("{written} files in {}", out.display()))
        }
        Command::Doctor => {
            let (text, well) = doctor::examine(&node(machine, config).await?).await;
            print(&text)?;
            Ok(if well { WELL } else { UNHEALTHY })
        }
    }
}

/// This instance with its settings and secrets.
async fn node(machine: Machine, config: Option<&Path>) -> Result<Node> {
    let settings = config::load(&*machine.system, config)?;
    let identity = Imds::of(&machine.root)?.identity().await?;
    let sdk = aws::load(&settings.region).await?;
    let node = Node::new(machine, settings, sdk, identity);
    node.read_secrets().await?;
    Ok(node)
}

async fn status(machine: &Machine, json: bool) -> Result<u8> {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(3);
    let socket = machine.agent_socket();
    let answer =
        Request::get(socket.as_path(), STATUS_PATH).send(LIMIT).await.with_context(|| {
            let socket = socket.display();
            Advice::new(
                format!("asking the agent at {socket}"),
                "sudo systemctl status jitsi-agent",
            )
        })?;
    let text = answer.expect(200)?.body;
    let status: Status = serde_json::from_str(&text).context("the agent's answer")?;
    if json {
        print(&text)?
    } else {
        print(&show::status(&status))?
    };
    Ok(if status.ready { WELL } else { UNHEALTHY })
}

async fn probe(node: &Node, json: bool) -> Result<u8> {
    let prober = node.prober()?;
    let report = if json {
        prober.hold_meeting(&mut ()).await
    } else {
        prober.hold_meeting(&mut Steps).await
    };
    if json {
        print(&serde_json::to_string(&report)?)?;
    } else {
        print(&show::meeting(&report))?;
    }
    Ok(if report.held() { WELL } else { UNHEALTHY })
}

/// Prints each step when it ends.
struct Steps;

impl Observer for Steps {
    fn started(&mut self, _: StepName) {}

    fn finished(&mut self, step: &Step, failure: Option<&Failure>) {
        // A reader that went away is no reason to cut the meeting short.
        let _ = print(&show::step(step, failure));
    }
}

fn print(text: &str) -> Result<u8> {
    writeln!(std::io::stdout(), "{text}").context("writing to standard output")?;
    Ok(WELL)
}
