//! The probe itself: the steps in their order, each bounded, timed and told.

use std::future::Future;
use std::time::{Duration, SystemTime};

use futures_util::future::{join_all, try_join, try_join_all};
use tokio::time::{Instant, timeout};

#[cfg(feature = "call")]
use crate::call;
use crate::connection::{Connection, Way};
use crate::failure::{Failure, SITE};
use crate::media;
use crate::offer::Offer;
use crate::participant::Participant;
use crate::report::{Audio, Bridge, Outcome, Report, Step, StepName, milliseconds, plain};
use crate::request::request_conference;
use crate::room::Room;
use crate::target::{Auth, Depth, Target};
use crate::token;

/// Hears of each step as it happens. Both methods do nothing by default; `()` is deaf.
pub trait Observer: Send {
    /// `step` begins.
    fn started(&mut self, step: StepName) {
        let _ = step;
    }
    /// `step` ended well or badly.
    fn finished(&mut self, step: &Step, failure: Option<&Failure>) {
        let _ = (step, failure);
    }
}

impl Observer for () {}

/// Holds meetings on one site. Made once (it reads the trust store), used many times.
pub struct Prober {
    target: Target,
    way: Way,
}

impl Prober {
    /// Prepares probes of `target`.
    pub fn new(target: Target) -> Result<Self, Failure> {
        Ok(Self { way: Way::new(&target)?, target })
    }

    /// Holds one meeting and tells `observer` of each step. Never fails: a meeting that could not
    /// be held is a report too. Dropping the future closes the connections, which makes Prosody
    /// remove the participants. A room nobody came to is left by jicofo itself, 15 s later.
    pub async fn hold_meeting(&self, observer: &mut dyn Observer) -> Report {
        let mut course = Course::new(observer, self.target.limits.total);
        let mut meeting =
            Meeting { target: &self.target, way: &self.way, participants: Vec::new() };
        let (mut bridge, mut audio) = (Vec::new(), None);
        let room = Room::random(&self.target.muc_domain);
        let result = match &room {
            // On the heap, so that callers need not carry the states of TLS and WebSocket around.
            Ok(room) => Box::pin(meeting.hold(room, &mut course, &mut bridge, &mut audio)).await,
            Err(failure) => Err(failure.clone()),
        };
        meeting.leave(&mut course).await;
        Report {
            outcome: if result.is_ok() { Outcome::Held } else { Outcome::Failed },
            domain: self.target.domain.clone(),
            room: room.map(|room| room.name().to_owned()).unwrap_or_default(),
            took_ms: milliseconds(course.started.elapsed()),
            failed_step: result.is_err().then_some(course.failed).flatten(),
            reason: result.as_ref().err().map(|failure| plain(&failure.to_string())),
            hint: result.as_ref().err().and_then(Failure::hint).map(ToOwned::to_owned),
            steps: course.steps,
            bridge,
            audio,
        }
    }
}

/// A meeting in the making.
struct Meeting<'a> {
    target: &'a Target,
    way: &'a Way,
    participants: Vec<Participant>,
}

impl Meeting<'_> {
    async fn hold(
        &mut self,
        room: &Room,
        course: &mut Course<'_>,
        bridge: &mut Vec<Bridge>,
        audio: &mut Option<Audio>,
    ) -> Result<(), Failure> {
        let Target { domain, auth, limits, mapping, focus, depth, .. } = self.target;
        let way = self.way;
        let by_account = matches!(auth, Auth::Account { .. });
        let token = match auth {
            Auth::Token { app_id, app_secret } => {
                Some(token::mint(app_id, app_secret, domain, room.name(), SystemTime::now())?)
            }
            Auth::Anonymous | Auth::Account { .. } => None,
        };
        let token = token.as_deref();

        let addresses = course
            .step(StepName::Resolve, limits.resolve, "the name server", async {
                let addresses = way.resolve().await?;
                let ips: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
                Ok((addresses, ips.join(", ")))
            })
            .await?;
        let (first, address) = course
            .step(StepName::Connect, limits.connect, SITE, async {
                let first = way.connect(&addresses).await?;
                let address =
                    first.get_ref().0.peer_addr().map_err(|e| Failure::Setup(e.to_string()))?;
                Ok(((first, [address]), address.to_string()))
            })
            .await?;

        let mut spare = Some(first);
        if !by_account {
            let connection = take(&mut spare, way, &address);
            course
                .step(StepName::ConferenceRequest, limits.conference_request, JICOFO, async {
                    let address = room.address();
                    let request = request_conference(connection.await?, domain, &address, token);
                    let focus = Box::pin(request).await?;
                    Ok(((), format!("{focus} is ready")))
                })
                .await?;
        }

        let [one, two] = room.nicks();
        self.participants = course
            .step(StepName::LogIn, limits.log_in, "Prosody", async {
                let connection = take(&mut spare, way, &address);
                let log_in = |nick, connection: Connection| {
                    Box::pin(Participant::log_in(connection, self.target, room, token, nick))
                };
                let (one, two) = try_join(async { log_in(one, connection.await?).await }, async {
                    log_in(two, way.connect(&address).await?).await
                })
                .await?;
                Ok((vec![one, two], "two participants".into()))
            })
            .await?;

        if by_account && let Some(first) = self.participants.first_mut() {
            course
                .step(StepName::ConferenceRequest, limits.conference_request, JICOFO, async {
                    let focus = first.request_conference(focus, room).await?;
                    Ok(((), format!("{focus} is ready")))
                })
                .await?;
        }

        course
            .step(StepName::Join, limits.join, "Prosody, asked to let participants in,", async {
                try_join_all(self.participants.iter_mut().map(|p| p.join(room))).await?;
                Ok(((), String::new()))
            })
            .await?;

        let offers = self.offers(course).await?;
        if self.target.udp_blocked
            && let Some(participant) = self.participants.first_mut()
        {
            let asked = "Prosody, asked for relays,";
            return course
                .step(StepName::Media, limits.media, asked, async {
                    let relays = participant.relays(domain).await?;
                    Err(Failure::UdpBlocked { relays })
                })
                .await;
        }

        // The checks keep to the deadline themselves, so that what did not answer can be named.
        let (begun, deadline) = course.bounded(StepName::Media, limits.media);
        let result = media::ask(&offers, *mapping, deadline).await.and_then(|(asked, verdict)| {
            *bridge = asked;
            verdict.map(|()| ((), format!("{} answers", listed(bridge))))
        });
        course.settle(begun, result)?;
        match depth {
            Depth::Reached => {}
            #[cfg(feature = "call")]
            Depth::Heard => *audio = Some(self.speak(room, &offers, bridge, course).await?),
        }
        Ok(())
    }

    /// What jicofo offers the participants, looked through.
    async fn offers(&mut self, course: &mut Course<'_>) -> Result<Vec<Offer>, Failure> {
        let no_offer = |limit| Failure::NoOffer { limit };
        course
            .step_or(StepName::Offer, self.target.limits.offer, no_offer, async {
                let offers =
                    try_join_all(self.participants.iter_mut().map(Participant::offer)).await?;
                for offer in &offers {
                    offer.check(self.target.mapping, self.target.depth)?;
                }
                let candidates: Vec<String> = offers
                    .first()
                    .map(|offer| offer.candidates.iter().map(|c| c.address.to_string()).collect())
                    .unwrap_or_default();
                Ok((offers, candidates.join(", ")))
            })
            .await
    }

    /// The participants' calls with the bridge, from the acceptance of its offers to what they heard.
    #[cfg(feature = "call")]
    async fn speak(
        &mut self,
        room: &Room,
        offers: &[Offer],
        bridge: &[Bridge],
        course: &mut Course<'_>,
    ) -> Result<Audio, Failure> {
        let limits = &self.target.limits;
        let silent = || Failure::Setup("no address of the bridge answered everybody".into());
        let address = media::best(bridge, self.target.mapping).ok_or_else(silent)?;
        let mut calls = course
            .step(
                StepName::Accept,
                limits.accept,
                "jicofo, told how to reach participants,",
                async {
                    let mut calls = call::prepare(offers, address, room.ssrcs()).await?;
                    let accepted = self.participants.iter_mut().zip(offers).zip(&mut calls).map(
                        |((participant, offer), call)| {
                            let answer = call.answer();
                            async move { participant.accept(offer, &answer).await }
                        },
                    );
                    try_join_all(accepted).await?;
                    Ok((calls, String::new()))
                },
            )
            .await?;
        // The calls keep to their deadlines themselves, so that what did not come about can be named.
        let (begun, deadline) = course.bounded(StepName::Encryption, limits.encryption);
        let result = call::encrypt(&mut calls, deadline).await;
        course.settle(begun, result.map(|()| ((), "DTLS with the offered bridge".into())))?;

        let (begun, deadline) = course.bounded(StepName::BridgeChannel, limits.bridge_channel);
        let result = call::greet(&mut calls, deadline).await;
        course.settle(begun, result.map(|bridge| ((), format!("SCTP, bridge {bridge}"))))?;

        let (begun, deadline) = course.bounded(StepName::Audio, limits.audio);
        let result = call::talk(&mut calls, deadline).await;
        course.settle(begun, result.map(|audio| (audio.clone(), heard(&audio))))
    }

    async fn leave(&mut self, course: &mut Course<'_>) {
        if self.participants.is_empty() {
            return;
        }
        let limit = self.target.limits.leave;
        let begun = course.begin(StepName::Leave);
        let left = timeout(limit, join_all(self.participants.iter_mut().map(Participant::leave)));
        let detail = match left.await {
            Ok(_) => "Prosody confirmed",
            // The closing connections do it.
            Err(_) => "by closing the connections",
        };
        self.participants.clear();
        course.end(begun, detail, None);
    }
}

/// Names who was asked.
const JICOFO: &str = "jicofo, asked for a conference,";

/// The connection at hand, else a new one.
fn take<'a>(
    spare: &mut Option<Connection>,
    way: &'a Way,
    addresses: &'a [std::net::SocketAddr],
) -> impl Future<Output = Result<Connection, Failure>> + 'a {
    let spare = spare.take();
    async move {
        match spare {
            Some(connection) => Ok(connection),
            None => way.connect(addresses).await,
        }
    }
}

fn listed(bridge: &[Bridge]) -> String {
    let answering = bridge.iter().filter_map(|b| {
        b.round_trip_ms
            .map(|ms| format!("{} udp/{} ({ms:.1} ms)", b.address.ip(), b.address.port()))
    });
    answering.collect::<Vec<_>>().join(", ")
}

#[cfg(feature = "call")]
fn heard(audio: &Audio) -> String {
    format!(
        "{} packets, {:.0} % lost, {:.1} ms there and back",
        audio.packets,
        audio.loss_percent(),
        audio.round_trip_ms
    )
}

/// The steps as they happen.
struct Course<'a> {
    observer: &'a mut dyn Observer,
    started: Instant,
    total: Duration,
    steps: Vec<Step>,
    failed: Option<StepName>,
}

impl<'a> Course<'a> {
    fn new(observer: &'a mut dyn Observer, total: Duration) -> Self {
        Self { observer, started: Instant::now(), total, steps: Vec::new(), failed: None }
    }

    /// `limit`, or what is left of the whole probe's time.
    fn remaining(&self, limit: Duration) -> Duration {
        limit.min(self.total.saturating_sub(self.started.elapsed()))
    }

    /// Runs one step; `whom` names who did not answer when it takes too long.
    async fn step<T>(
        &mut self,
        name: StepName,
        limit: Duration,
        whom: &str,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Result<T, Failure> {
        self.step_or(name, limit, |limit| Failure::Silence { whom: whom.into(), limit }, work).await
    }

    async fn step_or<T>(
        &mut self,
        name: StepName,
        limit: Duration,
        silence: impl FnOnce(Duration) -> Failure,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Result<T, Failure> {
        let begun = self.begin(name);
        let remaining = self.remaining(limit);
        let result = timeout(remaining, work).await.unwrap_or_else(|_| {
            Err(if remaining < limit {
                Failure::TooLong { step: name, limit: self.total }
            } else {
                silence(limit)
            })
        });
        self.settle(begun, result)
    }

    fn settle<T>(
        &mut self,
        begun: (StepName, Instant),
        result: Result<(T, String), Failure>,
    ) -> Result<T, Failure> {
        match result {
            Ok((value, detail)) => {
                self.end(begun, &detail, None);
                Ok(value)
            }
            Err(failure) => {
                self.failed = Some(begun.0);
                self.end(begun, &failure.to_string(), Some(&failure));
                Err(failure)
            }
        }
    }

    /// Begins a step that keeps to its deadline itself.
    fn bounded(&mut self, name: StepName, limit: Duration) -> ((StepName, Instant), Instant) {
        let deadline = Instant::now() + self.remaining(limit);
        (self.begin(name), deadline)
    }

    fn begin(&mut self, name: StepName) -> (StepName, Instant) {
        self.observer.started(name);
        (name, Instant::now())
    }

    fn end(&mut self, (name, begun): (StepName, Instant), detail: &str, failure: Option<&Failure>) {
        let step = Step {
            name,
            started_ms: milliseconds(begun - self.started),
            took_ms: milliseconds(begun.elapsed()),
            detail: plain(detail),
        };
        self.observer.finished(&step, failure);
        self.steps.push(step);
    }
}
