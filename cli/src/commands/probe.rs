//! `probe`: hold a meeting from here, the user's whole way.

use std::time::Duration;

use anyhow::Result;
use jitsi_templates::settings::Authentication;
use meeting_probe::{Failure, Observer, Prober, Report, Step, StepName};

use super::{
    Env, Exit, preflight,
    session::{Role, Session},
};
use crate::{
    args,
    config::Config,
    error::Hinted,
    ui::{Mark, Ui, elapsed},
    visitor,
};

pub(super) async fn run(env: &Env, options: &args::Probe) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let open = config.jitsi.authentication == Authentication::Open;
    let mut target = if open || options.anonymous {
        visitor::stranger(&config)
    } else {
        let session = Session::open(env, &config, Role::Deployer).await?;
        visitor::target(&session.cx.aws, &config).await?
    };
    target.connect.clone_from(&options.connect_to);
    target.udp_blocked = options.udp_blocked;
    let prober = Prober::new(target)
        .map_err(|failure| Hinted::user(failure.to_string(), "check --connect-to HOST:PORT"))?;
    let report = prober.hold_meeting(&mut Narrator { ui: env.ui.clone() }).await;
    env.ui.document("probe", &report);
    env.ui.result(&verdict(&config, &report));
    Ok(if report.held() { Exit::Done } else { Exit::Unhealthy })
}

/// Says each step as it ends.
struct Narrator {
    ui: Ui,
}

impl Observer for Narrator {
    fn started(&mut self, _step: StepName) {}

    fn finished(&mut self, step: &Step, failure: Option<&Failure>) {
        let style = self.ui.style();
        let mark = style.mark(if failure.is_some() { Mark::Failed } else { Mark::Done });
        let took = elapsed(Duration::from_secs_f64(step.took_ms.max(0.0) / 1000.0));
        let line =
            format!(" {mark} {:<20} {}  {}", step.name.to_string(), step.detail, style.dim(&took));
        self.ui.say(&line);
    }
}

fn verdict(config: &Config, report: &Report) -> String {
    let took = elapsed(Duration::from_secs_f64(report.took_ms.max(0.0) / 1000.0));
    if report.held() {
        return format!("a meeting was held at https://{} in {took}", config.domain);
    }
    let reason = report.reason.as_deref().unwrap_or("the probe gave no reason");
    let mut text = format!("no meeting can be held at https://{}: {reason}", config.domain);
    if let Some(hint) = &report.hint {
        text.push_str("\n\nhint: ");
        text.push_str(hint);
    }
    text
}
