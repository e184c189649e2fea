//! The failover test: harm a running deployment on purpose, watch it from outside as users and as
//! AWS see it, and say how long nobody could meet.

pub mod course;
pub mod deployment;
pub mod files;
pub mod harm;
pub mod look;
pub mod mail;
pub mod milestone;
pub mod report;
pub mod request;
pub mod series;
pub mod sight;

mod html;
mod watchers;

#[cfg(test)]
mod scenario;

use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use meeting_probe::{Prober, Target};
use tokio::sync::mpsc;

use self::{
    course::{Course, Plan, Seen, State, What},
    deployment::Deployment,
    harm::Harm,
    mail::Maildir,
    milestone::Milestone,
    report::{Line, Report, Subject},
    request::Browser,
    series::Series,
    sight::Sight,
    watchers::{Teller, Told},
};
use crate::{
    cx::Cx,
    error::{Hinted, Interrupted},
    invocation::command,
    policy::Permission,
    wait,
};

// How often to ask whether the test is over.
const TICK: Duration = Duration::from_millis(250);
// What must be good before anything is harmed, and how long it may take to be.
const GOOD_MEETINGS: usize = 3;
const GOOD_REQUESTS: usize = 10;
const BASELINE_LIMIT: Duration = Duration::from_secs(30);

/// What looking on takes. What the harm takes stands with the harm.
pub fn permissions() -> Vec<Permission> {
    vec![Permission::read(&[
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricStatistics",
        "ec2:DescribeInstances",
        "ec2:GetConsoleOutput",
        "elasticloadbalancing:DescribeTargetHealth",
    ])]
}

/// The ways from outside to the site, and to the people in charge.
pub struct Ways {
    /// Sends requests.
    pub browser: Browser,
    /// Holds meetings.
    pub prober: Prober,
    /// Where the deployment's mail is delivered.
    pub maildir: Option<Maildir>,
}

impl Ways {
    /// `target` is the site as the probe knows it, the way to it included.
    pub fn new(mut target: Target, maildir: Option<Maildir>) -> Result<Self> {
        target.limits = watchers::limits();
        let browser = Browser::new(&target.domain, target.connect.as_deref())?;
        let prober = Prober::new(target)
            .map_err(|failure| Hinted::user(failure.to_string(), "check --connect-to HOST:PORT"))?;
        Ok(Self { browser, prober, maildir })
    }

    /// Holds the one meeting that says best what is wrong, before anybody is asked anything.
    pub async fn check(&self) -> Result<()> {
        let report = self.prober.hold_meeting(&mut ()).await;
        match report.reason {
            Some(why) if !report.held() => Err(untouched(&format!("no meeting: {why}")).into()),
            _ => Ok(()),
        }
    }
}

/// Told while a test goes on.
pub enum Event<'a> {
    /// Something happened.
    Happened(&'a Line),
    /// What is waited for, with the figures so far.
    Waiting(String),
}

/// Harms the deployment as planned and watches until the service is back for good, the time is up or
/// the user asks to stop. What lasts is taken back in any case; an error of that comes second.
pub async fn run(
    cx: &Cx,
    deployment: &Deployment,
    plan: Plan,
    ways: Ways,
    tell: impl FnMut(Event<'_>),
) -> Result<(Report, Result<()>)> {
    let alarms = look::alarms(cx, &deployment.alarms).await?;
    let (to, told) = mpsc::unbounded_channel();
    let teller = Teller::new(to);
    let Ways { browser, prober, maildir } = ways;
    let words = mail_words(&plan, &deployment.alarms);
    let watch = async {
        tokio::join!(
            watchers::requests(&teller, &browser),
            watchers::meetings(&teller, &prober),
            watchers::aws(&teller, cx, &deployment.target_group),
            watchers::alarms(&teller, cx, &deployment.alarms, alarms),
            watchers::mail(&teller, maildir, &words),
        )
    };
    tokio::select! {
        result = drive(cx, deployment, plan, &teller, told, tell) => result,
        _ = watch => bail!("the watchers have stopped"),
    }
}

async fn drive(
    cx: &Cx,
    deployment: &Deployment,
    plan: Plan,
    teller: &Teller,
    mut told: mpsc::UnboundedReceiver<Told>,
    mut tell: impl FnMut(Event<'_>),
) -> Result<(Report, Result<()>)> {
    let (requests, meetings, sight) = baseline(cx, &mut told, deployment.sight.clone()).await?;
    let (harm, victim) = (plan.harm, plan.victim.clone());
    let (began, started) = (teller.now(), SystemTime::now());
    let mut course = Course::new(plan, sight, requests, meetings, began);
    say(&mut tell, began, &course.timeline());
    let mut inflict = std::pin::pin!(harm.inflict(cx, &victim));
    let mut inflicted = None;
    let mut ticks = wait::every(TICK);
    let interrupted = loop {
        tokio::select! {
            Some((at, seen)) = told.recv() => say(&mut tell, began, &course.see(at, seen)),
            result = &mut inflict, if inflicted.is_none() => {
                inflicted = Some(result?);
                say(&mut tell, began, &course.see(teller.now(), Seen::Inflicted));
            }
            _ = ticks.tick(), if inflicted.is_some() => {
                if cx.stopped() {
                    break true;
                }
                match course.state(teller.now()) {
                    State::Over => break false,
                    State::Going(what) => tell(Event::Waiting(progress(&course, &what))),
                }
            }
        }
    };
    let subject = Subject {
        deployment: cx.names.deployment().to_owned(),
        region: cx.names.region().to_owned(),
        domain: cx.config.domain.as_str().to_owned(),
    };
    let report = Report::new(subject, &course, started, teller.now(), interrupted);
    let ended = match inflicted {
        Some(inflicted) => inflicted.end(cx).await,
        None => Ok(()),
    };
    Ok((report, ended))
}

/// Waits until requests and meetings are known to be good, and AWS was seen. A service that is not
/// good is not harmed.
async fn baseline(
    cx: &Cx,
    told: &mut mpsc::UnboundedReceiver<Told>,
    mut sight: Sight,
) -> Result<(Series, Series, Sight)> {
    let (mut requests, mut meetings) = (Series::default(), Series::default());
    let enough = |requests: &Series, meetings: &Series| {
        requests.count(Duration::ZERO).1 >= GOOD_REQUESTS
            && meetings.count(Duration::ZERO).1 >= GOOD_MEETINGS
    };
    while !enough(&requests, &meetings) {
        if cx.stopped() {
            return Err(Interrupted.into());
        }
        let Some((at, seen)) = told.recv().await else { bail!("the watchers have stopped") };
        match seen {
            Seen::Begun(What::Request, begun) => requests.begin(begun),
            Seen::Begun(What::Meeting, begun) => meetings.begin(begun),
            Seen::Ended(what, begun, failure) => {
                if let Some(why) = failure {
                    let what = if what == What::Request { "request" } else { "meeting" };
                    return Err(untouched(&format!("a {what} failed: {why}")).into());
                }
                let series = if what == What::Request { &mut requests } else { &mut meetings };
                series.end(begun, at, None);
            }
            Seen::Aws(now) => sight = now,
            _ => {}
        }
        if at > BASELINE_LIMIT {
            let limit = BASELINE_LIMIT.as_secs();
            return Err(untouched(&format!("too few meetings were held in {limit} s")).into());
        }
    }
    Ok((requests, meetings, sight))
}

/// What a mail about the harm says. An instance whose zone is out is terminated, and that told, only
/// when the target group has let go of it; until then it is the alarms that tell.
fn mail_words(plan: &Plan, alarms: &[String]) -> Vec<String> {
    let mut words = vec![plan.victim.instance_id.clone()];
    if plan.harm == Harm::ZoneOutage {
        // CloudWatch's own subject.
        words.extend(alarms.iter().map(|alarm| format!("ALARM: \"{alarm}\"")));
    }
    words
}

fn untouched(why: &str) -> Hinted {
    Hinted::user(
        format!("nothing was harmed: the service is not well as it is; {why}"),
        format!("see what is wrong with `{}`", command("probe")),
    )
}

fn say(tell: &mut impl FnMut(Event<'_>), began: Duration, lines: &[Milestone]) {
    for line in lines {
        tell(Event::Happened(&Line::new(line, began)));
    }
}

/// `31 of 164 requests, 5 of 33 meetings failed; the group has not launched another instance`.
fn progress(course: &Course, what: &str) -> String {
    let [(requests, of), (meetings, all)] =
        [What::Request, What::Meeting].map(|what| course.count(what));
    format!("{requests} of {of} requests, {meetings} of {all} meetings failed; {what}")
}
