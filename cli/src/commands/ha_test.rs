//! `ha-test`: harm the deployment on purpose and see how long nobody can meet.

use std::{path::Path, time::SystemTime};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::{
    Env, Exit,
    confirm::{self, Question, Yes},
    preflight,
    session::{Role, Session},
    writing,
};
use crate::{
    args,
    config::Config,
    ha_test::{
        self, Event, Ways,
        course::{Notice, Plan},
        deployment::{Deployment, Usage},
        files,
        harm::{Harm, Victim},
        mail::Maildir,
        milestone::Tone,
        report::{Line, Report},
    },
    invocation::command,
    ui::{Ui, elapsed},
    visitor,
};

pub(super) async fn run(env: &Env, options: &args::HaTest) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let page = files::page_path(&options.report, SystemTime::now())?;
    let maildir = match &options.maildir {
        Some(path) => Some(Maildir::open(path).await?),
        None => None,
    };
    let session = Session::open(env, &config, Role::Deployer).await?;
    let mut target = visitor::target(&session.cx.aws, &config).await?;
    target.connect.clone_from(&options.connect_to);
    let deployment = Box::pin(Deployment::find(&session.cx, &session.catalog)).await?;
    let plan = Plan {
        harm: options.harm(),
        victim: deployment.victim.clone(),
        within: options.within,
        notice: notice(options),
    };
    let ways = Ways::new(target, maildir)?;
    ways.check().await?;
    confirm(env, options, &config, &deployment, &plan)?;

    let ui = env.ui.clone();
    let tell = |event: Event<'_>| match event {
        Event::Happened(line) => happened(&ui, line),
        Event::Waiting(what) => ui.watching(&what),
    };
    // Not gated by it: what was harmed must be taken back, whosever turn it is.
    let lease = writing::begin(env, &session, Role::Deployer, "ha-test", false).await?;
    let result = Box::pin(ha_test::run(&session.cx, &deployment, plan, ways, tell)).await;
    let (report, ended) = writing::end(env, Some(lease), result).await?;
    files::write(&report, &page).await?;
    env.ui.document("ha-test", &Document { report: &report, page: &page });
    env.ui.result(&format!("{}\nreport: {}", report.text(env.ui.style()), page.display()));
    ended?;
    if report.passed {
        return Ok(Exit::Done);
    }
    env.ui.next(&command("probe"));
    Ok(Exit::Unhealthy)
}

/// The report, and where its page is.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    page: &'a Path,
}

/// Only the death of an instance is told: a service that heals at once is not worth a mail.
fn notice(options: &args::HaTest) -> Notice {
    match options.harm() {
        Harm::Service(_) | Harm::Hang(_) => Notice::None,
        Harm::Instance | Harm::ZoneOutage if options.maildir.is_some() => Notice::Mail,
        Harm::Instance | Harm::ZoneOutage => Notice::Alarm,
    }
}

/// Says what will be done, to whom and what is expected of it, and asks.
fn confirm(
    env: &Env,
    options: &args::HaTest,
    config: &Config,
    deployment: &Deployment,
    plan: &Plan,
) -> Result<()> {
    let Victim { instance_id, zone, .. } = &plan.victim;
    let what = match plan.harm {
        Harm::Instance => format!("terminating {instance_id} in {zone}"),
        Harm::Service(service) => format!("killing {service} on {instance_id} in {zone}"),
        Harm::Hang(service) => {
            format!("stopping {service} on {instance_id} in {zone}, as if it hung")
        }
        Harm::ZoneOutage => format!("cutting off {zone}, where {instance_id} is"),
    };
    let age = deployment.age.map(|age| format!("running for {}, ", elapsed(age)));
    let usage = match deployment.usage {
        None => "its agent has counted no meetings yet".to_owned(),
        Some(Usage { meetings: 0, .. }) => "no meeting".to_owned(),
        Some(Usage { meetings, people }) => {
            format!("cutting off {people} people in {meetings} meetings")
        }
    };
    env.ui.say(&format!("{what}   ({}{usage})", age.unwrap_or_default()));
    let place = match plan.harm {
        Harm::Instance => "on another instance",
        Harm::ZoneOutage => "on an instance in the other zone",
        Harm::Service(_) | Harm::Hang(_) => "on this or another instance",
    };
    let told = match plan.notice {
        Notice::Mail => ", and a mail about it",
        Notice::Alarm => ", and an alarm",
        Notice::None => "",
    };
    env.ui.say(&format!(
        "Nobody can meet at https://{} until it is back; expected: within {} {place}{told}.",
        config.domain,
        humantime::format_duration(plan.within),
    ));
    let question = Question {
        deployment: config.name.as_str(),
        before: String::new(),
        unasked: "the service would go down, and there is nobody to ask; nothing was harmed".into(),
        untouched: "nothing was harmed",
        words: options.words(),
        yes: Yes::Plain,
    };
    confirm::by_name(env, &question)
}

/// One line of the timeline.
fn happened(ui: &Ui, line: &Line) {
    let style = ui.progress_style();
    let text = match line.tone {
        Tone::Good => style.done(&line.text),
        Tone::Bad => style.failed(&line.text),
        Tone::Detail => style.dim(&line.text),
        Tone::Plain => line.text.clone(),
    };
    let mut event = json!(line);
    event["event"] = json!("seen");
    ui.seen(&format!("{:8.1} s  {text}", line.at), &event);
}
