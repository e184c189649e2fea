//! What is worth a line in the timeline: what happened, when, and to which instance.

use std::time::Duration;

use serde::Serialize;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// When, since the start of the watch.
    pub at: Duration,
    /// What.
    pub kind: Kind,
    /// The line for a person.
    pub text: String,
    /// The instance it happened to, where it did to one.
    pub instance: Option<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The harm was asked for.
    Requested,
    /// It has happened or is under way.
    Inflicted,
    /// A request failed that should not have.
    RequestFailed,
    /// A meeting could not be held.
    MeetingFailed,
    /// AWS shows that the victim is being terminated, or is gone.
    TerminationSeen,
    /// The victim's target is no longer healthy.
    TargetLost,
    /// The group takes the victim out of service, and why.
    TakenOut,
    /// The group launched another instance.
    Launched,
    /// A launch failed.
    LaunchFailed,
    /// EC2 shows the new instance running: it boots.
    Running,
    /// The launch hook holds the new instance until its agent has held a meeting.
    Held,
    /// The console says that the agent installs.
    Installs,
    /// The console says that the agent configures.
    Configures,
    /// The console says that the agent waits for the services and tries a meeting.
    Proves,
    /// The agent answered the launch hook with CONTINUE: a meeting was held on the new instance.
    InService,
    /// The load balancer finds the new instance healthy.
    TargetHealthy,
    /// Requests are answered again.
    RequestGood,
    /// Meetings can be held again.
    MeetingGood,
    /// The mail arrived or an alarm fired.
    Notified,
    /// An alarm changed its state.
    Alarm,
    /// AWS did not answer a look.
    Blind,
}

impl Kind {
    /// How it went, for colours.
    pub fn tone(self) -> Tone {
        match self {
            Self::RequestFailed | Self::MeetingFailed | Self::LaunchFailed => Tone::Bad,
            Self::RequestGood
            | Self::MeetingGood
            | Self::InService
            | Self::TargetHealthy
            | Self::Notified => Tone::Good,
            Self::Requested | Self::Inflicted => Tone::Plain,
            _ => Tone::Detail,
        }
    }
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Red.
    Bad,
    /// Green.
    Good,
    /// Dim.
    Detail,
    /// None.
    Plain,
}
