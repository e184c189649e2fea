//! What a probe found out: every step with its time, the bridge's addresses, the verdict.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The steps of a probe, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepName {
    /// Look the name up.
    Resolve,
    /// Open TCP and TLS.
    Connect,
    /// Ask jicofo for the room. With an account this comes after [`StepName::LogIn`].
    ConferenceRequest,
    /// Open two WebSocket connections and log in.
    LogIn,
    /// Both participants join the room.
    Join,
    /// Answer jicofo's questions, receive an offer for each participant.
    Offer,
    /// Ask the bridge at every address it offers.
    Media,
    /// Accept the offer: jicofo tells the bridge who comes.
    Accept,
    /// ICE and DTLS with the bridge, whose certificate must be the offered one.
    Encryption,
    /// The bridge's own channel (SCTP), over which it directs video, opens and answers.
    BridgeChannel,
    /// Both participants speak, and hear each other through the bridge.
    Audio,
    /// Leave the room and close.
    Leave,
}

/// One step, done or failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which one.
    pub name: StepName,
    /// When it began, in milliseconds since the probe began.
    pub started_ms: f64,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// What was seen, for people: `focus@auth.meet.example.com is ready`.
    pub detail: String,
}

/// Whether a meeting can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A meeting was held: the participants heard each other.
    Held,
    /// Not; [`Report::reason`] says why.
    Failed,
}

/// An address the bridge offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bridge {
    /// Address and UDP port.
    pub address: SocketAddr,
    /// ICE candidate type: `srflx` for a mapped address, `host` for an interface's own.
    pub kind: String,
    /// Time to the answer in milliseconds; none when it did not answer.
    pub round_trip_ms: Option<f64>,
}

/// What the participants heard of each other, both together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    /// RTP packets sent since the first that arrived, 20 ms of speech each.
    pub packets: usize,
    /// Those that did not arrive.
    pub lost: usize,
    /// From here through the bridge back to here in milliseconds; the middle one of all packets.
    pub round_trip_ms: f64,
}

impl Audio {
    /// The share of packets that did not arrive.
    #[expect(clippy::cast_precision_loss, reason = "some dozens of packets")]
    pub fn loss_percent(&self) -> f64 {
        100.0 * self.lost as f64 / self.packets.max(1) as f64
    }
}

/// What a probe found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The verdict.
    pub outcome: Outcome,
    /// The site's domain.
    pub domain: String,
    /// The room that was used; gone when the report exists.
    pub room: String,
    /// The whole probe's time in milliseconds.
    pub took_ms: f64,
    /// The steps that were begun, in order.
    pub steps: Vec<Step>,
    /// The addresses the bridge offered, once each.
    pub bridge: Vec<Bridge>,
    /// What was heard; none when the probe did not get that far.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub audio: Option<Audio>,
    /// The step that failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed_step: Option<StepName>,
    /// Why it failed, in an operator's words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What to look at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl Report {
    /// Whether a meeting was held.
    pub fn held(&self) -> bool {
        self.outcome == Outcome::Held
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::ConferenceRequest => "conference request",
            Self::LogIn => "log in",
            Self::Join => "join",
            Self::Offer => "offer",
            Self::Media => "media",
            Self::Accept => "accept",
            Self::Encryption => "encryption",
            Self::BridgeChannel => "bridge channel",
            Self::Audio => "audio",
            Self::Leave => "leave",
        })
    }
}

/// A report's times: whole microseconds are precise enough, and a JSON reader gives back the very
/// number that was written, which it need not do for 17 digits.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The longest text of a step or a reason, in characters: half of it may be in the site's own words.
const TOLD: usize = 400;

/// `text` on one line that a terminal obeys in nothing, cut after a word where it is long.
pub(crate) fn plain(text: &str) -> String {
    let fit = |c: char| if c.is_control() { ' ' } else { c };
    let words: Vec<String> =
        text.split_whitespace().map(|word| word.chars().map(fit).collect()).collect();
    let line = words.join(" ");
    let Some((end, _)) = line.char_indices().nth(TOLD) else { return line };
    let end = line[..end].rfind(' ').unwrap_or(end);
    format!("{} …", &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_json() {
        // The first is read back as ….38034100000000004 if it is written as it was measured.
        for nanoseconds in (380_341..40_000_000).step_by(7919) {
            let time = milliseconds(Duration::from_nanos(nanoseconds));
            let json = serde_json::to_string(&time).unwrap();
            let read: f64 = serde_json::from_str(&json).unwrap();
            assert_eq!(read.to_bits(), time.to_bits(), "{json}");
        }
    }
}
