//! `probe`: hold a meeting from here, the user's whole way.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use jitsi_templates::settings::Authentication;
use meeting_probe::{Failure, Observer, Prober, Report, Step, StepName};

use super::{
    Env, Exit, preflight,
    session::{Role, Session},
    writing,
};
use crate::{
    args,
    config::Config,
    engine::{self, Stage},
    error::Hinted,
    invocation::command,
    resources::load_balancer,
    site_record::SiteRecord,
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
        writing::say_who_is_at_work(env, &session).await?;
        visitor::target(&session.cx.aws, &config).await?
    };
    target.connect.clone_from(&options.connect_to);
    target.udp_blocked = options.udp_blocked;
    let prober = Prober::new(target)
        .map_err(|failure| Hinted::user(failure.to_string(), "check --connect-to HOST:PORT"))?;
    let mut report = prober.hold_meeting(&mut Narrator { ui: env.ui.clone() }).await;
    if report.failed_step == Some(StepName::Resolve) && options.connect_to.is_some() {
        report.hint = Some("the host of --connect-to is unknown: check its spelling".to_owned());
    } else if report.failed_step == Some(StepName::Resolve) {
        let address = address(env, &config).await;
        report.hint = Some(before_dns(&config, address.as_deref()));
    }
    env.ui.document("probe", &report);
    env.ui.result(&verdict(&config, &report));
    Ok(if report.held() { Exit::Done } else { Exit::Unhealthy })
}

/// The load balancer's name in the DNS; `None` when it cannot be learned, for whatever reason: the probe
/// itself takes no credentials.
async fn address(env: &Env, config: &Arc<Config>) -> Option<String> {
    let session = Session::open(env, config, Role::Deployer).await.ok()?;
    engine::plan(&session.catalog, &[Stage::Lb], &session.cx).await.ok()?;
    load_balancer::dns_name(&session.cx).await.ok()
}

/// What to do where the DNS knows nothing of the domain.
fn before_dns(config: &Config, address: Option<&str>) -> String {
    let Some(address) = address else {
        let setup = command("setup lb");
        return format!(
            "the DNS does not know the domain (yet); `{setup}` prints the record it needs"
        );
    };
    let record = SiteRecord::new(config, address);
    let create = if record.by_hand() { "create this DNS record" } else { "the DNS record is" };
    let remark = record.remark().map(|remark| format!("{remark}\n")).unwrap_or_default();
    let probe = command(&format!("probe --connect-to {address}:443"));
    format!("{create}:\n{}\n{remark}until it is known everywhere: `{probe}`", record.line())
}

/// Says each step as it ends.
struct Narrator {
    ui: Ui,
}

impl Observer for Narrator {
    fn started(&mut self, _step: StepName) {}

    fn finished(&mut self, step: &Step, failure: Option<&Failure>) {
        let style = self.ui.progress_style();
        let mark = style.mark(if failure.is_some() { Mark::Failed } else { Mark::Done });
        let took = elapsed(Duration::from_secs_f64(step.took_ms.max(0.0) / 1000.0));
        let line =
            format!(" {mark} {:<20} {}  {}", step.name.to_string(), step.detail, style.dim(&took));
        self.ui.remark(&line);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Files, Overrides, load};

    #[test]
    fn before_the_dns_knows_it_the_record_and_a_way_round_are_offered() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "[deployment]\nname = \"jitsi\"\nregion = \"eu-central-1\"\n[site]\n\
                    domain = \"meet.example.org\"\n[certificate]\nmode = \"request\"\n";
        std::fs::write(file.path(), text).unwrap();
        let config = load(file.path(), &Overrides::default(), Files::default()).unwrap().config;
        let told = before_dns(&config, Some("jitsi-1.elb.amazonaws.com"));
        assert!(told.contains("\nmeet.example.org. CNAME jitsi-1.elb.amazonaws.com.\n"), "{told}");
        assert!(told.contains("probe --connect-to jitsi-1.elb.amazonaws.com:443`"), "{told}");
        assert!(before_dns(&config, None).contains("`jitsi-aws setup lb` prints the record"));
    }
}
