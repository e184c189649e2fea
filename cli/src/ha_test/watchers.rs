//! The watchers: each tells what it sees, several times a second to every few seconds, until it is
//! dropped. None of them waits for another.

use std::{collections::BTreeSet, future::Future, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use meeting_probe::{Limits, Prober};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

use super::{
    course::{Seen, What},
    look,
    mail::Maildir,
    request::{self, Browser},
};
use crate::{cx::Cx, wait};

/// Something seen, and when, since the start of the watch.
pub(super) type Told = (Duration, Seen);

/// Time between two requests.
pub(super) const REQUEST_EVERY: Duration = Duration::from_millis(200);
/// Time between two meetings.
pub(super) const MEETING_EVERY: Duration = Duration::from_secs(1);
/// How long a meeting may take to begin before people call it broken. The first one after a start
/// takes about 3 s.
pub(super) const MEETING_LIMIT: Duration = Duration::from_secs(10);

// Auto Scaling and ELB allow several such calls a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const MAIL_EVERY: Duration = Duration::from_millis(500);
const ALARMS_EVERY: Duration = Duration::from_secs(5);

/// Tells what is seen, with the time.
#[derive(Clone)]
pub(super) struct Teller {
    start: Instant,
    to: UnboundedSender<Told>,
}

impl Teller {
    /// Tells `to`, counting from now.
    pub(super) fn new(to: UnboundedSender<Told>) -> Self {
        Self { start: Instant::now(), to }
    }

    /// The time since the start of the watch.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Tells what is seen now. Nobody listens any more once the test is over.
    pub(super) fn tell(&self, seen: Seen) {
        let _over = self.to.send((self.now(), seen));
    }
}

/// A meeting's steps, shortened to what people wait for.
pub(super) fn limits() -> Limits {
    Limits {
        conference_request: MEETING_LIMIT,
        log_in: MEETING_LIMIT,
        offer: MEETING_LIMIT,
        total: MEETING_LIMIT,
        ..Limits::default()
    }
}

/// Requests the start page.
pub(super) async fn requests(teller: &Teller, browser: &Browser) {
    let most = at_once(request::LIMIT, REQUEST_EVERY);
    repeat(teller, What::Request, REQUEST_EVERY, most, || browser.visit()).await;
}

/// Holds meetings.
pub(super) async fn meetings(teller: &Teller, prober: &Prober) {
    let most = at_once(MEETING_LIMIT, MEETING_EVERY);
    repeat(teller, What::Meeting, MEETING_EVERY, most, || async {
        let report = prober.hold_meeting(&mut ()).await;
        if report.held() {
            return Ok(());
        }
        Err(report.reason.unwrap_or_else(|| "no reason given".to_owned()))
    })
    .await;
}

/// How many can be under way when each takes as long as it may.
fn at_once(limit: Duration, every: Duration) -> usize {
    usize::try_from(limit.as_millis() / every.as_millis().max(1)).unwrap_or(usize::MAX) + 2
}

/// Begins an attempt every so often, whether the earlier ones are over or not.
async fn repeat<F: Future<Output = Result<(), String>>>(
    teller: &Teller,
    what: What,
    every: Duration,
    most: usize,
    attempt: impl Fn() -> F,
) {
    let mut ticks = wait::every(every);
    let mut under_way = FuturesUnordered::new();
    loop {
        let free = under_way.len() < most;
        tokio::select! {
            Some((begun, result)) = under_way.next() => {
                let result: Result<(), String> = result;
                teller.tell(Seen::Ended(what, begun, result.err()));
            }
            _ = ticks.tick(), if free => {
                let begun = teller.now();
                teller.tell(Seen::Begun(what, begun));
                let result = attempt();
                under_way.push(async move { (begun, result.await) });
            }
        }
    }
}

/// Looks at the group, its instances and targets.
pub(super) async fn aws(teller: &Teller, cx: &Cx, target_group: &str) {
    let mut blind = BTreeSet::new();
    loop {
        match Box::pin(look::look(cx, target_group)).await {
            Ok(sight) => teller.tell(Seen::Aws(sight)),
            Err(error) => complain(teller, &mut blind, &error),
        }
        wait::pause(LOOK_EVERY).await;
    }
}

/// Looks at the alarms; `before` is how they were before the harm.
pub(super) async fn alarms(teller: &Teller, cx: &Cx, names: &[String], mut before: look::Alarms) {
    let mut blind = BTreeSet::new();
    loop {
        wait::pause(ALARMS_EVERY).await;
        match look::alarms(cx, names).await {
            Ok(now) => {
                for (name, state) in look::changed(&before, &now) {
                    teller.tell(Seen::Alarm { name, state });
                }
                before = now;
            }
            Err(error) => complain(teller, &mut blind, &error),
        }
    }
}

/// Looks for mail that names one of `words`; without a maildir there is nothing to look for.
pub(super) async fn mail(teller: &Teller, maildir: Option<Maildir>, words: &[String]) {
    let Some(mut maildir) = maildir else { return std::future::pending().await };
    let mut blind = BTreeSet::new();
    loop {
        match maildir.find(words).await {
            Ok(Some(subject)) => teller.tell(Seen::Mail(subject)),
            Ok(None) => {}
            Err(error) => complain(teller, &mut blind, &error.into()),
        }
        wait::pause(MAIL_EVERY).await;
    }
}

/// Says a failed look once: the test goes on, users do not care whether AWS's API answers.
fn complain(teller: &Teller, said: &mut BTreeSet<String>, error: &anyhow::Error) {
    let text = format!("{error:#}");
    if said.insert(text.clone()) {
        teller.tell(Seen::Blind(text));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_begin_on_time_however_long_the_others_take() {
        let (to, mut told) = mpsc::unbounded_channel();
        let teller = Teller::new(to);
        let attempts = repeat(&teller, What::Meeting, MEETING_EVERY, 4, || async {
            wait::pause(MEETING_LIMIT).await;
            Err("no answer".to_owned())
        });
        // Four at once, and a fifth when the first is over.
        let _over = tokio::time::timeout(MEETING_LIMIT + MEETING_EVERY / 2, attempts).await;
        let mut begun = Vec::new();
        let mut ended = Vec::new();
        while let Ok((at, seen)) = told.try_recv() {
            match seen {
                Seen::Begun(_, began) => begun.push(began.as_secs()),
                Seen::Ended(_, began, failure) => {
                    ended.push((began.as_secs(), at.as_secs(), failure));
                }
                _ => {}
            }
        }
        assert_eq!(begun, [0, 1, 2, 3, 10]);
        assert_eq!(ended, [(0, 10, Some("no answer".to_owned()))]);
    }
}
