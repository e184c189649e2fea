//! What each command does, from arguments to exit code. Commands never call an SDK themselves.

mod completions;
mod confirm;
mod delete;
mod foreign;
mod ha_test;
mod init;
mod list;
mod plan;
mod preflight;
mod probe;
mod repair;
mod rights;
mod session;
mod setup;
mod stages;
mod unlock;
mod writing;

use std::{sync::mpsc, thread, time::Duration};

use anyhow::Result;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    args::{Args, Command, Global, Setup},
    aws::HttpClient,
    error::{Hinted, Report},
    exit::Exit,
    invocation::Invocation,
    ui::{self, Options, Ui},
    wait,
};

/// What a command works with.
#[derive(Clone)]
pub struct Env {
    /// Options of every command.
    pub global: Global,
    /// The printer.
    pub ui: Ui,
    /// The HTTP client under the SDK; the standard one when absent.
    pub http: Option<HttpClient>,
    /// True once the user asked to stop.
    pub stop: watch::Receiver<bool>,
}

/// Runs a command to its exit code, printing what goes wrong.
pub fn run(args: Args) -> u8 {
    let ui = Ui::new(Options {
        json: args.global.json,
        no_color: args.global.no_color,
        verbose: args.global.verbose,
        quiet: args.global.quiet,
    });
    Invocation::of(&args.global).remember();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.error(&Hinted::ours(format!("starting: {error}"), "").into());
            return ui.close(Exit::Failed.code());
        }
    };
    let result = runtime.block_on(async {
        tokio::spawn(speak(ui.clone()));
        let env = Env { global: args.global, ui: ui.clone(), http: None, stop: listen(ui.clone()) };
        Box::pin(dispatch(args.command, env)).await
    });
    let code = match result {
        Ok(exit) => exit.code(),
        Err(error) => {
            ui.error(&error);
            Report::of(&error).exit_code
        }
    };
    ui.close(code)
}

/// Lets the printer look at the clock, so that nobody waits in silence.
async fn speak(ui: Ui) {
    let mut ticks = wait::every(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        ui.tick();
    }
}

async fn dispatch(command: Command, env: Env) -> Result<Exit> {
    match command {
        Command::Init(options) => init::run(&env, options),
        Command::Setup { stage: None } => stages::run(&env).await,
        Command::Setup { stage: Some(Setup::Delete(options)) } => delete::run(&env, &options).await,
        Command::Setup { stage: Some(Setup::Repair) } => repair::run(&env).await,
        Command::Setup { stage: Some(Setup::Unlock) } => unlock::run(&env).await,
        Command::Setup { stage: Some(stage) } => setup::run(&env, &stage).await,
        Command::Plan { stage } => plan::run(&env, stage).await,
        Command::List => list::run(&env).await,
        Command::Probe(options) => probe::run(&env, &options).await,
        Command::HaTest(options) => ha_test::run(&env, &options).await,
        Command::Completions { shell } => completions::completions(&env, shell),
        Command::Man => completions::man(&env),
    }
}

/// What is said, as JSON too, when there is no time for more.
fn at_once(ui: &Ui) {
    let stopped = Hinted::stopped(
        "stopped at once; what AWS was asked for last may have been done",
        "run the same command again: it looks at what exists and goes on",
    );
    ui.error(&stopped.into());
    ui.close(Exit::Stopped.code());
}

/// First Ctrl-C, or SIGTERM as a CI server or systemd sends it: start nothing new, let what runs finish; at a
/// question, end. Second: stop.
fn listen(ui: Ui) -> watch::Receiver<bool> {
    let (tell, stop) = watch::channel(false);
    let (ready, listening) = mpsc::channel();
    // On a thread of its own, because a question keeps the main one waiting for its answer.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut interrupts) = signal(SignalKind::interrupt()) else { return };
            let Ok(mut terminations) = signal(SignalKind::terminate()) else { return };
            let _waited_for = ready.send(());
            while let Some(()) = tokio::select! {
                it = interrupts.recv() => it,
                it = terminations.recv() => it,
            } {
                ui.interrupted();
                if tell.send_replace(true) {
                    at_once(&ui);
                    ui::end_by_interrupt();
                }
                ui.say(
                    "stopping: letting calls under way finish; press Ctrl-C again to stop at once",
                );
            }
        });
    });
    // Nobody listens if that failed: then Ctrl-C ends the program as it ends any.
    let _nobody = listening.recv();
    stop
}
